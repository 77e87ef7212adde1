"""Losses on logits (B, 1, H, W) and a mask (B, H, W); mask value 255 is left out.

Each loss is a function of sums over pixels. The sums of batches add up, so that the loss of a
whole split does not depend on its batches and can be monitored.

Overlap losses learn little from batches without landslides. There the paper's Dice loss is
Σp / (Σp + 1), whose gradient falls with the square of Σp: with p = 0.5 in eight patches of 64 px,
a quiet pixel's gradient is less than a thousandth of that beside 7 percent of landslides. It has
the right sign (that of segmentation_models_pytorch is zero), but quiet ground hardly counts. To
train on quiet ground, use ``DiceBCELoss``, in which every pixel counts.
"""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from landslide.geo.rasters import UNKNOWN


class PixelLoss(nn.Module, ABC):
    """A loss that is a function of sums over pixels."""

    @abstractmethod
    def sums(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return the sums (K,) of a batch, which add up over batches."""

    @abstractmethod
    def value(self, sums: Tensor) -> Tensor:
        """Return the loss of the pixels behind these sums, a scalar."""

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar."""
        return self.value(self.sums(logits, mask))


class TverskyLoss(PixelLoss):
    """(1 - TI)^gamma with TI = (TP + s) / (TP + alpha FP + beta FN + s), a number in [0, 1].

    Tversky loss after Salehi et al. 2017, focal with ``gamma`` below 1 after Abraham and
    Khan 2019 (their gamma is the inverse of this one).

    Args:
        alpha: Weight of false positives.
        beta: Weight of false negatives.
        gamma: Exponent.
        smooth: Added to numerator and denominator, in pixels.
    """

    def __init__(
        self, alpha: float = 0.3, beta: float = 0.7, gamma: float = 1.0, smooth: float = 0.5
    ) -> None:
        super().__init__()
        self.alpha, self.beta, self.gamma, self.smooth = alpha, beta, gamma, smooth

    def sums(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return the summed probability of true positives, false positives, false negatives."""
        known = mask != UNKNOWN
        # Fill before multiplying: NaN times zero is NaN.
        p = torch.sigmoid(at_least_float32(logits).squeeze(1)).masked_fill(~known, 0.0)
        truth = mask.masked_fill(~known, 0).to(p.dtype)
        true_positive = (p * truth).sum()
        return torch.stack([true_positive, p.sum() - true_positive, truth.sum() - true_positive])

    def value(self, sums: Tensor) -> Tensor:
        """Return the loss of these true positives, false positives and false negatives."""
        true_positive, false_positive, false_negative = sums
        missed = self.alpha * false_positive + self.beta * false_negative
        loss: Tensor = missed / (true_positive + missed + self.smooth)
        # The slope of a root is infinite at 0, where a batch without known pixels lands.
        focal: Tensor = loss if self.gamma == 1 else loss.clamp_min(1e-7) ** self.gamma
        return focal


class DiceLoss(TverskyLoss):
    """Dice loss as the paper trains it: 1 - (2 Σpg + 1) / (Σp + Σg + 1)."""

    def __init__(self) -> None:
        super().__init__(alpha=0.5, beta=0.5)


class DiceBCELoss(PixelLoss):
    """Dice loss plus the mean binary cross-entropy over known pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.dice = DiceLoss()

    def sums(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return the sums of the Dice loss, of the cross-entropy, and the known pixels."""
        known = mask != UNKNOWN
        x = at_least_float32(logits).squeeze(1)[known]
        truth = mask[known].to(x.dtype)
        entropy = F.binary_cross_entropy_with_logits(x, truth, reduction="sum")
        rest = torch.stack([entropy, entropy.new_tensor(x.numel())])
        return torch.cat([self.dice.sums(logits, mask), rest])

    def value(self, sums: Tensor) -> Tensor:
        """Return the loss of these sums."""
        entropy, pixels = sums[3:]
        loss: Tensor = self.dice.value(sums[:3]) + entropy / pixels.clamp_min(1)
        return loss


class PixelMean(PixelLoss):
    """Any other loss of logits and mask, weighted by the known pixels of each batch.

    Args:
        loss: Maps logits (B, 1, H, W) and a mask (B, H, W) to a scalar.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def sums(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return the loss times the known pixels, and their number."""
        pixels = (mask != UNKNOWN).sum().float()
        loss = at_least_float32(self.loss(logits, mask))
        # A mean over no pixel at all is NaN in most libraries.
        return torch.stack([torch.where(pixels > 0, loss * pixels, 0), pixels])

    def value(self, sums: Tensor) -> Tensor:
        """Return the mean loss of a pixel."""
        return sums[0] / sums[1].clamp_min(1)


def at_least_float32(values: Tensor) -> Tensor:
    """Convert 16-bit numbers to 32 bits, which sums over a hundred thousand pixels need."""
    return values.to(torch.promote_types(values.dtype, torch.float32))

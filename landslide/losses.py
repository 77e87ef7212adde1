"""Losses on logits (B, 1, H, W) and a mask (B, H, W); mask value 255 is left out.

segmentation_models_pytorch has Dice and Tversky losses too, but gives a batch without
landslide zero loss and no gradient: a network would never be told of its false alarms
in quiet terrain. Here the overlap is smoothed as in the paper's program, which keeps
the gradient.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from landslide.datasets import UNKNOWN


class TverskyLoss(nn.Module):
    """(1 - TI)^gamma with TI = (TP + s) / (TP + alpha FP + beta FN + s), pooled over the batch.

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

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar in [0, 1]."""
        known = mask != UNKNOWN
        # Fill before multiplying: NaN times zero is NaN.
        p = torch.sigmoid(logits.squeeze(1)).masked_fill(~known, 0.0)
        truth = mask.masked_fill(~known, 0).to(p.dtype)
        true_positive = (p * truth).sum()
        false_positive = p.sum() - true_positive
        false_negative = truth.sum() - true_positive
        missed = self.alpha * false_positive + self.beta * false_negative
        loss = missed / (true_positive + missed + self.smooth)
        # The slope of a root is infinite at 0, where a batch without known pixels lands.
        return loss if self.gamma == 1 else loss.clamp_min(1e-7) ** self.gamma


class DiceLoss(TverskyLoss):
    """Dice loss as the paper trains it: 1 - (2 Σpg + 1) / (Σp + Σg + 1)."""

    def __init__(self) -> None:
        super().__init__(alpha=0.5, beta=0.5)


class DiceBCELoss(nn.Module):
    """Dice loss plus the mean binary cross-entropy over known pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.dice = DiceLoss()

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar."""
        known = mask != UNKNOWN
        x = logits.squeeze(1)[known]
        truth = mask[known].to(x.dtype)
        entropy = F.binary_cross_entropy_with_logits(x, truth, reduction="sum")
        loss: Tensor = self.dice(logits, mask) + entropy / max(x.numel(), 1)
        return loss

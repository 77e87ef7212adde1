"""Augmentations of patches: flips, and what changes backscatter, for use among kornia's.

They act on images (B, C, H, W) in linear power, before normalisation; NaN stays NaN.
"""

from collections.abc import Sequence
from typing import Any

import torch
from kornia.augmentation import IntensityAugmentationBase2D
from torch import Tensor, nn
from torch.distributions import Gamma

from landslide.radar.bands import (
    acquisition_of,
    backscatter_bands,
    is_backscatter,
    is_direction,
    source_bands,
)
from landslide.radar.directions import EAST_WEST, NORTH_SOUTH, mirror


class RandomFlips(nn.Module):
    """Mirror image and mask together, each patch by its own chance.

    The same as kornia's two flips in a fifth of the time, which is 2 percent of a training
    step of the paper's network on a CPU.

    Bands that are directions (``aspect``) turn with the ground.

    Args:
        bands: Names of the channels.
        horizontal: Probability of a flip east-west.
        vertical: Probability of a flip north-south.
    """

    def __init__(
        self, bands: Sequence[str], horizontal: float = 0.5, vertical: float = 0.5
    ) -> None:
        super().__init__()
        self.directions = [i for i, band in enumerate(bands) if is_direction(band)]
        self.chances = {EAST_WEST: horizontal, NORTH_SOUTH: vertical}

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, C, H, W) and (B, 1, H, W), flipped."""
        for axis, chance in self.chances.items():
            flipped = (torch.rand(len(image), device=image.device) < chance)[:, None, None, None]
            image = torch.where(flipped, mirror(image, [axis], self.directions), image)
            mask = torch.where(flipped, mask.flip(axis), mask)
        return image, mask


class RandomGain(IntensityAugmentationBase2D):
    """Raise or lower all backscatter of one date together, as soil moisture does.

    A quotient changes by the gain of its first date over that of its second.

    Args:
        bands: Names of the channels; those of one acquisition differ in their polarisation only.
        std_db: Standard deviation of the gain in dB.
        p: Probability per patch.
    """

    def __init__(self, bands: Sequence[str], std_db: float, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.std_db = std_db
        dates = sorted({acquisition_of(image) for image in backscatter_bands(bands)})
        # (C, dates): which date's gain, if any, a channel takes; -1 for what it is divided by
        self.membership = torch.zeros(len(bands), len(dates))
        for i, sign, image in _factors(bands):
            self.membership[i, dates.index(acquisition_of(image))] += sign

    def apply_transform(
        self,
        input: Tensor,
        params: object,
        flags: object,
        transform: Any = None,  # noqa: ANN401
    ) -> Tensor:
        """Multiply each channel by its date's gain."""
        membership = self.membership.to(input)
        gain_db = self.std_db * torch.randn(
            len(input), membership.shape[1], device=input.device, dtype=input.dtype
        )
        return input * 10 ** (gain_db @ membership.T / 10)[:, :, None, None]


class RandomSpeckle(IntensityAugmentationBase2D):
    """Multiply backscatter by unit-mean gamma noise, independent per pixel and image.

    A quotient changes by the noise of its first image over that of its second.

    Args:
        bands: Names of the channels.
        looks: Shape of the gamma distribution; the more looks, the weaker the noise.
        p: Probability per patch.
    """

    def __init__(self, bands: Sequence[str], looks: float, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.gamma = Gamma(looks, looks)
        self.images = backscatter_bands(bands)
        self.factors = _factors(bands)

    def apply_transform(
        self,
        input: Tensor,
        params: object,
        flags: object,
        transform: Any = None,  # noqa: ANN401
    ) -> Tensor:
        """Multiply the backscatter channels by noise."""
        output = input.clone()
        B, _, H, W = input.shape
        noise = self.gamma.sample(torch.Size([B, len(self.images), H, W])).to(input)
        for channel, sign, image in self.factors:
            output[:, channel] *= noise[:, self.images.index(image)] ** sign
        return output


def _factors(bands: Sequence[str]) -> list[tuple[int, int, str]]:
    """The images that each channel is made of: channel, 1 or -1 if divided by, image."""
    return [
        (i, sign, image)
        for i, band in enumerate(bands)
        if is_backscatter(band)
        for sign, image in zip((1, -1), source_bands(band), strict=False)
    ]

"""Normalisations: from measurements to the input of a network, saved with its checkpoint.

Each module maps an image (B, C, H, W) in the units of the file, NaN where there is no
measurement, to finite values; NaN becomes 0.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Literal

import torch
from torch import Tensor, nn

from landslide.radar.bands import is_backscatter

Scale = Literal["amplitude", "decibel", "power"]

FLOOR_DB = -50.0
"""Floor of backscatter in dB, which keeps the logarithm finite; below it is noise only."""


class Normalization(nn.Module):
    """Bring backscatter to a scale and leave other bands unchanged.

    Args:
        bands: Names of the channels.
        scale: ``amplitude`` is the root of linear power, ``decibel`` 10 log10 of it,
            ``power`` leaves it.
        balance: Whether its scenes' dates are balanced (see ``landslide.radar.balance``).
    """

    per_window = False
    """Whether values depend on the window, so that neighbouring windows leave a seam."""

    def __init__(
        self, bands: Sequence[str], scale: Scale = "power", *, balance: bool = False
    ) -> None:
        super().__init__()
        self.scale, self.balance = scale, balance
        # Neighbouring channels of backscatter are rescaled in one pass, which is faster.
        groups = groupby(range(len(bands)), key=lambda i: is_backscatter(bands[i]))
        runs = [list(run) for backscatter, run in groups if backscatter]
        self.runs = [slice(run[0], run[-1] + 1) for run in runs]

    def rescale(self, image: Tensor) -> Tensor:
        """Return the image with its backscatter channels on the chosen scale, NaN kept."""
        if self.scale == "power":
            return image
        scaled = image.clone()
        for run in self.runs:
            values = scaled[:, run]
            if self.scale == "amplitude":
                values.clamp_(min=0.0).sqrt_()  # exported as an integer it would lose NaN
            else:
                values.clamp_(min=10 ** (FLOOR_DB / 10)).log10_().mul_(10)
        return scaled

    def forward(self, image: Tensor) -> Tensor:
        """Return finite values (B, C, H, W)."""
        return self.rescale(image).nan_to_num(nan=0.0)

    @property
    def fitted(self) -> bool:
        """Whether it has the statistics that it needs; most normalisations need none."""
        return True

    def fit(self, images: Iterable[Tensor]) -> None:
        """Take statistics from the training split; most normalisations need none."""


class PatchMinMax(Normalization):
    """Scale each patch and band to [0, 1] by its own minimum and maximum, as in the paper.

    A gain of a whole date cancels on every scale, so that dates need no balance.

    Args:
        bands: Names of the channels.
        scale: Scale of backscatter before the scaling; the paper's is amplitude.
    """

    per_window = True

    def __init__(self, bands: Sequence[str], scale: Scale = "amplitude") -> None:
        super().__init__(bands, scale)

    def forward(self, image: Tensor) -> Tensor:
        """Return values in [0, 1]; a band that is constant in a patch becomes 0."""
        image = self.rescale(image)
        low = image.nan_to_num(nan=torch.inf).amin(dim=(2, 3), keepdim=True)
        high = image.nan_to_num(nan=-torch.inf).amax(dim=(2, 3), keepdim=True)
        span = (high - low).clamp_min(1e-12)
        return (image - low).div_(span).nan_to_num_(nan=0.0)


class ZScore(Normalization):
    """Standardise each band by its mean and standard deviation over the training split.

    Args:
        bands: Names of the channels.
        scale: Scale of backscatter before it.
        balance: Whether its scenes' dates are balanced. Otherwise a date that is brighter or
            darker as a whole looks like landslides.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, bands: Sequence[str], scale: Scale = "decibel", *, balance: bool = False
    ) -> None:
        super().__init__(bands, scale, balance=balance)
        self.register_buffer("mean", torch.zeros(len(bands), 1, 1))
        self.register_buffer("std", torch.ones(len(bands), 1, 1))

    @property
    def fitted(self) -> bool:
        """Whether mean and standard deviation were computed or loaded from a checkpoint."""
        return bool((self.mean != 0).any() or (self.std != 1).any())

    def forward(self, image: Tensor) -> Tensor:
        """Return standard scores; NaN becomes the mean, 0."""
        # (x - mean) / std in one pass
        scores = torch.addcmul(-self.mean / self.std, self.rescale(image), 1 / self.std)
        return scores.nan_to_num_(nan=0.0)

    @torch.no_grad()
    def fit(self, images: Iterable[Tensor]) -> None:
        """Take mean and standard deviation per band over all valid pixels.

        Args:
            images: Batches (B, C, H, W) of the training split.
        """
        count, total, squares = (torch.zeros_like(self.mean, dtype=torch.float64) for _ in "123")
        for image in images:
            values = self.rescale(image.to(self.mean.device)).double()
            valid = values.isfinite()
            values = values.masked_fill(~valid, 0.0)
            count += valid.sum(dim=(0, 2, 3))[:, None, None]
            total += values.sum(dim=(0, 2, 3))[:, None, None]
            squares += values.square().sum(dim=(0, 2, 3))[:, None, None]
        mean = total / count
        self.mean.copy_(mean)
        variance = squares / count - mean.square()
        constant = variance < 1e-12 * mean.square().clamp_min(1)
        self.std.copy_(variance.masked_fill(constant, 1.0).sqrt())

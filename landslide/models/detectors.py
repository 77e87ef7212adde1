"""Detectors: models that need no training, as a baseline for every network.

Each maps measurements (B, C, H, W), in linear power and degrees, to logits (B, 1, H, W) like any
other model, with ``normalization=none``, where 0 is backscatter that was not measured. The logit
of a score s is a s + b. Until ``train.py`` fits them a is 1 and b is 0: the output is then the
score itself, which ranks pixels and is no probability.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from landslide.errors import InputError
from landslide.models.channel_pairs import (
    ChannelPair,
    band_pairs,
    change_db,
    date_count,
    find_pairs,
    local_mean,
    measured,
)
from landslide.radar.bands import band_description, orbit_of

Direction = Literal["darkening", "brightening", "both"]

SIGNS = {"darkening": -1.0, "brightening": 1.0}

MIN_SCORE = -20.0
"""Score and logit of ground that is too flat for a landslide or was not measured."""

SLOPE, ANOMALY = "slope", "anomaly"


class Detector(nn.Module, ABC):
    """A score of change or terrain, as a logit.

    Args:
        bands: Names of the channels.
        min_slope: Slope in degrees below which nothing is a landslide; needs the band ``slope``.

    Attributes:
        reach: Number of pixels on every side that the score of a pixel depends on.
        unit: Unit of the score.
    """

    unit: ClassVar[str]

    def __init__(self, bands: Sequence[str], min_slope: float = 0.0) -> None:
        super().__init__()
        self.min_slope, self.reach = min_slope, 0
        self.slope = next((i for i, b in enumerate(bands) if band_description(b) == SLOPE), None)
        self.scale = nn.Parameter(torch.ones(()))
        self.offset = nn.Parameter(torch.zeros(()))

    @classmethod
    @abstractmethod
    def choose_bands(cls, available: Sequence[str]) -> list[str]:
        """Choose the bands that it reads among those that a scene has.

        Raises:
            InputError: What it needs is not among them; names the next best detector.
        """

    @abstractmethod
    def score(self, image: Tensor) -> Tensor:
        """Score of every pixel (B, H, W); NaN where it is unknown."""

    @property
    def fitted(self) -> bool:
        """Whether its logit is that of a probability (see ``landslide.training.logistic``)."""
        return bool(self.scale != 1 or self.offset != 0)

    def score_on_slopes(self, image: Tensor) -> Tensor:
        """Score of every pixel (B, H, W); NaN where it is unknown or the ground is too flat."""
        score = self.score(image)
        if self.slope is not None and self.min_slope > 0:
            score = score.masked_fill(image[:, self.slope] < self.min_slope, torch.nan)
        return score

    def forward(self, image: Tensor) -> Tensor:
        """Map measurements (B, C, H, W) to logits (B, 1, H, W)."""
        logits = self.scale * self.score_on_slopes(image) + self.offset
        return logits.nan_to_num(nan=MIN_SCORE)[:, None]


class SlopeDetector(Detector):
    """Slope angle in tens of degrees, without any image.

    Args:
        bands: Names of the channels, ``slope`` among them.

    Raises:
        InputError: There is no slope.
    """

    unit = "tens of degrees"

    def __init__(self, bands: Sequence[str]) -> None:
        super().__init__(bands)
        if self.slope is None:
            raise InputError(f"model=slope needs the band slope: dataset.bands is {list(bands)}")

    @classmethod
    def choose_bands(cls, available: Sequence[str]) -> list[str]:
        """The slope."""
        if SLOPE not in available:
            raise InputError(
                "the detector slope needs the band slope: prepare the scene with dem=…, "
                "or take log_ratio, which needs none"
            )
        return [SLOPE]

    def score(self, image: Tensor) -> Tensor:
        """Slope (B, H, W) in tens of degrees."""
        return image[:, self.slope] / 10


class LogRatio(Detector):
    """Mean change of smoothed backscatter in decibels, over all channel pairs.

    10 log10(after / before) of means over a window in linear power. Handwerger et al. (2022,
    Natural Hazards and Earth System Sciences 22, 753-773) take the ratio of stacks before and
    after, on slopes, and join both orbits.

    Args:
        bands: Names of the channels.
        direction: Direction of change; ``both`` takes the absolute value in each channel pair.
        window: Side in pixels of the window of the means.
        min_slope: Slope in degrees below which nothing is a landslide.
    """

    unit = "dB"

    def __init__(
        self,
        bands: Sequence[str],
        direction: Direction = "both",
        window: int = 3,
        min_slope: float = 10.0,
    ) -> None:
        super().__init__(bands, min_slope)
        if direction not in ("darkening", "brightening", "both"):
            raise InputError(
                f"model.direction={direction} is unknown: choose from darkening, brightening, both"
            )
        self.pairs, self.direction, self.window = find_pairs(bands), direction, window
        self.reach = window // 2

    @classmethod
    def choose_bands(cls, available: Sequence[str]) -> list[str]:
        """Images before and after, of every polarisation and orbit, and slope if there is one."""
        pairs = band_pairs(available)
        if not pairs:
            raise InputError(
                "the detector log_ratio needs backscatter before and after the event, such as "
                "vv_pre and vv_post1: prepare a scene of images from both sides, or take slope"
            )
        images = [band for pair in pairs for band in (pair.before, *pair.after)]
        return [*images, *(band for band in available if band == SLOPE)]

    def score(self, image: Tensor) -> Tensor:
        """Change (B, H, W) in decibels, the mean of the channel pairs that measured it."""
        changes = torch.stack([change_db(image, pair, self.window) for pair in self.pairs])
        if self.direction == "both":
            return changes.abs().nanmean(dim=0)
        return SIGNS[self.direction] * changes.nanmean(dim=0)


class ChangeZ(Detector):
    """Change in standard deviations that the surroundings of the pixel had before the event.

    z = |d| / sqrt(s² (1 / n_before + 1 / n_after)), with the change d of smoothed backscatter in
    decibels and the scatter s of the dates before, averaged as variance over the same window.
    The largest z of an orbit's polarisations is averaged over orbits. This follows OPERA's
    DIST-S1, without its network (Hardiman-Mostow et al. 2025).

    Args:
        bands: Names of the channels, with ``vv_pre_std`` or ``vh_pre_std``.
        window: Side in pixels of the window of the means.
        min_scatter: Least scatter in decibels; smaller values are raised to it.
        min_slope: Slope in degrees below which nothing is a landslide.

    Raises:
        InputError: A channel pair lacks its scatter.
    """

    unit = "standard deviations"

    def __init__(
        self,
        bands: Sequence[str],
        window: int = 3,
        min_scatter: float = 0.5,
        min_slope: float = 10.0,
    ) -> None:
        super().__init__(bands, min_slope)
        self.window, self.min_scatter = window, min_scatter
        self.reach = window // 2
        pairs = find_pairs(bands)
        if any(pair.scatter is None for pair in pairs):
            raise InputError(
                f"model=change_z needs the scatter of the dates before, vv_pre_std and the like, "
                f"which dataset.bands={list(bands)} lacks: prepare a scene with sar.before=3 or "
                "more, or take model=log_ratio"
            )
        orbits = [orbit_of(bands[pair.before]) for pair in pairs]
        self.orbits = [
            [pair for pair, own in zip(pairs, orbits, strict=True) if own == orbit]
            for orbit in dict.fromkeys(orbits)
        ]

    @classmethod
    def choose_bands(cls, available: Sequence[str]) -> list[str]:
        """The bands of stacks, of every polarisation and orbit, and slope if there is one."""
        pairs = [pair for pair in band_pairs(available) if pair.scatter]
        if not pairs:
            raise InputError(
                "the detector change_z needs the scatter of the dates before, vv_pre_std and the "
                "like: prepare a scene with sar.before=3 or more, or take log_ratio"
            )
        stacks = dict.fromkeys(band for pair in pairs for band in pair.names)
        return [*stacks, *(band for band in available if band == SLOPE)]

    def score(self, image: Tensor) -> Tensor:
        """Deviations (B, H, W): the largest polarisation, averaged over orbits."""
        scores = []
        for pairs in self.orbits:
            z = torch.stack([self._deviations(image, pair) for pair in pairs])
            largest = z.nan_to_num(nan=-torch.inf).amax(dim=0)
            scores.append(largest.masked_fill(largest.isinf(), torch.nan))
        return torch.stack(scores).nanmean(dim=0)

    def _deviations(self, image: Tensor, pair: ChannelPair) -> Tensor:
        change = change_db(image, pair, self.window).abs()
        # A scatter of 0 was not measured: normalisation turned its NaN into 0.
        variance = local_mean(measured(image[:, pair.scatter]) ** 2, self.window)
        variance = variance.clamp_min(self.min_scatter**2)
        before = date_count(image, pair.count_before, 1)
        after = date_count(image, pair.count_after, len(pair.after))
        return change / (variance * (1 / before + 1 / after)).sqrt()


class AnomalyDetector(Detector):
    """Anomaly of the dates after the event, the largest over orbits.

    OPERA's product alerts at 2.5 (low) and 4.5 (high) standard deviations.

    Args:
        bands: Names of the channels, with ``anomaly`` (see ``landslide.models.anomaly``).
        min_slope: Slope in degrees below which nothing is a landslide.

    Raises:
        InputError: There is no anomaly.
    """

    unit = "standard deviations"

    def __init__(self, bands: Sequence[str], min_slope: float = 10.0) -> None:
        super().__init__(bands, min_slope)
        self.channels = [i for i, b in enumerate(bands) if band_description(b) == ANOMALY]
        if not self.channels:
            raise InputError(
                f"model=anomaly needs the band anomaly: dataset.bands is {list(bands)}"
            )

    @classmethod
    def choose_bands(cls, available: Sequence[str]) -> list[str]:
        """The anomaly of every orbit, and slope if there is one."""
        found = [band for band in available if band_description(band) == ANOMALY]
        if not found:
            raise InputError(
                "the detector anomaly needs the band anomaly: write it with `landslide anomaly "
                "root=…` on Python 3.12 or newer, or take the next best, change_z"
            )
        return [*found, *(band for band in available if band == SLOPE)]

    def score(self, image: Tensor) -> Tensor:
        """Standard deviations (B, H, W)."""
        return image[:, self.channels].amax(dim=1)

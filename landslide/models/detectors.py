"""Detectors: models that need no training, as a baseline for every network.

Each maps measurements (B, C, H, W), in linear power and degrees, to logits (B, 1, H, W) like any
other model, with ``normalization=none``, where 0 is backscatter that was not measured. The logit
of a score s is a s + b. Until ``train.py`` fits them a is 1 and b is 0: the output then ranks
pixels but is no probability.

A channel pair is the backscatter of one polarisation of one orbit before and after the event.
Bands are found by name: ``vv_pre_mean`` (or ``vv_pre``) before the event, ``vv_post_mean`` (or
``vv_post``, or all of ``vv_post1`` and ``vv_post2``) after it, ``vv_pre_std`` for the scatter of
the dates before, ``pre_count`` and ``post_count`` for the number of dates of the means.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from landslide.errors import InputError
from landslide.radar.bands import (
    ORBIT_MARK,
    band_description,
    is_backscatter,
    is_quotient,
    orbit_of,
    polarisation_of,
)

Direction = Literal["darkening", "brightening", "both"]

SIGNS = {"darkening": -1.0, "brightening": 1.0}

MIN_SCORE = -20.0
"""Score of ground that cannot be a landslide because it is too flat or was not measured."""


class ChannelPair(NamedTuple):
    """Channels of one polarisation of one orbit.

    Attributes:
        before: Backscatter before the event.
        after: Backscatter of one or more dates after it.
        scatter: Standard deviation of the dates before, in decibels; None if unknown.
        count_before: Number of dates of ``before``; None for one.
        count_after: Number of dates of ``after``; None for one each.
    """

    before: int
    after: tuple[int, ...]
    scatter: int | None
    count_before: int | None
    count_after: int | None


def find_pairs(bands: Sequence[str]) -> list[ChannelPair]:
    """Find the channel pairs of bands.

    Raises:
        InputError: No polarisation of any orbit has a band before the event and one after it.
    """
    channels = {band: i for i, band in enumerate(bands) if not is_quotient(band)}
    radar = [band for band in channels if is_backscatter(band)]
    pairs = []
    for key in dict.fromkeys((polarisation_of(band), orbit_of(band)) for band in radar):
        polarisation, orbit = key
        mark = f"{ORBIT_MARK}{orbit}" if orbit else ""
        own = [band for band in radar if (polarisation_of(band), orbit_of(band)) == key]
        before = _named(own, "pre_mean") or _named(own, "pre")
        after = _named(own, "post_mean") or [
            band for band in own if "_post" in band_description(band).lower()
        ]
        if before and after:
            pairs.append(
                ChannelPair(
                    channels[before[0]],
                    tuple(channels[band] for band in after),
                    channels.get(f"{polarisation}_pre_std{mark}"),
                    channels.get(f"pre_count{mark}"),
                    channels.get(f"post_count{mark}"),
                )
            )
    if not pairs:
        raise InputError(
            f"dataset.bands={list(bands)} has no polarisation with a band before the event and one "
            "after it, which change detection needs: add bands such as vv_pre and vv_post1"
        )
    return pairs


def _named(bands: Sequence[str], date: str) -> list[str]:
    """Bands of a date such as ``pre_mean``."""
    return [band for band in bands if band_description(band).lower().endswith(f"_{date}")]


class Detector(nn.Module, ABC):
    """A score of change or terrain, as a logit.

    Args:
        bands: Names of the channels.
        min_slope: Slope in degrees below which nothing is a landslide; needs the band ``slope``.

    Attributes:
        reach: Number of pixels on every side that the score of a pixel depends on.
    """

    def __init__(self, bands: Sequence[str], min_slope: float = 0.0) -> None:
        super().__init__()
        self.min_slope, self.reach = min_slope, 0
        self.slope = next((i for i, b in enumerate(bands) if band_description(b) == "slope"), None)
        self.scale = nn.Parameter(torch.ones(()))
        self.offset = nn.Parameter(torch.zeros(()))

    @abstractmethod
    def score(self, image: Tensor) -> Tensor:
        """Score of every pixel (B, H, W); NaN where it is unknown."""

    def forward(self, image: Tensor) -> Tensor:
        """Map measurements (B, C, H, W) to logits (B, 1, H, W)."""
        score = self.score(image)
        if self.slope is not None and self.min_slope > 0:
            score = score.masked_fill(image[:, self.slope] < self.min_slope, MIN_SCORE)
        score = score.nan_to_num(nan=MIN_SCORE)
        return (self.scale * score + self.offset)[:, None]


class SlopeDetector(Detector):
    """Slope angle in tens of degrees, without any image.

    Args:
        bands: Names of the channels, ``slope`` among them.

    Raises:
        InputError: There is no slope.
    """

    def __init__(self, bands: Sequence[str]) -> None:
        super().__init__(bands)
        if self.slope is None:
            raise InputError(f"model=slope needs the band slope: dataset.bands is {list(bands)}")

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
        variance = _local_mean(_measured(image[:, pair.scatter]) ** 2, self.window)
        variance = variance.clamp_min(self.min_scatter**2)
        before = _date_count(image, pair.count_before, 1)
        after = _date_count(image, pair.count_after, len(pair.after))
        return change / (variance * (1 / before + 1 / after)).sqrt()


def change_db(image: Tensor, pair: ChannelPair, window: int) -> Tensor:
    """Change of smoothed backscatter from before to after, in decibels.

    Args:
        image: (B, C, H, W) in linear power; 0 and NaN were not measured.
        pair: Its channels before and after.
        window: Side of the window in pixels.

    Returns:
        (B, H, W), NaN where one of the two was not measured.
    """
    after = torch.stack([_measured(image[:, i]) for i in pair.after]).nanmean(dim=0)
    before = _measured(image[:, pair.before])
    ratio = _local_mean(after, window) / _local_mean(before, window)
    return 10 * ratio.log10().masked_fill(before.isnan() | after.isnan(), torch.nan)


def _measured(power: Tensor) -> Tensor:
    """Backscatter with NaN where it was not measured."""
    return power.masked_fill(~(power > 0), torch.nan)


def _date_count(image: Tensor, channel: int | None, default: int) -> Tensor:
    """Number of dates of a mean, at least one, (B, H, W)."""
    if channel is None:
        return torch.full_like(image[:, 0], default)
    return image[:, channel].nan_to_num(nan=1.0).clamp_min(1)


def _local_mean(values: Tensor, window: int) -> Tensor:
    """Mean of the finite values in a window; NaN where there is none."""
    if window == 1:
        return values
    valid = values.isfinite()
    stacked = torch.stack([values.nan_to_num(nan=0.0), valid.to(values.dtype)], dim=1)
    pad = window // 2
    total, weight = F.avg_pool2d(
        F.pad(stacked, (pad, window - 1 - pad, pad, window - 1 - pad)), window, stride=1
    ).unbind(dim=1)
    return (total / weight).masked_fill(weight <= 0, torch.nan)

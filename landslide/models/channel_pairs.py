"""Channels before and after the event: which bands they are, and the change between them.

A channel pair is the backscatter of one polarisation of one orbit before and after the event.
Bands are found by name: ``vv_pre_mean`` (or ``vv_pre``) before the event, ``vv_post_mean`` (or
``vv_post``, or all of ``vv_post1`` and ``vv_post2``) after it, ``vv_pre_std`` for the scatter of
the dates before, ``pre_count`` and ``post_count`` for the number of dates of the means.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from landslide.errors import InputError
from landslide.radar.bands import (
    ORBIT_MARK,
    band_description,
    is_backscatter,
    is_quotient,
    orbit_of,
    polarisation_of,
)


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


class BandPair(NamedTuple):
    """Bands of one polarisation of one orbit, see ``ChannelPair``; None for what is missing."""

    before: str
    after: tuple[str, ...]
    scatter: str | None
    count_before: str | None
    count_after: str | None

    @property
    def names(self) -> list[str]:
        """All bands of the pair."""
        others = (self.scatter, self.count_before, self.count_after)
        return [self.before, *self.after, *(band for band in others if band is not None)]


def band_pairs(bands: Sequence[str]) -> list[BandPair]:
    """Find the pairs among bands: means over stacks where there are any, otherwise single dates."""
    radar = [band for band in bands if is_backscatter(band) and not is_quotient(band)]
    named = {band.lower(): band for band in bands}
    pairs = []
    for key in dict.fromkeys((polarisation_of(band), orbit_of(band)) for band in radar):
        own = [band for band in radar if (polarisation_of(band), orbit_of(band)) == key]
        before = _named(own, "pre_mean") or _named(own, "pre")
        after = _named(own, "post_mean") or [
            band for band in own if "_post" in band_description(band).lower()
        ]
        if not (before and after):
            continue
        scatter = re.sub(r"_pre(_mean)?(?=@|$)", "_pre_std", before[0].lower())
        mark = f"{ORBIT_MARK}{key[1]}" if key[1] else ""
        counts = named.get(f"pre_count{mark}"), named.get(f"post_count{mark}")
        pairs.append(BandPair(before[0], tuple(after), named.get(scatter), *counts))
    return pairs


def find_pairs(bands: Sequence[str]) -> list[ChannelPair]:
    """Find the channel pairs of bands.

    Raises:
        InputError: No polarisation of any orbit has a band before the event and one after it.
    """
    pairs = band_pairs(bands)
    if not pairs:
        raise InputError(
            f"dataset.bands={list(bands)} has no polarisation with a band before the event and one "
            "after it, which change detection needs: add bands such as vv_pre and vv_post1"
        )
    index = {band: i for i, band in enumerate(bands)}

    def channel(band: str | None) -> int | None:
        return None if band is None else index[band]

    return [
        ChannelPair(
            index[pair.before],
            tuple(index[band] for band in pair.after),
            channel(pair.scatter),
            channel(pair.count_before),
            channel(pair.count_after),
        )
        for pair in pairs
    ]


def _named(bands: Sequence[str], date: str) -> list[str]:
    """Bands of a date such as ``pre_mean``."""
    return [band for band in bands if band_description(band).lower().endswith(f"_{date}")]


def change_db(image: Tensor, pair: ChannelPair, window: int) -> Tensor:
    """Change of smoothed backscatter from before to after, in decibels.

    Args:
        image: (B, C, H, W) in linear power; 0 and NaN were not measured.
        pair: Its channels before and after.
        window: Side of the window in pixels.

    Returns:
        (B, H, W), NaN where one of the two was not measured.
    """
    after = torch.stack([measured(image[:, i]) for i in pair.after]).nanmean(dim=0)
    before = measured(image[:, pair.before])
    ratio = local_mean(after, window) / local_mean(before, window)
    return 10 * ratio.log10().masked_fill(before.isnan() | after.isnan(), torch.nan)


def measured(power: Tensor) -> Tensor:
    """Backscatter with NaN where it was not measured."""
    return power.masked_fill(~(power > 0), torch.nan)


def date_count(image: Tensor, channel: int | None, default: int) -> Tensor:
    """Number of dates of a mean, at least one, (B, H, W)."""
    if channel is None:
        return torch.full_like(image[:, 0], default)
    return image[:, channel].nan_to_num(nan=1.0).clamp_min(1)


def local_mean(values: Tensor, window: int) -> Tensor:
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

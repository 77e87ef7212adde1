"""Brightness of whole dates of a stack, which rain and frost change by decibels."""

from collections.abc import Sequence

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from skimage.measure import block_reduce

from landslide.geo.grid import TILE_SIZE, Grid, Window
from landslide.geo.relief import Float
from landslide.prepare.sampling import spread_windows
from landslide.prepare.sources import DATES, Pass
from landslide.prepare.stack import Stack
from landslide.prepare.terrain import TerrainBands
from landslide.radar.unchanged import LOOKS, MIN_AVERAGES, MIN_SLOPE, unchanged_difference


def measure_offsets(
    stack: Stack, orbit: Pass, terrain: TerrainBands | None, grid: Grid
) -> dict[str, dict[str, float] | None]:
    """Measure how much brighter unchanged ground is on each date than on the last one before.

    The centre of the differences in dB is taken by ``unchanged_difference``, over averages of
    4 x 4 px in at most 25 windows, on slopes outside layover and shadow where those are known.

    Returns:
        Decibels by polarisation for each date; None where too little ground is shared.
    """
    windows = spread_windows(grid, TILE_SIZE)
    hills = _hills(terrain, orbit, grid, windows)
    names = [date.name for date in stack.dates]
    with rasterio.open(stack.path) as source:
        reference = _averages(source, stack, names.index(DATES[0]), windows)
        return {
            name: _offsets(_averages(source, stack, index, windows), reference, hills, stack)
            for index, name in enumerate(names)
        }


def _averages(source: DatasetReader, stack: Stack, date: int, windows: Sequence[Window]) -> Float:
    """Averages of a date in dB, (P, N); NaN where a block was not measured in full."""
    numbers = [stack.band_number(date, index) for index in range(len(stack.polarisations))]
    images = (source.read(numbers, window=window.to_rasterio()) for window in windows)
    return np.concatenate([10 * np.log10(_block_means(image)) for image in images], axis=1)


def _block_means(images: Float) -> Float:
    """Means (P, N) of blocks of (P, H, W); NaN where a pixel is missing, also beyond the edge."""
    means: Float = block_reduce(  # type: ignore[no-untyped-call]
        images, (1, LOOKS, LOOKS), np.mean, cval=np.nan
    )
    return means.reshape(len(images), -1)


def _hills(
    terrain: TerrainBands | None, orbit: Pass, grid: Grid, windows: Sequence[Window]
) -> NDArray[np.bool_] | None:
    """Whether each average is of a slope that the radar sees; None where that is not known."""
    if terrain is None:
        return None
    found = []
    for window in windows:
        bands = terrain.read(grid, window, orbit)
        hidden = bands.get("layover_shadow", np.zeros_like(bands["slope"]))
        slope, hidden = _block_means(np.stack([bands["slope"], hidden]))
        found.append((slope > MIN_SLOPE) & (hidden == 0))
    hills = np.concatenate(found)
    return hills if hills.sum() >= MIN_AVERAGES else None


def _offsets(
    date: Float, reference: Float, hills: NDArray[np.bool_] | None, stack: Stack
) -> dict[str, float] | None:
    """Offset of each polarisation, rounded to a hundredth of a decibel."""
    difference = date - reference
    shared = np.isfinite(difference).all(axis=0)
    if hills is not None and (shared & hills).sum() >= MIN_AVERAGES:
        shared &= hills
    if shared.sum() < MIN_AVERAGES:
        return None
    return {
        polarisation: round(unchanged_difference(values[shared]), 2)
        for polarisation, values in zip(stack.polarisations, difference, strict=True)
    }

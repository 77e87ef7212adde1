"""Brightness of whole dates of a stack, which rain and frost change by decibels."""

from collections.abc import Sequence
from typing import NamedTuple

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
from landslide.radar.unchanged import (
    LOOKS,
    MIN_AVERAGES,
    MIN_SLOPE,
    LevelTiles,
    unchanged_difference,
)


class Offsets(NamedTuple):
    """By how many decibels unchanged ground is brighter on a date, by polarisation.

    Attributes:
        whole: Over the whole scene.
        tiles: Over each of its tiles of 10 km, rows from the north; empty where it is one.
    """

    whole: dict[str, float]
    tiles: dict[str, list[list[float]]]


def measure_offsets(
    stack: Stack, orbit: Pass, terrain: TerrainBands | None, grid: Grid
) -> dict[str, Offsets | None]:
    """Measure how much brighter unchanged ground is on each date than on the last one before.

    The centre of the differences in dB is taken by ``unchanged_difference``, over averages of
    4 x 4 px in at most 25 windows, or one in each tile of 10 km, on slopes outside layover and
    shadow where those are known.

    Returns:
        Offsets of each date; None where too little ground is shared.
    """
    tiles = LevelTiles.of(grid)
    windows = spread_windows(grid, TILE_SIZE, (tiles.rows, tiles.cols))
    numbers = np.concatenate([tiles.numbers(window).ravel() for window in windows])
    hills = _hills(terrain, orbit, grid, windows)
    names = [date.name for date in stack.dates]
    with rasterio.open(stack.path) as source:
        reference = _averages(source, stack, names.index(DATES[0]), windows)
        found: dict[str, Offsets | None] = {}
        for index, name in enumerate(names):
            difference = _averages(source, stack, index, windows) - reference
            shared = _shared_ground(difference, hills)
            if shared.sum() >= MIN_AVERAGES:
                values = dict(zip(stack.polarisations, difference[:, shared], strict=True))
                found[name] = _offsets(values, tiles, numbers[shared])
            else:
                found[name] = None
        return found


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


def _shared_ground(difference: Float, hills: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """Averages (N) that all polarisations of two dates measured, on hills if there are enough."""
    shared: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(difference))
    if hills is None or (shared & hills).sum() < MIN_AVERAGES:
        return shared
    return np.logical_and(shared, hills)


def _offsets(
    differences: dict[str, Float], tiles: LevelTiles, numbers: NDArray[np.intp]
) -> Offsets:
    """Offsets by differences (N) of each polarisation, rounded to a hundredth of a decibel."""
    whole = {p: round(unchanged_difference(values), 2) for p, values in differences.items()}
    if tiles.rows * tiles.cols == 1:
        return Offsets(whole, {})
    return Offsets(
        whole,
        {p: tiles.differences(v, numbers).round(2).tolist() for p, v in differences.items()},
    )

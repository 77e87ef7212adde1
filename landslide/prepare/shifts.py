"""Co-registration of a stack: how far each date lies off the others, in metres."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Self

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling

from landslide.geo.grid import Grid, Window
from landslide.geo.relief import Float
from landslide.prepare.aligned_tiles import Conversion
from landslide.prepare.calibration import CalibratedBands
from landslide.prepare.mosaic import Mosaic
from landslide.prepare.sampling import spread_windows
from landslide.prepare.sources import Acquisition, Tile
from landslide.prepare.threads import THREADS, read_side_by_side
from landslide.radar.coregistration import TILE_SIZE, measure_shift

PRECISION = 0.1
"""Part of a pixel to which shifts are measured; smaller ones are not corrected."""

LARGE = 1 / 3
"""Part of a pixel above which a shift looks like change on slopes."""


MAX_SHIFT, MAX_ERROR = 4.0, LARGE / 2
"""Pixels above which a shift, or its error by the scatter of tiles, counts as not measured."""

MIN_REFERENCE = 3
"""Dates that a reference needs, so that each has two others."""


class Displacement(NamedTuple):
    """How far an image lies off, in metres on the ground.

    Attributes:
        east: Eastwards.
        north: Northwards.
    """

    east: float
    north: float

    @property
    def length(self) -> float:
        """Distance in metres."""
        return float(np.hypot(self.east, self.north))

    @classmethod
    def of_pixels(cls, rows: float, cols: float, grid: Grid) -> Self:
        """Displacement of pixels southwards and eastwards."""
        return cls(float(cols * grid.transform.a), float(rows * grid.transform.e))

    def is_measurable(self, grid: Grid) -> bool:
        """Whether it is more than the error of the measurement."""
        return self.length > PRECISION * grid.transform.a

    def follow(self, grid: Grid) -> Grid:
        """Grid on which the displaced image has the pixels that it should have on ``grid``."""
        moved = Affine.translation(self.east, self.north) @ grid.transform
        return grid._replace(transform=moved)


def measure_displacements(
    dates: Mapping[str, Acquisition],
    images: CalibratedBands,
    grid: Grid,
    resampling: Resampling,
) -> dict[str, Displacement | None]:
    """Measure each date of an orbit against the geometric mean of its other dates.

    A date that lies far off moves their mean, and so what is found of the others. Where dates lie
    more than a third of a pixel from the median, all are measured again, against the rest. Dates
    are read one by one, in at most 25 tiles that are kept on disk, so memory depends neither on the
    scene nor on the number of dates. The result is the median over the tiles.

    Args:
        dates: The dates of an orbit.
        images: Tiles of each band (``vv_pre``).
        grid: Grid of the scene.
        resampling: Resampling of backscatter.

    Returns:
        Displacement of each date; None where it shares no tile with the others.
    """
    tiles = spread_windows(grid, TILE_SIZE)
    polarisations = list(next(iter(dates.values())).tiles)

    with TemporaryDirectory() as folder:

        def read(date: str) -> Float:
            """Decibels (T, P, H, W) of a date's tiles; NaN where not measured."""
            path = Path(folder, f"{date}.npy")
            if not path.exists():
                bands = [images[f"{polarisation}_{date}"] for polarisation in polarisations]
                power = [_read_tiles(band, grid, tiles, resampling) for band in bands]
                np.save(path, _decibels(np.stack(power, axis=1)))
            decibels: Float = np.load(path)
            return decibels

        found = _measure_against(list(dates), list(dates), read, grid)
        rest = _dates_in_place(found, grid)
        if MIN_REFERENCE <= len(rest) < len(dates):
            found = _measure_against(list(dates), rest, read, grid)
    return found


def _measure_against(
    dates: Sequence[str], reference: Sequence[str], read: Callable[[str], Float], grid: Grid
) -> dict[str, Displacement | None]:
    """Measure dates against the geometric mean of those of the reference, without themselves."""
    first = read(reference[0])
    total, count = np.zeros(first.shape), np.zeros(first.shape, dtype=int)
    for date in reference:
        decibels = read(date)
        total += np.nan_to_num(decibels)
        count += np.isfinite(decibels)
    found = {}
    for date in dates:
        decibels = read(date)
        own = np.isfinite(decibels) & (date in reference)
        with np.errstate(invalid="ignore", divide="ignore"):
            others = (total - np.where(own, decibels, 0)) / (count - own)
        found[date] = _median_displacement(_power(decibels), _power(others), grid)
    return found


def _dates_in_place(found: Mapping[str, Displacement | None], grid: Grid) -> list[str]:
    """Dates within a third of a pixel of the median."""
    known = {date: shift for date, shift in found.items() if shift}
    if not known:
        return []
    distances = np.hypot(*(np.array(list(known.values())) - np.median(list(known.values()), 0)).T)
    return [d for d, away in zip(known, distances, strict=True) if away <= LARGE * grid.transform.a]


def _decibels(power: Float) -> Float:
    decibels: Float = 10 * np.log10(np.where(power > 0, power, np.float32(np.nan)))
    return decibels


def _power(decibels: NDArray[np.floating]) -> Float:
    return (10 ** (decibels / 10)).astype(np.float32)


def _read_tiles(
    band: Sequence[tuple[Tile, Conversion]],
    grid: Grid,
    tiles: Sequence[Window],
    resampling: Resampling,
) -> Float:
    with ExitStack() as files:
        mosaics = [files.enter_context(Mosaic(band, resampling)) for _ in range(THREADS)]
        readers = [partial(mosaic.read, grid) for mosaic in mosaics]
        return np.stack([image for _, image in read_side_by_side(readers, tiles)])


def _median_displacement(date: Float, others: Float, grid: Grid) -> Displacement | None:
    """Median over tiles (T, P, H, W) in linear power; None where they show no common shift."""
    shifts = _shifts(date, others)
    if not len(shifts):
        return None
    rows, cols = np.median(shifts, axis=0)
    parts = shifts if len(shifts) > 1 else _shifts(*(_quarters(t) for t in (date, others)))
    # Ground without texture has its peaks of correlation anywhere.
    spread = np.median(np.hypot(*(parts - np.median(parts, axis=0)).T)) if len(parts) else np.inf
    if np.hypot(rows, cols) > MAX_SHIFT or spread / len(parts) ** 0.5 > MAX_ERROR:
        return None
    return Displacement.of_pixels(rows, cols, grid)


def _shifts(date: Float, others: Float) -> NDArray[np.float64]:
    """Shifts (N, 2) in pixels of the tiles (T, P, H, W) that could be measured."""
    with ThreadPoolExecutor(THREADS) as pool:
        found = [shift for shift in pool.map(measure_shift, date, others) if shift]
    return np.array([(shift.rows, shift.cols) for shift in found]).reshape(-1, 2)


def _quarters(tiles: Float) -> Float:
    """The quarters (4 T, P, H / 2, W / 2) of tiles."""
    height, width = tiles.shape[-2] // 2, tiles.shape[-1] // 2
    return np.concatenate(
        [
            tiles[..., rows, cols]
            for rows in (slice(height), slice(height, 2 * height))
            for cols in (slice(width), slice(width, 2 * width))
        ]
    )

"""Stacks: every date of an orbit on the scene's grid, and the bands that are made of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.io import DatasetReader

from landslide.errors import InputError
from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import raster_profile
from landslide.geo.relief import Float
from landslide.prepare.aligned_tiles import Conversion
from landslide.prepare.calibration import CalibratedBands
from landslide.prepare.dates import sides
from landslide.prepare.mosaic import Mosaic, keep_values
from landslide.prepare.progress import Advance
from landslide.prepare.shifts import Displacement
from landslide.prepare.sources import DATES, Acquisition, Tile
from landslide.radar.stack import Side, StackStatistics, date_band, dates_path, stack_bands


@dataclass(frozen=True)
class StackDate:
    """A date of a stack, and what was found when it was written.

    Attributes:
        name: Its name among the dates of the orbit.
        image: What is known of it.
        side: Side of the event.
        coverage: Share of the scene's pixels that it measured.
        shift: How far its image lay off the other dates; None where that was not measured.
        corrected: Whether the image was moved back by its shift.
        offsets: Decibels by polarisation by which unchanged ground is brighter than on the last
            date before the event; None where that is not known.
        tile_offsets: The same on each of the scene's tiles of 10 km, rows from the north; empty
            where it is one.
    """

    name: str
    image: Acquisition
    side: Side
    coverage: float
    shift: Displacement | None = None
    corrected: bool = False
    offsets: Mapping[str, float] | None = None
    tile_offsets: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stack:
    """The dates of an orbit in one raster.

    Attributes:
        path: The raster, with the bands of ``radar.stack`` in order of time.
        dates: Its dates in order of time.
        polarisations: Polarisations of every date.
        despeckled: How the dates were despeckled; None where they were not.
    """

    path: Path
    dates: Sequence[StackDate]
    polarisations: Sequence[str]
    despeckled: str | None = None

    @property
    def bands(self) -> list[str]:
        """Bands that the stack adds to a composite: none of dates after where there is none yet."""
        every = stack_bands(self.polarisations)
        return [band for band in every if self.has_dates_after or "post" not in band]

    @property
    def has_dates_after(self) -> bool:
        """Whether a date is after the event."""
        return any(date.side == "post" for date in self.dates)

    def band_number(self, date: int, polarisation: int) -> int:
        """Number of a band in the raster, from 1, by the positions of date and polarisation."""
        return date * len(self.polarisations) + polarisation + 1

    def images(self) -> dict[str, list[tuple[Tile, Conversion]]]:
        """Tiles of the paper's dates by band of the composite, such as ``vv_pre``."""
        return {
            f"{polarisation}_{date.name}": [
                (Tile(self.path, self.band_number(index, number)), keep_values)
            ]
            for number, polarisation in enumerate(self.polarisations)
            for index, date in enumerate(self.dates)
            if date.name in DATES
        }

    def statistics(self, source: DatasetReader, window: Window) -> dict[str, Float]:
        """Bands of the stack in a window of its opened raster; one date is read at a time."""
        found = StackStatistics((window.height, window.width), self.polarisations)
        for index, date in enumerate(self.dates):
            numbers = [self.band_number(index, n) for n in range(len(self.polarisations))]
            images = source.read(numbers, window=window.to_rasterio())
            found.add(date.side, dict(zip(self.polarisations, images, strict=True)), date.offsets)
        return found.bands()


def write_stack(
    orbit: str,
    dates: Mapping[str, Acquisition],
    images: CalibratedBands,
    grid: Grid,
    resampling: Resampling,
    folder: Path,
    shifts: Mapping[str, Displacement | None],
    *,
    correct: bool,
    advance: Advance,
) -> Stack:
    """Write every date of an orbit to ``dates/<orbit>.tif``, one after another.

    Memory depends on the block, not on the number of dates.

    Args:
        orbit: Name of the file.
        dates: The dates of a stack in order of time.
        images: Tiles of each band of each date.
        grid: Grid of the scene.
        resampling: Resampling of backscatter in linear power.
        folder: Folder of the scene.
        shifts: How far each date lies off, as far as that was measured.
        correct: Whether to move shifted images back, within the one resampling.
        advance: Counts the dates as steps of the progress.

    Raises:
        InputError: A date measured no pixel of the scene.
    """
    path = dates_path(folder, orbit)
    path.parent.mkdir(exist_ok=True)
    polarisations = list(next(iter(dates.values())).tiles)
    side_of = sides(dates)
    written = []
    with _open_for_dates(path, dates, polarisations, grid) as sink:
        numbers = iter(range(1, sink.count + 1))
        for name, image in dates.items():
            advance(stage=f"{orbit}, {image.day}")
            shift = shifts.get(name)
            corrected = correct and shift is not None and shift.is_measurable(grid)
            source_grid = shift.follow(grid) if shift and corrected else grid
            measured = [
                _write_band(sink, next(numbers), images[f"{p}_{name}"], source_grid, resampling)
                for p in polarisations
            ]
            coverage = measured[0] / (grid.height * grid.width)
            if not coverage:
                raise InputError(
                    f"{image.name} of {image.day} measured no pixel of the scene ({grid}): leave "
                    "the date out, or choose another area"
                )
            written.append(StackDate(name, image, side_of[name], coverage, shift, corrected))
    return Stack(path, written, polarisations)


def dates_profile(grid: Grid, bands: int) -> dict[str, Any]:
    """Creation options of a raster of dates; bands lie one after another, as they are read."""
    return raster_profile(grid, "float32", bands, np.nan) | {"interleave": "band", "zlevel": 1}


@contextmanager
def _open_for_dates(
    path: Path, dates: Mapping[str, Acquisition], polarisations: Sequence[str], grid: Grid
) -> Iterator[rasterio.io.DatasetWriter]:
    """A raster of all dates."""
    profile = dates_profile(grid, len(dates) * len(polarisations))
    with rasterio.open(path, "w", **profile) as sink:
        sink.descriptions = tuple(
            date_band(p, day)
            for image in dates.values()
            if (day := image.day)
            for p in polarisations
        )
        yield sink


def _write_band(
    sink: rasterio.io.DatasetWriter,
    number: int,
    tiles: Sequence[tuple[Tile, Conversion]],
    grid: Grid,
    resampling: Resampling,
) -> int:
    """Write a band of a date block by block; return how many pixels were measured."""
    measured = 0
    with Mosaic(tiles, resampling) as mosaic:
        for window in grid.blocks():
            values = mosaic.read(grid, window)
            power = np.where(values > 0, values, np.float32(np.nan))
            measured += int(np.isfinite(power).sum())
            sink.write(power, number, window=window.to_rasterio())
    return measured

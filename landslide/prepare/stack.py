"""Stacks: every date of an orbit on the scene's grid, and the bands that are made of them."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.io import DatasetReader

from landslide.errors import InputError
from landslide.geo.files import replacing
from landslide.geo.grid import TILE_SIZE, Grid, Window
from landslide.geo.pieces import Piece
from landslide.geo.rasters import raster_profile
from landslide.geo.relief import Float
from landslide.prepare.aligned_tiles import Conversion
from landslide.prepare.calibration import CalibratedBands
from landslide.prepare.dates import sides
from landslide.prepare.mosaic import Mosaic, keep_values
from landslide.prepare.parts import Parts
from landslide.prepare.progress import Advance
from landslide.prepare.shifts import Displacement
from landslide.prepare.sources import DATES, Acquisition, Tile
from landslide.prepare.threads import THREADS, read_side_by_side
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
        """Bands of the stack in a window of its opened raster.

        One date of one row of tiles is read at a time, since sums take ten times its memory.
        """
        rows = range(window.row, window.row + window.height, TILE_SIZE)
        strips = [
            self._strip_statistics(
                source, window._replace(row=row, height=min(TILE_SIZE, rows.stop - row))
            )
            for row in rows
        ]
        return {band: np.concatenate([strip[band] for strip in strips]) for band in strips[0]}

    def _strip_statistics(self, source: DatasetReader, window: Window) -> dict[str, Float]:
        found = StackStatistics((window.height, window.width), self.polarisations)
        for index, date in enumerate(self.dates):
            numbers = [self.band_number(index, n) for n in range(len(self.polarisations))]
            images = source.read(numbers, window=window.to_rasterio())
            found.add(date.side, dict(zip(self.polarisations, images, strict=True)), date.offsets)
        return found.bands()


@dataclass(frozen=True)
class DateImages:
    """The dates of an orbit, and how they come to the scene's grid.

    Attributes:
        orbit: Name of the orbit.
        dates: The dates of a stack in order of time.
        images: Tiles of each band of each date.
        grids: Grid on which each date is read: the scene's, moved where an image is moved back.
        resampling: Resampling of backscatter in linear power.
    """

    orbit: str
    dates: Mapping[str, Acquisition]
    images: CalibratedBands
    grids: Mapping[str, Grid]
    resampling: Resampling

    @property
    def polarisations(self) -> list[str]:
        """Polarisations of every date."""
        return list(next(iter(self.dates.values())).tiles)

    @property
    def bands(self) -> list[str]:
        """Bands of the raster of the dates."""
        return [
            date_band(polarisation, day)
            for image in self.dates.values()
            if (day := image.day)
            for polarisation in self.polarisations
        ]


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
    parts: Parts,
) -> Stack:
    """Write every date of an orbit to ``dates/<orbit>.tif``.

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
        parts: How the work is spread.

    Raises:
        InputError: A date measured no pixel of the scene.
    """
    path = dates_path(folder, orbit)
    path.parent.mkdir(exist_ok=True)
    moved = {
        name: shift
        for name in dates
        if correct and (shift := shifts.get(name)) is not None and shift.is_measurable(grid)
    }
    grids = {name: moved[name].follow(grid) if name in moved else grid for name in dates}
    inputs = DateImages(orbit, dates, images, grids, resampling)
    profile = dates_profile(grid, len(inputs.bands))
    write = partial(write_dates, inputs, parts.own_advance)
    counts = parts.write(write, path, grid, profile)
    pixels = {name: sum(count[name] for count in counts) for name in dates}
    if missed := next((image for name, image in dates.items() if not pixels[name]), None):
        raise InputError(
            f"{missed.name} of {missed.day} measured no pixel of the scene ({grid}): leave "
            "the date out, or choose another area"
        )
    side_of = sides(dates)
    area = grid.height * grid.width
    written = [
        StackDate(name, image, side_of[name], pixels[name] / area, shifts.get(name), name in moved)
        for name, image in dates.items()
    ]
    return Stack(path, written, inputs.polarisations)


def write_dates(inputs: DateImages, advance: Advance, piece: Piece) -> dict[str, int]:
    """Write all dates of a piece of the scene, one after another.

    Args:
        inputs: The dates.
        advance: Counts them as steps of the progress.
        piece: Where they are written.

    Returns:
        Number of pixels that each date measured in its first polarisation.
    """
    profile = dates_profile(piece.grid, len(inputs.bands))
    measured = {}
    with (
        replacing(piece.path) as path,
        rasterio.open(path, "w", **profile, num_threads="all_cpus") as sink,
    ):
        sink.descriptions = tuple(inputs.bands)
        numbers = iter(sink.indexes)
        for name, grid in inputs.grids.items():
            advance(stage=f"{inputs.orbit}, {inputs.dates[name].day}")
            tiles = [
                inputs.images[f"{polarisation}_{name}"] for polarisation in inputs.polarisations
            ]
            counts = [
                _write_band(sink, next(numbers), band, piece, grid, inputs.resampling)
                for band in tiles
            ]
            measured[name] = counts[0]
    return measured


def dates_profile(grid: Grid, bands: int) -> dict[str, Any]:
    """Creation options of a raster of dates; bands lie one after another, as they are read."""
    return raster_profile(grid, "float32", bands, np.nan) | {"interleave": "band", "zlevel": 1}


def _write_band(
    sink: rasterio.io.DatasetWriter,
    number: int,
    tiles: Sequence[tuple[Tile, Conversion]],
    piece: Piece,
    grid: Grid,
    resampling: Resampling,
) -> int:
    """Write a band of a date block by block; return how many pixels were measured."""

    def read(mosaic: Mosaic, window: Window) -> tuple[Float, int]:
        values = mosaic.read(grid, window)
        power = np.where(values > 0, values, np.float32(np.nan))
        return power, int(np.isfinite(power).sum())

    measured = 0
    with ExitStack() as files:
        mosaics = [files.enter_context(Mosaic(tiles, resampling)) for _ in range(THREADS)]
        readers = [partial(read, mosaic) for mosaic in mosaics]
        for window, (power, pixels) in read_side_by_side(readers, piece.blocks()):
            measured += pixels
            sink.write(power, number, window=piece.inside(window).to_rasterio())
    return measured

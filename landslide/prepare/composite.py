"""From sources to the files of a scene, block by block."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import rasterio
from omegaconf import DictConfig
from rasterio.enums import Resampling

from landslide.errors import InputError
from landslide.geo.grid import Grid
from landslide.geo.polygons import raster_window, write_polygons
from landslide.geo.rasters import UNKNOWN, raster_profile
from landslide.prepare.calibration import Calibrated
from landslide.prepare.ground_truth import Truth
from landslide.prepare.mosaic import Mosaic
from landslide.prepare.quality import Histogram
from landslide.prepare.sources import Acquisition, Pass, Sources, Units, parse_time
from landslide.prepare.terrain import Geometry

Advance = Callable[[str], None]

GEOMETRY = ("slope", "aspect", "local_incidence_angle", "layover_shadow")
"""Bands of terrain in the order of the file; the last two where the geometry is known."""


@dataclass
class Written:
    """What was found while a scene was written.

    Attributes:
        bands: Histogram of each band by orbit.
        calibrations: Tiles of each backscatter band and their calibrations, by orbit.
        pixels: Counts of 0, 1 and 255 in the mask; empty without one.
    """

    bands: dict[Pass, dict[str, Histogram]] = field(default_factory=dict)
    calibrations: dict[Pass, Calibrated] = field(default_factory=dict)
    pixels: dict[int, int] = field(default_factory=dict)


def with_options(sources: Sources, options: DictConfig) -> Sources:
    """Let the options of ``sar`` say what is not known of the images, or correct it.

    Raises:
        InputError: As many dates as images are needed; units that do not exist.
    """
    units = options.units
    if units not in (None, "power", "amplitude", "db"):
        raise InputError(f"sar.units={units} is unknown: choose power, amplitude or db")
    if units is not None and options.source == "safe":
        raise InputError(
            f"sar.units={units}: raw products are calibrated to linear power here, leave it out"
        )
    orbits: dict[Pass, Mapping[str, Acquisition]] = {}
    for name, dates in sources.orbits.items():
        facts: dict[str, Any] = {
            key: options[key][name]
            for key in ("relative_orbit", "incidence", "heading")
            if options[key][name] is not None
        }
        if units is not None:
            facts["units"] = cast(Units, units)
        # An archive chooses by the dates and knows their time.
        told = options.dates[name] if options.source != "stac" else None
        moments = told or [None] * len(dates)
        if len(moments) != len(dates):
            raise InputError(
                f"sar.dates.{name} has {len(moments)} dates, but {len(dates)} images are given"
            )
        orbits[name] = {
            date: replace(acquisition, **facts, **_moment(moment, name, acquisition))
            for (date, acquisition), moment in zip(dates.items(), moments, strict=True)
        }
    return replace(sources, orbits=orbits)


def _moment(moment: object, name: str, acquisition: Acquisition) -> dict[str, Any]:
    """When an option says that an image was taken; a day adds nothing to a time on it."""
    if moment is None:
        return {}
    text = str(moment)
    time, exact = parse_time(text, f"sar.dates.{name}"), len(text) > len("2018-09-06")
    if not exact and acquisition.exact and acquisition.day == time.date():
        return {}
    facts = {"time": time, "exact": exact}
    if acquisition.day in (None, time.date()):
        return facts
    note = f"its own day is {acquisition.day}; {time:%Y-%m-%d} of sar.dates.{name} counts"
    return facts | {"notes": (*acquisition.notes, note)}


def write_orbit(
    name: Pass,
    images: Calibrated,
    geometry: Geometry,
    grid: Grid,
    resampling: Resampling,
    folder: Path,
    written: Written,
) -> None:
    """Write the composite of one orbit, block by block.

    Args:
        name: Direction of the orbit, which names the file.
        images: Its images and how they become power.
        geometry: Terrain bands.
        grid: Grid of the scene.
        resampling: Of backscatter, in linear power.
        folder: Folder to write to.
        written: Is told of what was written.
    """
    written.calibrations[name] = images
    terrain = GEOMETRY if name in geometry.terrain.orbits else GEOMETRY[:2]
    bands = _order(list(images), terrain)
    with ExitStack() as stack:
        mosaics = {
            band: stack.enter_context(Mosaic(tiles, resampling)) for band, tiles in images.items()
        }
        histograms = written.bands.setdefault(name, {band: Histogram(band) for band in bands})
        profile = raster_profile(grid, "float32", len(bands), np.nan)
        profile |= {"compress": None, "predictor": 1, "interleave": "band"}
        with rasterio.open(folder / f"{name}.tif", "w", **profile) as sink:
            sink.descriptions = tuple(bands)
            for window in grid.blocks():
                block = geometry.read(grid, window, name)
                for band, mosaic in mosaics.items():
                    values = mosaic.read(grid, window)
                    block[band] = np.where(values > 0, values, np.float32(np.nan))
                for index, band in enumerate(bands, 1):
                    sink.write(block[band], index, window=raster_window(window))
                    histograms[band].add(block[band])


def _order(images: list[str], terrain: tuple[str, ...]) -> list[str]:
    """VV bands, slope, other polarisations, the rest of the terrain."""
    first = [band for band in images if band.startswith("vv_")]
    others = [band for band in images if band not in first]
    return [*first, terrain[0], *others, *terrain[1:]]


def write_truth(truth: Truth, grid: Grid, folder: Path, written: Written) -> None:
    """Write ``landslides.tif`` block by block, and ``landslides.gpkg`` where there are outlines."""
    counts = np.zeros(256, np.int64)
    profile = raster_profile(grid, "uint8", 1, UNKNOWN)
    with rasterio.open(folder / "landslides.tif", "w", **profile) as sink:
        sink.descriptions = ("landslides",)
        for window in grid.blocks():
            mask = truth.read(window)
            counts += np.bincount(mask.ravel(), minlength=256)
            sink.write(mask, 1, window=raster_window(window))
    written.pixels = {value: int(counts[value]) for value in (0, 1, UNKNOWN)}
    if not counts[1]:
        raise InputError(
            "the inventory has no landslide pixel within the area: check its place, "
            "inventory.mapped_area, or use inventory.all_touched=true for small landslides"
        )
    if truth.outlines is not None:
        write_polygons(folder / "landslides.gpkg", truth.outlines, "landslides")

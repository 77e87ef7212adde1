"""A scene from its configuration: acquire, check, place, derive, write, look."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyproj
import rasterio
import shapely
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

import landslide
from landslide.polygons import polygonize
from landslide.prepare import files
from landslide.prepare.area import choose_grid, middle, read_area, require_overlap
from landslide.prepare.mosaic import choose_resampling
from landslide.prepare.options import check_options
from landslide.prepare.overview import draw
from landslide.prepare.quality import check_bands, check_dates, check_sun
from landslide.prepare.scene import (
    Written,
    any_simulated,
    checksum,
    describe_geometry,
    describe_orbit,
    inputs_of,
    plain,
    with_options,
    write_orbit,
    write_truth,
)
from landslide.prepare.sources import Event, Pass, Sources
from landslide.prepare.terrain import Geometry, Terrain, derive, radar_orbit, require_cover
from landslide.prepare.truth import Truth, mapped_area_m2, open_inventory
from landslide.rasters import Grid, check_free, new_folder, to_cog, write_json

STAGES = 6

CACHE_MIB = 256
"""GDAL's cache of blocks, which else grows with the machine's memory."""


class Prepared(NamedTuple):
    """A scene that was written, for the closing report."""

    root: Path
    grid: Grid
    written: Written
    info: Mapping[str, Any]
    warnings: list[str]
    notes: list[str]


def plan_scene(config: DictConfig) -> Table:
    """Candidate orbits and dates of an archive, without downloading any."""
    check_options(config)
    from landslide.prepare import stac

    return stac.plan(config, _event(config), read_area(config.aoi))


def prepare_scene(config: DictConfig, console: Console | None = None) -> Prepared:
    """Prepare a scene and write its folder, whole or not at all.

    Args:
        config: Composed from ``conf/prepare.yaml``.
        console: Shows progress; None is silent.

    Raises:
        InputError: An option or an input cannot be used.
    """
    check_options(config)
    root = Path(config.root)
    check_free(root, overwrite=config.overwrite)
    event = _event(config)
    # Before the bar appears: an archive shows one of its own.
    sources = _acquire(config, event, console)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    quiet = console is None
    with (
        rasterio.Env(GDAL_CACHEMAX=CACHE_MIB),
        Progress(*columns, console=console, transient=True, disable=quiet) as bar,
    ):
        task = bar.add_task("preparing", total=STAGES)

        def advance(stage: str) -> None:
            bar.update(task, description=f"preparing: {stage}")
            bar.advance(task)

        return _prepare(config, event, sources, root, advance)


def _event(config: DictConfig) -> Event:
    name = config.event.name or f"event of {str(config.event.date)[:10]}"
    return Event.of(str(name), str(config.event.date))


def _acquire(config: DictConfig, event: Event, console: Console | None) -> Sources:
    """Sources of the chosen kind, with what the options say of them."""
    area = read_area(config.aoi)
    if config.sar.source == "stac":
        from landslide.prepare import stac

        sources = stac.acquire(config, event, area, console)
    else:
        sources = files.acquire(config, event, area)
    if config.dem is not None:
        sources = replace(sources, dem=files.local_dem(config.dem))
    inventory = Path(config.inventory.file) if config.inventory.file else None
    return with_options(replace(sources, inventory=inventory), config.sar)


def _prepare(
    config: DictConfig,
    event: Event,
    sources: Sources,
    root: Path,
    advance: Callable[[str], None],
) -> Prepared:
    warnings = check_dates(sources, event)
    grid = choose_grid(config.grid, read_area(config.aoi), sources)
    warnings += check_sun(sources, *middle(grid))
    for name, dates in sources.orbits.items():
        tiles = {
            f"the {name} image {date}": [t for ts in a.tiles.values() for t in ts]
            for date, a in dates.items()
        }
        require_overlap(tiles, grid)
    cover = require_cover(sources.dem, grid)
    backscatter, slope, mask = (
        choose_resampling(config.resampling[key], f"resampling.{key}")
        for key in ("backscatter", "slope", "mask")
    )
    truth = open_inventory(config.inventory, grid, mask) if sources.inventory else None
    orbits = {n: o for n, d in sources.orbits.items() if (o := radar_orbit(n, d, grid))}
    written = Written()
    with new_folder(root) as folder:
        advance("terrain")
        terrain = derive(sources.dem, grid, orbits, config.terrain.void_distance, folder)
        geometry = Geometry(terrain, slope, mask)
        for name, dates in sources.orbits.items():
            advance(name)
            write_orbit(name, dates, geometry, grid, backscatter, folder, written)
        terrain.path.unlink()
        if truth:
            advance("landslides")
            write_truth(truth, grid, folder, written)
        warnings += check_bands(written.bands)
        notes = _notes(sources, terrain, truth, cover, written)
        info = _describe(config, event, sources, terrain, truth, written, grid)
        info |= {"warnings": warnings, "notes": notes}
        advance("files")
        for raster in sorted(folder.glob("*.tif")):
            to_cog(raster, _tags(info, raster.stem))
        write_json(folder / "scene.json", info)
        advance("figures")
        outlines = truth.outlines if truth else None
        if truth and outlines is None:
            outlines = polygonize(folder / "landslides.tif", grid)
        title = ("SIMULATED data: " if info["simulated"] else "") + event.name
        draw(folder, grid, written.bands, info["dates"], outlines, title)
    return Prepared(root, grid, written, info, warnings, notes)


def _notes(
    sources: Sources, terrain: Terrain, truth: Truth | None, cover: float, written: Written
) -> list[str]:
    """What was decided for the user."""
    notes = [*sources.notes, *(truth.notes if truth else ())]
    for name in sources.orbits:
        if name not in terrain.orbits:
            notes.append(
                f"{name}: the incidence angle is not known, so local_incidence_angle and "
                f"layover_shadow are left out: give sar.incidence.{name}=, degrees at the middle"
            )
        elif all(a.heading is None for a in sources.orbits[name].values()):
            notes.append(f"{name}: the heading is that of Sentinel-1's orbit at this latitude")
    for name, calibrations in written.calibrations.items():
        for band, found in calibrations.items():
            if found.zeros and found.zero_is_fill:
                notes.append(
                    f"{name}: {band} has zeros that are not declared nodata "
                    f"({100 * found.zeros:.1f} %); they are taken for no measurement"
                )
    if cover < 0.99:
        notes.append(f"the DEM covers {100 * cover:.1f} % of the area; the rest is invalid")
    if terrain.filled:
        notes.append(f"voids of the DEM were filled: {100 * terrain.filled:.2f} % of its cells")
    slope = next(iter(written.bands.values()))["slope"].valid_share
    if slope < 1:
        notes.append(
            f"slope is invalid at voids and edges of the DEM: {100 * (1 - slope):.2f} % of the area"
        )
    return notes


def _describe(
    config: DictConfig,
    event: Event,
    sources: Sources,
    terrain: Terrain,
    truth: Truth | None,
    written: Written,
    grid: Grid,
) -> dict[str, Any]:
    """What ``scene.json`` says: everything that the scene depends on, and no time of day."""
    moment = event.time.strftime("%Y-%m-%dT%H:%M:%SZ" if event.exact else "%Y-%m-%d")
    longitude, latitude = middle(grid)
    inputs = inputs_of(sources, config)
    return {
        "simulated": any_simulated(sources),
        "event": {"name": event.name, "time": moment},
        "dates": {n: _days(sources, n, list(written.bands[n])) for n in sources.orbits},
        "grid": {
            "crs": str(grid.crs),
            "transform": list(grid.transform)[:6],
            "size": [grid.height, grid.width],
            "middle": {"latitude": round(latitude, 5), "longitude": round(longitude, 5)},
        },
        "geometry": {n: describe_geometry(terrain, n, written.bands[n]) for n in sources.orbits},
        "units": {
            "backscatter": "linear power",
            "slope": "degrees, Horn's method at the DEM's resolution in metres",
            "aspect": "degrees clockwise from true north, 0 on flat ground",
            "local_incidence_angle": "degrees",
            "layover_shadow": "0 clear, 1 layover, 2 shadow, 3 both",
        },
        "images": {
            n: describe_orbit(d, written.calibrations[n]) for n, d in sources.orbits.items()
        },
        "dem": {"provider": sources.dem.provider, "items": list(sources.dem.items)},
        "landslides": _landslides(truth, written, grid),
        "bands": {
            n: {band: h.summary() for band, h in bands.items()}
            for n, bands in written.bands.items()
        },
        "inputs": {
            what: [{"file": str(path), "sha256": checksum(path)} for path in paths]
            for what, paths in inputs.items()
        },
        "made_by": {
            "program": "landslide.prepare",
            "version": landslide.__version__,
            "gdal": rasterio.__gdal_version__,
            "proj": pyproj.proj_version_str,
            "numpy": np.__version__,
            "rasterio": rasterio.__version__,
            "shapely": shapely.__version__,
        },
        "options": plain(config),
    }


def _days(sources: Sources, name: Pass, bands: list[str]) -> dict[str, str]:
    """Day of each backscatter band, where it is known."""
    times = {date: a.time for date, a in sources.orbits[name].items()}
    parts = {band: band.rpartition("_")[2] for band in bands}
    return {band: f"{time:%Y-%m-%d}" for band, date in parts.items() if (time := times.get(date))}


def _landslides(truth: Truth | None, written: Written, grid: Grid) -> dict[str, Any] | None:
    if truth is None:
        return None
    pixels = written.pixels
    known = pixels[0] + pixels[1]
    found: dict[str, Any] = {
        "pixels": pixels[1],
        "known_pixels": known,
        "share": round(pixels[1] / known, 6),
        "pixel_area_m2": pixels[1] * grid.pixel_area,
    }
    if truth.outlines is not None:
        found["polygons"] = len(truth.outlines)
        found["polygon_area_m2"] = round(mapped_area_m2(truth.outlines, grid), 1)
    return found


def _tags(info: Mapping[str, Any], stem: str) -> dict[str, str]:
    return {
        "SIMULATED": "yes" if info["simulated"] else "no",
        "SOFTWARE": f"landslide-sar {landslide.__version__}",
        "EVENT": f"{info['event']['name']}, {info['event']['time']}",
        "DATES": ", ".join(f"{b} {day}" for b, day in info["dates"].get(stem, {}).items()),
    }

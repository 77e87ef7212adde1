"""A scene from its configuration: acquire, check, place, derive, write, look."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import rasterio
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from landslide.geo.files import write_json
from landslide.geo.folders import check_free, new_scene
from landslide.geo.grid import Grid
from landslide.geo.polygons import outlines
from landslide.geo.rasters import to_cog
from landslide.prepare import files
from landslide.prepare.area import choose_grid, middle, read_area, require_overlap
from landslide.prepare.calibration import calibrate_orbit, guessed
from landslide.prepare.composite import Written, with_options, write_orbit, write_truth
from landslide.prepare.ground_truth import open_inventory
from landslide.prepare.mosaic import choose_resampling
from landslide.prepare.options import check_options
from landslide.prepare.orbit import radar_orbit
from landslide.prepare.overview import draw
from landslide.prepare.provenance import describe, notes_of, tags_of
from landslide.prepare.quality import (
    check_bands,
    check_dates,
    check_kinds,
    check_sun,
    check_tracks,
)
from landslide.prepare.sources import Event, Sources
from landslide.prepare.terrain import Geometry, derive, require_cover, zero_hint

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
    elif config.sar.source == "safe":
        from landslide.prepare import safe

        sources = safe.acquire(config, event, area, console)
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
    warnings = check_dates(sources, event) + check_kinds(sources)
    calibrated = {name: calibrate_orbit(dates) for name, dates in sources.orbits.items()}
    for name, images in calibrated.items():
        warnings += guessed(name, images)
    grid = choose_grid(config.grid, read_area(config.aoi), sources)
    warnings += check_sun(sources, *middle(grid)) + check_tracks(sources, *middle(grid))
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
    with new_scene(root) as folder:
        advance("terrain")
        terrain = derive(sources.dem, grid, orbits, config.terrain.void_distance, folder)
        geometry = Geometry(terrain, slope, mask)
        for name, images in calibrated.items():
            advance(name)
            write_orbit(name, images, geometry, grid, backscatter, folder, written)
        terrain.path.unlink()
        if truth:
            advance("landslides")
            write_truth(truth, grid, folder, written)
        warnings += check_bands(written.bands)
        slopes = next(iter(written.bands.values()))["slope"]
        warnings += zero_hint(sources.dem, slopes.valid_share)
        notes = notes_of(sources, terrain, truth, cover, written)
        info = describe(config, event, sources, terrain, truth, written, grid)
        info |= {"warnings": warnings, "notes": notes}
        advance("files")
        for raster in sorted(folder.glob("*.tif")):
            to_cog(raster, tags_of(info, raster.stem))
        write_json(folder / "scene.json", info)
        advance("figures")
        landslides = truth.outlines if truth else None
        if truth and landslides is None:
            landslides, _ = outlines(folder / "landslides.tif", grid)
        title = ("SIMULATED data: " if info["simulated"] else "") + event.name
        draw(folder, grid, written.bands, info["dates"], landslides, title)
    return Prepared(root, grid, written, info, warnings, notes)

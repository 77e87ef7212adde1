"""A scene from its configuration: acquire, check, write, document, draw."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import rasterio
from omegaconf import DictConfig
from rasterio.enums import Resampling
from rich.console import Console
from rich.table import Table
from shapely.geometry.base import BaseGeometry

import landslide
from landslide.geo.files import write_json
from landslide.geo.folders import pieces_folder, replacing_scene, require_free_folder
from landslide.geo.grid import Grid
from landslide.geo.polygons import outline_mask
from landslide.geo.rasters import to_cog
from landslide.parts import Launcher, take_over
from landslide.prepare.area import choose_grid, grid_center, read_area, require_overlap
from landslide.prepare.calibration import calibrate_orbit, warn_guessed_units
from landslide.prepare.composite import (
    Composite,
    composite_profile,
    write_inventory,
    write_orbit,
)
from landslide.prepare.dates import arrange_dates, check_stacks, is_stack
from landslide.prepare.despeckle import despeckle
from landslide.prepare.files import acquire_from_files
from landslide.prepare.inventory_mask import open_inventory_mask
from landslide.prepare.layers import read_layers, require_layers_overlap
from landslide.prepare.offsets import measure_offsets
from landslide.prepare.options import check_options, options_of_scene
from landslide.prepare.orbit import radar_orbit
from landslide.prepare.parts import Parts
from landslide.prepare.progress import progress_bar
from landslide.prepare.provenance import (
    SceneInputs,
    SceneRecord,
    collect_notes,
    raster_tags,
    scene_metadata,
)
from landslide.prepare.quality import (
    Histogram,
    check_bands,
    check_dates,
    check_posting,
    check_radiometry,
    check_solar_time,
    check_tracks,
)
from landslide.prepare.scene_figures import draw_figures
from landslide.prepare.shifts import measure_displacements
from landslide.prepare.sources import Event, Pass, Sources, apply_options
from landslide.prepare.stack import Stack, write_stack
from landslide.prepare.stack_report import warn_shifts
from landslide.prepare.terrain import (
    TerrainBands,
    require_dem_coverage,
    warn_zero_nodata,
    write_terrain,
)

CACHE_BYTES = 64 * 2**20
"""Size of GDAL's cache of blocks, which otherwise grows with the machine's memory. rasterio takes
bytes, unlike GDAL."""


@dataclass(frozen=True)
class Prepared:
    """A scene that was written, for the closing report.

    ``info`` is the content of ``scene.json``.
    """

    root: Path
    scene: SceneRecord
    info: Mapping[str, Any]


def plan_scene(config: DictConfig) -> Table:
    """Candidate orbits and dates of an archive, without downloading any."""
    check_options(config)
    from landslide.prepare.stac.acquire import plan_acquisition

    return plan_acquisition(config, _read_event(config), read_area(config.aoi))


def prepare_scene(config: DictConfig, console: Console | None = None) -> Prepared:
    """Prepare a scene and write its folder, whole or not at all.

    ``console`` shows progress; None is silent.

    Raises:
        InputError: An option or an input cannot be used.
    """
    check_options(config)
    root = Path(config.root)
    require_free_folder(root, overwrite=config.overwrite)
    event, area = _read_event(config), read_area(config.aoi)
    sources = apply_options(_acquire(config, event, area, console), config.sar)
    sources = arrange_dates(sources, event)
    launcher = Launcher.chosen()
    steps = 4 + sum(
        1 + (config.parts * (1 + is_stack(dates)) if launcher else len(dates) * is_stack(dates))
        for dates in sources.orbits.values()
    )
    with (
        rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES),
        progress_bar(console, "preparing", steps) as advance,
    ):
        inputs = _check_inputs(config, event, area, sources)
        with replacing_scene(root) as folder:
            pieces = _take_over_pieces(config, inputs)
            parts = Parts(advance, launcher, config.parts, pieces)
            scene = _write_rasters(config, inputs, folder, parts)
            advance(stage="files")
            info = _document(config, scene, folder)
            advance(stage="figures")
            _draw(scene, info, folder)
    return Prepared(root, scene, info)


def _read_event(config: DictConfig) -> Event:
    name = config.event.name or f"event of {str(config.event.date)[:10]}"
    return Event.of(str(name), str(config.event.date))


def _acquire(
    config: DictConfig, event: Event, area: BaseGeometry | None, console: Console | None
) -> Sources:
    """Images and DEM from files, an archive (with its DEM, if ``dem`` is null) or raw products."""
    if config.sar.source == "stac":
        from landslide.prepare.stac.acquire import acquire_from_archive

        return acquire_from_archive(config, event, area, console)
    if config.sar.source == "safe":
        from landslide.prepare.safe.acquire import acquire_from_products

        return acquire_from_products(config, event, area, console)
    return acquire_from_files(config, event, area)


def _check_inputs(
    config: DictConfig, event: Event, area: BaseGeometry | None, sources: Sources
) -> SceneInputs:
    """Check that images, DEM and inventory fit each other, the event and the area."""
    warnings = check_dates(sources, event) + check_stacks(sources, config)
    warnings += check_radiometry(sources)
    calibrations = {name: calibrate_orbit(dates) for name, dates in sources.orbits.items()}
    for name, calibrated in calibrations.items():
        warnings += warn_guessed_units(name, calibrated)
    grid = choose_grid(config.grid, area, sources)
    center = grid_center(grid)
    warnings += check_solar_time(sources, *center) + check_tracks(sources, *center)
    warnings += check_posting(sources, grid)
    require_overlap(sources, grid)
    layers = read_layers(config.layers)
    require_layers_overlap(layers, grid)
    coverage = require_dem_coverage(sources.dem, grid) if sources.dem else 0.0
    inventory = None
    if config.inventory.file:
        resampling = Resampling[config.resampling.mask]
        inventory = open_inventory_mask(config.inventory, grid, resampling)
    return SceneInputs(event, sources, calibrations, grid, coverage, inventory, warnings, layers)


def _take_over_pieces(config: DictConfig, inputs: SceneInputs) -> Path:
    """Where pieces are kept: a folder for everything that they depend on, with those left there."""
    options = options_of_scene(config)
    files = [*inputs.sources.files, *(tile for layer in inputs.layers for tile in layer.tiles)]
    states = [(path, path.stat().st_size, path.stat().st_mtime_ns) for path, _ in files]
    text = repr((landslide.__version__, options, config.parts, inputs.grid, states))
    return take_over(pieces_folder(Path(config.root)), text)


def _write_rasters(
    config: DictConfig, inputs: SceneInputs, folder: Path, parts: Parts
) -> SceneRecord:
    """Write the composite of each orbit and the mask of landslides."""
    sources, grid = inputs.sources, inputs.grid
    backscatter, slope, mask = (
        Resampling[config.resampling[key]] for key in ("backscatter", "slope", "mask")
    )
    orbits = {n: o for n, d in sources.orbits.items() if (o := radar_orbit(n, d, grid))}
    parts.advance(stage="terrain")
    ground = terrain = None
    if sources.dem:
        ground = write_terrain(sources.dem, grid, orbits, config.terrain.void_distance, folder)
        terrain = TerrainBands(ground, slope, mask)
    bands: dict[Pass, dict[str, Histogram]] = {}
    stacks: dict[Pass, Stack] = {}
    for name, images in inputs.calibrations.items():
        parts.advance(stage=name)
        if is_stack(sources.orbits[name]):
            stacks[name] = _write_stack(config, inputs, name, terrain, folder, parts)
        stack = stacks.get(name)
        tiles = stack.images() if stack else images
        composite = Composite(name, tiles, terrain, backscatter, inputs.layers, stack)
        bands[name] = _write_composite(composite, grid, folder, parts)
    if ground:
        ground.path.unlink()
    parts.advance(stage="landslides")
    pixels = write_inventory(inputs.inventory, grid, folder) if inputs.inventory else {}
    return SceneRecord(inputs, ground, bands, pixels, stacks)


def _write_composite(
    composite: Composite, grid: Grid, folder: Path, parts: Parts
) -> dict[str, Histogram]:
    """Write the composite of an orbit; return the histogram of each band."""
    profile = composite_profile(grid, len(composite.bands))
    path = folder / f"{composite.name}.tif"
    first, *others = parts.write(partial(write_orbit, composite), path, grid, profile)
    for other in others:
        for band, histogram in first.items():
            histogram.merge(other[band])
    return first


def _write_stack(
    config: DictConfig,
    inputs: SceneInputs,
    name: Pass,
    terrain: TerrainBands | None,
    folder: Path,
    parts: Parts,
) -> Stack:
    """Write all dates of an orbit; measure how far they lie off, and how bright they are."""
    dates, images, grid = inputs.sources.orbits[name], inputs.calibrations[name], inputs.grid
    resampling = Resampling[config.resampling.backscatter]
    mode, shifts = config.sar.coregister, {}
    if mode != "off":
        shifts = measure_displacements(dates, images, grid, resampling)
    correct = mode == "correct"
    stack = write_stack(
        name, dates, images, grid, resampling, folder, shifts, correct=correct, parts=parts
    )
    stack = despeckle(stack, config.despeckle)
    measured = measure_offsets(stack, name, terrain, grid)
    found = [
        replace(date, offsets=offsets.whole, tile_offsets=offsets.tiles)
        if (offsets := measured[date.name])
        else date
        for date in stack.dates
    ]
    return replace(stack, dates=found)


def _document(config: DictConfig, scene: SceneRecord, folder: Path) -> dict[str, Any]:
    """Write ``scene.json`` and the rasters' tags; return the content of the former."""
    warnings = [*scene.inputs.warnings, *check_bands(scene.bands)]
    for name, stack in scene.stacks.items():
        warnings += warn_shifts(name, stack, scene.inputs.grid)
    if dem := scene.inputs.sources.dem:
        warnings += warn_zero_nodata(dem, scene.valid_slope)
    info = scene_metadata(scene, config) | {"warnings": warnings, "notes": collect_notes(scene)}
    for raster in sorted(folder.glob("*.tif")):
        to_cog(raster, raster_tags(info, raster.stem))
    for stack in scene.stacks.values():
        with rasterio.open(stack.path, "r+") as dates:
            dates.update_tags(**raster_tags(info, stack.path.stem))
    write_json(folder / "scene.json", info)
    return info


def _draw(scene: SceneRecord, info: Mapping[str, Any], folder: Path) -> None:
    inventory, grid = scene.inputs.inventory, scene.inputs.grid
    landslides = inventory.outlines if inventory else None
    if inventory and landslides is None:
        landslides, _ = outline_mask(folder / "landslides.tif", grid)
    title = ("SIMULATED data: " if info["simulated"] else "") + scene.inputs.event.name
    draw_figures(folder, grid, scene.bands, info["dates"], landslides, title)

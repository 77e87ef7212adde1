"""From a map's raster to its products: the one way of ``predict.py`` and ``landslide polygons``."""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import geopandas as gpd
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from landslide.errors import InputError
from landslide.geo.files import checksum, write_json
from landslide.geo.folders import MEASURES, RESUMABLE_FILES, measure_of
from landslide.geo.polygons import outline_mask
from landslide.geo.rasters import becoming_cog, to_cog
from landslide.geo.stac import ITEM
from landslide.prediction.stream import Stopwatch
from landslide.products.comparison import Truth, compare
from landslide.products.item import write_item
from landslide.products.map import MapLayers, draw_map, draw_outcome, read_layers, read_unobserved
from landslide.products.mapped import MappedScene
from landslide.products.mask import outline_landslides, write_mask
from landslide.products.polygons import (
    TERRAIN,
    describe_polygons,
    simplify,
    write_geojson,
    write_geopackage,
)
from landslide.products.rapid_mapping import write_package
from landslide.products.report import draw_sizes, write_report
from landslide.training.scores import SCORES

PRODUCTS = (
    *MEASURES,
    "landslides.tif",
    "landslides.gpkg",
    "landslides.geojson",
    "copernicus_ems.zip",
    "map.png",
    "map.pdf",
    "outcome.tif",
    "outcome.png",
    "metrics.json",
    "report.html",
    ITEM,
    "summary.json",
)
"""Files of a map; the last lists the others."""

CUT_RASTERS = ("landslides.tif", "outcome.tif")
"""Rasters that depend on the threshold."""


def write_products(
    folder: Path, mapped: MappedScene, truth: Truth | None, config: DictConfig, watch: Stopwatch
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Write every product that follows from a map's raster.

    Args:
        folder: Folder of the raster. A raster of this folder becomes cloud-optimised; one that is
            linked into it stays as it is.
        mapped: The scene, with its threshold.
        truth: Ground truth, if there is any.
        config: ``min_area``, ``fill_holes``, ``simplify``, ``geojson``, ``pdf`` and ``ems`` as in
            ``conf/predict.yaml``.
        watch: Seconds of the stages before.

    Returns:
        Content of ``summary.json`` and of ``metrics.json``, if there is ground truth.

    Raises:
        InputError: No pixel of the raster is observed.
    """
    mask = folder / "landslides.tif"
    with watch("mask"):
        observed = write_mask(folder, mapped.grid, mapped.threshold.value)
        unobserved = read_unobserved(mask)
    if not observed:
        raise InputError(f"{mapped.scene.path} has no pixel that is valid in all of its bands")
    raster = measure_of(folder)
    with ExitStack() as copying, ThreadPoolExecutor(1) as artist:
        if not raster.is_symlink():
            copying.enter_context(becoming_cog(raster, mapped.tags()))
        layers = artist.submit(read_layers, mapped.scene, raster, unobserved)
        with watch("polygons"):
            polygons = outline_landslides(mask, mapped.grid, config.min_area, config.fill_holes)
            simple = simplify(polygons, config.simplify)
        drawn = artist.submit(_draw_maps, config, mapped, layers, simple.copy(), folder, watch)
        polygons = _write_polygons(config, mapped, polygons, simple, folder, watch)
        with watch("metrics"):
            metrics = _write_metrics(mapped, truth, folder)
        with watch("cog"):
            layers.result()  # is read before the raster is replaced
            copying.close()
            for path in (folder / name for name in CUT_RASTERS):
                if path.exists():
                    to_cog(path, mapped.tags() | mapped.threshold_tag())
        with watch("report"):
            sizes = draw_sizes(polygons)
        drawn.result()
    summary = mapped.summary(polygons, observed)
    outcome = folder / "outcome.tif"
    if outcome.exists():
        with watch("map"):
            draw_outcome(outcome, mapped.scene, mapped.labels(), folder / "outcome.png")
    with watch("report"):
        write_report(folder, summary, metrics, sizes, mapped.labels())
        write_item(mapped, summary, folder)
    _require_named(folder)
    with watch("checksums"):
        files = product_checksums(folder)
    summary |= {"files": files, "seconds": watch.rounded()}
    write_json(folder / "summary.json", summary)
    return summary, metrics


def _write_polygons(
    config: DictConfig,
    mapped: MappedScene,
    polygons: gpd.GeoDataFrame,
    simple: gpd.GeoDataFrame,
    folder: Path,
    watch: Stopwatch,
) -> gpd.GeoDataFrame:
    """Describe polygons by their pixels, and write them with simple outlines."""
    with watch("zonal statistics"):
        terrain = mapped.scene.open_bands(TERRAIN)
        rasters = (folder / "landslides.tif", measure_of(folder))
        describe_polygons(polygons, *rasters, terrain, mapped.grid)
    with watch("vector files"):
        polygons = polygons.set_geometry(simple.geometry)
        _write_vector_files(config, mapped, polygons, folder)
    return polygons


def _write_vector_files(
    config: DictConfig, mapped: MappedScene, polygons: gpd.GeoDataFrame, folder: Path
) -> None:
    record = mapped.record
    facts: dict[str, Any] = {"images": record.images, "simulated": record.simulated}
    write_geopackage(folder / "landslides.gpkg", polygons, mapped.grid, **facts)
    if config.geojson:
        write_geojson(polygons, folder / "landslides.geojson")
    if config.ems:
        _, unobserved = outline_mask(folder / "landslides.tif", mapped.grid)
        write_package(
            folder / "copernicus_ems.zip",
            polygons,
            unobserved,
            mapped.grid,
            **facts,
            event=record.event,
            activation=config.ems_activation,
            area=config.ems_area,
        )


def _write_metrics(mapped: MappedScene, truth: Truth | None, folder: Path) -> dict[str, Any] | None:
    """Score the map where there is ground truth."""
    if truth is None:
        return None
    metrics = compare(folder, truth, mapped.grid, mapped.threshold.value)
    write_json(folder / "metrics.json", {**metrics, "simulated": mapped.record.simulated})
    return metrics


def _draw_maps(
    config: DictConfig,
    mapped: MappedScene,
    layers: Future[MapLayers],
    polygons: gpd.GeoDataFrame,
    folder: Path,
    watch: Stopwatch,
) -> None:
    with watch("map"):
        for picture in ("map.png", "map.pdf") if config.pdf else ("map.png",):
            path = folder / picture
            draw_map(layers.result(), mapped.scene, polygons, mapped.labels(), path)


def product_checksums(folder: Path) -> dict[str, dict[str, int | str]]:
    """Bytes and SHA-256 of each product in a folder, by which copies can be verified."""
    return {
        name: {"bytes": (folder / name).stat().st_size, "sha256": checksum(folder / name)}
        for name in PRODUCTS
        if (folder / name).exists()
    }


def _require_named(work: Path) -> None:
    """Raise a ValueError if a file of a work folder is not a product: it would be lost."""
    for path in work.iterdir():
        if path.name not in (*PRODUCTS, *RESUMABLE_FILES):
            raise ValueError(f"{path.name} is not named in PRODUCTS")


def print_summary(summary: dict[str, Any], metrics: dict[str, Any] | None, output: Path) -> None:
    """Print the numbers of a map, its notes and its files."""
    table = Table(title="Simulated scene mapped" if summary["simulated"] else "Scene mapped")
    table.add_column("")
    table.add_column("", justify="right")
    table.add_row("landslides", f"{summary['landslides']:,}")
    table.add_row("landslide area", f"{summary['landslide_area_m2'] / 1e6:.2f} km²")
    table.add_row("share of observed area", f"{100 * summary['landslide_share']:.2f} %")
    table.add_row("observed", f"{100 * summary['observed_share']:.1f} %")
    for name, value in (metrics or {}).items():
        if name in SCORES:
            table.add_row(SCORES[name], f"{100 * value:.2f} %")
    table.add_row(f"threshold of {summary['measure']}", f"{summary['threshold']:.3g}")
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in summary["seconds"].items())
    table.add_row("seconds", seconds)
    console = Console(soft_wrap=True)
    console.print(table)
    for note in summary["notes"]:
        console.print(f"Note: {note}")
    for name in (*summary["files"], PRODUCTS[-1]):
        console.print(str(output / name))

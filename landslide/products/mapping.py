"""A scene is mapped: from configuration to a folder of products."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import rasterio
from omegaconf import DictConfig, ListConfig, OmegaConf
from rich.console import Console
from rich.table import Table

import landslide
from landslide.config.checks import check
from landslide.config.paths import is_model_name
from landslide.config.rules import PREDICT
from landslide.errors import InputError, failures_as_input_errors
from landslide.geo.files import checksum, write_json
from landslide.geo.folders import (
    MEASURES,
    RESUMABLE_FILES,
    measure_of,
    replacing_products,
    work_folder,
)
from landslide.geo.rasters import to_cog
from landslide.prediction.inputs import balance_input, open_input
from landslide.prediction.stream import (
    ProbabilityFile,
    Stopwatch,
    choose_predictor,
    predict_scene,
)
from landslide.prediction.windows import Predictor
from landslide.products.comparison import Truth, compare, open_truth
from landslide.products.map import draw_map, draw_outcome
from landslide.products.mapped import MappedScene
from landslide.products.mask import clean_mask, write_mask
from landslide.products.polygons import (
    describe_polygons,
    simplify,
    write_geojson,
    write_geopackage,
)
from landslide.products.report import write_report
from landslide.products.threshold import choose_threshold, require_thresholds
from landslide.training.cpu import tune_cpu
from landslide.training.member import Member, load_members
from landslide.training.named_detectors import make_detector
from landslide.training.network import Network, choose_device
from landslide.training.scores import SCORES

PRODUCTS = (
    *MEASURES,
    "landslides.tif",
    "landslides.gpkg",
    "landslides.geojson",
    "map.png",
    "map.pdf",
    "outcome.tif",
    "outcome.png",
    "metrics.json",
    "report.html",
    "summary.json",
)
"""Files of a map; the last lists the others."""

SCENE_FILES = ("scene.json", "ascending.tif", "descending.tif")


def map_scene(config: DictConfig) -> dict[str, Any]:
    """Predict a scene and write its products.

    Args:
        config: Composed from ``conf/predict.yaml``.

    Returns:
        The content of ``summary.json``.

    Raises:
        InputError: A checkpoint, the scene, the inventory or an option is unsuitable, or reading
            or writing fails.
    """
    check(config, PREDICT)
    tune_cpu()

    def hint() -> str:
        if not work_folder(Path(config.output)).exists():
            return ""
        return "; correct that, and resume=true continues from the finished blocks"

    with failures_as_input_errors(hint):
        return _map_scene(config)


def _map_scene(config: DictConfig) -> dict[str, Any]:
    watch, output = Stopwatch(), Path(config.output)
    mapped, truth = _open(config)
    device = choose_device(config.device)
    network = Network(mapped.tasks, device, config.tta, config.engine, config.precision)
    window: dict[str, Any] = OmegaConf.to_container(config.window)  # type: ignore[assignment]
    predictor = choose_predictor(network, mapped.grid, window)
    settings = _settings(config, mapped, predictor)
    with replacing_products(output, PRODUCTS, settings, resume=config.resume) as folder:
        raster = ProbabilityFile(folder, mapped.grid, network.bands)
        predict_scene(mapped.scene, predictor, raster, watch)
        with watch("threshold"):
            threshold = choose_threshold(config, network, mapped.scene, mapped.info, raster.raster)
        mapped = replace(mapped, threshold=threshold)
        observed = write_mask(folder, mapped.grid, threshold.value)
        if not observed:
            raise InputError(f"{mapped.scene.path} has no pixel that is valid in all of its bands")
        polygons = _write_polygons(config, mapped, folder)
        metrics = _write_metrics(mapped, truth, folder)
        for path in sorted(folder.glob("*.tif")):
            to_cog(path, mapped.tags())
        summary = mapped.summary(polygons, observed)
        _draw(config, mapped, polygons, folder)
        write_report(folder, summary, metrics, polygons, mapped.labels())
        _require_named(folder)
        summary |= {"files": product_checksums(folder), "seconds": watch.rounded()}
        write_json(folder / "summary.json", summary)
    _print_summary(summary, metrics, output)
    return summary


def _open(config: DictConfig) -> tuple[MappedScene, Truth | None]:
    """Open all inputs, so that unsuitable ones are found before anything is computed."""
    if Path(config.output).is_file():
        raise InputError(f"output={config.output} is a file: name a folder")
    if any((Path(config.output) / name).exists() for name in SCENE_FILES):
        raise InputError(
            f"output={config.output} holds a scene, and the map would replace its landslides.tif: "
            "name another folder"
        )
    tasks, orbit = _tasks(config)
    require_thresholds(config, tasks[0])
    scene, truth_of_scene, info = open_input(tasks, str(config.scene), orbit)
    levels = balance_input(tasks, scene)
    inventory = Path(config.inventory) if config.inventory else truth_of_scene
    truth = open_truth(inventory, scene.grid) if inventory else None
    return MappedScene(tasks, scene, info, levels), truth


def _tasks(config: DictConfig) -> tuple[Sequence[Member], str | None]:
    """The members of the network, or a detector, and the orbit that they are to read."""
    names = _checkpoints(config)
    if not any(map(is_model_name, names)):
        return load_members([Path(name) for name in names]), config.orbit
    if len(names) > 1:
        raise InputError(f"checkpoint={config.checkpoint}: a detector maps by itself: name one")
    task = make_detector(names[0], str(config.scene), config.orbit)
    return [task], task.orbit


def _checkpoints(config: DictConfig) -> list[str]:
    names = config.checkpoint
    return [str(name) for name in (names if isinstance(names, ListConfig) else [names])]


def _settings(config: DictConfig, mapped: MappedScene, predictor: Predictor) -> dict[str, Any]:
    """Everything that the map's raster depends on: only an equal map is resumed."""
    files: dict[str, os.stat_result] = {}
    for path in mapped.scene.files:
        with rasterio.open(path) as source:
            files |= {name: Path(name).stat() for name in source.files if Path(name).exists()}
    return {
        "version": landslide.__version__,
        "checkpoints": [
            name if is_model_name(name) else hashlib.sha256(Path(name).read_bytes()).hexdigest()
            for name in _checkpoints(config)
        ],
        "scene": [mapped.source, str(mapped.grid), mapped.scene.bands],
        "files": [[name, stat.st_size, stat.st_mtime_ns] for name, stat in files.items()],
        "window": OmegaConf.to_container(config.window),
        "blocks": [predictor.blocks, list(map(predictor.source, predictor.blocks))],
        "geometry": mapped.info.get("geometry"),
        "tta": config.tta,
        "engine": config.engine,
        "precision": config.precision,
    }


def _write_polygons(config: DictConfig, mapped: MappedScene, folder: Path) -> gpd.GeoDataFrame:
    """Clean the mask, and write its polygons."""
    mask = folder / "landslides.tif"
    polygons = clean_mask(mask, mapped.grid, config.min_area, config.fill_holes)
    describe_polygons(polygons, measure_of(folder), mapped.scene.path, mapped.grid)
    polygons = simplify(polygons, config.simplify)
    write_geopackage(
        folder / "landslides.gpkg", polygons, mapped.grid, mapped.bands, mapped.info, mapped.dates
    )
    if config.geojson:
        write_geojson(polygons, folder / "landslides.geojson")
    return polygons


def _write_metrics(mapped: MappedScene, truth: Truth | None, folder: Path) -> dict[str, Any] | None:
    """Score the map where there is ground truth."""
    if truth is None:
        return None
    metrics = compare(folder, truth, mapped.grid, mapped.threshold.value)
    write_json(folder / "metrics.json", {**metrics, "simulated": mapped.simulated})
    return metrics


def _draw(
    config: DictConfig, mapped: MappedScene, polygons: gpd.GeoDataFrame, folder: Path
) -> None:
    """Draw the map and, where there is ground truth, the outcome."""
    for picture in ("map.png", "map.pdf") if config.pdf else ("map.png",):
        draw_map(folder, mapped.scene, polygons, mapped.labels(), folder / picture)
    outcome = folder / "outcome.tif"
    if outcome.exists():
        draw_outcome(outcome, mapped.scene, mapped.labels(), folder / "outcome.png")


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


def _print_summary(summary: dict[str, Any], metrics: dict[str, Any] | None, output: Path) -> None:
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
    for name in PRODUCTS:
        if (output / name).exists():
            console.print(str(output / name))

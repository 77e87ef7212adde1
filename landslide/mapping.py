"""One mapped scene, from configuration to products."""

from pathlib import Path
from typing import Any

import geopandas as gpd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

import landslide
from landslide.allocator import keep_memory
from landslide.checks import PREDICT, check
from landslide.datasets import Scene, is_simulated, scene_info
from landslide.errors import InputError
from landslide.maps import Lines, landslide_map, outcome_map
from landslide.prediction import (
    Stopwatch,
    choose_device,
    choose_predictor,
    outline,
    predict_scene,
    staged,
    version_tags,
)
from landslide.rasters import BLOCK, to_cog, write_json
from landslide.task import LandslideTask, load_task
from landslide.truth import compare, open_truth
from landslide.windows import HaloPredictor, Network


def map_scene(config: DictConfig) -> dict[str, Any]:
    """Predict a scene and write its products.

    Args:
        config: Composed from ``conf/predict.yaml``.

    Returns:
        The content of ``summary.json``.

    Raises:
        InputError: Checkpoint, scene, inventory or an option cannot be used.
    """
    check(config, PREDICT)
    keep_memory()
    watch = Stopwatch()
    task, scene, truth_path, info = _inputs(config)
    threshold = task.threshold if config.threshold is None else float(config.threshold)
    truth = open_truth(truth_path, scene.grid) if truth_path else None
    network = Network(task, choose_device(config.device), config.tta)
    window = OmegaConf.to_container(config.window)
    predictor = choose_predictor(task, network, scene.grid, window)  # type: ignore[arg-type]
    side = (config.window.size or BLOCK) if isinstance(predictor, HaloPredictor) else BLOCK
    output = Path(config.output)
    with staged(output) as folder:
        predict_scene(scene, predictor, side, threshold, folder, watch)
        polygons, pixels = outline(folder, scene, config.min_area)
        if not pixels["observed_pixels"]:
            raise InputError(f"{scene.path} has no pixel that is valid in all of its bands")
        simulated = bool(info.get("simulated", False))
        polygons.assign(simulated=simulated).to_file(
            folder / "landslides.gpkg", layer="landslides", driver="GPKG"
        )
        metrics = None
        if truth:
            metrics = compare(folder, truth, scene.grid, threshold)
            write_json(folder / "metrics.json", {**metrics, "simulated": simulated})
        tags = version_tags(task, scene, threshold, simulated=simulated)
        for raster in sorted(folder.glob("*.tif")):
            to_cog(raster, tags)
        lines = _lines(task, scene, info, threshold)
        landslide_map(scene, polygons, lines, folder / "map.png")
        if truth:
            outcome_map(folder / "outcome.tif", scene, lines, folder / "outcome.png")
        summary = _summary(task, scene, polygons, pixels, threshold, info)
        summary["seconds"] = watch.rounded()
        write_json(folder / "summary.json", summary)
    _print(summary, metrics, output)
    return summary


def _inputs(config: DictConfig) -> tuple[LandslideTask, Scene, Path | None, dict[str, Any]]:
    """Open everything that can be wrong before anything is computed."""
    if config.engine != "torch":
        raise InputError(f"engine={config.engine} is unknown: choose torch")
    if Path(config.output).is_file():
        raise InputError(f"output={config.output} is a file: name a folder")
    task = load_task(Path(config.checkpoint))
    path, inventory = str(config.scene), config.inventory
    if path.lower().endswith((".tif", ".tiff", ".vrt")):
        scene = Scene(path, task.bands)
        info = scene_info(Path(path).parent) or {"simulated": is_simulated(path)}
        return task, scene, Path(inventory) if inventory else None, info
    root = Path(path)
    scene = Scene.of(root, config.orbit or task.orbit, task.bands, truth=False)
    own = root / "landslides.tif"
    truth = Path(inventory) if inventory else own if own.exists() else None
    return task, scene, truth, scene_info(root)


def _lines(task: LandslideTask, scene: Scene, info: dict[str, Any], threshold: float) -> Lines:
    event = info.get("event") or Path(scene.path).stem
    name = event.get("name", "") if isinstance(event, dict) else str(event)
    simulated = "SIMULATED data: " if info.get("simulated") else ""
    dates = (info.get("dates") or {}).get(Path(scene.path).stem) or {}
    images = [f"{band} {dates[band]}" if band in dates else band for band in scene.bands]
    model = str(task.hparams["model"]["_target_"]).rsplit(".", 1)[-1]
    return Lines(
        title=f"Landslides mapped from radar\n{simulated}{name}",
        source=(
            f"{simulated}{Path(scene.path).stem}, {', '.join(images)}; {model}, "
            f"threshold {threshold:g}; landslide-sar {landslide.__version__}"
        ),
    )


def _summary(
    task: LandslideTask,
    scene: Scene,
    polygons: gpd.GeoDataFrame,
    pixels: dict[str, float],
    threshold: float,
    info: dict[str, Any],
) -> dict[str, Any]:
    observed = pixels["observed_pixels"] * scene.grid.pixel_area
    area = float(polygons.area_m2.sum())
    return {
        "scene": str(scene.path),
        "simulated": bool(info.get("simulated", False)),
        "landslides": len(polygons),
        "landslide_area_m2": area,
        "observed_area_m2": observed,
        "observed_share": pixels["observed_pixels"] / pixels["total_pixels"],
        "landslide_share": area / observed if observed else 0.0,
        "largest_m2": float(polygons.area_m2.max()) if len(polygons) else 0.0,
        "threshold": threshold,
        "model": task.hparams["model"],
        "bands": task.bands,
        "version": landslide.__version__,
    }


def _print(summary: dict[str, Any], metrics: dict[str, float] | None, output: Path) -> None:
    table = Table(title="Simulated scene mapped" if summary["simulated"] else "Scene mapped")
    table.add_column("")
    table.add_column("", justify="right")
    table.add_row("landslides", f"{summary['landslides']:,}")
    table.add_row("landslide area", f"{summary['landslide_area_m2'] / 1e6:.2f} km²")
    table.add_row("share of observed area", f"{100 * summary['landslide_share']:.2f} %")
    table.add_row("observed", f"{100 * summary['observed_share']:.1f} %")
    for name, value in (metrics or {}).items():
        if name in ("precision", "recall", "f1", "iou", "average_precision"):
            table.add_row(name.replace("_", " "), f"{100 * value:.2f} %")
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in summary["seconds"].items())
    table.add_row("seconds", seconds)
    console = Console(soft_wrap=True)
    console.print(table)
    for file in ("map.png", "landslides.gpkg", "landslides.tif", "probability.tif"):
        console.print(str(output / file))

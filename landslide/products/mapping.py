"""One mapped scene, from configuration to products."""

import hashlib
import os
from pathlib import Path
from typing import Any

import geopandas as gpd
import rasterio
from omegaconf import DictConfig, ListConfig, OmegaConf
from rich.console import Console
from rich.table import Table

import landslide
from landslide.config.checks import PREDICT, check
from landslide.data.levels import balance_dates, measure_levels
from landslide.data.scene import Scene
from landslide.errors import InputError, failures_as_input_errors
from landslide.geo.files import write_json
from landslide.geo.folders import partial, workplace
from landslide.geo.metadata import is_simulated, scene_info
from landslide.geo.rasters import to_cog
from landslide.prediction.stream import Canvas, Stopwatch, choose_predictor, predict_scene
from landslide.prediction.windows import Predictor
from landslide.products.comparison import compare, open_truth
from landslide.products.geopackage import write_geopackage
from landslide.products.map import Lines, landslide_map, outcome_map
from landslide.products.rasters import (
    PRODUCTS,
    clean_mask,
    describe,
    fingerprints,
    simplify,
    write_geojson,
    write_mask,
)
from landslide.products.report import write_report
from landslide.radar.balance import Levels, mean_levels, whole_changes
from landslide.radar.bands import (
    ORBITS,
    description,
    naming_notes,
    orbit_of,
    orbits_of,
    parts,
    radar_images,
    require_distinct,
)
from landslide.radar.visibility import UNKNOWN_RELIEF
from landslide.training.cpu import tune_cpu
from landslide.training.metrics import SCORES
from landslide.training.network import Network, choose_device
from landslide.training.task import LandslideTask, load_task

SCENE_FILES = ("scene.json", "ascending.tif", "descending.tif")


def map_scene(config: DictConfig) -> dict[str, Any]:
    """Predict a scene and write its products.

    Args:
        config: Composed from ``conf/predict.yaml``.

    Returns:
        The content of ``summary.json``.

    Raises:
        InputError: Checkpoint, scene, inventory or an option cannot be used, or reading or
            writing fails.
    """
    check(config, PREDICT)
    tune_cpu()

    def hint() -> str:
        if not partial(Path(config.output)).exists():
            return ""
        return "; once that is mended, resume=true goes on from the finished blocks"

    with failures_as_input_errors(hint):
        return _map_scene(config)


def _map_scene(config: DictConfig) -> dict[str, Any]:
    watch = Stopwatch()
    tasks, scene, truth_path, info = _inputs(config)
    levels = _balance(tasks, scene)
    grid, output = scene.grid, Path(config.output)
    threshold = tasks[0].threshold if config.threshold is None else float(config.threshold)
    truth = open_truth(truth_path, grid) if truth_path else None
    device = choose_device(config.device)
    network = Network(tasks, device, config.tta, config.engine, config.precision)
    predictor = choose_predictor(network, grid, OmegaConf.to_container(config.window))  # type: ignore[arg-type]
    settings = _settings(config, scene, predictor, info)
    with workplace(output, PRODUCTS, settings, resume=config.resume) as folder:
        canvas = Canvas(folder, grid, network.bands)
        predict_scene(scene, predictor, canvas, watch)
        observed = write_mask(folder, grid, threshold)
        if not observed:
            raise InputError(f"{scene.path} has no pixel that is valid in all of its bands")
        polygons = clean_mask(folder / "landslides.tif", grid, config.min_area, config.fill_holes)
        describe(polygons, folder, scene.path, grid)
        polygons = simplify(polygons, config.simplify)
        bands = tasks[0].bands
        dates = _dates(info, Path(_public(scene)).stem, bands)
        write_geopackage(folder / "landslides.gpkg", polygons, grid, bands, info, dates)
        if config.geojson:
            write_geojson(polygons, folder / "landslides.geojson")
        metrics = None
        simulated = bool(info.get("simulated", False))
        if truth:
            metrics = compare(folder, truth, grid, threshold)
            write_json(folder / "metrics.json", {**metrics, "simulated": simulated})
        tags = _tags(tasks, scene, threshold, simulated=simulated)
        for raster in sorted(folder.glob("*.tif")):
            to_cog(raster, tags)
        notes = _notes(tasks, scene, levels, simulated=simulated)
        summary = _summary(tasks, scene, polygons, observed, threshold, simulated, notes)
        lines = _lines(tasks, scene, info, dates, threshold, notes)
        for picture in ("map.png", "map.pdf") if config.pdf else ("map.png",):
            landslide_map(folder, scene, polygons, lines, folder / picture)
        if truth:
            outcome_map(folder / "outcome.tif", scene, lines, folder / "outcome.png")
        summary["levels_db"] = mean_levels(levels)
        write_report(folder, summary, metrics, polygons, lines)
        summary |= {"files": fingerprints(folder), "seconds": watch.rounded()}
        write_json(folder / "summary.json", summary)
    _print(summary, metrics, output)
    return summary


def _inputs(
    config: DictConfig,
) -> tuple[list[LandslideTask], Scene, Path | None, dict[str, Any]]:
    """Open everything that can be wrong before anything is computed."""
    if Path(config.output).is_file():
        raise InputError(f"output={config.output} is a file: name a folder")
    if any((Path(config.output) / name).exists() for name in SCENE_FILES):
        raise InputError(
            f"output={config.output} holds a scene, whose landslides.tif would be replaced by the "
            "map's: name another folder"
        )
    tasks = [load_task(path) for path in _checkpoints(config)]
    path, inventory = str(config.scene), config.inventory
    # What it is, the end of a name or of a signed address does not tell.
    if not Path(path).is_dir() and ("/vsi" in path or "://" in path or Path(path).exists()):
        scene, own = Scene(path, tasks[0].bands), None
        info = scene_info(Path(path).parent) or {"simulated": is_simulated(path)}
    elif Path(path).suffix:
        raise InputError(f"there is no file {path}: name a scene folder or a GeoTIFF with scene=")
    else:
        root = Path(path)
        orbit = config.orbit or tasks[0].orbit
        if orbit != tasks[0].orbit and orbits_of(tasks[0].bands):
            raise InputError(
                f"orbit={orbit}: the checkpoint reads both orbits, {', '.join(tasks[0].bands)}: "
                "leave orbit out"
            )
        scene = Scene.of(root, orbit, tasks[0].bands, truth=False)
        own = root / "landslides.tif"
        info = scene_info(root)
    require_distinct(scene.bands, scene.path)
    truth = Path(inventory) if inventory else own if own and own.exists() else None
    return tasks, scene, truth, info


def _balance(tasks: list[LandslideTask], scene: Scene) -> Levels:
    """Balance the scene's dates where the model wants it.

    Returns:
        What was measured; nothing for a model that scales every window by itself.

    Raises:
        InputError: Members of an ensemble do not agree.
    """
    wanted = {task.normalization.balance for task in tasks}
    if len(wanted) > 1:
        raise InputError(
            "checkpoint: some members of the ensemble were trained on balanced dates "
            "(normalization.balance=true) and some were not: map with each kind by itself"
        )
    if all(task.normalization.per_window for task in tasks):
        return {}
    return balance_dates(scene) if wanted == {True} else measure_levels(scene)


def _dates(info: dict[str, Any], orbit: str, bands: list[str]) -> dict[str, str]:
    """Date of each radar image, where the scene tells it."""
    known = info.get("dates") or {}
    dates = {}
    for image in radar_images(bands):
        date = (known.get(orbit_of(image) or orbit) or {}).get(description(image))
        if date:
            dates[image] = date
    return dates


def _checkpoints(config: DictConfig) -> list[Path]:
    names = config.checkpoint
    return [Path(name) for name in (names if isinstance(names, ListConfig) else [names])]


def _settings(
    config: DictConfig, scene: Scene, predictor: Predictor, info: dict[str, Any]
) -> dict[str, Any]:
    """What the probability depends on, so that nothing else is resumed by mistake."""
    files: dict[str, os.stat_result] = {}
    for path in scene.files:
        with rasterio.open(path) as source:
            files |= {name: Path(name).stat() for name in source.files if Path(name).exists()}
    return {
        "version": landslide.__version__,
        "checkpoints": [
            hashlib.sha256(path.read_bytes()).hexdigest() for path in _checkpoints(config)
        ],
        "scene": [_public(scene), str(scene.grid), scene.bands],
        "files": [[name, stat.st_size, stat.st_mtime_ns] for name, stat in files.items()],
        "window": OmegaConf.to_container(config.window),
        "blocks": [predictor.blocks, list(map(predictor.source, predictor.blocks))],
        "geometry": info.get("geometry"),
        "tta": config.tta,
        "engine": config.engine,
        "precision": config.precision,
    }


def _public(scene: Scene) -> str:
    """The scene's path or address, without the signature that opens it."""
    path = str(scene.path)
    return path.partition("?")[0] if "://" in path else path


def _tags(
    tasks: list[LandslideTask], scene: Scene, threshold: float, *, simulated: bool
) -> dict[str, str]:
    """What a raster says of how it was made."""
    return {
        "SIMULATED": "yes" if simulated else "no",
        "SOFTWARE": f"landslide-sar {landslide.__version__}",
        "MODEL": ", ".join(str(task.hparams["model"]["_target_"]) for task in tasks),
        "BANDS": ", ".join(tasks[0].bands),
        "SCENE": _public(scene),
        "THRESHOLD": f"{threshold:g}",
    }


def _lines(
    tasks: list[LandslideTask],
    scene: Scene,
    info: dict[str, Any],
    dates: dict[str, str],
    threshold: float,
    notes: list[str],
) -> Lines:
    event = info.get("event") or Path(_public(scene)).stem
    name = event.get("name", "") if isinstance(event, dict) else str(event)
    simulated = "SIMULATED data: " if info.get("simulated") else ""
    images = [_dated(band, dates) for band in tasks[0].bands]
    model = str(tasks[0].hparams["model"]["_target_"]).rsplit(".", 1)[-1]
    members = f"ensemble of {len(tasks)} {model}" if len(tasks) > 1 else model
    return Lines(
        title=f"Landslides mapped from radar\n{simulated}{name}",
        source=(
            f"{simulated}{Path(_public(scene)).stem}, {', '.join(images)}; {members}, "
            f"threshold {threshold:.3g}; landslide-sar {landslide.__version__}"
            + "".join(f". NOTE: {note}" for note in notes)
        ),
        dates=dates,
    )


def _dated(band: str, dates: dict[str, str]) -> str:
    """A band with the date of its image, or of both images of a quotient."""
    days = [dates[part] for part in parts(band) if part in dates]
    return f"{band} {'/'.join(days)}" if days else band


def _summary(
    tasks: list[LandslideTask],
    scene: Scene,
    polygons: gpd.GeoDataFrame,
    observed_pixels: int,
    threshold: float,
    simulated: bool,
    notes: list[str],
) -> dict[str, Any]:
    grid = scene.grid
    observed = observed_pixels * grid.pixel_area
    area = float(polygons.area_m2.sum())
    return {
        "scene": _public(scene),
        "simulated": simulated,
        "landslides": len(polygons),
        "landslide_area_m2": area,
        "observed_area_m2": observed,
        "observed_share": observed_pixels / (grid.height * grid.width),
        "not_observed_known_by": scene.visibility.known_by,
        "landslide_share": area / observed if observed else 0.0,
        "largest_m2": float(polygons.area_m2.max()) if len(polygons) else 0.0,
        "threshold": threshold,
        "model": tasks[0].hparams["model"],
        "members": len(tasks),
        "bands": tasks[0].bands,
        "version": landslide.__version__,
        "notes": notes,
    }


def _notes(
    tasks: list[LandslideTask], scene: Scene, levels: Levels, *, simulated: bool
) -> list[str]:
    """What a reader of the map should know of how model and images fit."""
    trained, mapped = tasks[0].orbit, Path(_public(scene)).stem
    notes = []
    if any(task.simulated for task in tasks) and not simulated:
        notes.append("the model was trained on SIMULATED images and is unproven on real ones")
    if mapped in ORBITS and mapped != trained:
        notes.append(f"the model was trained on {trained} images, these are {mapped}")
    if changes := whole_changes(levels):
        answer = (
            "taken out before mapping"
            if scene.balance
            else "the model does not balance dates and may take that for landslides"
        )
        notes.append(f"whole images differ, {changes}: {answer}")
    if scene.visibility.known_by == UNKNOWN_RELIEF.known_by:
        notes.append("layover and shadow are not known, and are mapped like the rest")
    return notes + naming_notes(scene.bands)


def _print(summary: dict[str, Any], metrics: dict[str, Any] | None, output: Path) -> None:
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
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in summary["seconds"].items())
    table.add_row("seconds", seconds)
    console = Console(soft_wrap=True)
    console.print(table)
    for note in summary["notes"]:
        console.print(f"Note: {note}")
    for name in PRODUCTS:
        if (output / name).exists():
            console.print(str(output / name))

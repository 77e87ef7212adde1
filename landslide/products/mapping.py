"""A scene is mapped: from configuration to a folder of products."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rasterio
from omegaconf import DictConfig, ListConfig, OmegaConf

import landslide
from landslide.config.checks import check
from landslide.config.paths import is_model_name
from landslide.config.rules import PREDICT
from landslide.errors import InputError, failures_as_input_errors
from landslide.geo.folders import replacing_products, work_folder
from landslide.prediction.inputs import SceneInput, balance_input, open_input
from landslide.prediction.stream import (
    ProbabilityFile,
    Stopwatch,
    choose_predictor,
    predict_scene,
)
from landslide.prediction.windows import Predictor
from landslide.products.comparison import Truth, open_truth
from landslide.products.mapped import MappedScene, Record
from landslide.products.threshold import choose_threshold, require_thresholds
from landslide.products.writing import PRODUCTS, print_summary, write_products
from landslide.training.cpu import tune_cpu
from landslide.training.member import Member
from landslide.training.named_detectors import load_or_make
from landslide.training.network import Network, choose_device

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
    tasks, source, record, truth = _open(config)
    scene, _, info = source
    device = choose_device(config.device)
    network = Network(tasks, device, config.tta, config.engine, config.precision)
    window: dict[str, Any] = OmegaConf.to_container(config.window)  # type: ignore[assignment]
    predictor = choose_predictor(network, scene.grid, window)
    settings = _settings(config, source, record, predictor)
    with replacing_products(output, PRODUCTS, settings, resume=config.resume) as folder:
        raster = ProbabilityFile(folder, scene.grid, network.bands)
        predict_scene(scene, predictor, raster, watch)
        with watch("threshold"):
            threshold = choose_threshold(config, network, scene, info, raster.raster)
        mapped = MappedScene(scene, record, threshold)
        summary, metrics = write_products(folder, mapped, truth, config, watch)
    print_summary(summary, metrics, output)
    return summary


def _open(
    config: DictConfig,
) -> tuple[Sequence[Member], SceneInput, Record, Truth | None]:
    """Open all inputs, so that unsuitable ones are found before anything is computed."""
    if Path(config.output).is_file():
        raise InputError(f"output={config.output} is a file: name a folder")
    if any((Path(config.output) / name).exists() for name in SCENE_FILES):
        raise InputError(
            f"output={config.output} holds a scene, and the map would replace its landslides.tif: "
            "name another folder"
        )
    names = _checkpoints(config)
    tasks, orbit = load_or_make(names, str(config.scene), config.orbit)
    require_thresholds(config, tasks[0].measure)
    source = open_input(tasks, str(config.scene), orbit)
    levels = balance_input(tasks, source.scene)
    inventory = Path(config.inventory) if config.inventory else source.truth
    truth = open_truth(inventory, source.scene.grid) if inventory else None
    return tasks, source, Record.of(tasks, source, levels, inventory), truth


def _checkpoints(config: DictConfig) -> list[str]:
    names = config.checkpoint
    return [str(name) for name in (names if isinstance(names, ListConfig) else [names])]


def _settings(
    config: DictConfig, source: SceneInput, record: Record, predictor: Predictor
) -> dict[str, Any]:
    """Everything that the map's raster depends on: only an equal map is resumed."""
    files: dict[str, os.stat_result] = {}
    for path in source.scene.files:
        with rasterio.open(path) as raster:
            files |= {name: Path(name).stat() for name in raster.files if Path(name).exists()}
    return {
        "version": landslide.__version__,
        "checkpoints": [
            name if is_model_name(name) else hashlib.sha256(Path(name).read_bytes()).hexdigest()
            for name in _checkpoints(config)
        ],
        "scene": [record.scene, str(source.scene.grid), source.scene.bands],
        "files": [[name, stat.st_size, stat.st_mtime_ns] for name, stat in files.items()],
        "window": OmegaConf.to_container(config.window),
        "blocks": [predictor.blocks, list(map(predictor.source, predictor.blocks))],
        "geometry": source.info.get("geometry"),
        "tta": config.tta,
        "engine": config.engine,
        "precision": config.precision,
    }

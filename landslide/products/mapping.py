"""A scene is mapped: from configuration to a folder of products."""

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.progress import Progress

import landslide
from landslide.config.checks import check
from landslide.config.paths import checkpoint_names, is_model_name
from landslide.config.rules import PREDICT
from landslide.data.scene import Scene
from landslide.errors import InputError, failures_as_input_errors
from landslide.geo.folders import BLOCKS_FOLDER, replacing_products, work_folder
from landslide.geo.states import raster_states
from landslide.parts import Launcher, compute_parts, take_over
from landslide.prediction.inputs import SceneInput, balance_input, open_input
from landslide.prediction.stream import (
    BlockFiles,
    ProbabilityFile,
    Stopwatch,
    choose_predictor,
    collect_blocks,
    predict_scene,
    progress_console,
)
from landslide.prediction.windows import Predictor
from landslide.products.comparison import open_truth
from landslide.products.mapped import MappedScene, Record, without_signature
from landslide.products.threshold import choose_threshold, require_thresholds
from landslide.products.writing import PRODUCTS, print_summary, write_products
from landslide.radar.balance import Levels
from landslide.training.cpu import one_thread, tune_cpu
from landslide.training.named_detectors import load_or_make
from landslide.training.network import Network, choose_device

SCENE_FILES = ("scene.json", "ascending.tif", "descending.tif")


def map_scene(config: DictConfig, place: Path | None = None) -> dict[str, Any]:
    """Predict a scene and write its products.

    Args:
        config: Composed from ``conf/predict.yaml``.
        place: Folder to which the map is moved afterwards, by which its files are printed.

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
        return _map_scene(config, place or Path(config.output))


def _map_scene(config: DictConfig, place: Path) -> dict[str, Any]:
    watch, output = Stopwatch(), Path(config.output)
    _require_free(output)
    with watch("open"), one_thread():
        network, source, levels = _open(config)
        scene, _, info = source
        inventory = Path(config.inventory) if config.inventory else source.truth
        truth = open_truth(inventory, scene.grid) if inventory else None
        record = Record.of(network.members, source, levels, inventory)
        predictor = _predictor(config, network, scene)
        settings = _settings(config, source, predictor)
    with replacing_products(output, PRODUCTS, settings, resume=config.resume) as folder:
        raster = ProbabilityFile(folder, scene.grid, predictor.network.bands)
        if launcher := Launcher.chosen():
            with watch("parts"):
                _spread(config, settings, predictor, raster, folder / BLOCKS_FOLDER, launcher)
        else:
            predict_scene(scene, predictor, raster, watch)
        with watch("threshold"):
            threshold = choose_threshold(config, predictor.network, scene, info, raster.raster)
        mapped = MappedScene(scene, record, threshold)
        summary, metrics = write_products(folder, mapped, truth, config, watch)
    print_summary(summary, metrics, place)
    return summary


def _spread(
    config: DictConfig,
    settings: dict[str, Any],
    predictor: Predictor,
    raster: ProbabilityFile,
    folder: Path,
    launcher: Launcher,
) -> None:
    """Let a launcher spread the blocks that are not finished, and collect them.

    Blocks are collected from a folder of this run alone: parts of a run that was killed, which may
    have had another checkpoint, do not know its name.
    """
    own = take_over(folder, json.dumps(settings, sort_keys=True, default=str))
    collect_blocks(own, predictor.blocks, raster)  # of a run that was interrupted
    shutil.rmtree(folder, ignore_errors=True)  # its parts had other blocks
    todo = [number for number in range(len(predictor.blocks)) if number not in raster.finished]
    # Neighbours go to different parts, so that a sea or a gap is not the whole of one.
    parts = [part for n in range(config.parts) if (part := todo[n :: config.parts])]
    function = partial(_predict_part, config, settings, own)
    try:
        with Progress(console=progress_console(), transient=True) as bar:
            task = bar.add_task(f"Predicting, launcher={launcher.name}", total=len(parts))
            compute_parts(function, parts, own, launcher, lambda: bar.advance(task))
    finally:
        collect_blocks(own, predictor.blocks, raster)
    shutil.rmtree(folder, ignore_errors=True)


def _predict_part(
    config: DictConfig, settings: dict[str, Any], folder: Path, numbers: list[int]
) -> None:
    """Predict some blocks of a map in a process of its own.

    Raises:
        InputError: The scene, a checkpoint or the program is another than where the map is made.
    """
    tune_cpu()
    with one_thread():
        network, source, _ = _open(config)
        predictor = _predictor(config, network, source.scene)
    if _settings(config, source, predictor) != settings:
        raise InputError(
            f"scene={config.scene}, a checkpoint or the program changed while the map was made, or "
            "is another on the machine of a part: start again"
        )
    blocks = BlockFiles(folder, numbers, len(predictor.blocks))
    predict_scene(source.scene, predictor, blocks, Stopwatch())


def _require_free(output: Path) -> None:
    """Require that a map may be written to a folder."""
    if output.is_file():
        raise InputError(f"output={output} is a file: name a folder")
    if any((output / name).exists() for name in SCENE_FILES):
        raise InputError(
            f"output={output} holds a scene, and the map would replace its landslides.tif: "
            "name another folder"
        )


def _open(config: DictConfig) -> tuple[Network, SceneInput, Levels]:
    """Open checkpoints and scene; balance its dates, whose levels are returned.

    The halo is measured while the scene is read.
    """
    members, orbit = load_or_make(
        checkpoint_names(config.checkpoint), str(config.scene), config.orbit
    )
    require_thresholds(config, members[0].measure)
    device = choose_device(config.device)
    network = Network(members, device, config.tta, config.engine, config.precision)
    with ThreadPoolExecutor(1) as measuring:
        halo = measuring.submit(lambda: network.halo)
        source = open_input(members, str(config.scene), orbit)
        levels = balance_input(members, source.scene)
        halo.result()
    return network, source, levels


def _predictor(config: DictConfig, network: Network, scene: Scene) -> Predictor:
    window: dict[str, Any] = OmegaConf.to_container(config.window)  # type: ignore[assignment]
    return choose_predictor(network, scene.grid, window)


def _settings(config: DictConfig, source: SceneInput, predictor: Predictor) -> dict[str, Any]:
    """Everything that the map's raster depends on: only an equal map is resumed."""
    states = raster_states(source.scene.files)
    if config.resume and None in states.values():
        raise InputError(
            f"scene={without_signature(str(source.scene.path))}: nobody tells whether it has "
            "changed since the map was begun: map it with resume=false"
        )
    return {
        "version": landslide.__version__,
        "checkpoints": [
            name if is_model_name(name) else hashlib.sha256(Path(name).read_bytes()).hexdigest()
            for name in checkpoint_names(config.checkpoint)
        ],
        "scene": [
            without_signature(str(source.scene.path)),
            str(source.scene.grid),
            source.scene.bands,
        ],
        "files": [[without_signature(name), state] for name, state in states.items()],
        "window": OmegaConf.to_container(config.window),
        "blocks": [predictor.blocks, list(map(predictor.source, predictor.blocks))],
        "geometry": source.info.get("geometry"),
        "tta": config.tta,
        "engine": config.engine,
        "precision": config.precision,
    }

"""A map is cut anew: mask, polygons and what follows from them, without the model."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from landslide.config.checks import check
from landslide.config.paths import is_address
from landslide.config.rules import POLYGONS
from landslide.data.scene import Scene
from landslide.errors import InputError, failures_as_input_errors
from landslide.geo.folders import BASIS, MEASURES, measure_of, replacing_products, work_folder
from landslide.geo.grid import Grid
from landslide.geo.rasters import open_raster
from landslide.geo.states import file_state
from landslide.prediction.stream import Stopwatch
from landslide.products.comparison import Truth, open_truth
from landslide.products.mapped import MappedScene, Record, scene_files
from landslide.products.threshold import Threshold, given_threshold, require_thresholds
from landslide.products.writing import PRODUCTS, print_summary, write_products

CUT = tuple(name for name in PRODUCTS if name not in MEASURES)
"""Products that are made anew; the raster stays as it is."""


def recut_map(config: DictConfig) -> dict[str, Any]:
    """Replace all products of a map but its raster.

    Args:
        config: Composed from ``conf/polygons.yaml``.

    Returns:
        The new content of ``summary.json``.

    Raises:
        InputError: There is no complete map, its scene or its ground truth is gone or has changed
            (by sizes and times of their files), or nobody tells whether the scene has; an option is
            unsuitable, or reading or writing fails. The map then stays as it was.
    """
    check(config, POLYGONS)
    with failures_as_input_errors():
        return _recut_map(config)


def _recut_map(config: DictConfig) -> dict[str, Any]:
    watch, folder = Stopwatch(), Path(config.map)
    summary = _read_summary(folder)
    if (folder / BASIS).exists():
        raise InputError(
            f"map={folder} is one of landslide respond, whose later maps are compared with it: "
            f"respond with predict=['threshold=…'], or cut a copy of it without {BASIS}"
        )
    mapped, truth = _reopen(config, summary)
    raster = measure_of(folder).resolve()
    with watch("threshold"):
        threshold = given_threshold(config, raster) or Threshold.read(summary)
    mapped = MappedScene(mapped.scene, mapped.record, threshold)
    with replacing_products(folder, CUT, {}, resume=False) as work:
        (work / raster.name).symlink_to(raster)
        summary, metrics = write_products(work, mapped, truth, config, watch)
    print_summary(summary, metrics, folder)
    return summary


def _read_summary(folder: Path) -> dict[str, Any]:
    """Summary of a map; where a run was killed while it replaced the products, what it left."""
    work = work_folder(folder)
    if (work / "finished.txt").exists():
        raise InputError(
            f"map={folder} holds an interrupted map: finish it with predict.py resume=true, or "
            f"remove {work.parent}"
        )
    for path in (folder / "summary.json", work / "summary.json"):
        if path.is_file() and measure_of(folder).is_file():
            summary: dict[str, Any] = json.loads(path.read_text())
            return summary
    raise InputError(f"map={folder} holds no finished map: make one with predict.py")


def _reopen(config: DictConfig, summary: dict[str, Any]) -> tuple[MappedScene, Truth | None]:
    """Open the scene and the ground truth of a map, which must be those that it was made with."""
    try:
        record = Record.read(summary)
    except KeyError as error:
        raise InputError(
            f"map={config.map} was made by an earlier version of the program, which did not note "
            "what it takes to cut it anew: make it with predict.py once more"
        ) from error
    require_thresholds(config, record.measure)
    scene = _reopen_scene(config, record)
    inventory = config.inventory or record.inventory
    if inventory and not config.inventory and not _exists(inventory):
        raise InputError(
            f"the ground truth of map={config.map}, {inventory}, is gone: name it with inventory="
        )
    state = file_state(str(inventory)) if inventory else None
    if not config.inventory and state != record.inventory_file:
        raise InputError(
            f"the ground truth {inventory} has changed since map={config.map} was made: if it is "
            "the one to score with, name it with inventory="
        )
    truth = open_truth(Path(inventory), scene.grid) if inventory else None
    record = replace(record, scene=str(scene.path), inventory=inventory, inventory_file=state)
    return MappedScene(scene, record), truth


def _reopen_scene(config: DictConfig, record: Record) -> Scene:
    path = config.scene or record.scene
    if Path(path).is_dir():
        path = str(Path(path) / Path(record.scene).name)
    if not _exists(path):
        raise InputError(
            f"the scene of map={config.map}, {path}, is gone, and the map shows its image and its "
            "slopes: name it with scene="
        )
    scene = Scene(path, record.bands)
    files = scene_files(scene)
    for name in (name for name, state in files.items() if state is None):
        raise InputError(
            f"whether the scene {path} has changed since map={config.map} was made cannot be told, "
            f"since nothing says when {name} changed: map a copy of it on this machine"
        )
    with open_raster(measure_of(Path(config.map))) as raster:
        same = Grid.of(raster).matches(scene.grid) and files == record.scene_files
    if not same:
        raise InputError(
            f"the scene {path} has changed since map={config.map} was made, or is a copy that did "
            "not keep the files' times: map it with predict.py once more"
        )
    return scene


def _exists(path: str) -> bool:
    """Whether a file exists here, or may exist elsewhere; a layer may follow a file's name."""
    return is_address(path) or Path(path).exists() or Path(path).parent.is_file()

"""The steps of a response. Each makes one folder, and is skipped where that folder is complete."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig
from rich.console import Console

from landslide.config.checks import check
from landslide.config.paths import configuration_folder, is_model_name
from landslide.config.rules import PREDICT
from landslide.geo.files import write_json
from landslide.geo.folders import BASIS, SCENE_INFO
from landslide.prepare.prepare import prepare_scene
from landslide.prepare.sources import Pass
from landslide.products.mapping import map_scene
from landslide.radar.bands import orbits_of
from landslide.respond.change_map import CHANGES_PICTURE, draw_changes
from landslide.respond.changes import compare_maps, count_changes, write_changes
from landslide.training.member import load_members
from landslide.training.model import is_readable
from landslide.training.named_detectors import BOTH
from landslide.training.run import train

FUSED = "fused"
"""What a network is called that reads both orbits, as in ``dataset=quiet_fused``."""


def compose_program(name: str, words: Sequence[str]) -> DictConfig:
    """Compose the configuration of a program from the words of its command line."""
    if GlobalHydra.instance().is_initialized():
        return compose(name, list(words))
    with initialize_config_dir(str(configuration_folder()), version_base="1.3"):
        return compose(name, list(words))


def make_scene(config: DictConfig, root: Path, after: int, console: Console) -> None:
    """Prepare a scene.

    Args:
        config: Composed from ``conf/prepare.yaml``.
        root: Folder of the scene.
        after: Dates after the event; 0 for its past alone.
        console: Shows progress.
    """
    if (root / SCENE_INFO).exists():
        return
    console.print(f"Preparing {root}", highlight=False)
    own = config.copy()
    own.root, own.overwrite, own.sar.after = str(root), True, after
    prepare_scene(own, console)


def train_network(scene: Path, kind: str, words: Sequence[str], folder: Path) -> Path:
    """Train a network on a scene's past, or go on training it.

    Args:
        scene: Scene of the past.
        kind: ``ascending``, ``descending``, or ``fused`` for both.
        words: Further words for ``train.py``.
        folder: Folder of the run.

    Returns:
        Its best checkpoint.
    """
    checkpoints = folder / "checkpoints"
    if not (folder / "metrics.json").exists():
        config = compose_program(
            "train", ["experiment=tonight", f"dataset=quiet_{kind}", "output_dir=null", *words]
        )
        config.dataset.root, config.output_dir = str(scene), str(folder)
        last = checkpoints / "last.ckpt"
        config.ckpt_path = str(last) if is_readable(last) else None
        train(config)
    return checkpoints / "best.ckpt"


def orbits_of_map(checkpoint: str, seen: Sequence[Pass]) -> list[str]:
    """Orbits that a checkpoint reads; of a detector those that have an image after the event.

    Args:
        checkpoint: File, or name of a detector.
        seen: Directions of flight with an image after the event.
    """
    if is_model_name(checkpoint):
        return list(seen)
    task = load_members([Path(checkpoint)])[0]
    return sorted({task.orbit, *orbits_of(task.bands)})


def make_map(
    scene: Path,
    words: Sequence[str],
    output: Path,
    basis: dict[str, Any],
    earlier: Path | None,
) -> None:
    """Map a scene, and compare the map with the one before it; ``output`` appears complete.

    An interrupted map goes on from its finished blocks.

    Args:
        scene: Scene with images after the event.
        words: Further words for ``predict.py``.
        output: Folder of the map.
        basis: What the map rests on, with ``checkpoint`` and ``orbits``; ``basis.json`` holds it,
            and the changes.
        earlier: Folder of the map before, if there is one.
    """
    work = output.with_name(f".{basis['made_from']}")
    config = compose_program("predict", words)
    config.checkpoint, config.scene, config.output = basis["checkpoint"], str(scene), str(work)
    config.resume = True
    if is_model_name(config.checkpoint):
        config.orbit = BOTH if len(basis["orbits"]) > 1 else basis["orbits"][0]
    check(config, PREDICT)
    if not (work / "summary.json").exists():  # it is written last
        map_scene(config, output)
    changes = compare_maps(earlier, work)
    write_changes(changes, work / "changes.gpkg")
    title = f"Map {output.name}" + (f" against map {earlier.name}" if earlier else ", the first")
    draw_changes(changes, scene / f"{basis['orbits'][0]}.tif", title, work / CHANGES_PICTURE)
    write_json(work / BASIS, {**basis, "changes": count_changes(changes)})
    work.rename(output)

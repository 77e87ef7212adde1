"""Checkpoints become model files for other programs, which are compared before they are written."""

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from landslide.config.checks import check
from landslide.config.paths import checkpoint_names, is_model_name
from landslide.config.rules import EXPORT
from landslide.data.scene import Scene
from landslide.errors import InputError
from landslide.export.card import CARD, write_card
from landslide.export.deepness import deepness_metadata, tile_overlap
from landslide.export.exported import Exported
from landslide.export.item import write_item
from landslide.export.metadata import describe
from landslide.export.model_files import ONNX, TORCH, ModelFiles
from landslide.export.origin import training_files
from landslide.export.verification import (
    expected_outputs,
    largest_differences,
    make_images,
    require_equal,
    rounding_errors,
)
from landslide.geo.folders import replacing_files
from landslide.geo.stac import ITEM
from landslide.models.halo import Halo
from landslide.prediction.inputs import balance_input, open_input
from landslide.training.model import LandslideModel, load_model
from landslide.training.named_detectors import make_detector
from landslide.training.network import Network
from landslide.training.onnx import require_packages, traced_multiple

FILES = (ONNX, TORCH, CARD, ITEM)
"""Files of an exported model; the last describes the others."""

COMPARED_SIDE = 256
"""Height in pixels of the images that a model of any size is compared on."""


def export_model(config: DictConfig) -> Exported:
    """Export checkpoints, or a detector, and write the model's folder.

    Args:
        config: Composed from ``conf/export.yaml``.

    Returns:
        What was written.

    Raises:
        InputError: A checkpoint or an option is unsuitable, or a file differs from ``predict.py``.
    """
    check(config, EXPORT)
    require_packages("onnx", "onnxscript", "onnxruntime")
    folder = Path(config.output)
    if folder.is_file():
        raise InputError(f"output={folder} is a file: name a folder")
    if any((folder / name).exists() for name in FILES) and not config.overwrite:
        raise InputError(
            f"{folder} already holds a model: choose another output or add overwrite=true"
        )
    members, checkpoints = _load(config)
    network = Network(members, torch.device("cpu"), config.tta)
    _require_size(config.size, network)
    threshold, halo = _threshold(config, members[0]), network.halo
    scene = _open_scene(config, members, checkpoints)
    tiles = _deepness(network, config.size, halo, threshold, scene) if config.size else {}
    model = ModelFiles.of(members, network.size_multiple, config.tta, config.size)
    exported = Exported(
        members=members,
        checkpoints=checkpoints,
        tta=config.tta,
        threshold=threshold,
        halo=halo.size if halo else None,
        size=config.size,
        differences=_compare(model, network, members, config, scene),
    )
    with replacing_files(folder, FILES) as work:
        model.write(work, describe(exported, model.outputs), tiles)
        write_card(exported, work)
        write_item(exported, work)
    return exported


def _load(config: DictConfig) -> tuple[list[LandslideModel], list[Path]]:
    """The checkpoints and their files; of a detector that is named there is no file."""
    names = checkpoint_names(config.checkpoint)
    if not any(map(is_model_name, names)):
        paths = [Path(name) for name in names]
        members = [load_model(path) for path in paths]
        if len({member.balance for member in members}) > 1:
            raise InputError(
                "checkpoint: some members of the ensemble were trained on balanced dates "
                "(normalization.balance=true) and some were not: export each kind by itself"
            )
        return members, paths
    if len(names) > 1:
        raise InputError(f"checkpoint={config.checkpoint}: a detector maps by itself: name one")
    if config.scene is None:
        raise InputError(
            f"checkpoint={names[0]} takes its bands from a scene: name one with scene="
        )
    return [make_detector(names[0], str(config.scene))], []


def _threshold(config: DictConfig, member: LandslideModel) -> float:
    if config.threshold is not None:
        if config.threshold > 1 and member.measure == "probability":
            raise InputError(f"threshold={config.threshold} is not a probability, from 0 to 1")
        return float(config.threshold)
    if member.measure == "score":
        raise InputError(
            "a score has no threshold of its own: give one with threshold=, such as that in the "
            "summary.json of a map"
        )
    return member.threshold


def _require_size(size: int | None, network: Network) -> None:
    """Check the only height and width of an ONNX model.

    Raises:
        InputError: The network does not take it, or is no use with it.
    """
    if size is None:
        return
    if size % network.size_multiple:
        raise InputError(
            f"size={size} is not a multiple of {network.size_multiple} px, which the model needs"
        )
    if network.measure == "score":
        raise InputError(
            f"size={size} is for QGIS, whose threshold is a probability, and a score is none: fit "
            "the detector with train.py and export its checkpoint"
        )
    if network.per_window and size != network.patch_size:
        raise InputError(
            f"size={size}: the model scales each image by itself and was trained on windows of "
            f"{network.patch_size} px: give size={network.patch_size}"
        )


def _open_scene(
    config: DictConfig, members: list[LandslideModel], checkpoints: list[Path]
) -> Scene | None:
    """The scene that was named, or that of the training if it still has the bands; balanced."""
    path = config.scene or _training_scene(members[0], checkpoints)
    if path is None:
        return None
    try:
        scene = open_input(members, str(path)).scene
    except InputError:
        if config.scene is not None:
            raise
        return None
    balance_input(members, scene)
    return scene


def _training_scene(member: LandslideModel, checkpoints: list[Path]) -> Path | None:
    """Folder of the scene that the run of the first checkpoint lists among its data."""
    files = training_files(checkpoints[0]) if checkpoints else []
    return next((file.parent for file in files if file.name == f"{member.orbit}.tif"), None)


def _compare(
    model: ModelFiles,
    network: Network,
    members: list[LandslideModel],
    config: DictConfig,
    scene: Scene | None,
) -> dict[str, dict[str, float]]:
    """Largest difference of both files to ``predict.py``, by kind of input.

    Raises:
        InputError: One does not run, or differs by more than rounding.
    """
    multiple, size = traced_multiple(network.size_multiple), config.size
    height = size or -(-COMPARED_SIDE // multiple) * multiple
    images = make_images(network.members[0].bands, (height, size or height + multiple), scene)
    if size is None:
        # A file can be right at one size alone.
        side = -(-height // 2 // multiple) * multiple
        images["small"] = images["random"][:1, :, :side, : side + multiple]
    expected = expected_outputs(network, images)
    with torch.no_grad():
        differences = {}
        for name, run in model.opened().items():
            try:
                differences[name] = largest_differences(run, images, expected, network.measure)
            except Exception as error:  # runtimes' errors have no public class in common
                raise InputError(
                    f"{name} does not run and was not written ({str(error).splitlines()[0]}): give "
                    "one size with size=, which networks need that pool to a number of pixels"
                ) from error
    require_equal(differences, rounding_errors(members, config.tta, network, expected, images))
    return differences


def _deepness(
    network: Network, size: int, halo: Halo | None, threshold: float, scene: Scene | None
) -> dict[str, Any]:
    """Metadata for Deepness, whose tiles have one size.

    Raises:
        InputError: The tile is too small, or no scene tells the side of a pixel.
    """
    # Windows that are blended overlap by half.
    overlap = tile_overlap(size, halo or Halo(1, size // 4))
    if scene is None:
        raise InputError(
            f"size={size} is for QGIS, which must know the side of a pixel, and the scene of the "
            "training is not there: name one of the same resolution with scene="
        )
    resolution = scene.grid.pixel_area**0.5
    return deepness_metadata(network.bands, network.channels, resolution, size, overlap, threshold)

"""Detectors by name, which map a scene without a checkpoint."""

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from landslide.config.paths import (
    configuration_folder,
    is_model_name,
    is_scene_folder,
    require_scene,
)
from landslide.errors import InputError
from landslide.models.detectors import Detector
from landslide.radar.bands import ORBIT_MARK, ORBITS, described_bands, require_dates_after
from landslide.training.member import Member, load_members
from landslide.training.model import LandslideModel

BOTH = "both"
"""As ``orbit``: a detector joins the orbits of a scene."""


def load_or_make(
    names: Sequence[str], scene: str, orbit: str | None = None
) -> tuple[Sequence[Member], str | None]:
    """Load checkpoints or an exported model, or make a detector.

    Args:
        names: Files, or the name of one detector.
        scene: See ``make_detector``.
        orbit: Orbit that the scene is to be read from, if one was chosen.

    Returns:
        The members of the network, and the orbit that they are to read.

    Raises:
        InputError: A file is not usable, or a detector is named beside others.
    """
    if not any(map(is_model_name, names)):
        return load_members([Path(name) for name in names]), orbit
    if len(names) > 1:
        raise InputError(f"checkpoint=[{','.join(names)}]: a detector maps by itself: name one")
    task = make_detector(names[0], scene, orbit)
    return [task], task.orbit


def make_detector(name: str, scene: str, orbit: str | None = None) -> LandslideModel:
    """Make a detector, with the best bands that a scene has.

    Args:
        name: Option of the group ``model``.
        scene: Scene folder or GeoTIFF.
        orbit: Orbit of a folder, or ``both``; default: its only one, or ascending.

    Raises:
        InputError: The model is no detector, or the scene lacks what it needs.
    """
    config = _compose(name)
    kind = get_class(config.model._target_)
    if not issubclass(kind, Detector):
        raise InputError(
            f"checkpoint={name} is a network, which needs training: train it with train.py "
            f"model={name} and name its best.ckpt, or take a detector: slope, log_ratio, change_z "
            "or anomaly"
        )
    own, available = _available_bands(scene, orbit)
    try:
        config.dataset.bands = kind.choose_bands(available)
    except InputError as error:
        require_dates_after(available, scene)
        raise InputError(f"{scene}: {error}") from error
    config.dataset.orbit = own
    config.threshold = 0.5  # of a probability; that of the score follows from the scene
    settings = OmegaConf.to_container(config.task, resolve=True)
    return LandslideModel.of(settings).eval()  # type: ignore[arg-type]


def _compose(model: str) -> DictConfig:
    """Compose the configuration of a training; inside of a program Hydra is set up already."""
    if GlobalHydra.instance().is_initialized():
        return compose("train", [f"model={model}"])
    with initialize_config_dir(str(configuration_folder()), version_base="1.3"):
        return compose("train", [f"model={model}"])


def _available_bands(scene: str, orbit: str | None) -> tuple[str, list[str]]:
    """The orbit that bands are read from, and all described bands, others with their orbit."""
    if not is_scene_folder(scene):
        if orbit == BOTH:
            raise InputError(f"orbit={BOTH} joins the orbits of a scene folder: {scene} is a file")
        stem = Path(scene).stem
        return stem if stem in ORBITS else ORBITS[0], described_bands(scene)
    root = Path(scene)
    require_scene(root)
    found = [name for name in ORBITS if (root / f"{name}.tif").exists()]
    wanted = list(ORBITS) if orbit == BOTH else [orbit or (found or ORBITS)[0]]
    for missing in (name for name in wanted if name not in found):
        raise InputError(
            f"{root} has no {missing}.tif: choose another orbit (found: "
            f"{', '.join(found) or 'none'}) or add the file"
        )
    own, *others = wanted
    bands = described_bands(str(root / f"{own}.tif"))
    for other in others:
        bands += [
            f"{band}{ORBIT_MARK}{other}" for band in described_bands(str(root / f"{other}.tif"))
        ]
    return own, bands

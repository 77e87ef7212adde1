"""Opens a scene with the bands of checkpoints, its dates balanced as in training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from landslide.config.paths import is_address, is_scene_folder
from landslide.data.levels import balance_dates, measure_levels
from landslide.data.scene import Scene
from landslide.errors import InputError
from landslide.geo.metadata import is_simulated, scene_info
from landslide.radar.balance import Levels
from landslide.radar.bands import orbits_of, require_distinct_bands
from landslide.training.member import Member


class SceneInput(NamedTuple):
    """A scene to map.

    Attributes:
        scene: The checkpoints' bands, without ground truth: unknown truth is no gap in the map.
        truth: Ground truth in the scene's folder, if any.
        info: Content of ``scene.json``.
    """

    scene: Scene
    truth: Path | None
    info: dict[str, Any]


def open_input(members: Sequence[Member], path: str, orbit: str | None = None) -> SceneInput:
    """Open a scene folder or a GeoTIFF with the bands of checkpoints.

    Args:
        members: Members of an ensemble, which share their bands.
        path: Folder, file, or URL that GDAL opens.
        orbit: Orbit of a folder; default: that of training.

    Raises:
        InputError: There is no such scene, or it lacks a band.
    """
    bands = members[0].bands
    if not is_scene_folder(path):
        if not (is_address(path) or Path(path).exists()):
            raise InputError(
                f"there is no file {path}: name a scene folder or a GeoTIFF with scene="
            )
        scene, truth = Scene(path, bands), None
        info = scene_info(Path(path).parent) or {"simulated": is_simulated(path)}
    else:
        orbit = orbit or members[0].orbit
        if orbit != members[0].orbit and orbits_of(bands):
            raise InputError(
                f"orbit={orbit}: the checkpoint reads both orbits, {', '.join(bands)}: "
                "leave orbit out"
            )
        scene = Scene.of(Path(path), orbit, bands, truth=False)
        inventory = Path(path) / "landslides.tif"
        truth, info = (inventory if inventory.exists() else None), scene_info(Path(path))
    require_distinct_bands(scene.bands, scene.path)
    return SceneInput(scene, truth, info)


def balance_input(members: Sequence[Member], scene: Scene) -> Levels:
    """Balance the scene's dates if the checkpoints were trained on balanced dates.

    Returns:
        The measured levels; empty for a model that scales every window by itself.

    Raises:
        InputError: Only some members of an ensemble were trained on balanced dates.
    """
    balanced = {member.balance for member in members}
    if len(balanced) > 1:
        raise InputError(
            "checkpoint: some members of the ensemble were trained on balanced dates "
            "(normalization.balance=true) and some were not: map with each kind by itself"
        )
    if all(member.per_window for member in members):
        return {}
    return balance_dates(scene) if balanced == {True} else measure_levels(scene)

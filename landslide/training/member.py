"""Members of a network: checkpoints, or what an exported model says of those that it is made of."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from landslide.config.paths import require_checkpoints
from landslide.errors import InputError
from landslide.models.halo import Halo
from landslide.training.model import LandslideModel, Measure, load_model
from landslide.training.modules import Config
from landslide.training.onnx import open_session

MEMBERS, SIZE = "members", "size"
"""Keys of an exported model's metadata: facts of each member, and the only height and width."""

SUFFIX = ".onnx"


@dataclass(frozen=True)
class ExportedMember:
    """What a map needs to know of a checkpoint whose weights are in an exported model.

    Attributes:
        file: The exported model.
        size: The only height and width that it takes; None leaves them free.
        window: Grid and size of its ``Halo``; empty if it has none.

    The others are those of ``LandslideModel``.
    """

    file: Path
    size: int | None
    model_settings: Config
    bands: list[str]
    orbit: str
    patch_size: int
    threshold: float
    simulated: bool
    implanted: bool
    measure: Measure
    unit: str | None
    size_multiple: int
    balance: bool
    per_window: bool
    window: list[int]

    @staticmethod
    def facts_of(task: LandslideModel) -> dict[str, Any]:
        """What a file says of a checkpoint: all attributes but its own, as plain values."""
        own = {"file", "size", "window"}
        names = [field.name for field in fields(ExportedMember) if field.name not in own]
        facts = {name: getattr(task, name) for name in names}
        return facts | {"window": list(task.measure_halo() or ())}

    def measure_halo(self) -> Halo | None:
        """The halo that makes windows exact, or None."""
        return Halo(*self.window) if self.window else None


Member = LandslideModel | ExportedMember


def load_members(paths: Sequence[Path]) -> list[LandslideModel] | list[ExportedMember]:
    """Load checkpoints, or the members of one exported model.

    Raises:
        InputError: A file is missing or not of this program, or an exported model is named beside
            others.
    """
    exported = [path for path in paths if path.suffix == SUFFIX]
    if not exported:
        return [load_model(path) for path in paths]
    if len(paths) > 1:
        raise InputError(
            f"checkpoint: {exported[0]} maps by itself: name it alone, or export the checkpoints "
            "of an ensemble into one file"
        )
    return _load_exported(exported[0])


def _load_exported(path: Path) -> list[ExportedMember]:
    require_checkpoints([str(path)])
    metadata = open_session(path, torch.device("cpu")).metadata
    if MEMBERS not in metadata:
        raise InputError(
            f"{path} was not written by this program: name a model.onnx of `landslide export`"
        )
    try:
        members = json.loads(metadata[MEMBERS])
        return [ExportedMember(path, json.loads(metadata[SIZE]), **facts) for facts in members]
    except (TypeError, KeyError) as error:
        raise InputError(
            f"{path} does not fit this version of the program ({error}): export it again"
        ) from error

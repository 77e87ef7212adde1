"""Members of a network: checkpoints, or what an exported model says of those that it is made of."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import torch

from landslide.config.paths import require_checkpoints
from landslide.errors import InputError
from landslide.models.halo import Halo
from landslide.training.onnx import open_session
from landslide.training.task import Config, LandslideTask, Measure, load_task

MEMBERS, SIZE = "members", "size"
"""Keys of an exported model's metadata: facts of each member, and the only height and width."""

SUFFIX = ".onnx"


@dataclass(frozen=True)
class ExportedMember:
    """What a map needs to know of a checkpoint whose weights are in an exported model.

    Attributes:
        file: The exported model.
        window: Grid and size of its ``Halo``; empty if it has none.

    The others are those of ``LandslideTask``.
    """

    file: Path
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

    @classmethod
    def of(cls, task: LandslideTask, file: Path) -> Self:
        """Facts of a checkpoint."""
        return cls(
            file=file,
            model_settings=task.model_settings,
            bands=task.bands,
            orbit=task.orbit,
            patch_size=task.patch_size,
            threshold=task.threshold,
            simulated=task.simulated,
            implanted=task.implanted,
            measure=task.measure,
            unit=task.unit,
            size_multiple=task.size_multiple,
            balance=task.balance,
            per_window=task.per_window,
            window=list(task.measure_halo() or ()),
        )

    def facts(self) -> dict[str, Any]:
        """All but the file, as plain values."""
        return {name: value for name, value in asdict(self).items() if name != "file"}

    def measure_halo(self) -> Halo | None:
        """The halo that makes windows exact, or None."""
        return Halo(*self.window) if self.window else None


Member = LandslideTask | ExportedMember


def load_members(paths: Sequence[Path]) -> list[LandslideTask] | list[ExportedMember]:
    """Load checkpoints, or the members of one exported model.

    Raises:
        InputError: A file is missing or not of this program, an exported model is named beside
            others, or it takes images of one size only.
    """
    exported = [path for path in paths if path.suffix == SUFFIX]
    if not exported:
        return [load_task(path) for path in paths]
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
    if size := json.loads(metadata[SIZE]):
        raise InputError(
            f"{path} takes images of {size} x {size} px only, for QGIS: export it without size= "
            "to map with it here"
        )
    try:
        return [ExportedMember(file=path, **facts) for facts in json.loads(metadata[MEMBERS])]
    except TypeError as error:
        raise InputError(
            f"{path} does not fit this version of the program ({error}): export it again"
        ) from error

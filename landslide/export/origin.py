"""Where a checkpoint comes from, by the folder of its run and the scenes that it was trained on."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import geopandas as gpd
import shapely
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from shapely.geometry.base import BaseGeometry

from landslide.data.identity import Identity
from landslide.errors import InputError
from landslide.geo.files import checksum
from landslide.geo.folders import SCENE_INFO
from landslide.geo.metadata import scene_info
from landslide.geo.stac import WGS84, outline_in_degrees

T = TypeVar("T")

METRICS, SPLITS = "metrics.json", "splits.geojson"

BEST = "best.ckpt"
"""The checkpoint that a run scored."""


@dataclass(frozen=True)
class Origin:
    """What is still known of a checkpoint's training; everything is empty where it is not.

    Attributes:
        metrics: Content of ``metrics.json``, which is of the best checkpoint alone.
        settings: Configuration of the run.
        roots: Folders of the scenes that it was trained on.
        scenes: Content of ``scene.json`` of those that have not changed since, by folder.
        patches: Patches of the run in WGS 84, with their ``split`` and ``scene``.
        implanted: Whether it was trained on implanted landslides.
    """

    metrics: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    roots: Sequence[str] = ()
    scenes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    patches: gpd.GeoDataFrame | None = None
    implanted: bool = False

    @classmethod
    def of(cls, checkpoint: Path, *, implanted: bool) -> Self:
        """Read what lies beside a checkpoint, if that is in a run's folder.

        Args:
            checkpoint: The checkpoint.
            implanted: Whether it says that it was trained on implanted landslides.
        """
        run = _run_of(checkpoint)
        identity = Identity.read(run) if run else None
        if run is None or identity is None:
            return cls(implanted=implanted)
        scored = checkpoint.name == BEST and (run / METRICS).is_file()
        infos = [Path(file) for file in identity.data if Path(file).name == SCENE_INFO]
        start = _working_directory(run)
        unchanged = [file for file in infos if _is(start / file, identity.data[str(file)])]
        return cls(
            metrics=json.loads((run / METRICS).read_text()) if scored else {},
            settings=_settings(run),
            roots=[str(file.parent) for file in infos],
            scenes={str(file.parent): dict(_read(start / file.parent)) for file in unchanged},
            patches=gpd.read_file(run / SPLITS) if (run / SPLITS).is_file() else None,
            implanted=implanted,
        )

    @property
    def ground(self) -> BaseGeometry | None:
        """Hull of the training patches of each scene in WGS 84; longitudes may go beyond 180."""
        if self.patches is None:
            return None
        trained = self.patches[self.patches.split == "train"]
        shapes = [
            shapely.multipolygons(list(part.geometry)) for _, part in trained.groupby("scene")
        ]
        return shapely.union_all([outline_in_degrees(shape, WGS84) for shape in shapes])

    @property
    def saw_event(self) -> bool:
        """Whether it saw the event itself, with its labels; implants are in images before it."""
        labels = (self.settings.get("datamodule") or {}).get("labels")
        return bool(labels) or not self.implanted

    def times_in(self, info: Mapping[str, Any], orbit: str) -> list[str]:
        """Days or times (ISO 8601) of an orbit's images that it was trained on, as far as known.

        Args:
            info: Content of ``scene.json``.
            orbit: The orbit.
        """
        if stack := (info.get("stack") or {}).get(orbit):
            chosen = [image for image in stack if self.saw_event or image["side"] == "pre"]
            return [image.get("time") or image["date"] for image in chosen]
        days = (info.get("dates") or {}).get(orbit) or {}
        return [day for band, day in days.items() if self.saw_event or "post" not in band]

    @property
    def pretrained_on(self) -> str | None:
        """What its training began with, if not with random weights."""
        model = self.settings.get("model") or {}
        return self.settings.get("weights") or model.get("encoder_weights")

    @property
    def events(self) -> list[dict[str, Any]]:
        """Name of the event of each scene, its time where known, and whether it is simulated."""
        found = []
        for info in self.scenes.values():
            event = info.get("event")
            named = event if isinstance(event, dict) else {"name": event}
            if named.get("name"):
                known = {key: named[key] for key in ("name", "time") if named.get(key)}
                found.append(known | {"simulated": bool(info.get("simulated"))})
        return found


def training_files(checkpoint: Path) -> list[Path]:
    """Files that a checkpoint was trained on, wherever the run was started; empty if unknown."""
    run = _run_of(checkpoint)
    identity = Identity.read(run) if run else None
    if run is None or identity is None:
        return []
    return [_working_directory(run) / file for file in identity.data]


def _run_of(checkpoint: Path) -> Path | None:
    """Folder of the run that a checkpoint lies in, if it does."""
    folder = checkpoint.absolute().parent
    return folder.parent if folder.name == "checkpoints" else None


def _working_directory(run: Path) -> Path:
    """Where the run was started, to which its paths are relative; here if that is not known."""
    try:
        start = Path(OmegaConf.load(run / ".hydra" / "hydra.yaml").hydra.runtime.cwd)
    except OSError:
        return Path()
    return start if start.is_dir() else Path()


def _settings(run: Path) -> dict[str, Any]:
    try:
        config = OmegaConf.load(run / ".hydra" / "config.yaml")
        config.output_dir = str(run)  # which was Hydra's to fill in
        settings: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    except (OSError, OmegaConfBaseException):
        return {}
    return settings


def _is(file: Path, digest: str) -> bool:
    """Whether a file is the one that a run recorded."""
    return file.is_file() and checksum(file).startswith(digest)


def _read(root: Path) -> dict[str, Any]:
    try:
        return scene_info(root)
    except InputError:
        return {}


def unique(values: Iterable[T]) -> list[T]:
    """Values of any kind without repetition, in order."""
    found: list[T] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found

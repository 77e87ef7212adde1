"""What the runs of one process share: scenes in memory and checksums of files."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

from landslide.data.dataset import SceneDataset
from landslide.data.levels import balance_dates
from landslide.geo.files import checksum
from landslide.radar.bands import ChannelBuilder


class SceneSource(NamedTuple):
    """What a scene is read from.

    Attributes:
        root: Scene folder.
        orbit: ``ascending`` or ``descending``.
        bands: Bands to read, by description.
        balanced: Whether its dates are balanced (see ``landslide.radar.balance``).
    """

    root: Path
    orbit: str
    bands: tuple[str, ...]
    balanced: bool = False

    @property
    def files(self) -> list[Path]:
        """Every file that is read, those of other orbits and the radar's geometry too."""
        images = ChannelBuilder(self.root / f"{self.orbit}.tif", self.bands).files
        return [*map(Path, images), self.root / "landslides.tif", self.root / "scene.json"]

    def open(self) -> SceneDataset:
        """Open the scene; it is read from disk, window by window.

        Raises:
            InputError: See ``Scene.of``.
        """
        scene = SceneDataset.of(self.root, self.orbit, self.bands)
        if self.balanced:
            balance_dates(scene)
        return scene


class FileState(NamedTuple):
    """What tells a file from another that was at its path before."""

    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """State of a file; None where there is none."""
        if not path.exists():
            return None
        found = path.stat()
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)


class SceneMemory:
    """Scenes and checksums that runs share, so that a sweep reads every file once.

    A file that has changed is read again.
    """

    def __init__(self) -> None:
        # The scene that was used last is at the end.
        self._scenes: dict[SceneSource, tuple[list[FileState | None], SceneDataset]] = {}
        self._checksums: dict[tuple[Path, FileState | None], str] = {}

    @property
    def bytes(self) -> int:
        """Memory that the scenes take."""
        return sum(scene.bytes for _, scene in self._scenes.values())

    def open(self, sources: Sequence[SceneSource], limit: int) -> list[SceneDataset]:
        """Open scenes, in memory where they fit; those used longest ago make room.

        Args:
            sources: What to open.
            limit: Bytes that all scenes in memory may take. Where these scenes take more, they
                are read from disk, window by window.

        Raises:
            InputError: See ``Scene.of``.
        """
        keys = [source._replace(root=source.root.resolve()) for source in sources]
        # Taken before the files are opened, so that the next run notices later changes.
        states = [[FileState.of(file) for file in key.files] for key in keys]
        kept = [self._take(key, state) for key, state in zip(keys, states, strict=True)]
        scenes = [scene or source.open() for scene, source in zip(kept, sources, strict=True)]
        needed = sum(scene.bytes for scene in scenes)
        if needed > limit:
            self._scenes.clear()
            return [
                source.open() if in_memory else scene
                for source, in_memory, scene in zip(sources, kept, scenes, strict=True)
            ]
        while self._scenes and self.bytes + needed > limit:
            del self._scenes[next(iter(self._scenes))]
        for key, state, in_memory, scene in zip(keys, states, kept, scenes, strict=True):
            if not in_memory:
                scene.load()
            self._scenes[key] = state, scene
        return scenes

    def _take(self, key: SceneSource, states: list[FileState | None]) -> SceneDataset | None:
        """Take out a scene, if it is there and its files are as they were."""
        before, scene = self._scenes.pop(key, (None, None))
        return scene if before == states else None

    def checksum(self, path: Path) -> str:
        """SHA-256 of a file, in hexadecimal digits."""
        key = path.resolve(), FileState.of(path)
        if key not in self._checksums:
            self._checksums[key] = checksum(path)
        return self._checksums[key]

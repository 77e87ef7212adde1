"""Scenes in memory, kept from one run of a process to the next: a sweep reads them once."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from landslide.data.levels import balance_dates
from landslide.data.scene import Scene
from landslide.radar.bands import ChannelBuilder


class Key(NamedTuple):
    """What a scene is read from."""

    composite: Path
    truth: Path
    bands: tuple[str, ...]
    balanced: bool

    @property
    def files(self) -> list[Path]:
        """Every file that is read, those of other orbits and the radar's geometry too."""
        images = map(Path, ChannelBuilder(self.composite, self.bands).files)
        return [*images, self.truth, self.composite.parent / "scene.json"]


class State(NamedTuple):
    """By what a file is told from the one that lay at its path before."""

    inode: int
    size: int
    modified: int


States = list[State | None]

_kept: dict[Key, tuple[States, Scene]] = {}
"""The scenes of this process and the state of their files; the one used last is at the end."""


def open_scenes(
    roots: Sequence[Path], orbit: str, bands: Sequence[str], *, limit: int, balanced: bool = False
) -> list[Scene]:
    """Open scene folders, in memory where they fit.

    A scene that an earlier run of this process has read is served as it is; one whose files
    have changed is read anew. Those used longest ago give way.

    Args:
        roots: Scene folders.
        orbit: ``ascending`` or ``descending``.
        bands: Bands to read, by description.
        limit: Bytes that all scenes in memory may take. Where these scenes take more, they are
            read from disk, window by window.
        balanced: Whether their dates are balanced (see ``landslide.radar.balance``).

    Raises:
        InputError: See ``Scene.of``.
    """
    keys = [
        Key(
            root.resolve() / f"{orbit}.tif",
            root.resolve() / "landslides.tif",
            tuple(bands),
            balanced,
        )
        for root in roots
    ]
    # Before the files are opened: what changes from here on is noticed the next time.
    states = [[_state(file) for file in key.files] for key in keys]
    known = [_take(*pair) for pair in zip(keys, states, strict=True)]
    scenes = [
        scene or _open(root, orbit, bands, balanced)
        for scene, root in zip(known, roots, strict=True)
    ]
    needed = sum(scene.bytes for scene in scenes)
    while _kept and (needed > limit or needed + _bytes_kept() > limit):
        del _kept[next(iter(_kept))]
    if needed > limit:
        return [
            _open(root, orbit, bands, balanced) if in_memory else scene
            for scene, in_memory, root in zip(scenes, known, roots, strict=True)
        ]
    for key, state, scene in zip(keys, states, scenes, strict=True):
        if scene not in known:
            scene.load()
        _kept[key] = state, scene
    return scenes


def _open(root: Path, orbit: str, bands: Sequence[str], balanced: bool) -> Scene:
    scene = Scene.of(root, orbit, bands)
    if balanced:
        balance_dates(scene)
    return scene


def _bytes_kept() -> int:
    return sum(scene.bytes for _, scene in _kept.values())


def _state(path: Path) -> State | None:
    """The state of a file; None where there is none."""
    if not path.exists():
        return None
    found = path.stat()
    return State(found.st_ino, found.st_size, found.st_mtime_ns)


def _take(key: Key, states: States) -> Scene | None:
    """Take a scene out of those that are kept, if it is there and up to date."""
    before, scene = _kept.pop(key, (None, None))
    return scene if before == states else None

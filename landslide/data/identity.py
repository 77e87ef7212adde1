"""What a run was made by and from: the program's code and the content of its scenes.

A run's settings name its folder; these say whether what lies there would come out again. They
are the same on every machine that has the same bytes, with or without git.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import landslide
from landslide.geo.files import checksum, write_json

IDENTITY = "identity.json"

APART = ("prepare", "simulate", "study", "prediction", "products")
"""Folders of the package that a training run's numbers do not pass through: what they make is
known by its content, and what they read is finished."""


LIBRARIES = (
    "kornia",
    "lightning",
    "numpy",
    "segmentation-models-pytorch",
    "torch",
    "torchgeo",
    "torchmetrics",
)
"""Libraries that decide a run's numbers."""


class Identity(NamedTuple):
    """The code that a run is computed by and the files that it is computed from.

    Attributes:
        code: Version of the program and a digest of its source, ``0.1.0+3fa29c41b07d``.
        data: Digest of each file, by its path.
    """

    code: str
    data: Mapping[str, str]

    @classmethod
    def of(cls, files: Iterable[Path]) -> "Identity":
        """Identity of a run of this program; files that are not there are left out."""
        return cls(code_version(), {str(path): _digest(path) for path in files if path.is_file()})

    @classmethod
    def read(cls, folder: Path) -> "Identity | None":
        """Identity of the run in a folder; None where there is none to read."""
        try:
            return cls(**json.loads((folder / IDENTITY).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, folder: Path) -> None:
        """Write the identity into a run's folder."""
        write_json(folder / IDENTITY, self._asdict())

    def changes(self, now: "Identity") -> list[str]:
        """What differs in this run from one of today, as clauses; empty where nothing does."""
        code = [] if self.code == now.code else [f"by {self.code}, which is not this {now.code}"]
        return code + [f"on other data in {file}" for file in self.other_files(now.data)]

    def other_files(self, data: Mapping[str, str]) -> list[str]:
        """Files whose content is not what it was, that are gone, or that are new."""
        return sorted({file for file, _ in self.data.items() ^ data.items()})


@cache
def code_version() -> str:
    """Version of the program and a digest of what trains and scores: source and libraries.

    Read once, when the first run starts: source that is edited later is not what runs.
    """
    package = Path(landslide.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        place = path.relative_to(package)
        if place.parts[0] not in APART:
            digest.update(f"{place.as_posix()}\0".encode() + path.read_bytes() + b"\0")
    for library in LIBRARIES:
        digest.update(f"{library} {version(library)}\0".encode())
    return f"{landslide.__version__}+{digest.hexdigest()[:12]}"


def _digest(path: Path) -> str:
    """Short checksum of a file, read once a process for each of its states."""
    state = path.stat()
    return _checksum(path.resolve(), state.st_ino, state.st_size, state.st_mtime_ns)


@cache
def _checksum(path: Path, inode: int, size: int, modified: int) -> str:
    return checksum(path)[:16]

"""What a run was computed by and from: the program's code and the content of its scenes.

A run's settings name its folder; its identity tells whether the same results would come out
again. It is the same on every machine that has the same bytes, with or without git.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, Self

import landslide
from landslide.geo.files import write_json

IDENTITY = "identity.json"

OTHER_ROOMS = ("prepare", "simulate", "study", "prediction", "export", "products", "respond")
"""Folders of the package whose code does not change a training run's numbers: they make its
scenes, whose content counts, or read its results."""

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
    def of(cls, files: Iterable[Path], checksum: Callable[[Path], str]) -> Self:
        """Identity of a run of this program; missing files are left out.

        Args:
            files: Every file that the run reads.
            checksum: Function from a file to its SHA-256, of which 16 digits are kept.
        """
        data = {str(path): checksum(path)[:16] for path in files if path.is_file()}
        return cls(code_version(), data)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Identity of the run in a folder; None where there is none."""
        try:
            return cls(**json.loads((folder / IDENTITY).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, folder: Path) -> None:
        """Write the identity into a run's folder."""
        write_json(folder / IDENTITY, self._asdict())

    def changes(self, now: Self) -> list[str]:
        """How this run differs from one of today, as clauses; empty if it does not."""
        code = [] if self.code == now.code else [f"by {self.code}, which is not this {now.code}"]
        return code + [f"on other data in {file}" for file in self.other_files(now.data)]

    def other_files(self, data: Mapping[str, str]) -> list[str]:
        """Files that have changed, are gone or are new."""
        return sorted({file for file, _ in self.data.items() ^ data.items()})


@cache
def code_version() -> str:
    """Version of the program and a digest of the source and libraries that train and score.

    It is taken once, when the first run starts: source that is edited later does not run.
    """
    package = Path(landslide.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package)
        if name.parts[0] not in OTHER_ROOMS:
            digest.update(f"{name.as_posix()}\0".encode() + path.read_bytes() + b"\0")
    for library in LIBRARIES:
        digest.update(f"{library} {version(library)}\0".encode())
    return f"{landslide.__version__}+{digest.hexdigest()[:12]}"

"""Files that appear whole or not at all."""

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SIDECARS = ("-wal", "-shm", "-journal", ".aux.xml", ".ovr", ".msk")
"""Endings of the files that SQLite and GDAL write beside one of theirs."""


def remove(path: Path) -> None:
    """Remove a file with its sidecars, or a folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        return
    for ending in ("", *SIDECARS):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def put_in_place(path: Path, target: Path) -> None:
    """Rename a file or folder to ``target`` after removing the sidecars of an older file.

    With another file's sidecars, a GeoPackage is damaged and a raster's statistics are wrong.
    """
    if path.is_dir():
        remove(target)
    for ending in SIDECARS:
        target.with_name(target.name + ending).unlink(missing_ok=True)
    path.replace(target)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when all went well.

    ``path`` is never half-written: on an error the temporary file is removed and an older
    ``path`` stays as it was. A link stays a link, and its target is replaced.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".part-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    temporary.unlink()
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        put_in_place(temporary, path)
    except Exception as error:
        error.add_note(f"{path} was not written")  # causes seldom name the file
        raise
    finally:
        for leftover in path.parent.glob(f"{temporary.name}*"):
            leftover.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all.

    NaN, which stands for what is not known, becomes null, since JSON has neither it nor infinity.

    Raises:
        ValueError: A number is infinite.
    """
    write_text(path, json.dumps(_known(content), indent=2, allow_nan=False) + "\n")


def _known(value: Any) -> Any:  # noqa: ANN401
    """A value of JSON with None for every NaN in it."""
    if isinstance(value, Mapping):
        return {key: _known(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_known(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Folders of results: one writer at a time, and complete or seen not to be.

Work goes on in a hidden folder within the folder of the results, hence on the same disk even
where that is a mounted volume or behind a link. When all went well, its files take the place of
the old ones. The file that tells of the others, ``summary.json`` or ``scene.json``, is taken away
first and comes last: where it is, the results are complete and of one run. Files of other names
stay as they are.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from landslide.errors import InputError, UnreadableError
from landslide.geo.files import put_in_place, remove

PARTIAL_FOLDER = ".partial"
"""Name of the hidden folder; it holds the work and the lock of who is at it."""

SCENE_FILES = (
    "ascending.tif",
    "descending.tif",
    "landslides.tif",
    "landslides.gpkg",
    "figures",
    "scene.json",
)
"""What a scene's folder may hold; the last tells of the others."""

RESUMABLE_FILES = ("settings.json", "finished.txt", "probability.tif")
"""What an interrupted map goes on from; all else follows from the probability."""


def work_folder(folder: Path) -> Path:
    """Where work on a folder's results is under way, or was when it broke off."""
    return folder / PARTIAL_FOLDER / "work"


def is_incomplete(root: Path) -> bool:
    """Whether a scene's files were being put in place when the program was killed."""
    return work_folder(root).exists() and not (root / SCENE_FILES[-1]).exists()


def require_free_folder(root: Path, *, overwrite: bool) -> None:
    """Check that a scene may be written to a folder.

    Raises:
        InputError: It holds a scene that must not be replaced, or something else.
    """
    if not root.exists():
        return
    if root.is_dir() and all(path.name == PARTIAL_FOLDER for path in root.iterdir()):
        return
    if not ((root / SCENE_FILES[-1]).exists() or is_incomplete(root)):
        raise InputError(f"{root} already exists and is not a scene; choose another root.")
    if not overwrite:
        raise InputError(
            f"{root} already holds a scene; choose another root or add overwrite=true."
        )


@contextmanager
def replacing_scene(root: Path) -> Iterator[Path]:
    """Yield an empty folder whose content becomes that of a scene when all went well.

    Raises:
        InputError: Another process is writing the scene.
    """
    with _locked_work_folder(root) as work:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            yield work
        except BaseException:
            shutil.rmtree(work)
            raise
        made = sorted(path.name for path in work.iterdir() if path.name not in SCENE_FILES)
        _replace_all(work, root, [*made, *SCENE_FILES])


@contextmanager
def replacing_products(
    output: Path, names: Sequence[str], settings: Mapping[str, Any], *, resume: bool
) -> Iterator[Path]:
    """Yield a folder whose products take the place of an earlier map's when all went well.

    Earlier products that were not made anew are removed, so that the folder never mixes two
    maps. The work outlives an interruption, to be resumed.

    Args:
        output: Folder of the products.
        names: Names of all products; the last tells of the others.
        settings: What the probability depends on; work is resumed under the same only.
        resume: Whether to go on with interrupted work, where there is any.

    Raises:
        InputError: Another process is writing to ``output``.
    """
    with _locked_work_folder(output) as work:
        _resume_or_clear(work, settings, resume=resume)
        try:
            yield work
        except BaseException as error:
            finished = work / "finished.txt"
            # Of no use to resume: bad input, or nothing done yet. What cannot be read now may be.
            useless = isinstance(error, InputError) and not isinstance(error, UnreadableError)
            if useless or not (finished.exists() and finished.stat().st_size):
                shutil.rmtree(work)
            raise
        _replace_all(work, output, names)


def _resume_or_clear(work: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
    """Keep of interrupted work what is to be resumed, or begin anew."""
    record = work / "settings.json"
    words = json.dumps(settings, sort_keys=True, default=str)
    whole = all((work / name).exists() for name in RESUMABLE_FILES)
    if resume and whole and record.read_text() == words:
        for path in work.iterdir():
            if path.name not in RESUMABLE_FILES:
                path.unlink()
    else:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        record.write_text(words)


@contextmanager
def _locked_work_folder(folder: Path) -> Iterator[Path]:
    """Yield where to work on a folder's results while no other process does.

    The lock goes with its process, however that ends. Where no work is left afterwards, the
    hidden folder goes too, and a folder that was made here and stayed empty.

    Raises:
        InputError: Another process is at it.
    """
    folder = folder.resolve()
    hidden, made = folder / PARTIAL_FOLDER, not folder.exists()
    hidden.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(hidden / "lock", timeout=0):
            try:
                yield work_folder(folder)
            finally:
                if not work_folder(folder).exists():
                    shutil.rmtree(hidden, ignore_errors=True)  # NFS keeps the open lock
                    if made and not any(folder.iterdir()):
                        folder.rmdir()
    except Timeout as error:
        raise InputError(
            f"another run is writing to {folder}: wait until it has ended, or name another folder"
        ) from error


def _replace_all(work: Path, folder: Path, names: Sequence[str]) -> None:
    """Put results in place of old ones, which go where there is no new one.

    The last name goes first and comes last. Before it comes the first, which for a map is the
    probability, from which a run killed in between makes the others again.
    """
    *others, seal = names
    remove(folder / seal)
    for name in reversed(others):
        if (work / name).exists():
            put_in_place(work / name, folder / name)
        else:
            remove(folder / name)
    put_in_place(work / seal, folder / seal)
    shutil.rmtree(work)

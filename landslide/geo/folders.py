"""Folders of results: they have one writer at a time and are never mistaken for complete.

A run works in a hidden folder within the folder of the results, hence on the same disk even where
that is a mounted volume or behind a link. When all went well, its files replace the old ones. The
file that describes the others, ``summary.json`` or ``scene.json``, is removed first and written
last: where it exists, the results are complete and of one run. Files of other names stay.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from landslide.errors import InputError, UnreadableError
from landslide.geo.files import put_in_place, remove

PARTIAL_FOLDER = ".partial"
"""Name of the hidden folder, which holds the unfinished results and the writer's lock."""

BASIS = "basis.json"
"""File of a map of ``landslide respond`` that says what the map rests on."""

SCENE_INFO = "scene.json"
SCENE_CONTENTS = (
    "ascending.tif",
    "descending.tif",
    "landslides.tif",
    "landslides.gpkg",
    "dates",
    "figures",
)
"""What a scene's folder may hold besides ``scene.json``, which describes them."""

MEASURES = ("probability.tif", "score.tif")
"""The raster of a map, one of the two; all other products follow from it."""

BLOCKS_FOLDER = "blocks"
"""Blocks of a map that other processes have computed."""

RESUMABLE_FILES = ("settings.json", "finished.txt", BLOCKS_FOLDER, *MEASURES)
"""What an interrupted map resumes from."""


def work_folder(folder: Path) -> Path:
    """Where a folder's results are being written, or were when a run was interrupted."""
    return folder / PARTIAL_FOLDER / "work"


def pieces_folder(root: Path) -> Path:
    """Where a scene keeps the pieces of its rasters until it is complete."""
    return root / PARTIAL_FOLDER / "pieces"


def measure_of(folder: Path) -> Path:
    """The raster of a map: its probability, or its score where it is no probability."""
    probability, score = (folder / name for name in MEASURES)
    return score if score.exists() else probability


def is_incomplete(root: Path) -> bool:
    """Whether a scene's files were being put in place when the program was killed."""
    return work_folder(root).exists() and not (root / SCENE_INFO).exists()


def require_free_folder(root: Path, *, overwrite: bool) -> None:
    """Check that a scene may be written to a folder.

    Raises:
        InputError: The folder holds a scene that must not be replaced, or something else.
    """
    if not root.exists():
        return
    if root.is_dir() and all(path.name == PARTIAL_FOLDER for path in root.iterdir()):
        return
    if not ((root / SCENE_INFO).exists() or is_incomplete(root)):
        raise InputError(f"{root} already exists and is not a scene; choose another root.")
    if not overwrite:
        raise InputError(
            f"{root} already holds a scene; choose another root or add overwrite=true."
        )


@contextmanager
def replacing_files(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Yield an empty folder whose content replaces that of another when all went well.

    Args:
        folder: The other folder. What it holds under ``names`` is removed.
        names: Files, of which the last describes the others.

    Raises:
        InputError: Another process is writing to ``folder``.
    """
    with _locked_work_folder(folder) as work:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            yield work
        except BaseException:
            shutil.rmtree(work)
            raise
        others = sorted({path.name for path in work.iterdir()} - set(names))
        _replace_all(work, folder, [*others, *names])
        shutil.rmtree(pieces_folder(folder), ignore_errors=True)


def replacing_scene(root: Path) -> AbstractContextManager[Path]:
    """Yield an empty folder whose content replaces that of a scene when all went well.

    Raises:
        InputError: Another process is writing the scene.
    """
    return replacing_files(root, (*SCENE_CONTENTS, SCENE_INFO))


@contextmanager
def replacing_products(
    output: Path, names: Sequence[str], settings: Mapping[str, Any], *, resume: bool
) -> Iterator[Path]:
    """Yield a folder whose products replace those of an earlier map when all went well.

    Earlier products without a new version are removed, so that the folder never mixes two maps.
    Unfinished work outlives an interruption and can be resumed.

    Args:
        output: Folder of the products.
        names: Names of all products; the last describes the others.
        settings: What the raster depends on; work is resumed only under the same settings.
        resume: Whether to resume interrupted work.

    Raises:
        InputError: Another process is writing to ``output``.
    """
    with _locked_work_folder(output) as work:
        _resume_or_clear(work, settings, resume=resume)
        try:
            yield work
        except BaseException as error:
            finished = work / "finished.txt"
            # Bad input cannot be resumed, whereas an unreadable file may be readable later.
            bad_input = isinstance(error, InputError) and not isinstance(error, UnreadableError)
            if bad_input or not (finished.exists() and finished.stat().st_size):
                shutil.rmtree(work)
            raise
        _replace_all(work, output, names)


def _resume_or_clear(work: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
    """Keep what can be resumed of interrupted work, or start with an empty folder."""
    record = work / "settings.json"
    text = json.dumps(settings, sort_keys=True, default=str)
    resumable = record.exists() and (work / "finished.txt").exists() and measure_of(work).exists()
    if resume and resumable and record.read_text() == text:
        for path in work.iterdir():
            if path.name not in RESUMABLE_FILES:
                path.unlink()
    else:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        record.write_text(text)


@contextmanager
def _locked_work_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder's work folder while no other process may write to it.

    The lock ends with its process. Where no work is left afterwards, the hidden folder is removed,
    and so is a folder that was created here and stayed empty.

    Raises:
        InputError: Another process is writing to the folder.
    """
    folder = folder.resolve()
    hidden, created = folder / PARTIAL_FOLDER, not folder.exists()
    hidden.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(hidden / "lock", timeout=0):
            try:
                yield work_folder(folder)
            finally:
                if not (work_folder(folder).exists() or pieces_folder(folder).exists()):
                    shutil.rmtree(hidden, ignore_errors=True)  # NFS keeps the open lock
                    if created and not any(folder.iterdir()):
                        folder.rmdir()
    except Timeout as error:
        raise InputError(
            f"another run is writing to {folder}: wait until it has ended, or name another folder"
        ) from error


def _replace_all(work: Path, folder: Path, names: Sequence[str]) -> None:
    """Replace old results by new ones, and remove old results without a new version.

    The last name is removed first and written last. The first name comes just before it: for a
    map this is its raster, from which a run that was killed in between restores the others.
    """
    *others, last = names
    remove(folder / last)
    for name in reversed(others):
        if (work / name).exists():
            put_in_place(work / name, folder / name)
        else:
            remove(folder / name)
    put_in_place(work / last, folder / last)
    shutil.rmtree(work)

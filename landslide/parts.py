"""Work in parts, spread over processes and machines by Hydra's launchers.

The program that does the work runs ``landslide part`` as a sweep over the numbers of the parts, on
the launcher that its own command line chose (``launcher=joblib``, ``slurm``, ``ray``). Parts share
nothing but a folder, in which the work lies as a pickle and each part leaves its result: machines
must see it under the same path. A part with a result is not computed again.

Parts outlive a program that is killed. The run that goes on from its results takes their folder
over under another name, so that such parts can leave nothing more, and end.
"""

import hashlib
import os
import pickle
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from landslide.config.imports import importing
from landslide.errors import InputError
from landslide.geo.files import replacing

P = TypeVar("P")
R = TypeVar("R")

WORK = "work.pickle"

JOBS = "jobs"
"""Folder within a work's in which ``conf/part.yaml`` lets Hydra make one for each part."""

WAIT = 0.2
"""Seconds between looks at the parts that are done."""


@dataclass(frozen=True)
class Launcher:
    """A launcher of Hydra.

    Attributes:
        name: Option of ``conf/launcher``.
        words: What the command line says of it, such as ``hydra.launcher.n_jobs=4``.
    """

    name: str
    words: tuple[str, ...] = ()

    @classmethod
    def chosen(cls) -> Self | None:
        """The launcher of this program's command line; None without, and within a sweep."""
        if not HydraConfig.initialized() or HydraConfig.get().mode == RunMode.MULTIRUN:
            return None
        name = HydraConfig.get().runtime.choices.get("launcher")
        if name is None:
            return None
        words = [word for word in HydraConfig.get().overrides.hydra if "hydra.launcher" in word]
        return cls(str(name), tuple(words))


def take_over(parent: Path, settings: str) -> Path:
    """Take over what an interrupted run has left of a work.

    Args:
        parent: Holds the folders of works.
        settings: Everything that the results depend on.

    Returns:
        The folder of the work, whose name no other run knows. It is there only if an earlier run
        with the same settings had left one.
    """
    parent = parent.resolve()
    digest = hashlib.sha256(settings.encode()).hexdigest()[:10]
    folder = parent / f"{digest}-{secrets.token_hex(4)}"
    works = parent.glob(f"{digest}-*/**/{WORK}")
    if earlier := {work.relative_to(parent).parts[0] for work in works}:
        (parent / min(earlier)).rename(folder)
    return folder


def require_work(folder: Path) -> None:
    """Require that a program still waits for the parts of a work.

    Raises:
        RuntimeError: The folder is gone.
    """
    if not (folder / WORK).exists():
        raise RuntimeError(
            f"{folder} holds no work: the run that had started it was killed and started again, or "
            "this machine does not see the folder"
        )


def compute_parts(
    function: Callable[[P], R],
    parts: Sequence[P],
    folder: Path,
    launcher: Launcher,
    advance: Callable[[], object] = lambda: None,
) -> list[R]:
    """Let a launcher compute a function of each part.

    Args:
        function: A function of a module, or a ``partial`` of one, that can be pickled.
        parts: Its arguments.
        folder: Of the work; results that it holds are used.
        launcher: Spreads the parts.
        advance: Is called when a part is done.

    Returns:
        The results in order.

    Raises:
        InputError: A part raised one, or the launcher failed; its output is the cause.
    """
    folder = folder.resolve()
    _write_pickle(folder / WORK, (Path.cwd(), function, list(parts)))
    for number in range(len(parts)):
        _forget_error(folder, number)
    missing = [number for number in range(len(parts)) if not _result(folder, number).exists()]
    if missing:
        _launch(folder, missing, launcher, advance)
    return [_read_result(folder, number) for number in range(len(parts))]


def compute_part(folder: Path, number: int) -> None:
    """Compute one part of a work and leave its result.

    An ``InputError`` is a result too, so that the program that waits for it can say it.

    Raises:
        RuntimeError: No program waits for it any more.
    """
    if not (folder / WORK).exists():
        with suppress(OSError):
            os.removedirs(folder / JOBS / str(number))  # Hydra has made it for this part
    require_work(folder)
    with importing():
        place, function, parts = _read_pickle(folder / WORK)
    result: Any
    try:
        with chdir(place):  # workers of a cluster start elsewhere
            result = function(parts[number])
    except InputError as error:
        result = error
    require_work(folder)
    _write_pickle(_result(folder, number), result)


def _launch(
    folder: Path, missing: Sequence[int], launcher: Launcher, advance: Callable[[], object]
) -> None:
    """Run the parts that are missing as a sweep of a process of its own."""
    numbers = ",".join(map(str, missing))
    work = str(folder).replace("'", "\\'")
    command = [sys.executable, "-m", "landslide", "part", f"work='{work}'", f"part={numbers}"]
    command += [f"launcher={launcher.name}", *launcher.words, "-m"]
    with ThreadPoolExecutor(1) as waiting:
        run = waiting.submit(subprocess.run, command, capture_output=True, text=True, check=False)
        done = 0
        while not run.done():
            time.sleep(WAIT)
            found = sum(_result(folder, number).exists() for number in missing)
            for _ in range(found - done):
                advance()
            done = found
    process = run.result()
    lacking = [number for number in missing if not _result(folder, number).exists()]
    if process.returncode or lacking:
        said = (process.stderr or process.stdout).strip()
        reason = said.splitlines()[-1] if said else f"exit status {process.returncode}"
        raise InputError(
            f"launcher={launcher.name} ended without parts {lacking} ({reason}): see to that and "
            "start again, predict.py with resume=true; what is done is kept"
        ) from RuntimeError(said)


def _result(folder: Path, number: int) -> Path:
    return folder / f"{number}.result"


def _read_result(folder: Path, number: int) -> Any:  # noqa: ANN401
    result = _read_pickle(_result(folder, number))
    if isinstance(result, InputError):
        raise result
    return result


def _forget_error(folder: Path, number: int) -> None:
    """Remove the result of a part that was bad input, since that may be mended."""
    path = _result(folder, number)
    if path.exists() and isinstance(_read_pickle(path), InputError):
        path.unlink()


def _read_pickle(path: Path) -> Any:  # noqa: ANN401
    with path.open("rb") as file:
        return pickle.load(file)


def _write_pickle(path: Path, content: object) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        pickle.dump(content, file)

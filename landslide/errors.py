"""The error that a user can mend, and failures of files, disks and servers told as one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hydra.errors import CompactHydraException

LIBRARIES = {"rasterio", "pyogrio", "sqlite3"}
"""Read and write files for us. Their errors, GDAL's among them, have no public class in common."""


class InputError(CompactHydraException, ValueError):
    """Input that cannot be used: which file or key, what is wrong, what to do.

    Hydra prints a ``CompactHydraException`` as its message alone and exits with
    status 1; ``HYDRA_FULL_ERROR=1`` shows the traceback.
    """


class UnreadableError(InputError, OSError):
    """A file that could be opened and not be read to its end, for now or for good."""


@contextmanager
def failures_as_input_errors(hint: Callable[[], str] = str) -> Iterator[None]:
    """Turn what a full disk, a damaged raster or a vanished server ends in into one sentence.

    Also a decorator. Errors of the program itself keep their traceback.

    Args:
        hint: What to do, asked for when something failed.

    Raises:
        InputError: Reading or writing failed; names the causes.
    """
    try:
        yield
    except Exception as error:
        known = isinstance(error, InputError) and not isinstance(error, UnreadableError)
        if known or not _is_failure(error):
            raise
        # An error of our own has said its causes already.
        causes = str(error) if isinstance(error, UnreadableError) else _causes(error)
        raise InputError(f"reading or writing failed: {causes}{hint()}") from error


def _is_failure(error: Exception) -> bool:
    """Whether an error is the system's, or of a library that reads and writes files."""
    packages = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, OSError) or not packages.isdisjoint(LIBRARIES)


def _causes(error: BaseException | None) -> str:
    """What went wrong, from the last cause to the first; GDAL tells it in pieces."""
    words: list[str] = []
    while error is not None:
        for text in (*getattr(error, "__notes__", ()), str(error)):
            line = " ".join(text.split())
            if line and "previous exception" not in line and line not in words:
                words.append(line)
        error = error.__cause__ or error.__context__
    return ": ".join(words)

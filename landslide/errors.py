"""The error that a user can mend, and failures of files, disks and servers as such errors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hydra.errors import CompactHydraException

FILE_LIBRARIES = {"rasterio", "pyogrio", "sqlite3"}
"""Libraries that read and write files; their errors have no public class in common."""


class InputError(CompactHydraException, ValueError):
    """Input that cannot be used: which file or key, what is wrong, what to do.

    Programs print its message alone and exit with status 1. With ``HYDRA_FULL_ERROR=1`` they
    show the traceback.
    """


class UnreadableError(InputError, OSError):
    """A file that was opened but could not be read to its end; another try may succeed."""


@contextmanager
def failures_as_input_errors(hint: Callable[[], str] = str) -> Iterator[None]:
    """Turn a full disk, a damaged raster or a lost server into one sentence; also a decorator.

    Errors of the program itself pass unchanged.

    Args:
        hint: Called after a failure; returns the end of the sentence, which says what to do.

    Raises:
        InputError: Reading or writing failed; names the causes.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, UnreadableError):  # its message names the causes already
            causes = str(error)
        elif not isinstance(error, InputError) and _is_file_failure(error):
            causes = _causes(error)
        else:
            raise
        raise InputError(f"reading or writing failed: {causes}{hint()}") from error


def _is_file_failure(error: Exception) -> bool:
    """Whether an error is the system's, or of a library that reads and writes files."""
    packages = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, OSError) or not packages.isdisjoint(FILE_LIBRARIES)


def _causes(error: BaseException | None) -> str:
    """Messages from the last error to the first, since GDAL spreads one failure over several."""
    messages: list[str] = []
    while error is not None:
        for text in (*getattr(error, "__notes__", ()), str(error)):
            line = " ".join(text.split())
            if line and "previous exception" not in line and line not in messages:
                messages.append(line)
        error = error.__cause__ or error.__context__
    return ": ".join(messages)

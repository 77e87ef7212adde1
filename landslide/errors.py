"""The error that a user can mend."""

from hydra.errors import CompactHydraException


class InputError(CompactHydraException, ValueError):
    """Input that cannot be used: which file or key, what is wrong, what to do.

    Hydra prints a ``CompactHydraException`` as its message alone and exits with
    status 1; ``HYDRA_FULL_ERROR=1`` shows the traceback.
    """


class UnreadableError(InputError, OSError):
    """A file that could be opened and not be read to its end, for now or for good."""

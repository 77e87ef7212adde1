"""Imports of large libraries, while the garbage collector pauses."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Let a program import what does its work, without collecting garbage.

    Torch and its like leave hundreds of thousands of objects that stay until the end. Python's
    garbage collector would walk them many times while they are imported, at every full collection
    afterwards, and for a second when the program ends. It pauses inside, and leaves what is there
    afterwards alone. Only the first use in a process counts: what later ones found might become
    garbage.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()

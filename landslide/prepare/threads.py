"""Windows that several threads read while their results are written in order."""

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from rasterio.errors import NotGeoreferencedWarning

from landslide.geo.grid import Window

T = TypeVar("T")

THREADS = min(4, os.cpu_count() or 1)
"""Threads that read; few, since each holds the pixels of a block."""


def read_side_by_side(
    readers: Sequence[Callable[[Window], T]], windows: Sequence[Window]
) -> Iterator[tuple[Window, T]]:
    """Read windows in threads, and yield each with its result in the order of the windows.

    At most one result a reader waits, so memory does not grow with the number of windows.

    Args:
        readers: One for each thread, since open rasters must not be shared between threads.
        windows: What to read.
    """
    with warnings.catch_warnings(), ThreadPoolExecutor(len(readers)) as pool:
        # rasterio silences it for the rasters in memory that it warps, which is not thread-safe.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        running: deque[tuple[Window, Future[T]]] = deque()
        for number, window in enumerate(windows):
            reader = readers[number % len(readers)]
            if len(running) < len(readers):
                running.append((window, pool.submit(reader, window)))
                continue
            first, future = running.popleft()
            result = future.result()  # the reader is free from here on
            running.append((window, pool.submit(reader, window)))
            yield first, result
        for window, future in running:
            yield window, future.result()

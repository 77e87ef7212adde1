"""Settings of the process that large rasters and convolutions on a CPU need."""

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

# Options of glibc's mallopt, see malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8


def tune_cpu() -> None:
    """Prepare this process for training or prediction; call before the first operation.

    Threads that torch has started already keep their own treatment of denormals.
    """
    keep_memory()
    # GDAL's cache would otherwise grow with the scene, up to a twentieth of the memory. It holds
    # the tiles of a window of a map in eighteen bands, which are decoded again for each band else.
    os.environ.setdefault("GDAL_CACHEMAX", "192")
    # Gradients of a saturated loss fall below 1e-38, where each operation takes a hundred
    # times longer: an epoch takes up to half as long again.
    torch.set_flush_denormal(True)
    # Lightning makes torch look for GPUs through NVML, so that processes can still be forked.
    # This process forks none, and Adam would ask NVML at every step.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread inside.

    At the end of every operation threads wait for each other, spinning. For many small operations
    that takes longer than it saves, and many times as long where other programs run.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def keep_memory() -> None:
    """Make glibc keep freed memory instead of returning it to the kernel.

    Activations of tens of MiB are otherwise mapped and unmapped at every layer, and
    the kernel zeroes their pages each time. Does nothing without glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_ARENA_MAX, 1)  # otherwise every thread keeps memory of its own
    libc.mallopt(M_MMAP_THRESHOLD, 2**30)
    libc.mallopt(M_TRIM_THRESHOLD, 2**30)
    libc.mallopt(M_TOP_PAD, 64 * 2**20)


def trim_memory() -> None:
    """Return free memory to the kernel. Does nothing without glibc."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


class MemoryTrimmer:
    """Trims the memory of a process that predicts block by block, when it has grown.

    Kept memory fragments: a fragment that is slightly too small for the next block stays unused.
    Trimming costs a fraction of a second, since the kernel zeroes the pages again.
    """

    reference_block = 2
    """Block after which reading, network and writing have all used their memory."""

    first_trim = 7
    """Block from which memory is trimmed, so that small scenes are not slowed down."""

    tolerance = 1.03

    def __init__(self) -> None:
        self._blocks, self._reference = 0, 0

    def after_block(self) -> None:
        """Compare the process with its size after the reference block. Only on Linux."""
        statistics = Path("/proc/self/statm")
        if not statistics.exists():
            return
        self._blocks += 1
        resident = int(statistics.read_text().split()[1])  # pages
        if self._blocks == self.reference_block:
            self._reference = resident
        elif self._blocks >= self.first_trim and resident > self.tolerance * self._reference:
            trim_memory()

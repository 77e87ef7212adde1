"""Settings of the process that large rasters and convolutions on a CPU need."""

import ctypes
import os
import platform
from pathlib import Path

import torch

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8
_KEEP = 2**30


def tune_cpu() -> None:
    """Prepare this process for training or prediction; call before the first operation.

    Threads that torch has started already keep their own treatment of denormals.
    """
    keep_memory()
    # GDAL's cache would grow with the scene up to a twentieth of the machine's memory.
    os.environ.setdefault("GDAL_CACHEMAX", "64")
    # Gradients of a saturated loss fall below 1e-38, where the processor needs a hundred
    # times longer for each: an epoch takes up to half as long again.
    torch.set_flush_denormal(True)
    # Lightning has torch look for GPUs through NVML, so that processes can still be forked.
    # None is forked here, and Adam looks at every step.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


def keep_memory() -> None:
    """Tell glibc to keep freed memory instead of returning it to the kernel.

    Activations of tens of MiB are otherwise mapped and unmapped at every layer, and
    the kernel zeroes their pages each time. Does nothing without glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_ARENA_MAX, 1)  # else every thread keeps memory of its own
    for option in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD, _M_TOP_PAD):
        libc.mallopt(option, _KEEP if option != _M_TOP_PAD else 64 * 2**20)


class MemoryTrimmer:
    """Returns unused memory to the kernel when the process has grown.

    Kept memory falls into pieces: a piece a little too small for the next block is left over
    and another is taken. Returning pieces costs a fraction of a second, since the kernel zeroes
    their pages again, so it happens only when the process has grown.
    """

    filled = 2
    """Blocks after which reading, network and writing have met, and nothing more should come."""

    patience = 6
    """Blocks before the first look: a small scene is not held up."""

    tolerance = 1.03

    def __init__(self) -> None:
        self._blocks, self._usual = 0, 0

    def after_block(self) -> None:
        """Trim memory after a block if the process has grown; only on Linux."""
        statistics = Path("/proc/self/statm")
        if not statistics.exists():
            return
        self._blocks += 1
        resident = int(statistics.read_text().split()[1])  # pages
        if self._blocks == self.filled:
            self._usual = resident
        elif self._blocks > self.patience and resident > self.tolerance * self._usual:
            trim_memory()


def trim_memory() -> None:
    """Return memory that is free to the kernel. Does nothing without glibc."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)

"""How a scene is divided into windows, and how their predictions join without seams.

A predictor says which input a block of output needs, and computes it. Blocks do not
depend on each other, so a scene streams through memory block by block.
"""

from itertools import pairwise, product
from math import ceil
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landslide.errors import InputError
from landslide.geo.grid import Window
from landslide.models.halo import Halo
from landslide.training.network import Network

MAX_WINDOW_PIXELS = 1700**2
"""Pixels of the largest window, halo included: 1.4 GB in the paper's network."""

MIN_BLOCK_SIDE = 256
"""Shortest block in pixels, along either axis of a scene that is divided."""


class Predictor(Protocol):
    """Probability (and spread) of a scene of a given size, block by block."""

    network: Network
    blocks: list[Window]
    """The blocks that cover the scene."""

    def source(self, block: Window) -> Window:
        """Window of the scene that the block depends on; may extend beyond the edges."""

    def __call__(self, image: Tensor, block: Window) -> Tensor:
        """Map the source window's image (C, H, W) to the block's output (K, H, W)."""


class Division(NamedTuple):
    """One axis of a scene, divided into blocks whose windows are equally long.

    Equal windows reuse the same memory, and compilers generate code for one size.

    Attributes:
        starts: First pixel of each block.
        window: Length of every window: a block with its halo.
    """

    starts: list[int]
    window: int


def divide_axis(length: int, halo: Halo) -> list[Division]:
    """List the possible divisions of an axis, from a single window to the shortest blocks.

    Args:
        length: Pixels of the axis.
        halo: Grid on which windows start, and the pixels they need around a block.
    """
    length = _round_up(length, halo.grid)
    divisions = [Division([0], length)]
    while True:
        number = len(divisions[-1].starts) + 1
        halos = 2 * halo.size * (number - 1)
        window = halo.grid * ceil((length + halos) / (number * halo.grid))
        block = window - 2 * halo.size
        # The first window has a halo on one side only, so its block is longer.
        starts = [0, *(i * block + halo.size for i in range(1, number))]
        if block < max(MIN_BLOCK_SIDE, halo.size // 2) or starts[-1] >= length:
            return divisions
        divisions.append(Division(starts, window))


def divide_scene(size: tuple[int, int], halo: Halo) -> tuple[Division, Division]:
    """Divide rows and columns such that windows of at most ``MAX_WINDOW_PIXELS`` overlap least.

    Where halos are too large for that, the windows are the smallest possible.
    """

    def computed(pair: tuple[Division, Division]) -> int:
        rows, cols = pair
        return rows.window * len(rows.starts) * cols.window * len(cols.starts)

    pairs = list(product(divide_axis(size[0], halo), divide_axis(size[1], halo)))
    areas = [rows.window * cols.window for rows, cols in pairs]
    limit = MAX_WINDOW_PIXELS if min(areas) <= MAX_WINDOW_PIXELS else min(areas)
    return min(
        (pair for pair, area in zip(pairs, areas, strict=True) if area <= limit), key=computed
    )


def _round_up(pixels: int, grid: int) -> int:
    return -(-pixels // grid) * grid


def _blocks(size: tuple[int, int], rows: list[int], cols: list[int]) -> list[Window]:
    """Windows between starts along both axes, row by row."""
    return [
        Window(top, left, bottom - top, right - left)
        for top, bottom in pairwise([*rows, size[0]])
        for left, right in pairwise([*cols, size[1]])
    ]


class HaloPredictor:
    """One pass per block with a halo: equals one pass over the whole scene.

    Windows start at multiples of the network's grid, since pooling is not shift-invariant, and
    end where the scene does (rounded up to the grid), so that the convolutions pad the same
    pixels with zeros.

    Args:
        network: Normalises by stored statistics.
        size: Height and width of the scene.
        halo: What a block's probabilities depend on.
        side: Side of a block; default: equal windows, see ``divide_scene``.

    Raises:
        InputError: The halo or the side is not a multiple of the grid.
    """

    def __init__(
        self, network: Network, size: tuple[int, int], halo: Halo, side: int | None = None
    ) -> None:
        if halo.size % halo.grid or halo.size < 0:
            raise InputError(f"window.halo={halo.size} is not a multiple of {halo.grid} px")
        if (side or 0) % halo.grid:
            raise InputError(f"window.size={side} is not a multiple of {halo.grid} px")
        self.network = network
        self.halo = halo
        self.height, self.width = (_round_up(pixels, halo.grid) for pixels in size)
        if side:
            starts = [list(range(0, pixels, side)) for pixels in size]
            self.min_window = (0, 0)
        else:
            rows, cols = divide_scene(size, halo)
            starts = [rows.starts, cols.starts]
            self.min_window = (rows.window, cols.window)
        self.blocks = _blocks(size, *starts)

    def source(self, block: Window) -> Window:
        """Return the block with its halo, clipped to the scene."""
        top, bottom = self._extend(block.row, block.height, self.height, self.min_window[0])
        left, right = self._extend(block.col, block.width, self.width, self.min_window[1])
        return Window(top, left, bottom - top, right - left)

    def _extend(self, start: int, length: int, end: int, window: int) -> tuple[int, int]:
        """Extend a block along one axis by its halo, and to the common window length."""
        first = max(start - self.halo.size, 0)
        last = min(_round_up(start + length, self.halo.grid) + self.halo.size, end)
        last = min(max(last, first + window), end)
        return max(min(first, last - window), 0), last

    def __call__(self, image: Tensor, block: Window) -> Tensor:
        """Return the block's output (K, H, W), see ``Network``."""
        return self.network(image[None])[0][:, *block.within(self.source(block))]


class BlendPredictor:
    """Overlapping windows, each normalised by itself, blended by Hann weights.

    Args:
        network: Normalises each window by its own minimum and maximum.
        size: Height and width of the scene.
        window: Side of a window in pixels.
        overlap: Share of a window that its neighbour covers, in [0, 1). At 0 windows tile
            the scene as in the paper.
        batch_size: Windows per pass.

    Raises:
        InputError: The overlap is outside of [0, 1).
    """

    def __init__(
        self,
        network: Network,
        size: tuple[int, int],
        window: int,
        overlap: float,
        batch_size: int = 32,
    ) -> None:
        if not 0 <= overlap < 1:
            raise InputError(f"window.overlap={overlap} is outside of [0, 1)")
        self.network = network
        self.window = window
        self.batch_size = batch_size
        stride = max(1, round(window * (1 - overlap)))
        self.rows, self.cols = (_window_starts(side, window, stride) for side in size)
        self.blocks = _blocks(size, *(axis.starts for axis in divide_scene(size, Halo(window, 0))))
        # Weights are above 0, so that pixels covered once keep their value.
        ramp = torch.sin(torch.pi * (torch.arange(window) + 0.5) / window) ** 2
        self.weight = torch.outer(ramp, ramp) if overlap else torch.ones(window, window)

    def source(self, block: Window) -> Window:
        """Return the bounding box of all windows that touch the block."""
        rows, cols = self._touching(block)
        height, width = rows[-1] - rows[0] + self.window, cols[-1] - cols[0] + self.window
        return Window(rows[0], cols[0], height, width)

    def __call__(self, image: Tensor, block: Window) -> Tensor:
        """Return the block's output (K, H, W), see ``Network``."""
        source = self.source(block)
        rows, cols = self._touching(block)
        offsets = [(r - source.row, c - source.col) for r, c in product(rows, cols)]
        total = torch.zeros(len(self.network.bands), source.height, source.width)
        weight = torch.zeros(source.height, source.width)
        side = self.window
        for i in range(0, len(offsets), self.batch_size):
            batch = offsets[i : i + self.batch_size]
            patches = torch.stack([image[:, r : r + side, c : c + side] for r, c in batch])
            for (r, c), output in zip(batch, self.network(patches), strict=True):
                total[:, r : r + side, c : c + side] += output * self.weight
                weight[r : r + side, c : c + side] += self.weight
        inside = block.within(source)
        return total[:, *inside] / weight[inside]

    def _touching(self, block: Window) -> tuple[list[int], list[int]]:
        """Starts of the windows that touch a block, along both axes."""

        def touching(starts: NDArray[np.int64], start: int, length: int) -> list[int]:
            return [int(s) for s in starts if start - self.window < s < start + length]

        return (
            touching(self.rows, block.row, block.height),
            touching(self.cols, block.col, block.width),
        )


def _window_starts(length: int, window: int, stride: int) -> NDArray[np.int64]:
    """Starts of windows that cover an axis.

    The last of overlapping windows ends at the scene's edge; tiles extend beyond it.
    """
    if stride == window or length <= window:
        return np.arange(0, length, window)
    return np.unique([*range(0, length - window, stride), length - window])

"""From an image of any size to probabilities without seams.

A predictor says which input a block of output needs and computes it. Blocks do not
depend on each other, so a scene streams through memory block by block.
"""

from itertools import pairwise, product
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from landslide.errors import InputError
from landslide.geo.grid import Window
from landslide.models.halo import Halo
from landslide.training.network import Network

MAX_WINDOW_PIXELS = 1700**2
"""Most pixels that the network sees at once, halo included: 1.4 GB in the paper's network."""

MIN_BLOCK_SIDE = 256
"""Shortest side of a block in pixels that is considered."""


class Predictor(Protocol):
    """Probability (and spread) of a scene of a given size, block by block."""

    network: Network
    blocks: list[Window]
    """What the scene is cut into."""

    def source(self, block: Window) -> Window:
        """Window of the scene that the block depends on; may hang over the edges."""

    def __call__(self, image: Tensor, block: Window) -> Tensor:
        """Map the source window's image (C, H, W) to the block's output (K, H, W)."""


class Axis(NamedTuple):
    """One axis of a scene cut into blocks that are seen through windows of one length.

    Windows alike keep memory flat, since what one leaves the next one fits in, and are what
    compilers want.

    Attributes:
        length: Pixels of the axis, a multiple of the grid.
        window: Length of every window: a block with its halo.
        number: How many windows there are.
        halo: Pixels that a window sees beyond a block, where the scene goes on.
    """

    length: int
    window: int
    number: int
    halo: int

    @property
    def computed(self) -> int:
        """Length of all windows together."""
        return self.window * self.number

    @property
    def starts(self) -> list[int]:
        """Where the blocks begin; the first has a halo on one side only."""
        step = self.window - 2 * self.halo
        return [0, *(i * step + self.halo for i in range(1, self.number))]


def axis_layouts(length: int, halo: Halo) -> list[Axis]:
    """Every way to cut an axis, from one window on.

    Args:
        length: Pixels of the axis.
        halo: Grid on which windows begin, and what they see around a block.
    """
    grid, reach = halo
    length = _up(length, grid)
    axes = [Axis(length, length, 1, reach)]
    while True:
        number = axes[-1].number + 1
        window = _up(-(-(length + 2 * reach * (number - 1)) // number), grid)
        axis = Axis(length, window, number, reach)
        if window - 2 * reach < max(MIN_BLOCK_SIDE, reach // 2) or axis.starts[-1] >= length:
            return axes
        axes.append(axis)


def cheapest_layout(size: tuple[int, int], halo: Halo) -> tuple[Axis, Axis]:
    """The cut of both axes by which the least is computed, within ``MAX_WINDOW_PIXELS`` pixels."""
    pairs = list(product(axis_layouts(size[0], halo), axis_layouts(size[1], halo)))
    fitting = [pair for pair in pairs if pair[0].window * pair[1].window <= MAX_WINDOW_PIXELS]
    # Large windows and halos may be asked for: then the smallest that there is.
    pairs = fitting or [min(pairs, key=lambda pair: pair[0].window * pair[1].window)]
    return min(pairs, key=lambda pair: pair[0].computed * pair[1].computed)


def _up(pixels: int, grid: int) -> int:
    """Round up to a grid."""
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

    Window origins and the halo are multiples of the network's grid, since pooling is not
    shift-invariant. At the scene's edges the input ends where the scene does (filled up
    to a multiple of the grid), so that the convolutions' zero padding lies where it would.

    Args:
        network: Normalises by stored statistics.
        size: Height and width of the scene.
        halo: What a block's probabilities depend on.
        side: Side of a block; None for the cut by which the least is computed twice, with
            windows alike.
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
        self.height, self.width = (_up(pixels, halo.grid) for pixels in size)
        if side:
            starts = [list(range(0, pixels, side)) for pixels in size]
            self.window = (0, 0)  # as small as the block allows
        else:
            axes = cheapest_layout(size, halo)
            starts = [axis.starts for axis in axes]
            self.window = (axes[0].window, axes[1].window)
        self.blocks = _blocks(size, *starts)

    def source(self, block: Window) -> Window:
        """Return the block with its halo, cut off at the scene's edges."""
        top, bottom = self._reach(block.row, block.height, self.height, self.window[0])
        left, right = self._reach(block.col, block.width, self.width, self.window[1])
        return Window(top, left, bottom - top, right - left)

    def _reach(self, start: int, length: int, end: int, window: int) -> tuple[int, int]:
        """First and last pixel along one axis; the last window is moved inwards to be alike."""
        first = max(start - self.halo.size, 0)
        last = min(_up(start + length, self.halo.grid) + self.halo.size, end)
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
        self.rows, self.cols = (_starts(side, window, stride) for side in size)
        self.blocks = _blocks(
            size, *(axis.starts for axis in cheapest_layout(size, Halo(window, 0)))
        )
        # Strictly positive, so that pixels covered once keep their value.
        ramp = torch.sin(torch.pi * (torch.arange(window) + 0.5) / window) ** 2
        self.weight = torch.outer(ramp, ramp) if overlap else torch.ones(window, window)

    def source(self, block: Window) -> Window:
        """Return the bounding box of all windows that touch the block."""
        rows, cols = self._touching(block)
        return Window(
            int(rows[0]),
            int(cols[0]),
            int(rows[-1] - rows[0]) + self.window,
            int(cols[-1] - cols[0]) + self.window,
        )

    def __call__(self, image: Tensor, block: Window) -> Tensor:
        """Return the block's output (K, H, W), see ``Network``."""
        source = self.source(block)
        rows, cols = self._touching(block)
        offsets = [(int(r - source.row), int(c - source.col)) for r in rows for c in cols]
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

    def _touching(self, block: Window) -> tuple[np.ndarray, np.ndarray]:
        def touching(starts: np.ndarray, start: int, length: int) -> np.ndarray:
            return starts[(starts > start - self.window) & (starts < start + length)]

        return (
            touching(self.rows, block.row, block.height),
            touching(self.cols, block.col, block.width),
        )


def _starts(length: int, window: int, stride: int) -> np.ndarray:
    """Window starts along one axis that cover it.

    Overlapping windows end at the edge, where the last is moved inwards; tiles hang over.
    """
    if stride == window or length <= window:
        return np.arange(0, length, window)
    starts = np.arange(0, length - window + 1, stride)
    return starts if starts[-1] == length - window else np.append(starts, length - window)

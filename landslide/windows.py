"""From an image of any size to probabilities without seams.

A predictor says which input a block of output needs and computes it. Blocks do not
depend on each other, so a scene streams through memory block by block.
"""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from landslide.errors import InputError
from landslide.halo import Halo
from landslide.network import Network
from landslide.rasters import Window


class Predictor(Protocol):
    """Probability (and spread) of blocks of a scene of a given size."""

    network: Network

    def source(self, block: Window) -> Window:
        """Window of the scene that the block depends on; may hang over the edges."""

    def __call__(self, image: Tensor, block: Window) -> Tensor:
        """Map the source window's image (C, H, W) to the block's output (K, H, W)."""


class HaloPredictor:
    """One pass per block with a halo: equals one pass over the whole scene.

    Block origins and the halo are multiples of the network's grid, since pooling is not
    shift-invariant. At the scene's edges the input ends where the scene does (filled up
    to a multiple of the grid), so that the convolutions' zero padding lies where it would.

    Args:
        network: Normalises by stored statistics.
        size: Height and width of the scene.
        halo: What a block's probabilities depend on.
    """

    def __init__(self, network: Network, size: tuple[int, int], halo: Halo) -> None:
        if halo.size % halo.grid or halo.size < 0:
            raise InputError(f"window.halo={halo.size} is not a multiple of {halo.grid} px")
        self.network = network
        self.halo = halo
        self.height, self.width = (self._up(side) for side in size)

    def source(self, block: Window) -> Window:
        """Return the block with its halo, cut off at the scene's edges."""
        reach = self.halo.size
        top, left = max(block.row - reach, 0), max(block.col - reach, 0)
        bottom = min(self._up(block.row + block.height) + reach, self.height)
        right = min(self._up(block.col + block.width) + reach, self.width)
        return Window(top, left, bottom - top, right - left)

    def __call__(self, image: Tensor, block: Window) -> Tensor:
        """Return the block's output (K, H, W), see ``Network``."""
        source = self.source(block)
        top, left = block.row - source.row, block.col - source.col
        output = self.network(image[None])[0]
        return output[:, top : top + block.height, left : left + block.width]

    def _up(self, pixels: int) -> int:
        """Round up to the network's grid."""
        return -(-pixels // self.halo.grid) * self.halo.grid


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
        top, left = block.row - source.row, block.col - source.col
        inside = (slice(top, top + block.height), slice(left, left + block.width))
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

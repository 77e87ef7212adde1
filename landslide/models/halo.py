"""How far a network sees, measured from the network itself."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

GRIDS = (16, 32, 64)
"""Pixel grids on which windows may start, by how often a network halves its input."""

FURTHEST = 512
"""Halos beyond this, in pixels, cost more than blending windows does."""


class Halo(NamedTuple):
    """Windows on a grid, and what they need around them, in pixels.

    A window whose origin is a multiple of ``grid`` and that is given ``size`` more pixels
    on every side predicts exactly what one pass over the whole scene predicts.
    """

    grid: int
    size: int


NARROW = 2 * max(GRIDS)
"""Width in pixels of the strips that are looked at: a tenth of the work of squares."""


@torch.inference_mode()
def measure_halo(model: nn.Module, channels: int) -> Halo | None:
    """Smallest halo that makes windows exact, by letting NaN spread through the network.

    One grid cell across a long strip of the input is NaN; an output that stays finite cannot
    depend on it, whatever the weights. Pooling makes the answer depend on the grid, so the grid
    is the smallest by which input and output can be shifted together. Both are looked at along
    rows and along columns.

    Args:
        model: (1, C, H, W) to logits (1, 1, H, W). It is left in the mode it was in.
        channels: Input bands C.

    Returns:
        The halo, or None for a network that sees the whole image at once, whose windows
        can only be blended.
    """
    training = model.training
    strips = [_strips(model.eval(), axis) for axis in (2, 3)]
    try:
        for grid in GRIDS:
            reaches = [_reach(strip, channels, grid) for strip in strips]
            if None in reaches:
                return None
            size = max(reach for reach in reaches if reach is not None)
            if all(_shifts(strip, channels, grid, size) for strip in strips):
                return Halo(grid, size)
        return None
    finally:
        model.train(training)


def _strips(model: nn.Module, axis: int) -> Callable[[Tensor], Tensor]:
    """The network on a long strip (1, C, L, N) whose first side is laid along an axis."""
    device = next(model.parameters()).device

    def run(x: Tensor) -> Tensor:
        x = x.transpose(2, axis).to(device).contiguous(memory_format=torch.channels_last)
        output: Tensor = model(x)
        return output.transpose(2, axis)

    return run


def _reach(strip: Callable[[Tensor], Tensor], channels: int, grid: int) -> int | None:
    """Distance to which one NaN cell spreads, in pixels, a multiple of the grid."""
    furthest = 2 * max(GRIDS)
    while furthest <= FURTHEST:
        x = torch.zeros(1, channels, 2 * furthest + max(GRIDS), NARROW)
        x[:, :, furthest : furthest + grid] = torch.nan
        reached = torch.nonzero(strip(x)[0, 0].isnan().any(dim=1)).flatten()
        size = max(furthest - int(reached.min()), int(reached.max()) + 1 - furthest - grid)
        if size <= furthest - max(GRIDS):
            return -(-size // grid) * grid
        furthest *= 2
    return None


def _shifts(strip: Callable[[Tensor], Tensor], channels: int, grid: int, size: int) -> bool:
    """Whether output moves with input by one grid cell, compared where no end is seen."""
    margin = -(-size // max(GRIDS)) * max(GRIDS)
    length = 2 * margin + 2 * max(GRIDS)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, length + grid, NARROW, generator=generator)
    whole, moved = strip(x[:, :, :length]), strip(x[:, :, grid:])
    inside = whole[:, :, margin + grid : length - margin]
    there = moved[:, :, margin : length - margin - grid]
    return bool((inside - there).abs().max() <= 1e-4 * whole.std().clamp_min(1e-6))

"""How far a network sees, measured from the network itself."""

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


@torch.inference_mode()
def measure_halo(model: nn.Module, channels: int) -> Halo | None:
    """Smallest halo that makes windows exact, by letting NaN spread through the network.

    One grid cell of the input is NaN; an output that stays finite cannot depend on it,
    whatever the weights. Pooling makes the answer depend on the grid, so the grid is the
    smallest by which input and output can be shifted together.

    Args:
        model: (1, C, H, W) to logits (1, 1, H, W), in evaluation mode.
        channels: Input bands C.

    Returns:
        The halo, or None for a network that sees the whole image at once, whose windows
        can only be blended.
    """
    for grid in GRIDS:
        size = _reach(model, channels, grid)
        if size is not None and _shifts(model, channels, grid, size):
            return Halo(grid, size)
    return None


def _reach(model: nn.Module, channels: int, grid: int) -> int | None:
    """Distance to which one NaN cell spreads, in pixels, a multiple of the grid."""
    furthest = 2 * max(GRIDS)
    while furthest <= FURTHEST:
        x = torch.zeros(1, channels, *(2 * furthest + max(GRIDS),) * 2)
        cell = slice(furthest, furthest + grid)
        x[..., cell, cell] = torch.nan
        reached = _run(model, x).isnan()[0, 0]
        rows, cols = (torch.nonzero(reached.any(dim=i)).flatten() for i in (1, 0))
        first = min(int(rows.min()), int(cols.min()))
        last = max(int(rows.max()), int(cols.max()))
        size = max(furthest - first, last + 1 - furthest - grid)
        if size <= furthest - max(GRIDS):
            return -(-size // grid) * grid
        furthest *= 2
    return None


def _shifts(model: nn.Module, channels: int, grid: int, size: int) -> bool:
    """Whether output moves with input by one grid cell, compared where no edge is seen."""
    margin = -(-size // max(GRIDS)) * max(GRIDS)
    side = 2 * margin + 2 * max(GRIDS)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, side + grid, side + grid, generator=generator)
    whole = _run(model, x[..., :side, :side])
    moved = _run(model, x[..., grid:, grid:])
    inside = slice(margin + grid, side - margin)
    there = slice(margin, side - margin - grid)
    difference = (whole[..., inside, inside] - moved[..., there, there]).abs().max()
    return bool(difference <= 1e-4 * whole.std().clamp_min(1e-6))


def _run(model: nn.Module, x: Tensor) -> Tensor:
    device = next(model.parameters()).device
    output: Tensor = model(x.to(device).contiguous(memory_format=torch.channels_last))
    return output

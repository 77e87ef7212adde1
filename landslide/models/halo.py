"""How far a network sees, measured on the network itself."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

GRIDS = (16, 32, 64)
"""Pixel grids on which windows may start, for networks that halve their input four to six times."""

MAX_HALO = 512
"""Halos beyond this, in pixels, cost more than blending windows does."""

STRIP_WIDTH = 2 * max(GRIDS)
"""Width in pixels of the inputs that are tried: strips take a tenth of the work of squares."""

Network = Callable[[Tensor], Tensor]


class Halo(NamedTuple):
    """Windows on a grid, and what they need around them, in pixels.

    A window whose origin is a multiple of ``grid`` and that has ``size`` more pixels on every
    side predicts exactly what one pass over the whole scene predicts.
    """

    grid: int
    size: int


@torch.inference_mode()
def measure_halo(model: nn.Module, channels: int) -> Halo | None:
    """Return the smallest halo that makes windows exact.

    NaN in one grid cell spreads to every output that depends on the cell, whatever the weights
    are: the farthest gives the size. Because of pooling this holds only for windows that start
    on a grid, the smallest by which input and output, and what NaN reaches, can be shifted
    together. Rows and columns are measured separately, on long strips. A model in which NaN does
    not spread has an attribute ``reach`` instead: the number of pixels that it sees on every side.
    One whose layers spread alike in narrower strips has their width as ``strip_width``.

    Args:
        model: (1, C, H, W) to logits (1, 1, H, W). It is left in the mode it was in.
        channels: Input bands C.

    Returns:
        The halo, or None for a network that sees the whole image at once, whose windows
        can only be blended.
    """
    reach = getattr(model, "reach", None)
    if reach is not None:
        return Halo(GRIDS[0], -(-int(reach) // GRIDS[0]) * GRIDS[0])
    training = model.training
    networks = [_strip_network(model.eval(), axis) for axis in (2, 3)]
    strip = (channels, int(getattr(model, "strip_width", STRIP_WIDTH)))
    try:
        for grid in GRIDS:
            sizes = [_nan_spread(network, strip, grid) for network in networks]
            known = [size for size in sizes if size is not None]
            if len(known) < len(sizes):
                return None
            halo = Halo(grid, max(known))
            if all(
                _reach_shifts(network, strip, halo) and _shifts_with_input(network, strip, halo)
                for network in networks
            ):
                return halo
        return None
    finally:
        model.train(training)


def _strip_network(model: nn.Module, axis: int) -> Network:
    """The network on a strip (1, C, L, width) whose length is laid along an axis."""
    device = next(model.parameters()).device

    def run(x: Tensor) -> Tensor:
        x = x.transpose(2, axis).to(device).contiguous(memory_format=torch.channels_last)
        output: Tensor = model(x)
        return output.transpose(2, axis)

    return run


def _nan_spread(network: Network, strip: tuple[int, int], grid: int) -> int | None:
    """Pixels by which NaN in one grid cell spreads, rounded up to the grid; None if too far."""
    margin = 2 * max(GRIDS)
    while margin <= MAX_HALO:
        reached = _reached(network, strip, 2 * margin + max(GRIDS), slice(margin, margin + grid))
        rows = torch.nonzero(reached).flatten()
        size = max(margin - int(rows.min()), int(rows.max()) + 1 - margin - grid)
        if size <= margin - max(GRIDS):  # the strip's ends are not reached
            return -(-size // grid) * grid
        margin *= 2
    return None


def _reach_shifts(network: Network, strip: tuple[int, int], halo: Halo) -> bool:
    """Whether NaN one grid cell further spreads one grid cell further, whatever the weights are."""
    margin = -(-halo.size // max(GRIDS)) * max(GRIDS)
    first, second = (
        _reached(network, strip, 2 * margin + 2 * max(GRIDS), slice(start, start + halo.grid))
        for start in (margin, margin + halo.grid)
    )
    return torch.equal(first.roll(halo.grid), second)


def _reached(network: Network, strip: tuple[int, int], length: int, cell: slice) -> Tensor:
    """Whether NaN in a cell of a strip spreads to each of its rows (L,)."""
    channels, width = strip
    x = torch.zeros(1, channels, length, width)
    x[:, :, cell] = torch.nan
    return network(x)[0, 0].isnan().any(dim=1)


def _shifts_with_input(network: Network, strip: tuple[int, int], halo: Halo) -> bool:
    """Whether output shifts with input by one grid cell, away from the strip's ends."""
    channels, width = strip
    margin = -(-halo.size // max(GRIDS)) * max(GRIDS)
    length = 2 * margin + 2 * max(GRIDS)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, length + halo.grid, width, generator=generator)
    output, shifted = network(x[:, :, :length]), network(x[:, :, halo.grid :])
    difference = (
        output[:, :, margin + halo.grid : length - margin]
        - shifted[:, :, margin : length - margin - halo.grid]
    )
    return bool(difference.abs().max() <= 1e-4 * output.std().clamp_min(1e-6))

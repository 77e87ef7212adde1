"""Cells of 200 m, in which a coarse map of landslide density is scored.

Responders first ask where landslides are dense. Burrows et al. (2019, Remote Sensing 11(3), 237)
find radar classifiers unfit for single pixels and useful for density in coarser cells, and score
them by receiver operating characteristics.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landslide.geo.grid import Grid

CELL_METRES = 200.0
"""Side of a cell, on the grid of its scene from the north-west corner."""

LANDSLIDE_SHARE = 0.1
"""Share of a cell's known ground above which it counts as landslide."""

KNOWN_SHARE = 0.5
"""Share of a cell that must be known and in the split; other cells are left out."""


class Places(NamedTuple):
    """Where the patches of a split lie.

    Attributes:
        corners: (N, 3) scene, row and column of the north-west pixel of each patch.
        grids: Grids of the scenes.
    """

    corners: NDArray[np.int64]
    grids: Sequence[Grid]


def cell_means(values: Tensor, mask: Tensor, places: Places) -> tuple[Tensor, Tensor]:
    """Mean value and share of landslides of the cells that patches cover.

    Args:
        values: (N, H, W) probability or score.
        mask: (N, H, W) 0, 1, or 255 where it is unknown.
        places: Places of the N patches.

    Returns:
        Mean value (K) and share (K) of landslides of the known pixels of each cell, float64.
    """
    sides = [max(1, round(CELL_METRES / grid.pixel_area**0.5)) for grid in places.grids]
    widths = [-(-grid.width // side) for grid, side in zip(places.grids, sides, strict=True)]
    totals = [
        np.zeros((3, -(-grid.height // side) * width))  # pixels, landslide pixels, values
        for grid, side, width in zip(places.grids, sides, widths, strict=True)
    ]
    for (scene, row, col), value, truth in zip(
        places.corners, values.numpy(), mask.numpy(), strict=True
    ):
        known = truth <= 1
        rows = (row + np.arange(known.shape[0])) // sides[scene]
        cols = (col + np.arange(known.shape[1])) // sides[scene]
        cells = (rows[:, None] * widths[scene] + cols)[known]
        for total, layer in zip(totals[scene], (known, truth, value), strict=True):
            np.add.at(total, cells, layer[known])
    means, shares = [], []
    for total, side in zip(totals, sides, strict=True):
        count, landslides, sums = total[:, total[0] >= KNOWN_SHARE * side**2]
        means.append(sums / count)
        shares.append(landslides / count)
    return torch.from_numpy(np.concatenate(means)), torch.from_numpy(np.concatenate(shares))

"""Windows that represent a scene, so that time and memory do not grow with it."""

import numpy as np

from landslide.geo.grid import Grid, Window

WINDOWS = 5
"""Windows along each axis at most, unless more are asked for."""


def spread_windows(grid: Grid, side: int, tiles: tuple[int, int] = (1, 1)) -> list[Window]:
    """Up to 5 x 5 windows that do not overlap, spread evenly over a grid.

    Args:
        grid: The grid.
        side: Side of a window in pixels; windows end at the grid's edge where it is smaller.
        tiles: Equal rows and columns of the grid in each of which a window lies, if it fits.
    """
    height, width = min(side, grid.height), min(side, grid.width)
    rows = _starts(grid.height, height, max(WINDOWS, tiles[0]))
    cols = _starts(grid.width, width, max(WINDOWS, tiles[1]))
    return [Window(row, col, height, width) for row in rows for col in cols]


def _starts(length: int, side: int, most: int) -> list[int]:
    count = min(most, length // side)
    if count == 1:
        return [(length - side) // 2]
    return [int(start) for start in np.linspace(0, length - side, count)]

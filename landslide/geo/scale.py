"""Scale of a projection: slopes and areas need true lengths."""

import numpy as np
from pyproj import Proj
from rasterio.crs import CRS

from landslide.errors import InputError
from landslide.geo.grid import Grid

MAX_LENGTH_ERROR = 0.02
"""Largest relative error of lengths. UTM has up to 0.001 in its zone and 0.003 in the next,
continental equal-area projections up to 0.017, Web Mercator 0.02 at 11 and 0.36 at 43 degrees."""


def length_error(crs: CRS, grid: Grid) -> float:
    """Largest relative error of lengths in a CRS, at the middle and the corners of a grid.

    The error follows from the axes of Tissot's indicatrix (Snyder 1987, USGS Professional Paper
    1395, section 4); it is infinite where the projection is not defined.

    Args:
        crs: Projected CRS in metres.
        grid: Grid of the same or another projected CRS.
    """
    west, south, east, north = grid.bounds
    x = [(west + east) / 2, west, east, west, east]
    y = [(south + north) / 2, south, south, north, north]
    degrees = Proj(grid.crs)(x, y, inverse=True)
    factors = Proj(crs).get_factors(*degrees)
    scales = np.stack([factors.tissot_semimajor, factors.tissot_semiminor])
    return float(np.abs(scales - 1).max())


def require_true_scale(grid: Grid, name: str) -> None:
    """Check that lengths on a grid are lengths on the ground to ``MAX_LENGTH_ERROR``.

    Args:
        grid: Grid in a projected CRS in metres.
        name: What the grid belongs to, for the message.

    Raises:
        InputError: They are not, so slopes and areas would be wrong too.
    """
    error = length_error(grid.crs, grid)
    if not error <= MAX_LENGTH_ERROR:
        raise InputError(
            f"{name} is in {grid.crs}, where lengths are off by up to {100 * error:.0f} % here, "
            "and areas and slopes with them: warp it to UTM"
        )

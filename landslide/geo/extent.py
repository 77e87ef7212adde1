"""A scene's extent in other coordinate systems.

A scene is small, a file may go around the Earth: the scene's extent is carried into the file's
coordinates, never the other way round. Longitudes go on beyond 180 degrees there.
"""

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.crs import CRS
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from landslide.geo.grid import Grid


def reproject_shape(shape: BaseGeometry, start: CRS, end: CRS) -> BaseGeometry:
    """Carry a shape that is less than half the Earth wide from one CRS into another.

    Args:
        shape: With vertices close enough that edges may stay straight.
        start: CRS of the shape.
        end: Wanted CRS; in degrees, longitudes of one shape lie within 180 of each other.
    """
    transformer = Transformer.from_crs(start, end, always_xy=True)

    def move(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = transformer.transform(points[:, 0], points[:, 1])
        if end.is_geographic and len(x):
            x = x[0] + (x - x[0] + 180) % 360 - 180
        return np.stack([x, y], axis=1)

    moved: BaseGeometry = shapely.transform(shape, move)
    return moved


def extent_in(grid: Grid, crs: CRS, margin: float = 0.0) -> BaseGeometry:
    """Extent of a grid and ``margin`` metres around it, in another CRS.

    In degrees it is there three times, a turn of the Earth apart, so that one of them meets
    whatever lies there, by whichever longitude.
    """
    box = shapely.box(*grid.bounds).buffer(margin, join_style="mitre")
    west, south, east, north = box.bounds
    shape = reproject_shape(box.segmentize(max(east - west, north - south) / 20), grid.crs, crs)
    if not crs.is_geographic:
        return shape
    return shapely.union_all([translate(shape, turn) for turn in (-360, 0, 360)])


def covered_extent(bounds: tuple[float, float, float, float], crs: CRS, grid: Grid) -> BaseGeometry:
    """Part of a grid's extent, in its CRS, that bounds (west, south, east, north) cover."""
    shared = extent_in(grid, crs) & shapely.box(*bounds)
    west, south, east, north = shared.bounds if shared.area else (0, 0, 1, 1)
    step = max(east - west, north - south) / 20
    parts = [
        reproject_shape(part.segmentize(step), crs, grid.crs) for part in shapely.get_parts(shared)
    ]
    return shapely.union_all(parts) & shapely.box(*grid.bounds)


def pixel_jacobian(own: Grid, grid: Grid) -> NDArray[np.float64]:
    """Columns and rows of a raster per column and row of a grid, (2, 2), in the grid's middle."""
    row, col = grid.height / 2, grid.width / 2
    ends = [(col - 8, row), (col + 8, row), (col, row - 8), (col, row + 8)]
    x, y = np.array([grid.transform @ end for end in ends]).T
    transformer = Transformer.from_crs(grid.crs, own.crs, always_xy=True)
    x, y = transformer.transform(x, y)
    east, north = np.array([x[1] - x[0], x[3] - x[2]]), np.array([y[1] - y[0], y[3] - y[2]])
    if own.crs.is_geographic:
        east = (east + 180) % 360 - 180
    return np.stack([east / own.transform.a, north / own.transform.e]) / 16

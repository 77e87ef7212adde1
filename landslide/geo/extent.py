"""A grid's extent in other coordinate systems.

A grid is small, whereas a file may go around the Earth, so the grid's extent is projected into
the file's coordinates and never the other way round. Longitudes go on beyond 180 degrees there.
"""

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.crs import CRS
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from landslide.geo.grid import Grid


def reproject_shape(shape: BaseGeometry, source: CRS, target: CRS) -> BaseGeometry:
    """Reproject a shape that is less than half the Earth wide.

    Args:
        shape: Its vertices are close enough for edges to stay straight.
        source: CRS of the shape.
        target: Wanted CRS; in degrees, longitudes of one shape lie within 180 of each other.
    """
    transformer = Transformer.from_crs(source, target, always_xy=True)

    def project(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = transformer.transform(points[:, 0], points[:, 1])
        if target.is_geographic and len(x):
            x = x[0] + (x - x[0] + 180) % 360 - 180
        return np.stack([x, y], axis=1)

    reprojected: BaseGeometry = shapely.transform(shape, project)
    return reprojected


def extent_in(grid: Grid, crs: CRS, margin: float = 0.0) -> BaseGeometry:
    """Extent of a grid and ``margin`` metres around it, in another CRS.

    In degrees the extent is repeated 360 degrees to the west and to the east, so that it meets
    whatever lies there under either longitude.
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


def pixel_jacobian(raster: Grid, grid: Grid) -> NDArray[np.float64]:
    """Columns and rows of a raster per column and row of a grid, (2, 2), in the grid's middle."""
    row, col = grid.height / 2, grid.width / 2
    ends = [(col - 8, row), (col + 8, row), (col, row - 8), (col, row + 8)]
    x, y = np.array([grid.transform @ end for end in ends]).T
    x, y = Transformer.from_crs(grid.crs, raster.crs, always_xy=True).transform(x, y)
    east, north = x[1::2] - x[::2], y[1::2] - y[::2]
    if raster.crs.is_geographic:
        east = (east + 180) % 360 - 180
    return np.stack([east / raster.transform.a, north / raster.transform.e]) / 16

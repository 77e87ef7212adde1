"""Landslide inventories: vector files of any format and CRS, read into a grid's CRS."""

from pathlib import Path
from typing import NamedTuple

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from landslide.errors import InputError
from landslide.geo.extent import extent_in
from landslide.geo.grid import Grid
from landslide.geo.rasters import open_raster
from landslide.geo.vectors import is_vector, read_shapes


class Inventory(NamedTuple):
    """Outlines of landslides, and how they were read.

    Attributes:
        polygons: Valid polygons in the grid's CRS that touch the grid. Those that reach more
            than the grid's size beyond it are cut there.
        features: Number of features in the file.
        repaired: Number of features whose invalid outline was repaired.
        outside: Number of features outside of the grid.
        left_out: Number of features that are empty, or neither polygon nor point with a radius.
    """

    polygons: gpd.GeoSeries
    features: int
    repaired: int
    outside: int
    left_out: int


def is_mask_raster(path: Path, key: str = "inventory") -> bool:
    """Whether an inventory is a mask raster.

    Raises:
        InputError: The file is missing or is neither a raster nor a vector file.
    """
    if is_vector(path, key):
        return False
    open_raster(path).close()
    return True


def read_inventory(
    path: Path, grid: Grid, *, key: str = "inventory", radius: float | None = None
) -> Inventory:
    """Read polygons, or points with a radius, from any vector format.

    Args:
        path: Vector file, or file and layer as in ``slides.gpkg/landslides``.
        grid: Grid of the scene.
        key: Option that named the file, for messages.
        radius: Metres around points; without one, points are left out.

    Raises:
        InputError: The file cannot be read, has no CRS or no feature with an area, or has several
            layers that could be meant.
    """
    found = read_shapes(path, key, points=radius is not None)
    if radius is None and len(found.points) and found.polygons.empty:
        raise InputError(
            f"{key}={path} has no polygon but points: give their radius in metres with "
            f"{key}.radius="
        )
    shapes = pd.concat([found.polygons, found.points[: None if radius else 0]]).sort_index()
    if shapes.empty:
        raise InputError(
            f"{key}={path} has no polygon but {found.kinds}: give outlines of landslides"
        )
    near = _clip_near(shapes, grid)
    is_point = near.index.isin(found.points.index)
    polygons = pd.concat([near[~is_point], near[is_point].buffer(radius or 0)]).sort_index()
    polygons = polygons[polygons.intersects(shapely.box(*grid.bounds))]
    return Inventory(
        polygons=polygons.reset_index(drop=True),
        features=found.features,
        repaired=found.repaired,
        outside=len(shapes) - len(polygons),
        left_out=found.features - len(shapes),
    )


def _clip_near(shapes: gpd.GeoSeries, grid: Grid) -> gpd.GeoSeries:
    """Shapes around a grid, in its CRS, which cannot hold shapes on the Earth's other side."""
    if shapes.crs.is_geographic:
        shapes = _unwrap_longitudes(shapes)
    west, south, east, north = grid.bounds
    size = max(east - west, north - south)
    extent = extent_in(grid, shapes.crs, margin=size)
    shapely.prepare(extent)
    near = shapes[shapely.intersects(extent, shapes.values)]
    large = ~shapely.contains(extent, near.values)
    cut = near[large].intersection(extent).segmentize(extent.length / 1000)
    return pd.concat([near[~large], cut]).sort_index().to_crs(grid.crs)


def _unwrap_longitudes(shapes: gpd.GeoSeries) -> gpd.GeoSeries:
    """Shapes in degrees; those that jump from 180 to -180 continue beyond 180 instead."""
    west, _, east, _ = shapely.bounds(shapes.values).T
    wide = shapes[east - west > 180]
    shifted = shapely.transform(wide.values, lambda p: np.stack([p[:, 0] % 360, p[:, 1]], axis=1))
    # Shapes around the whole Earth stay as they are.
    left, _, right, _ = shapely.bounds(shifted).T
    jumping = (right > left) & (right - left < 180)
    shapes = shapes.copy()
    shapes.loc[wide.index[jumping]] = shifted[jumping]
    return shapes

"""Landslide inventories: vector files of any format and CRS, read into a grid's CRS."""

from pathlib import Path
from typing import NamedTuple

import geopandas as gpd
import pandas as pd
import shapely

from landslide.errors import InputError
from landslide.rasters import Grid

AREAL = ("Polygon", "MultiPolygon")
POINTS = ("Point", "MultiPoint")


class Inventory(NamedTuple):
    """Outlines of landslides and what was done to them.

    Attributes:
        polygons: Valid polygons in the grid's CRS that touch the grid, not clipped.
        features: Number of features in the file.
        repaired: How many had an invalid outline, which was repaired.
        outside: How many lie outside of the grid.
        left_out: How many are empty, or no polygon (nor point with a radius).
    """

    polygons: gpd.GeoSeries
    features: int
    repaired: int
    outside: int
    left_out: int


def is_raster(path: Path) -> bool:
    """Whether an inventory is a mask raster, by its name."""
    return path.suffix.lower() in (".tif", ".tiff", ".vrt")


def read_inventory(
    path: Path, grid: Grid, *, key: str = "inventory", radius: float | None = None
) -> Inventory:
    """Read polygons, or points with a radius, of any vector format.

    Args:
        path: Vector file; its first layer counts.
        grid: Where the polygons are wanted.
        key: Option that named the file, for messages.
        radius: Metres around points; without one, points are no landslides.

    Raises:
        InputError: The file cannot be read, has no CRS, no feature, or none that has an area.
    """
    if not path.exists():
        raise InputError(f"there is no {key} {path}")
    try:
        frame = gpd.read_file(path)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{key}={path} cannot be read as polygons: {error}") from error
    if not len(frame):
        raise InputError(f"{key}={path} is empty: it has no feature")
    if frame.crs is None:
        raise InputError(f"{key}={path} has no coordinate reference system: assign one")
    shapes = frame.geometry.force_2d()
    shapes = shapes[shapes.notna() & ~shapes.is_empty]
    points = shapes.geom_type.isin(POINTS)
    if points.any() and radius is None and not shapes.geom_type.isin(AREAL).any():
        raise InputError(
            f"{key}={path} has no polygon but points: give their radius in metres with "
            f"{key}.radius="
        )
    discs = shapes[points].to_crs(grid.crs).buffer(radius or 0)
    outlines, repaired = _repair(shapes[shapes.geom_type.isin(AREAL)])
    polygons = pd.concat([outlines.to_crs(grid.crs), discs]).sort_index()
    polygons = polygons[~polygons.is_empty]
    if polygons.empty:
        kinds = ", ".join(sorted(set(shapes.geom_type))) or "empty geometries"
        raise InputError(f"{key}={path} has no polygon but {kinds}: give outlines of landslides")
    inside = polygons.intersects(shapely.box(*grid.bounds))
    return Inventory(
        polygons=polygons[inside].reset_index(drop=True),
        features=len(frame),
        repaired=repaired,
        outside=int((~inside).sum()),
        left_out=len(frame) - len(polygons),
    )


def _repair(outlines: gpd.GeoSeries) -> tuple[gpd.GeoSeries, int]:
    """Valid areas of outlines (what a self-crossing outline encloses), and how many were not."""
    invalid = ~outlines.is_valid
    areas = shapely.make_valid(outlines.values, method="structure", keep_collapsed=False)
    return gpd.GeoSeries(areas, outlines.index, outlines.crs), int(invalid.sum())

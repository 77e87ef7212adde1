"""Polygons of a landslide mask, with their area, probability and slope, and the way back."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
import shapely
from numpy.typing import NDArray
from pyogrio import set_gdal_config_options
from rasterio.features import rasterize, shapes

from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import UNKNOWN

FIXED_DATE = "1980-01-01T00:00:00.000Z"
"""What GeoPackages record as the date of their writing, as files in a zip of no date do."""


def outline_mask(mask: Path, grid: Grid) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """Outline the connected pixels (4-neighbourhood) of a mask raster.

    GDAL reads the raster line by line, so memory grows with the polygons only.

    Returns:
        Landslides and unobserved areas, each with ``area_m2`` and ``perimeter_m``, largest first.
    """
    found = {1: Outlines(), UNKNOWN: Outlines()}
    with rasterio.open(mask) as source:
        band = rasterio.band(source, 1)
        # The mask masks itself: the ground around, one polygon full of holes, is not outlined.
        for outline, value in shapes(band, mask=band, transform=grid.transform):
            if value in found:
                found[int(value)].add(outline["coordinates"])
    return found[1].measure(grid), found[UNKNOWN].measure(grid)


@dataclass
class Outlines:
    """Rings of polygons in arrays, which is faster than one object for each."""

    corners: list[NDArray[np.float64]] = field(default_factory=list)
    """(N, 2) of each polygon, ring after ring."""
    ring_sizes: list[int] = field(default_factory=list)
    ring_counts: list[int] = field(default_factory=list)

    def add(self, rings: Sequence[Sequence[tuple[float, float]]]) -> None:
        """Add a polygon of closed rings, the outer one first."""
        self.corners.append(np.array(list(chain.from_iterable(rings))))
        self.ring_sizes += map(len, rings)
        self.ring_counts.append(len(rings))

    def measure(self, grid: Grid) -> gpd.GeoDataFrame:
        """Polygons with ``area_m2`` and ``perimeter_m``, largest first."""
        corners = np.concatenate([np.empty((0, 2)), *self.corners])
        starts = [np.cumsum([0, *sizes]) for sizes in (self.ring_sizes, self.ring_counts)]
        kind = shapely.GeometryType.POLYGON
        polygons = gpd.GeoDataFrame(
            geometry=shapely.from_ragged_array(kind, corners, tuple(starts)), crs=grid.crs
        )
        polygons["area_m2"] = polygons.area.astype(float)
        polygons["perimeter_m"] = polygons.length.astype(float)
        return polygons.sort_values("area_m2", ascending=False, ignore_index=True)


def rasterize_window(
    geometries: gpd.GeoSeries,
    values: Iterable[int],
    grid: Grid,
    window: Window,
    *,
    all_touched: bool = False,
) -> NDArray[np.int32]:
    """Rasterise geometries in a window of a grid; pixels outside of all geometries are 0.

    Args:
        geometries: Geometries in the grid's CRS.
        values: Value of each geometry, above 0.
        grid: Grid of the scene.
        window: Window to rasterise.
        all_touched: Whether every pixel that a geometry touches counts, not only those whose
            centre it covers.
    """
    transform = rasterio.windows.transform(window.to_rasterio(), grid.transform)
    x, y = grid.slices(window)
    values = np.fromiter(values, dtype=np.int32)
    near = geometries.sindex.query(shapely.box(x.start, y.start, x.stop, y.stop))
    size = (window.height, window.width)
    if not len(near):
        return np.zeros(size, dtype=np.int32)
    pairs = zip(geometries.iloc[near], values[near].tolist(), strict=True)
    burnt: NDArray[np.int32] = rasterize(
        pairs, size, transform=transform, dtype="int32", all_touched=all_touched
    )
    return burnt


def assign_layers(geometries: gpd.GeoSeries) -> NDArray[np.int64]:
    """Assign layer numbers such that no two geometries of one layer intersect.

    Each geometry, in turn, gets the first layer in which it intersects none.
    """
    layer = np.zeros(len(geometries), dtype=np.int64)
    later, earlier = geometries.sindex.query(geometries.geometry, predicate="intersects")
    pairs = pd.Series(earlier, later)[earlier < later]
    for index, neighbours in pairs.groupby(level=0):  # sorted by index
        layer[index] = np.setdiff1d(np.arange(len(neighbours) + 1), layer[neighbours])[0]
    return layer


def write_polygons(path: Path, polygons: gpd.GeoDataFrame, layer: str) -> None:
    """Write a GeoPackage whose bytes depend on nothing but the polygons."""
    with undated_geopackages():
        polygons.to_file(path, layer=layer, driver="GPKG")


@contextmanager
def undated_geopackages() -> Iterator[None]:
    """Let GeoPackages that are written inside depend on nothing but their content.

    A GeoPackage records when it was written, so that date is fixed.
    """
    set_gdal_config_options({"OGR_CURRENT_DATE": FIXED_DATE})
    try:
        yield
    finally:
        set_gdal_config_options({"OGR_CURRENT_DATE": None})


class ZonalStatistics:
    """Means of rasters within polygons, and the largest value of the first, part by part.

    Args:
        count: Number of polygons.
        names: Names of the rasters; ``aspect`` is averaged as a direction.
    """

    def __init__(self, count: int, names: Sequence[str]) -> None:
        self.names, self.length = list(names), count + 1  # 0 is outside
        self.count = {name: np.zeros(self.length) for name in names}
        # Directions are averaged as unit vectors, whose totals are complex.
        self.total = {
            name: np.zeros(self.length, dtype=complex if name == "aspect" else float)
            for name in names
        }
        self.largest = np.full(self.length, -np.inf)

    def add(self, ids: NDArray[np.int32], layers: Sequence[NDArray[np.float32]]) -> None:
        """Add the pixels of a part of the scene.

        Args:
            ids: (H, W) number of the polygon of each pixel, from 1; 0 is outside.
            layers: One (H, W) array for each name; NaN does not count.
        """
        pixels = np.flatnonzero(ids != 0)  # much faster than of integers
        inside = ids.ravel()[pixels]
        for name, layer in zip(self.names, layers, strict=True):
            values = layer.ravel()[pixels]
            valid = np.isfinite(values)
            number, measured = inside[valid], values[valid].astype(float)
            self.count[name] += np.bincount(number, minlength=self.length)
            if name == "aspect":
                east, north = np.sin(np.deg2rad(measured)), np.cos(np.deg2rad(measured))
                self.total[name] += np.bincount(number, north, minlength=self.length)
                self.total[name] += 1j * np.bincount(number, east, minlength=self.length)
            else:
                self.total[name] += np.bincount(number, measured, minlength=self.length)
            if name == self.names[0]:
                np.maximum.at(self.largest, number, measured)

    def columns(self) -> Iterator[tuple[str, NDArray[np.float64]]]:
        """Yield names and values of the polygons' columns; NaN where nothing was measured."""
        with np.errstate(invalid="ignore", divide="ignore"):
            for name in self.names:
                mean = (self.total[name] / self.count[name])[1:]
                if name == "aspect":
                    # Directions may cancel out, as on a ridge.
                    degrees = np.rad2deg(np.angle(mean)) % 360
                    yield "mean_aspect", np.where(np.abs(mean) > 1e-6, degrees, np.nan)
                else:
                    yield f"mean_{name}", mean.real
                if name == self.names[0]:
                    yield f"max_{name}", self.largest[1:]

"""From a landslide mask to polygons with their area, probability and slope."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from pyogrio import set_gdal_config_options
from rasterio.features import rasterize, shapes
from rasterio.windows import Window as RasterWindow

from landslide.rasters import Grid, Window


def polygonize(mask: Path, grid: Grid) -> gpd.GeoDataFrame:
    """Outline the connected landslide pixels (4-neighbourhood) of a mask raster.

    GDAL goes through the raster line by line, so memory grows with the polygons only.

    Returns:
        Polygons with ``area_m2`` and ``perimeter_m``, largest first.
    """
    with rasterio.open(mask) as source:
        band = rasterio.band(source, 1)
        outlines = [
            shapely.geometry.shape(outline)
            for outline, value in shapes(band, transform=grid.transform)
            if value == 1
        ]
    polygons = gpd.GeoDataFrame(geometry=outlines, crs=grid.crs)
    polygons["area_m2"] = polygons.area.astype(float)
    polygons["perimeter_m"] = polygons.length.astype(float)
    return polygons.sort_values("area_m2", ascending=False, ignore_index=True)


def burn(
    geometries: gpd.GeoSeries,
    values: Iterable[int],
    grid: Grid,
    window: Window,
    *,
    all_touched: bool = False,
) -> NDArray[np.int32]:
    """Rasterise geometries in a window, 0 elsewhere; a pixel counts by its centre.

    Args:
        geometries: Geometries in the grid's CRS.
        values: Value of each, above 0.
        grid: Grid of the scene.
        window: Window to rasterise.
        all_touched: Count every pixel that a geometry touches.
    """
    transform = rasterio.windows.transform(raster_window(window), grid.transform)
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


def raster_window(window: Window) -> RasterWindow:
    """The same window as rasterio names it."""
    return RasterWindow(window.col, window.row, window.width, window.height)


def write_polygons(path: Path, polygons: gpd.GeoDataFrame, layer: str) -> None:
    """Write a GeoPackage whose bytes depend on nothing but the polygons."""
    # A GeoPackage dates itself: the date is fixed.
    set_gdal_config_options({"OGR_CURRENT_DATE": "2018-09-06T03:07:00.000Z"})
    try:
        polygons.to_file(path, layer=layer, driver="GPKG")
    finally:
        set_gdal_config_options({"OGR_CURRENT_DATE": None})


class ZonalStatistics:
    """Mean and maximum of rasters within polygons, gathered block by block.

    Args:
        polygons: Polygons on the pixel edges of the grid.
        grid: Grid of the rasters.
    """

    def __init__(self, polygons: gpd.GeoDataFrame, grid: Grid) -> None:
        self.polygons, self.grid = polygons, grid
        n = len(polygons) + 1  # 0 is outside
        self.count = {name: np.zeros(n) for name in ("probability", "slope")}
        self.total = {name: np.zeros(n) for name in ("probability", "slope")}
        self.largest = np.zeros(n)

    def add(
        self, window: Window, probability: NDArray[np.float32], slope: NDArray[np.float32] | None
    ) -> None:
        """Add the pixels of a window; NaN is left out."""
        ids = burn(self.polygons.geometry, range(1, len(self.count["slope"])), self.grid, window)
        for name, values in (("probability", probability), ("slope", slope)):
            if values is not None:
                valid = np.isfinite(values)
                inside, measured = ids[valid], values[valid]
                self.count[name] += np.bincount(inside, minlength=len(self.largest))
                self.total[name] += np.bincount(inside, measured, minlength=len(self.largest))
        np.maximum.at(self.largest, ids[ids > 0], probability[ids > 0])

    def columns(self) -> Iterator[tuple[str, NDArray[np.float64]]]:
        """Yield the polygons' columns; NaN where nothing was measured."""
        with np.errstate(invalid="ignore", divide="ignore"):
            for name in ("probability", "slope"):
                yield f"mean_{name}", (self.total[name] / self.count[name])[1:]
        yield "max_probability", self.largest[1:]

"""``landslides.tif``: a map's raster against a threshold, without small holes and landslides."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.io import DatasetWriter

from landslide.geo.folders import measure_of
from landslide.geo.grid import Grid, Window
from landslide.geo.polygons import outline_mask, rasterize_window
from landslide.geo.rasters import UNKNOWN, raster_profile
from landslide.geo.regions import Regions


def write_mask(folder: Path, grid: Grid, threshold: float) -> int:
    """Write ``landslides.tif``: 1 above the threshold, 0 below, 255 where not observed.

    Args:
        folder: Folder of the probability or score.
        grid: Grid of the scene.
        threshold: Probability or score above which a pixel is landslide.

    Returns:
        Number of observed pixels.
    """
    observed = 0
    profile = raster_profile(grid, "uint8", 1, UNKNOWN)
    with (
        rasterio.open(measure_of(folder)) as source,
        rasterio.open(folder / "landslides.tif", "w", **profile) as sink,
    ):
        sink.descriptions = ("landslides",)
        for block in grid.blocks():
            window = block.to_rasterio()
            values = source.read(1, window=window)
            known = np.isfinite(values)
            observed += int(np.count_nonzero(known))
            mask = (values > threshold).astype(np.uint8)
            mask[~known] = UNKNOWN
            sink.write(mask, 1, window=window)
    return observed


def clean_mask(mask: Path, grid: Grid, min_area: float, fill_holes: float) -> gpd.GeoDataFrame:
    """Fill small holes and drop small landslides in a mask raster, and outline the rest.

    Args:
        mask: ``landslides.tif``; is updated.
        grid: Grid of the scene.
        min_area: Smallest landslide in m² (minimum mapping unit), after holes are filled.
        fill_holes: Largest hole in m² that is filled; holes with unobserved pixels stay.

    Returns:
        The remaining polygons, see ``outline_mask``.
    """
    polygons, unobserved = outline_mask(mask, grid)
    if fill_holes and _fill_holes(mask, grid, polygons, unobserved, fill_holes):
        polygons, _ = outline_mask(mask, grid)
    kept = polygons[polygons.area_m2 >= min_area].copy()  # the first: the largest come first
    if len(kept) < len(polygons):
        _keep(mask, grid, polygons, len(kept))
    return kept


def _fill_holes(
    mask: Path,
    grid: Grid,
    polygons: gpd.GeoDataFrame,
    unobserved: gpd.GeoDataFrame,
    largest: float,
) -> bool:
    """Fill holes in a mask raster, and return whether there were any."""
    rings, polygon = shapely.get_rings(polygons.geometry.array, return_index=True)
    inner = rings[np.diff(polygon, prepend=-1) == 0]
    holes = gpd.GeoSeries(shapely.polygons(inner), crs=polygons.crs)
    holes = holes[holes.area <= largest].reset_index(drop=True)
    if len(holes) and len(unobserved):
        # An unobserved pixel that only touches a hole does not count.
        indices, _ = unobserved.sindex.query(holes, predicate="contains")
        holes = holes.drop(index=np.unique(indices))
    if holes.empty:
        return False
    with rasterio.open(mask, "r+") as raster:
        for block in grid.blocks():
            inside = rasterize_window(holes, [1] * len(holes), grid, block) == 1
            if inside.any():
                _overwrite(raster, block, inside, 1)
    return True


def _keep(mask: Path, grid: Grid, polygons: gpd.GeoDataFrame, count: int) -> None:
    """Remove all but the first polygons from a mask raster."""
    regions = Regions(mask, grid, polygons.geometry.array)
    with rasterio.open(mask, "r+") as raster:
        for strip in regions.strips:
            small = regions.read(raster, strip) > count
            if small.any():
                _overwrite(raster, strip, small, 0)


def _overwrite(
    raster: DatasetWriter, window: Window, inside: NDArray[np.bool_], value: int
) -> None:
    """Set observed pixels of a window to a value."""
    values = raster.read(1, window=window.to_rasterio())
    values[inside & (values != UNKNOWN)] = value
    raster.write(values, 1, window=window.to_rasterio())

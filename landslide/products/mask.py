"""``landslides.tif``: a map's raster against a threshold, without small holes and landslides."""

from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray

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


def outline_landslides(
    mask: Path, grid: Grid, min_area: float, fill_holes: float
) -> gpd.GeoDataFrame:
    """Outline the landslides of a mask raster that are large enough, without small holes.

    Args:
        mask: ``landslides.tif``; its small holes are filled. Small landslides stay in it until
            ``keep_landslides``.
        grid: Grid of the scene.
        min_area: Smallest landslide in m² (minimum mapping unit), after holes are filled.
        fill_holes: Largest hole in m² that is filled; holes with unobserved pixels stay.

    Returns:
        Polygons, see ``outline_mask``.
    """
    polygons, unobserved = outline_mask(mask, grid)
    if fill_holes and _fill_holes(mask, grid, polygons, unobserved, fill_holes):
        polygons, _ = outline_mask(mask, grid)
    return polygons[polygons.area_m2 >= min_area].copy()


def keep_landslides(
    mask: Path, grid: Grid, polygons: gpd.GeoDataFrame
) -> Iterator[tuple[NDArray[np.int32], Window]]:
    """Remove landslides that have no polygon from a mask raster, and tell where the others are.

    Args:
        mask: ``landslides.tif``; is updated.
        grid: Grid of the scene.
        polygons: Landslides of the mask, see ``outline_landslides``.

    Yields:
        Number (H, W) of the polygon of each pixel, from 1, 0 outside, and the window of these
        pixels. The windows are strips that cover the grid.
    """
    regions = Regions(mask, grid, polygons.geometry.array)
    with rasterio.open(mask, "r+") as raster:
        for strip in regions.strips:
            numbers = regions.read(raster, strip)
            values = raster.read(1, window=strip.to_rasterio())
            small = (values == 1) & (numbers == 0)
            if small.any():
                values[small] = 0
                raster.write(values, 1, window=strip.to_rasterio())
            yield numbers, strip


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
                values = raster.read(1, window=block.to_rasterio())
                values[inside & (values != UNKNOWN)] = 1
                raster.write(values, 1, window=block.to_rasterio())
    return True

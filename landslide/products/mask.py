"""``landslides.tif``: a map's raster against a threshold, without small holes and landslides."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely

from landslide.geo.folders import measure_of
from landslide.geo.grid import Grid
from landslide.geo.polygons import outline_mask, rasterize_window
from landslide.geo.rasters import UNKNOWN, raster_profile


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
    rings = [ring for polygon in polygons.geometry for ring in polygon.interiors]
    holes = gpd.GeoSeries([shapely.Polygon(ring) for ring in rings], crs=polygons.crs)
    holes = holes[holes.area <= fill_holes].reset_index(drop=True)
    if len(holes) and len(unobserved):
        # An unobserved pixel that only touches a hole does not count.
        indices, _ = unobserved.sindex.query(holes, predicate="contains")
        holes = holes.drop(index=np.unique(indices))
    if len(holes):
        _overwrite(mask, holes, 1, grid)
        polygons, _ = outline_mask(mask, grid)
    small = polygons.area_m2 < min_area
    if small.any():
        _overwrite(mask, polygons.geometry[small], 0, grid)
    return polygons[~small].reset_index(drop=True)


def _overwrite(mask: Path, geometries: gpd.GeoSeries, value: int, grid: Grid) -> None:
    """Set the observed pixels within geometries to a value."""
    with rasterio.open(mask, "r+") as raster:
        for block in grid.blocks():
            inside = rasterize_window(geometries, [1] * len(geometries), grid, block) == 1
            if inside.any():
                window = block.to_rasterio()
                values = raster.read(1, window=window)
                values[inside & (values != UNKNOWN)] = value
                raster.write(values, 1, window=window)

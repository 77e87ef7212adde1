"""Real terrain and real landslides as inputs of the simulation."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import shapes
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.warp import Resampling, reproject, transform_bounds

from landslide.errors import InputError
from landslide.geo.elevation import ElevationUnit
from landslide.geo.grid import Grid, utm_crs
from landslide.geo.inventory import is_mask_raster, read_inventory
from landslide.geo.pixels import read_pixels
from landslide.geo.rasters import UNKNOWN, open_raster
from landslide.geo.relief import Float
from landslide.geo.scale import require_true_scale

SPACING = 10.0
"""Pixel size of a scene in metres, that of Sentinel-1 GRD."""


def utm_grid(source: DatasetReader, size: tuple[int, int] | None) -> Grid:
    """Grid of 10 m pixels in the UTM zone of a raster, over all of it or over its middle.

    Args:
        source: Open raster; a raster in a UTM zone keeps its CRS.
        size: (rows, cols) around the centre, or None for the raster's whole extent.

    Raises:
        InputError: The raster has no CRS, is smaller than ``size``, or lies so far from its
            UTM zone that the grid has no true scale.
    """
    if source.crs is None:
        raise InputError(f"{source.name} has no CRS, so it cannot be placed; assign one to it.")
    crs = utm_crs(transform_bounds(source.crs, "EPSG:4326", *source.bounds))
    if 32601 <= (source.crs.to_epsg() or 0) <= 32760:
        crs = source.crs
    west, south, east, north = transform_bounds(source.crs, crs, *source.bounds)
    left, top = np.ceil(west / SPACING), np.floor(north / SPACING)
    cols = int(np.floor(east / SPACING) - left)
    rows = int(top - np.ceil(south / SPACING))
    if size is not None:
        if size[0] > rows or size[1] > cols:
            raise InputError(
                f"size={list(size)} is larger than {source.name} ({rows} x {cols} pixels of "
                "10 m); choose a smaller size or leave it out."
            )
        left, top = left + (cols - size[1]) // 2, top - (rows - size[0]) // 2
        rows, cols = size
    grid = Grid(crs, Affine(SPACING, 0, left * SPACING, 0, -SPACING, top * SPACING), rows, cols)
    require_true_scale(grid, source.name)
    return grid


def read_dem(
    path: Path | str, size: tuple[int, int] | None
) -> tuple[Float, NDArray[np.bool_], Grid]:
    """Read a DEM, warped by cubic resampling to 10 m UTM.

    Args:
        path: Raster with elevations in its first band, in the unit that it declares or metres.
        size: (rows, cols) of the scene, or None for the DEM's extent.

    Returns:
        Elevations (H, W) in metres, NaN in voids; which pixels are valid; their grid.

    Raises:
        InputError: The file is no raster, has no CRS, is too small, or has no valid pixel.
    """
    with open_raster(path) as source:
        grid = utm_grid(source, size)
        elevation = np.full((grid.height, grid.width), np.nan, np.float32)
        reproject(
            ElevationUnit.of(source, 1)(*read_pixels(source, 1)),
            elevation,
            src_transform=source.transform,
            src_crs=source.crs,
            src_nodata=np.nan,
            dst_transform=grid.transform,
            dst_crs=grid.crs,
            dst_nodata=np.nan,
            resampling=Resampling.cubic,
        )
    valid = np.isfinite(elevation)
    if not valid.any():
        raise InputError(f"{path} has no valid elevation in the scene; choose another DEM or size.")
    return elevation, valid, grid


def read_landslides(path: Path | str, grid: Grid) -> tuple[gpd.GeoDataFrame, NDArray[np.bool_]]:
    """Read landslides from a mask raster (nearest) or from polygons.

    Args:
        path: A raster whose first band is positive on landslides, or a vector file.
        grid: Grid of the scene.

    Returns:
        Polygons with ``area_m2`` within the scene, and the pixels (H, W) that the source covers.

    Raises:
        InputError: The file holds neither a raster nor polygons, has no CRS, or has no landslide
            in the scene.
    """
    if not is_mask_raster(Path(path), "landslides"):
        inventory = read_inventory(Path(path), grid, key="landslides")
        parts = inventory.polygons.clip(shapely.box(*grid.bounds)).explode()
        polygons = gpd.GeoDataFrame(geometry=parts[parts.geom_type == "Polygon"], crs=grid.crs)
        polygons, known = polygons.reset_index(drop=True), np.ones((grid.height, grid.width), bool)
    else:
        polygons, known = _read_mask(path, grid)
    if polygons.empty:
        raise InputError(f"{path} has no landslide within the scene ({grid}); check its place.")
    polygons["area_m2"] = polygons.area.round(1)
    return polygons, known


def _read_mask(path: Path | str, grid: Grid) -> tuple[gpd.GeoDataFrame, NDArray[np.bool_]]:
    with open_raster(path) as source:
        if source.crs is None:
            raise InputError(f"{path} has no CRS, so it cannot be placed; assign one to it.")
        target = {
            "crs": grid.crs,
            "transform": grid.transform,
            "height": grid.height,
            "width": grid.width,
            "add_alpha": source.nodata is None,
        }
        with WarpedVRT(source, resampling=Resampling.nearest, **target) as warped:
            mask, known = warped.read(1), warped.dataset_mask() > 0
    known &= mask != UNKNOWN
    slid = ((mask > 0) & known).astype(np.uint8)
    rings = [shapely.geometry.shape(ring) for ring, _ in shapes(slid, slid > 0, 8, grid.transform)]
    return gpd.GeoDataFrame(geometry=rings, crs=grid.crs), known

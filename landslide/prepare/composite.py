"""The rasters of a scene, written block by block."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling

from landslide.errors import InputError
from landslide.geo.grid import Grid
from landslide.geo.polygons import write_polygons
from landslide.geo.rasters import UNKNOWN, raster_profile
from landslide.prepare.aligned_tiles import Conversion
from landslide.prepare.inventory_mask import InventoryMask
from landslide.prepare.layers import Layer
from landslide.prepare.mosaic import Mosaic
from landslide.prepare.quality import Histogram
from landslide.prepare.sources import Pass, Tile
from landslide.prepare.stack import Stack
from landslide.prepare.terrain import TerrainBands


def write_orbit(
    name: Pass,
    images: Mapping[str, Sequence[tuple[Tile, Conversion]]],
    terrain: TerrainBands | None,
    grid: Grid,
    resampling: Resampling,
    folder: Path,
    layers: Sequence[Layer] = (),
    stack: Stack | None = None,
) -> dict[str, Histogram]:
    """Write the composite of one orbit, with bands of terrain, of layers and of its stack, if any.

    Backscatter is resampled in linear power.

    Returns:
        Histogram of each band, in the order of the file.
    """
    bands = _order(list(images), terrain.names(name) if terrain else ())
    bands += [layer.name for layer in layers]
    bands += stack.bands if stack else []
    histograms = {band: Histogram(band) for band in bands}
    histograms |= {layer.name: Histogram(layer.name, any_range=True) for layer in layers}
    profile = raster_profile(grid, "float32", len(bands), np.nan)
    profile |= {"compress": None, "predictor": 1, "interleave": "band"}
    with ExitStack() as files:
        mosaics = {
            band: files.enter_context(Mosaic(tiles, resampling)) for band, tiles in images.items()
        }
        warped = {
            layer.name: files.enter_context(Mosaic(layer.images(), layer.resampling))
            for layer in layers
        }
        dates = files.enter_context(rasterio.open(stack.path)) if stack else None
        sink = files.enter_context(rasterio.open(folder / f"{name}.tif", "w", **profile))
        sink.descriptions = tuple(bands)
        for window in grid.blocks():
            block = terrain.read(grid, window, name) if terrain else {}
            for band, mosaic in mosaics.items():
                values = mosaic.read(grid, window)
                block[band] = np.where(values > 0, values, np.float32(np.nan))
            block |= {band: mosaic.read(grid, window) for band, mosaic in warped.items()}
            if stack and dates:
                block |= stack.statistics(dates, window)
            for index, band in enumerate(bands, 1):
                sink.write(block[band], index, window=window.to_rasterio())
                histograms[band].add(block[band])
    return histograms


def _order(images: list[str], terrain: tuple[str, ...]) -> list[str]:
    """VV bands, slope, other polarisations, the rest of the terrain."""
    first = [band for band in images if band.startswith("vv_")]
    others = [band for band in images if band not in first]
    return [*first, *terrain[:1], *others, *terrain[1:]]


def write_inventory(inventory: InventoryMask, grid: Grid, folder: Path) -> Mapping[int, int]:
    """Write ``landslides.tif``, and ``landslides.gpkg`` where there are outlines.

    Returns:
        Number of pixels that are 0, 1 and 255.

    Raises:
        InputError: There is no landslide pixel.
    """
    counts = np.zeros(256, np.int64)
    profile = raster_profile(grid, "uint8", 1, UNKNOWN)
    with rasterio.open(folder / "landslides.tif", "w", **profile) as sink:
        sink.descriptions = ("landslides",)
        for window in grid.blocks():
            mask = inventory.read(window)
            counts += np.bincount(mask.ravel(), minlength=256)
            sink.write(mask, 1, window=window.to_rasterio())
    if not counts[1]:
        raise InputError(
            "the inventory has no landslide pixel within the area: check its place, "
            "inventory.mapped_area, or use inventory.all_touched=true for small landslides"
        )
    if inventory.outlines is not None:
        write_polygons(folder / "landslides.gpkg", inventory.outlines, "landslides")
    return {value: int(counts[value]) for value in (0, 1, UNKNOWN)}

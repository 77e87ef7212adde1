"""The rasters of a scene, written block by block."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import Resampling

from landslide.errors import InputError
from landslide.geo.grid import Grid
from landslide.geo.pieces import Piece
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


@dataclass(frozen=True)
class Composite:
    """What the composite of one orbit is made of.

    Attributes:
        name: Direction of flight.
        images: Tiles of each band of backscatter, which is resampled in linear power.
        terrain: Bands of terrain, if there is a DEM.
        resampling: Resampling of backscatter.
        layers: Further rasters.
        stack: The orbit's stack, if any.
    """

    name: Pass
    images: Mapping[str, Sequence[tuple[Tile, Conversion]]]
    terrain: TerrainBands | None
    resampling: Resampling
    layers: Sequence[Layer] = ()
    stack: Stack | None = None

    @property
    def bands(self) -> list[str]:
        """Bands in the order of the file."""
        bands = _order(list(self.images), self.terrain.names(self.name) if self.terrain else ())
        bands += [layer.name for layer in self.layers]
        return bands + (self.stack.bands if self.stack else [])

    def histograms(self) -> dict[str, Histogram]:
        """An empty histogram of each band."""
        free = {layer.name for layer in self.layers}
        return {band: Histogram(band, any_range=band in free) for band in self.bands}


def composite_profile(grid: Grid, bands: int) -> dict[str, Any]:
    """Creation options of a composite before it becomes cloud-optimised."""
    profile = raster_profile(grid, "float32", bands, np.nan)
    return profile | {"compress": None, "predictor": 1, "interleave": "band"}


def write_orbit(inputs: Composite, piece: Piece) -> dict[str, Histogram]:
    """Write a piece of the composite of one orbit.

    Returns:
        Histogram of each band, in the order of the file.
    """
    histograms = inputs.histograms()
    grid, terrain, stack = piece.whole, inputs.terrain, inputs.stack
    with ExitStack() as files:
        mosaics = {
            band: files.enter_context(Mosaic(tiles, inputs.resampling))
            for band, tiles in inputs.images.items()
        }
        warped = {
            layer.name: files.enter_context(Mosaic(layer.images(), layer.resampling))
            for layer in inputs.layers
        }
        dates = files.enter_context(rasterio.open(stack.path)) if stack else None
        profile = composite_profile(piece.grid, len(histograms))
        sink = files.enter_context(rasterio.open(piece.path, "w", **profile))
        sink.descriptions = tuple(histograms)
        for window in piece.blocks():
            block = terrain.read(grid, window, inputs.name) if terrain else {}
            for band, mosaic in mosaics.items():
                values = mosaic.read(grid, window)
                block[band] = np.where(values > 0, values, np.float32(np.nan))
            block |= {band: mosaic.read(grid, window) for band, mosaic in warped.items()}
            if stack and dates:
                block |= stack.statistics(dates, window)
            for index, (band, histogram) in enumerate(histograms.items(), 1):
                sink.write(block[band], index, window=piece.inside(window).to_rasterio())
                histogram.add(block[band])
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

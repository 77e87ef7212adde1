"""The rasters of a scene, written block by block."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.io import DatasetReader

from landslide.errors import InputError
from landslide.geo.files import replacing
from landslide.geo.grid import Grid, Window
from landslide.geo.pieces import Piece
from landslide.geo.polygons import write_polygons
from landslide.geo.rasters import UNKNOWN, raster_profile
from landslide.geo.relief import Float
from landslide.prepare.aligned_tiles import Conversion
from landslide.prepare.inventory_mask import InventoryMask
from landslide.prepare.layers import Layer
from landslide.prepare.mosaic import Mosaic
from landslide.prepare.quality import Histogram
from landslide.prepare.sources import Pass, Tile
from landslide.prepare.stack import Stack
from landslide.prepare.terrain import TerrainBands
from landslide.prepare.threads import THREADS, read_side_by_side


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
    profile = composite_profile(piece.grid, len(histograms))
    with ExitStack() as files:
        readers = [
            files.enter_context(BlockReader(inputs, piece.whole)).read for _ in range(THREADS)
        ]
        path = files.enter_context(replacing(piece.path))
        sink = files.enter_context(rasterio.open(path, "w", **profile))
        sink.descriptions = tuple(histograms)
        for window, (block, counts) in read_side_by_side(readers, piece.blocks()):
            for index, (band, histogram) in enumerate(histograms.items(), 1):
                sink.write(block[band], index, window=piece.inside(window).to_rasterio())
                histogram.merge(counts[band])
    return histograms


class BlockReader:
    """Reads all bands of a composite, block by block, from rasters of its own.

    Args:
        inputs: What the composite is made of.
        grid: Grid of the scene.
    """

    def __init__(self, inputs: Composite, grid: Grid) -> None:
        self.inputs = inputs
        self.grid = grid
        self._images = {b: Mosaic(t, inputs.resampling) for b, t in inputs.images.items()}
        self._layers = {x.name: Mosaic(x.images(), x.resampling) for x in inputs.layers}
        self._dates: DatasetReader | None = None
        self._open_files = ExitStack()

    def __enter__(self) -> Self:
        """Open all rasters."""
        for mosaic in (*self._images.values(), *self._layers.values()):
            self._open_files.enter_context(mosaic)
        if self.inputs.stack:
            self._dates = self._open_files.enter_context(rasterio.open(self.inputs.stack.path))
        return self

    def __exit__(self, *_: object) -> None:
        """Close all rasters."""
        self._open_files.close()

    def read(self, window: Window) -> tuple[dict[str, Float], dict[str, Histogram]]:
        """Bands (H, W) of a window and the histogram of each."""
        grid, terrain, stack = self.grid, self.inputs.terrain, self.inputs.stack
        block = terrain.read(grid, window, self.inputs.name) if terrain else {}
        for band, mosaic in self._images.items():
            values = mosaic.read(grid, window)
            block[band] = np.where(values > 0, values, np.float32(np.nan))
        block |= {band: mosaic.read(grid, window) for band, mosaic in self._layers.items()}
        if stack and self._dates:
            block |= stack.statistics(self._dates, window)
        counts = self.inputs.histograms()
        for band, histogram in counts.items():
            histogram.add(block[band])
        return block, counts


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

"""Tiles of any CRS and resolution as one image on any grid, window by window."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Protocol, Self

import numpy as np
import rasterio.windows
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.transform import array_bounds
from rasterio.warp import reproject, transform_bounds

from landslide.errors import InputError
from landslide.pixels import read_pixels
from landslide.polygons import raster_window
from landslide.prepare.sources import Tile
from landslide.rasters import Grid, Window, open_raster
from landslide.relief import Float


class Convert(Protocol):
    """From values as declared and where they are valid, to measurements with NaN."""

    def __call__(self, values: Float, valid: NDArray[np.bool_], /) -> Float:
        """Convert (H, W) values; see ``read_pixels``."""


KERNEL = 4
"""Pixels that the widest kernel (Lanczos is not offered) sees around a position, and to spare."""


class Mosaic:
    """Tiles that are converted to measurements and then warped; the first measurement counts.

    What is read depends on the window, not on the size of the tiles.

    Args:
        tiles: Rasters, each with its conversion to float32 with NaN where nothing is measured.
        resampling: How positions between pixels are interpolated.
        widen: Let kernels grow where the grid is coarser than the tile. Without, cubic
            interpolation keeps planes exact, as slopes need.
    """

    def __init__(
        self,
        tiles: Sequence[tuple[Tile, Convert]],
        resampling: Resampling,
        *,
        widen: bool = True,
    ) -> None:
        self.tiles = tiles
        self.resampling = resampling
        self.scale = {} if widen else {"XSCALE": 1, "YSCALE": 1}
        self._stack = ExitStack()
        self._open: list[tuple[DatasetReader, int, Convert]] = []

    def __enter__(self) -> Self:
        """Open all tiles."""
        for tile, convert in self.tiles:
            source = self._stack.enter_context(open_georeferenced(tile))
            self._open.append((source, tile.band, convert))
        return self

    def __exit__(self, *_: object) -> None:
        """Close all tiles."""
        self._open = []
        self._stack.close()

    def read(self, grid: Grid, window: Window) -> Float:
        """Return (H, W) float32 of a window, which may hang over the grid; NaN where unknown."""
        out = np.full((window.height, window.width), np.nan, np.float32)
        for source, band, convert in self._open:
            missing = np.isnan(out)
            if not missing.any():
                break
            part = self._warp(source, band, convert, grid, window)
            if part is not None:
                out = np.where(missing, part, out)
        return out

    def _warp(
        self, source: DatasetReader, band: int, convert: Convert, grid: Grid, window: Window
    ) -> Float | None:
        """Warp one tile; None where it does not reach."""
        transform = rasterio.windows.transform(raster_window(window), grid.transform)
        bounds = array_bounds(window.height, window.width, transform)
        near = transform_bounds(grid.crs, source.crs, *bounds)
        native = rasterio.windows.from_bounds(*near, transform=source.transform)
        margin = KERNEL * max(1.0, native.width / window.width, native.height / window.height)
        top, left = (max(0, int(np.floor(n - margin))) for n in (native.row_off, native.col_off))
        bottom = min(source.height, int(np.ceil(native.row_off + native.height + margin)))
        right = min(source.width, int(np.ceil(native.col_off + native.width + margin)))
        if bottom <= top or right <= left:
            return None
        place = raster_window(Window(top, left, bottom - top, right - left))
        measured = convert(*read_pixels(source, band, place))
        if np.isnan(measured).all():
            return None
        out = np.full((window.height, window.width), np.nan, np.float32)
        reproject(
            measured,
            out,
            src_transform=rasterio.windows.transform(place, source.transform),
            src_crs=source.crs,
            src_nodata=np.nan,
            dst_transform=transform,
            dst_crs=grid.crs,
            dst_nodata=np.nan,
            resampling=self.resampling,
            **self.scale,
        )
        return out


def as_is(values: Float, valid: NDArray[np.bool_]) -> Float:
    """Take values that are measurements already."""
    return np.where(valid, values, np.float32(np.nan))


def open_georeferenced(tile: Tile) -> DatasetReader:
    """Open a tile that can be placed on the Earth.

    Raises:
        InputError: No raster, no such band, no CRS, rotated or south-up.
    """
    source = open_raster(tile.path)
    problem = None
    if source.crs is None:
        problem = "has no coordinate reference system: assign one"
    elif source.transform.b or source.transform.d:
        problem = "is rotated: warp it to a north-up grid first, for example with gdalwarp"
    elif source.transform.is_identity:
        problem = "has no georeference: assign a geotransform"
    elif source.transform.e > 0:
        problem = (
            "has its first row in the south: warp it north-up first, for example with gdalwarp"
        )
    elif source.count < tile.band:
        problem = f"has no band {tile.band}, only {source.count}"
    elif np.iscomplexobj(np.empty(0, source.dtypes[tile.band - 1])):
        problem = "is complex (SLC): detect and terrain-correct it first"
    if problem:
        source.close()
        raise InputError(f"{tile.path} {problem}")
    return source


def choose_resampling(name: str, key: str) -> Resampling:
    """Resampling by its GDAL name.

    Raises:
        InputError: Unknown; names the key and the choices.
    """
    choices = ("nearest", "bilinear", "cubic", "cubic_spline", "average")
    if name not in choices:
        raise InputError(f"{key}={name} is unknown: choose from {', '.join(choices)}")
    return Resampling[name]

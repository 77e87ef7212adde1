"""Tiles of any CRS and resolution as one image on any grid, window by window.

A tile that is warped alone ends at its border: there the kernel sees no neighbours, and GDAL
takes the kernel's width from what part of the tile a window happens to show. So tiles of one
grid are put together first, gaps at their edges are filled from tiles of other grids, and the
width of the kernel follows from the two grids alone.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple, Self

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.warp import reproject

from landslide.errors import InputError
from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import open_raster
from landslide.geo.relief import Float
from landslide.prepare.sheets import ALIGNED, Convert, Sheet
from landslide.prepare.sources import Tile

KERNEL = 4
"""Pixels that the widest kernel (Lanczos is not offered) sees around a position, and to spare."""

LARGEST = 4096**2
"""Pixels of tiles that are held at a time, where a grid is much coarser than they are."""

TOLERANCE = 0.01
"""Part of a pixel to which GDAL may place positions."""


class Warped(NamedTuple):
    """A sheet on a grid.

    Attributes:
        values: (H, W) float32, NaN where unknown.
        own: (H, W) whether the nearest pixel is the sheet's own measurement.
    """

    values: Float
    own: NDArray[np.bool_]


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
        self.widen = widen
        self.sheets: list[Sheet] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Open all tiles."""
        opened = []
        for tile, convert in self.tiles:
            source = self._stack.enter_context(open_georeferenced(tile))
            opened.append((source, tile.band, convert))
        self.sheets = Sheet.of(opened)
        return self

    def __exit__(self, *_: object) -> None:
        """Close all tiles."""
        self.sheets = []
        self._stack.close()

    def read(self, grid: Grid, window: Window) -> Float:
        """Return (H, W) float32 of a window, which may hang over the grid; NaN where unknown."""
        out = np.full((window.height, window.width), np.nan, np.float32)
        finest = max((float(sheet.step(grid).prod()) for sheet in self.sheets), default=1.0)
        for part in _parts(window, finest):
            values = out[part.within(window)]
            warped = [w for s in self.sheets if (w := self._fill_and_warp(s, grid, part))]
            for image in warped:
                np.copyto(values, image.values, where=np.isnan(values) & image.own)
            for image in warped:
                np.copyto(values, image.values, where=np.isnan(values))
        return out

    def _fill_and_warp(self, sheet: Sheet, grid: Grid, window: Window) -> Warped | None:
        """Warp a sheet whose gaps are filled from the others; None where it does not reach."""
        step = sheet.step(grid)
        near = sheet.near(grid, window, tuple(KERNEL * step.clip(1)))
        if near is None:
            return None
        image = sheet.read(near)
        own = ~np.isnan(image)
        if not own.any():
            return None
        if len(self.sheets) == 1:
            values = self._warp(image, sheet.grid(near), grid, window, self.resampling, step)
            return Warped(values, ~np.isnan(values))
        for other in self.sheets:
            if other is not sheet and np.isnan(image).any():
                self._fill(image, sheet.grid(near), other)
        values = self._warp(image, sheet.grid(near), grid, window, self.resampling, step)
        mask = np.where(own, np.float32(1), np.float32(np.nan))
        nearest = self._warp(mask, sheet.grid(near), grid, window, Resampling.nearest, step)
        return Warped(values, ~np.isnan(nearest))

    def _fill(self, image: Float, place: Grid, other: Sheet) -> None:
        """Fill an image's gaps from a sheet of another grid."""
        window = Window(0, 0, place.height, place.width)
        step = other.step(place)
        near = other.near(place, window, tuple(KERNEL * step.clip(1)))
        if near is not None:
            values = self._warp(
                other.read(near), other.grid(near), place, window, self.resampling, step
            )
            np.copyto(image, values, where=np.isnan(image))

    def _warp(
        self,
        image: Float,
        place: Grid,
        grid: Grid,
        window: Window,
        resampling: Resampling,
        step: NDArray[np.float64],
    ) -> Float:
        """Warp an image to a window of a grid; as it is where pixels lie on pixels."""
        wanted = grid.transform @ Affine.translation(window.col, window.row)
        if (corner := _corner(place, grid.crs, wanted)) is not None:
            col, row = corner
            return image[row : row + window.height, col : col + window.width]
        out = np.full((window.height, window.width), np.nan, np.float32)
        scale = 1 / step.clip(1) if self.widen else np.ones(2)
        reproject(
            image,
            out,
            src_transform=place.transform,
            src_crs=place.crs,
            src_nodata=np.nan,
            dst_transform=wanted,
            dst_crs=grid.crs,
            dst_nodata=np.nan,
            resampling=resampling,
            tolerance=TOLERANCE,
            XSCALE=scale[0],
            YSCALE=scale[1],
        )
        return out


def _parts(window: Window, pixels: float) -> list[Window]:
    """Cut a window so that each part has at most ``LARGEST`` source pixels.

    Args:
        window: On a grid.
        pixels: Source pixels per pixel of the grid.
    """
    side = max(64, int(np.sqrt(LARGEST / max(pixels, 1))))
    return [
        Window(row, col, min(side, end_row - row), min(side, end_col - col))
        for end_row, end_col in [(window.row + window.height, window.col + window.width)]
        for row in range(window.row, end_row, side)
        for col in range(window.col, end_col, side)
    ]


def _corner(place: Grid, crs: CRS, wanted: Affine) -> tuple[int, int] | None:
    """Column and row of an image where a grid begins whose pixels are the image's own."""
    shift = ~place.transform @ wanted
    corner = np.array([shift.c, shift.f])
    same = max(abs(shift.a - 1), abs(shift.e - 1)) * max(place.height, place.width) < ALIGNED
    if place.crs != crs or not same or np.abs(corner - corner.round()).max() > ALIGNED:
        return None
    return int(corner[0].round()), int(corner[1].round())


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

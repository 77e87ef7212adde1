"""Tiles of any CRS and resolution as one image on any grid, window by window.

A tile that is warped alone ends at its border: the kernel lacks neighbours there, and GDAL takes
the kernel's width from the part of the tile that a window happens to show. Therefore tiles of one
grid are joined first, gaps at their edges are filled from tiles of other grids, and the width of
the kernel follows from the two grids alone.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Self

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
from landslide.prepare.aligned_tiles import ALIGNED, AlignedTiles, Conversion
from landslide.prepare.sources import Tile

KERNEL = 4
"""Reach in pixels of the widest kernel, with one to spare."""

MAX_PIXELS = 4096**2
"""Pixels of tiles that are held at a time, where a grid is much coarser than they are."""

TOLERANCE = 0.01
"""Part of a pixel to which GDAL may approximate positions."""


class Mosaic:
    """Tiles that are converted to measurements and then warped; the first measurement counts.

    The amount read depends on the window, not on the size of the tiles.

    Args:
        tiles: Rasters, each with its conversion to float32 with NaN where nothing is measured.
        resampling: How positions between pixels are interpolated.
        widen: Let kernels grow where the grid is coarser than the tile. Without, cubic
            interpolation keeps planes exact, as slopes need.
    """

    def __init__(
        self,
        tiles: Sequence[tuple[Tile, Conversion]],
        resampling: Resampling,
        *,
        widen: bool = True,
    ) -> None:
        self.tiles = tiles
        self.resampling = resampling
        self.widen = widen
        self.groups: list[AlignedTiles] = []
        self._open_files = ExitStack()

    def __enter__(self) -> Self:
        """Open all tiles."""
        self.groups = AlignedTiles.group(
            [
                (self._open_files.enter_context(open_georeferenced(tile)), tile.band, conversion)
                for tile, conversion in self.tiles
            ]
        )
        return self

    def __exit__(self, *_: object) -> None:
        """Close all tiles."""
        self.groups = []
        self._open_files.close()

    def read(self, grid: Grid, window: Window) -> Float:
        """Return (H, W) float32 of a window, which may hang over the grid; NaN where unknown."""
        out = np.full((window.height, window.width), np.nan, np.float32)
        finest = max((float(group.pixel_span(grid).prod()) for group in self.groups), default=1.0)
        for part in _split(window, finest):
            values = out[part.within(window)]
            warped = [w for group in self.groups if (w := self._warp_group(group, grid, part))]
            for image, measured in warped:
                np.copyto(values, image, where=np.isnan(values) & measured)
            for image, _ in warped:
                np.copyto(values, image, where=np.isnan(values))
        return out

    def _warp_group(
        self, group: AlignedTiles, grid: Grid, window: Window
    ) -> tuple[Float, NDArray[np.bool_]] | None:
        """Warp tiles of one grid, with their gaps filled from the others.

        Returns:
            (H, W) values, NaN where unknown, and where the nearest pixel is the tiles' own
            measurement; None where they have none in the window.
        """
        under = group.window_under(grid, window, KERNEL)
        if under is None:
            return None
        image, image_grid = group.read(under), group.grid(under)
        measured = ~np.isnan(image)
        if not measured.any():
            return None
        span = group.pixel_span(grid)
        alone = len(self.groups) == 1
        for other in self.groups:
            if other is not group and np.isnan(image).any():
                self._fill_gaps(image, image_grid, other)
        values = self._warp(image, image_grid, grid, window, self.resampling, span)
        if alone:
            return values, ~np.isnan(values)
        mask = np.where(measured, np.float32(1), np.float32(np.nan))
        nearest = self._warp(mask, image_grid, grid, window, Resampling.nearest, span)
        return values, ~np.isnan(nearest)

    def _fill_gaps(self, image: Float, image_grid: Grid, other: AlignedTiles) -> None:
        """Fill an image's gaps from tiles of another grid."""
        window = Window(0, 0, image_grid.height, image_grid.width)
        under = other.window_under(image_grid, window, KERNEL)
        if under is not None:
            span = other.pixel_span(image_grid)
            values = self._warp(
                other.read(under), other.grid(under), image_grid, window, self.resampling, span
            )
            np.copyto(image, values, where=np.isnan(image))

    def _warp(
        self,
        image: Float,
        image_grid: Grid,
        grid: Grid,
        window: Window,
        resampling: Resampling,
        span: NDArray[np.float64],
    ) -> Float:
        """Warp an image to a window of a grid, or cut it out where pixels lie on pixels."""
        transform = grid.transform @ Affine.translation(window.col, window.row)
        if (offset := _aligned_offset(image_grid, grid.crs, transform)) is not None:
            col, row = offset
            return image[row : row + window.height, col : col + window.width]
        out = np.full((window.height, window.width), np.nan, np.float32)
        scale = 1 / span.clip(1) if self.widen else np.ones(2)
        if image_grid.crs == grid.crs and resampling != Resampling.average:
            image, image_grid = _measured_part(image, image_grid)
        # Without nodata GDAL takes half the time or less, and does the same where none is missing.
        nodata = np.nan if np.isnan(image).any() else None
        reproject(
            image,
            out,
            src_transform=image_grid.transform,
            src_crs=image_grid.crs,
            src_nodata=nodata,
            dst_transform=transform,
            dst_crs=grid.crs,
            dst_nodata=nodata,
            init_dest_nodata=False,  # it is NaN already
            resampling=resampling,
            tolerance=TOLERANCE,
            XSCALE=scale[0],
            YSCALE=scale[1],
        )
        return out


def _measured_part(image: Float, grid: Grid) -> tuple[Float, Grid]:
    """An image and its grid without the rows and columns at its edges that are all NaN."""
    known = ~np.isnan(image)
    rows, cols = (np.flatnonzero(known.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return image, grid
    row, col = int(rows[0]), int(cols[0])
    part = np.ascontiguousarray(image[row : rows[-1] + 1, col : cols[-1] + 1])
    moved = grid.transform @ Affine.translation(col, row)
    return part, Grid(grid.crs, moved, *part.shape)


def _split(window: Window, source_pixels: float) -> list[Window]:
    """Split a window so that each part has at most ``MAX_PIXELS`` source pixels."""
    side = max(64, int(np.sqrt(MAX_PIXELS / max(source_pixels, 1))))
    end_row, end_col = window.row + window.height, window.col + window.width
    return [
        Window(row, col, min(side, end_row - row), min(side, end_col - col))
        for row in range(window.row, end_row, side)
        for col in range(window.col, end_col, side)
    ]


def _aligned_offset(image: Grid, crs: CRS, transform: Affine) -> tuple[int, int] | None:
    """Column and row of an image where a grid begins, if their pixels coincide."""
    shift = ~image.transform @ transform
    corner = np.array([shift.c, shift.f])
    same = max(abs(shift.a - 1), abs(shift.e - 1)) * max(image.height, image.width) < ALIGNED
    if image.crs != crs or not same or np.abs(corner - corner.round()).max() > ALIGNED:
        return None
    return int(corner[0].round()), int(corner[1].round())


def keep_values(values: Float, valid: NDArray[np.bool_]) -> Float:
    """Keep values that are measurements already; NaN where they are not valid."""
    return np.where(valid, values, np.float32(np.nan))


def open_georeferenced(tile: Tile) -> DatasetReader:
    """Open a tile on a north-up map grid.

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

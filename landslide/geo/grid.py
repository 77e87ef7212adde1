"""Pixel grids and windows of them."""

from typing import NamedTuple, Self

import numpy as np
from affine import Affine
from rasterio.crs import CRS
from rasterio.io import DatasetReader
from rasterio.transform import array_bounds
from rasterio.windows import Window as RasterWindow

TILE_SIZE = 256
"""Side in pixels of the internal tiles of every raster written here."""

EDGE_TOLERANCE = 1e-3
"""Part of a pixel by which the corners of equal grids may differ."""

BLOCK_SIZE = 4 * TILE_SIZE
"""Side in pixels of the blocks in which a scene is processed."""

STRIP = 512
"""Rows that are read at once. GDAL reads a window band by band, and it decodes tiles anew for every
band once they no longer fit into its cache."""


class Window(NamedTuple):
    """A rectangle of pixels, with its offset from a scene's north-west corner."""

    row: int
    col: int
    height: int
    width: int

    def within(self, outer: "Window") -> tuple[slice, slice]:
        """Rows and columns of this window in an array of a window around it."""
        top, left = self.row - outer.row, self.col - outer.col
        return slice(top, top + self.height), slice(left, left + self.width)

    def columns(self, width: int) -> list["Window"]:
        """The window in parts of this width from west to east; the last may be narrower."""
        end = self.col + self.width
        return [
            Window(self.row, col, self.height, min(width, end - col))
            for col in range(self.col, end, width)
        ]

    def padded(self, pixels: int) -> "Window":
        """The window with so many more pixels on every side, which may reach beyond the scene."""
        size = self.height + 2 * pixels, self.width + 2 * pixels
        return Window(self.row - pixels, self.col - pixels, *size)

    def to_rasterio(self) -> RasterWindow:
        """The same window as rasterio's class."""
        return RasterWindow(self.col, self.row, self.width, self.height)


class Grid(NamedTuple):
    """A north-up pixel grid in a projected CRS."""

    crs: CRS
    transform: Affine
    height: int
    width: int

    @classmethod
    def of(cls, source: DatasetReader) -> Self:
        """Grid of an open raster."""
        return cls(source.crs, source.transform, source.height, source.width)

    @property
    def pixel_area(self) -> float:
        """Area of one pixel in m²."""
        return abs(self.transform.a * self.transform.e)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Bounds (west, south, east, north) in CRS units."""
        west, south, east, north = array_bounds(self.height, self.width, self.transform)
        return west, south, east, north

    def blocks(self, height: int = BLOCK_SIZE, width: int | None = None) -> list[Window]:
        """Windows, square by default, that cover the grid row by row from the north-west."""
        width = width or height
        return [
            Window(row, col, min(height, self.height - row), min(width, self.width - col))
            for row in range(0, self.height, height)
            for col in range(0, self.width, width)
        ]

    @property
    def full_window(self) -> Window:
        """Window of the whole grid."""
        return Window(0, 0, self.height, self.width)

    def clip(self, window: Window) -> Window:
        """The part of a window that lies in the grid, of no height or width where none does."""
        top, left = max(window.row, 0), max(window.col, 0)
        bottom = min(window.row + window.height, self.height)
        right = min(window.col + window.width, self.width)
        return Window(top, left, max(bottom - top, 0), max(right - left, 0))

    def strips(self, height: int = STRIP) -> list[Window]:
        """Full-width windows that cover the grid from north to south."""
        return self.blocks(height, self.width)

    def slices(self, window: Window) -> tuple[slice, slice]:
        """Map coordinates (x, y) of a pixel window, as TorchGeo's datasets are indexed."""
        xres, yres = self.transform.a, -self.transform.e
        west = self.transform.c + window.col * xres
        north = self.transform.f - window.row * yres
        return (
            slice(west, west + window.width * xres),
            slice(north - window.height * yres, north),
        )

    def window(self, x: slice, y: slice) -> Window:
        """Pixel window of map coordinates: the inverse of ``slices``."""
        xres, yres = self.transform.a, -self.transform.e
        return Window(
            row=round((self.transform.f - y.stop) / yres),
            col=round((x.start - self.transform.c) / xres),
            height=round((y.stop - y.start) / yres),
            width=round((x.stop - x.start) / xres),
        )

    def matches(self, other: Self) -> bool:
        """Whether both grids have the same CRS, size and (to 1e-3 px) corners."""
        tolerance = EDGE_TOLERANCE * abs(self.transform.a)
        return (
            self.crs == other.crs
            and (self.height, self.width) == (other.height, other.width)
            and np.allclose(self.bounds, other.bounds, rtol=0, atol=tolerance)
        )

    def __str__(self) -> str:
        """Describe the grid in one phrase."""
        return (
            f"{self.width} x {self.height} px of {self.transform.a:g} m from "
            f"({self.transform.c:.2f}, {self.transform.f:.2f}) in {self.crs}"
        )


def utm_crs(bounds: tuple[float, float, float, float]) -> CRS:
    """UTM zone of the middle of (west, south, east, north) in degrees."""
    west, south, east, north = bounds
    east += 360 * (west > east)  # over the antimeridian
    zone = int((west + east) / 2 // 6 + 30) % 60 + 1
    return CRS.from_epsg((32600 if south + north >= 0 else 32700) + zone)

"""Tiles whose pixels lie on one grid, put together before anything is interpolated."""

from typing import NamedTuple, Protocol, Self

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.io import DatasetReader
from rasterio.transform import array_bounds
from rasterio.warp import transform_bounds

from landslide.geo.extent import pixel_step
from landslide.geo.grid import Grid, Window
from landslide.geo.pixels import read_pixels
from landslide.geo.polygons import raster_window
from landslide.geo.relief import Float

ALIGNED = 0.02
"""Part of a pixel by which tiles may miss their grid: files hold rounded coordinates."""


class Convert(Protocol):
    """From values as declared and where they are valid, to measurements with NaN."""

    def __call__(self, values: Float, valid: NDArray[np.bool_], /) -> Float:
        """Convert (H, W) values; see ``read_pixels``."""


class Placed(NamedTuple):
    """A band of an open raster at its place on a sheet."""

    source: DatasetReader
    band: int
    convert: Convert
    row: int
    col: int


class Sheet:
    """One image of the tiles of a grid; where tiles overlap, the first measurement counts.

    Pixels are counted from the north-west corner of the first tile. A sheet in degrees goes
    around the Earth: columns a whole turn apart are the same.

    Args:
        source: First tile; gives the grid.
    """

    def __init__(self, source: DatasetReader) -> None:
        self.crs: CRS = source.crs
        self.transform: Affine = source.transform
        self.tiles: list[Placed] = []
        self._turn = 360 / self.transform.a if self.crs.is_geographic else np.inf
        whole = np.isfinite(self._turn) and abs(self._turn - round(self._turn)) < ALIGNED
        turn = round(self._turn) if whole else 0
        self._turns = (-turn, 0, turn) if turn else (0,)

    def add(self, source: DatasetReader, band: int, convert: Convert) -> bool:
        """Take a tile; False where its pixels lie on another grid."""
        shift = ~self.transform @ source.transform
        corner = np.array([shift.f, shift.c])
        other = max(abs(shift.a - 1), abs(shift.e - 1)) * max(source.shape) > ALIGNED
        apart = len(self._turns) == 1 and abs(shift.c) > self._turn / 2
        if source.crs != self.crs or other or apart:
            return False
        if np.abs(corner - corner.round()).max() > ALIGNED:
            return False
        self.tiles.append(Placed(source, band, convert, *(int(n) for n in corner.round())))
        return True

    def grid(self, window: Window) -> Grid:
        """Grid of a window of the sheet."""
        place = self.transform @ Affine.translation(window.col, window.row)
        return Grid(self.crs, place, window.height, window.width)

    def step(self, grid: Grid) -> NDArray[np.float64]:
        """Columns and rows of the sheet that a pixel of a grid spans."""
        step: NDArray[np.float64] = np.linalg.norm(
            pixel_step(self.grid(Window(0, 0, 1, 1)), grid), axis=1
        )
        return step

    def near(self, grid: Grid, window: Window, margin: tuple[float, float]) -> Window | None:
        """Pixels of the sheet under a window of a grid, and a margin of (columns, rows).

        None where the sheet's CRS does not reach.
        """
        place = grid.transform @ Affine.translation(window.col, window.row)
        bounds = array_bounds(window.height, window.width, place)
        west, south, east, north = transform_bounds(grid.crs, self.crs, *bounds)
        if not np.isfinite([west, south, east, north]).all():
            return None
        if self.crs.is_geographic:
            east += 360 * (east < west)
            middle = self.transform.c + self.tiles[0].source.width / 2 * self.transform.a
            turns = round((middle - (west + east) / 2) / 360)
            west, east = west + 360 * turns, east + 360 * turns
        left, top = ~self.transform @ (west, north)
        right, bottom = ~self.transform @ (east, south)
        row, col = int(np.floor(top - margin[1])), int(np.floor(left - margin[0]))
        height, width = (
            int(np.ceil(bottom + margin[1])) - row,
            int(np.ceil(right + margin[0])) - col,
        )
        return Window(row, col, height, width)

    def read(self, window: Window) -> Float:
        """Measurements (H, W) of a window, NaN where there is none."""
        out = np.full((window.height, window.width), np.nan, np.float32)
        for tile in self.tiles:
            for turn in self._turns:
                place = Window(tile.row, tile.col + turn, *tile.source.shape)
                inner = _overlap(window, place)
                if inner is None:
                    continue
                part = out[inner.within(window)]
                if np.isnan(part).any():
                    rows, cols = inner.within(place)
                    wanted = Window(rows.start, cols.start, inner.height, inner.width)
                    pixels = read_pixels(tile.source, tile.band, raster_window(wanted))
                    np.copyto(part, tile.convert(*pixels), where=np.isnan(part))
        return out

    @classmethod
    def of(cls, tiles: list[tuple[DatasetReader, int, Convert]]) -> list[Self]:
        """Sort open tiles into sheets, in the order of their first tiles."""
        sheets: list[Self] = []
        for tile in tiles:
            if not any(sheet.add(*tile) for sheet in sheets):
                sheets.append(cls(tile[0]))
                sheets[-1].add(*tile)
        return sheets


def _overlap(one: Window, other: Window) -> Window | None:
    """What two windows share."""
    top, left = max(one.row, other.row), max(one.col, other.col)
    bottom = min(one.row + one.height, other.row + other.height)
    right = min(one.col + one.width, other.col + other.width)
    return Window(top, left, bottom - top, right - left) if top < bottom and left < right else None

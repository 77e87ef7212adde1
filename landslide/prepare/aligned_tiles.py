"""Tiles whose pixels lie on one grid, joined before anything is interpolated."""

from typing import NamedTuple, Protocol, Self

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.io import DatasetReader
from rasterio.transform import array_bounds
from rasterio.warp import transform_bounds

from landslide.geo.extent import pixel_jacobian
from landslide.geo.grid import Grid, Window
from landslide.geo.pixels import read_pixels
from landslide.geo.relief import Float

ALIGNED = 0.02
"""Part of a pixel by which tiles may miss their grid: files hold rounded coordinates."""


class Conversion(Protocol):
    """From values as declared and where they are valid, to measurements with NaN."""

    def __call__(self, values: Float, valid: NDArray[np.bool_], /) -> Float:
        """Convert (H, W) values; see ``read_pixels``."""


class PlacedTile(NamedTuple):
    """A band of an open raster, with its offset in pixels from the first tile's corner."""

    source: DatasetReader
    band: int
    conversion: Conversion
    row: int
    col: int


class AlignedTiles:
    """Tiles of one grid as one image; where tiles overlap, the first measurement counts.

    Pixels are counted from the north-west corner of the first tile. In degrees, the image goes
    around the Earth: columns a whole turn apart are the same.
    """

    def __init__(self, source: DatasetReader) -> None:
        self.crs: CRS = source.crs
        self.transform: Affine = source.transform
        self.tiles: list[PlacedTile] = []
        self._spans: dict[Grid, NDArray[np.float64]] = {}
        self._turn = 360 / self.transform.a if self.crs.is_geographic else np.inf
        whole = np.isfinite(self._turn) and abs(self._turn - round(self._turn)) < ALIGNED
        self._turns = (-round(self._turn), 0, round(self._turn)) if whole else (0,)

    @classmethod
    def group(cls, tiles: list[tuple[DatasetReader, int, Conversion]]) -> list[Self]:
        """Group open tiles by their grids, in the order of their first tiles."""
        groups: list[Self] = []
        for tile in tiles:
            if not any(group.add(*tile) for group in groups):
                groups.append(cls(tile[0]))
                groups[-1].add(*tile)
        return groups

    def add(self, source: DatasetReader, band: int, conversion: Conversion) -> bool:
        """Add a tile; False where its pixels lie on another grid."""
        shift = ~self.transform @ source.transform
        corner = np.array([shift.f, shift.c])
        stretched = max(abs(shift.a - 1), abs(shift.e - 1)) * max(source.shape) > ALIGNED
        unreachable = len(self._turns) == 1 and abs(shift.c) > self._turn / 2
        if source.crs != self.crs or stretched or unreachable:
            return False
        if np.abs(corner - corner.round()).max() > ALIGNED:
            return False
        row, col = (int(offset) for offset in corner.round())
        self.tiles.append(PlacedTile(source, band, conversion, row, col))
        return True

    def grid(self, window: Window) -> Grid:
        """Grid of a window of the image."""
        transform = self.transform @ Affine.translation(window.col, window.row)
        return Grid(self.crs, transform, window.height, window.width)

    def pixel_span(self, grid: Grid) -> NDArray[np.float64]:
        """Columns and rows of the image that a pixel of a grid spans."""
        if grid not in self._spans:
            jacobian = pixel_jacobian(self.grid(Window(0, 0, 1, 1)), grid)
            self._spans[grid] = np.linalg.norm(jacobian, axis=1)
        return self._spans[grid]

    def window_under(self, grid: Grid, window: Window, margin: float) -> Window | None:
        """Pixels of the image under a window of a grid.

        ``margin`` is added on every side, in pixels of the grid or the image, whichever are larger.

        Returns:
            None where the image's CRS does not reach.
        """
        transform = grid.transform @ Affine.translation(window.col, window.row)
        bounds = array_bounds(window.height, window.width, transform)
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
        across, down = margin * self.pixel_span(grid).clip(1)
        row, col = int(np.floor(top - down)), int(np.floor(left - across))
        end_row, end_col = int(np.ceil(bottom + down)), int(np.ceil(right + across))
        return Window(row, col, end_row - row, end_col - col)

    def read(self, window: Window) -> Float:
        """Measurements (H, W) of a window, NaN where there is none."""
        out = np.full((window.height, window.width), np.nan, np.float32)
        for tile in self.tiles:
            for turn in self._turns:
                extent = Window(tile.row, tile.col + turn, *tile.source.shape)
                shared = _intersection(window, extent)
                if shared is None:
                    continue
                part = out[shared.within(window)]
                if np.isnan(part).any():
                    rows, cols = shared.within(extent)
                    in_tile = Window(rows.start, cols.start, shared.height, shared.width)
                    pixels = read_pixels(tile.source, tile.band, in_tile.to_rasterio())
                    np.copyto(part, tile.conversion(*pixels), where=np.isnan(part))
        return out


def _intersection(one: Window, other: Window) -> Window | None:
    top, left = max(one.row, other.row), max(one.col, other.col)
    bottom = min(one.row + one.height, other.row + other.height)
    right = min(one.col + one.width, other.col + other.width)
    return Window(top, left, bottom - top, right - left) if top < bottom and left < right else None

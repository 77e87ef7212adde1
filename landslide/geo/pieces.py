"""A raster in pieces that can be written side by side, and their join."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import rasterio
from affine import Affine

from landslide.geo.grid import BLOCK_SIZE, Grid, Window


class Piece(NamedTuple):
    """A strip of a grid, from its western to its eastern edge.

    Attributes:
        path: File of the strip.
        whole: The grid.
        row: First row.
        rows: Number of rows.
    """

    path: Path
    whole: Grid
    row: int
    rows: int

    @property
    def grid(self) -> Grid:
        """Grid of the strip's own file."""
        moved = self.whole.transform @ Affine.translation(0, self.row)
        return self.whole._replace(transform=moved, height=self.rows)

    def blocks(self) -> list[Window]:
        """Blocks of the whole grid that lie in the strip."""
        end = self.row + self.rows
        return [block for block in self.whole.blocks() if self.row <= block.row < end]

    def inside(self, block: Window) -> Window:
        """A block of the whole grid in the strip's own file."""
        return block._replace(row=block.row - self.row)


def divide(path: Path, grid: Grid, number: int, folder: Path) -> list[Piece]:
    """Divide a raster into strips of whole blocks, so that each block is computed as in one piece.

    Args:
        path: The raster.
        grid: Its grid.
        number: Largest number of strips; one is the raster itself.
        folder: Where pieces are written.
    """
    blocks = -(-grid.height // BLOCK_SIZE)
    number = min(number, blocks)
    if number == 1:
        return [Piece(path, grid, 0, grid.height)]
    starts = [blocks * n // number * BLOCK_SIZE for n in range(number)]
    ends = [*starts[1:], grid.height]
    return [
        Piece(folder / f"{path.stem}.{n}.tif", grid, start, end - start)
        for n, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def join(pieces: Sequence[Piece], path: Path, profile: Mapping[str, Any]) -> None:
    """Join the pieces of a raster.

    Args:
        pieces: Strips from north to south that cover the grid.
        path: The raster; where it is the only piece, nothing is done.
        profile: Creation options of the raster.
    """
    if [piece.path for piece in pieces] == [path]:
        return
    with rasterio.open(path, "w", **profile, num_threads="all_cpus") as sink:
        for piece in pieces:
            with rasterio.open(piece.path) as source:
                sink.descriptions = source.descriptions
                for band in source.indexes:
                    for block in piece.blocks():
                        values = source.read(band, window=piece.inside(block).to_rasterio())
                        sink.write(values, band, window=block.to_rasterio())

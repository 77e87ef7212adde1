"""Pixels of a mask's connected regions, found strip by strip."""

from pathlib import Path

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from landslide.geo.grid import TILE_SIZE, Grid, Window

Polygons = NDArray[np.object_]


class Regions:
    """Connected pixels (4-neighbourhood) of value 1, numbered from 1 as their outlines are.

    To burn outlines into a raster, GDAL walks over all of their corners for every line of pixels.
    Regions are labelled instead. Labels that touch across the border of two strips are joined,
    so that memory grows with the regions only.

    Args:
        mask: Mask raster.
        grid: Grid of the mask.
        outlines: Outlines of regions, see ``outline_mask``. Pixels of other regions have number 0.

    Attributes:
        strips: Windows that cover the grid, by which numbers are read.
    """

    def __init__(self, mask: Path, grid: Grid, outlines: Polygons) -> None:
        self.strips = grid.strips(TILE_SIZE)
        self._offsets = [0]  # labels of all strips before
        firsts: list[NDArray[np.int64]] = []
        joined: list[NDArray[np.int64]] = []
        above = np.zeros(grid.width, dtype=np.int64)
        with rasterio.open(mask) as source:
            for strip in self.strips:
                labels, offset = _label(source, strip), self._offsets[-1]
                firsts.append(_first_pixels(labels) + strip.row * grid.width)
                touching = (above > 0) & (labels[0] > 0)
                joined.append(np.stack([above[touching], labels[0][touching] + offset]))
                above = np.where(labels[-1] > 0, labels[-1] + offset, 0)
                self._offsets.append(offset + len(firsts[-1]))
        upper, lower = np.concatenate(joined, axis=1) - 1
        size = self._offsets[-1]
        graph = coo_array((np.ones(len(upper), dtype=bool), (upper, lower)), shape=(size, size))
        count, region = connected_components(graph, directed=False)
        first = np.full(count, grid.height * grid.width)
        np.minimum.at(first, region, np.concatenate(firsts))
        self._numbers = _find(first, _first_corners(outlines, grid))[region]

    def read(self, mask: DatasetReader, strip: Window) -> NDArray[np.int32]:
        """Read the numbers (H, W) of a strip's pixels from the open mask; 0 is outside of all."""
        index = self.strips.index(strip)
        own = self._numbers[self._offsets[index] : self._offsets[index + 1]]
        numbers: NDArray[np.int32] = np.concatenate([[0], own]).astype(np.int32)
        return numbers[_label(mask, strip)]


def _label(mask: DatasetReader, strip: Window) -> NDArray[np.int32]:
    labels, _ = ndimage.label(mask.read(1, window=strip.to_rasterio()) == 1)
    return np.asarray(labels)


def _first_pixels(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """Index of each label's first pixel, row by row."""
    pixels = np.flatnonzero(labels)[::-1]
    first = np.zeros(labels.max(initial=0) + 1, dtype=np.int64)
    first[labels.ravel()[pixels]] = pixels  # of several values numpy keeps the last
    return first[1:]


def _first_corners(outlines: Polygons, grid: Grid) -> NDArray[np.int64]:
    """Index of the first pixel within each outline, whose north-west corner is a vertex."""
    rings = shapely.get_exterior_ring(outlines)
    corners, ring = shapely.get_coordinates(rings, return_index=True)
    cols, rows = np.rint(~grid.transform * corners.T).astype(np.int64)
    index = np.full(len(rings), (grid.height + 1) * (grid.width + 1))
    np.minimum.at(index, ring, rows * (grid.width + 1) + cols)
    row, col = np.divmod(index, grid.width + 1)
    found: NDArray[np.int64] = row * grid.width + col
    return found


def _find(values: NDArray[np.int64], among: NDArray[np.int64]) -> NDArray[np.int64]:
    """Position of each value, from 1; 0 where it is not there."""
    if not len(among):
        return np.zeros(len(values), dtype=np.int64)
    order = np.argsort(among)
    place = np.searchsorted(among[order], values).clip(max=len(among) - 1)
    position = order[place]
    return np.where(among[position] == values, position + 1, 0)

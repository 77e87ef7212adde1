"""Outlines of real inventories as implants, set on other slopes."""

from pathlib import Path

import numpy as np
import shapely
import shapely.affinity
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize

from landslide.errors import InputError
from landslide.geo.grid import Grid, Window, utm_crs
from landslide.geo.relief import Float
from landslide.geo.vectors import read_shapes
from landslide.implant.scars import FEWEST_PIXELS, Chip, ScarSource, Terrain, clipped

SUBPIXELS = 4
"""Sub-pixels per side that a pixel's coverage is counted from."""


def read_outlines(path: Path, grid: Grid) -> list[shapely.Polygon]:
    """Read the outlines of an inventory, wherever it lies, each around its own middle in metres.

    Args:
        path: Vector file in any CRS.
        grid: Grid of the scene; outlines smaller than three of its pixels, or larger than a quarter
            of it, are left out.

    Raises:
        InputError: The file cannot be read, or no outline fits.
    """
    shapes = read_shapes(path, "datamodule.implants.outlines")
    degrees = shapes.polygons.to_crs("EPSG:4326")
    west, south, east, north = degrees.total_bounds
    metric = degrees.to_crs(utm_crs((west, south, east, north)))
    parts = metric.explode(ignore_index=True)
    parts = parts[parts.geom_type == "Polygon"]
    fits = parts.area.between(
        FEWEST_PIXELS * grid.pixel_area, grid.height * grid.width * grid.pixel_area / 4
    )
    if not fits.any():
        raise InputError(
            f"datamodule.implants.outlines={path} has {len(parts)} polygons, and none has from "
            f"{FEWEST_PIXELS} pixels of the scene to a quarter of it: choose another inventory"
        )
    return [
        shapely.affinity.translate(shape, -shape.centroid.x, -shape.centroid.y)
        for shape in parts[fits]
    ]


class OutlineSource(ScarSource):
    """Draws outlines of a real inventory, their longest side down the slopes of a scene.

    Args:
        outlines: Polygons in metres around their middle.
        terrain: Slopes of the scene.
        valid: (H, W) pixels that count.
        grid: Grid of the scene.
        resolution: Resolution of the radar in metres.
    """

    def __init__(
        self,
        outlines: list[shapely.Polygon],
        terrain: Terrain,
        valid: NDArray[np.bool_],
        grid: Grid,
        resolution: float,
    ) -> None:
        mean_area = float(np.mean([outline.area for outline in outlines]))
        super().__init__(terrain, valid, grid, resolution, mean_area)
        self.outlines = [
            shapely.affinity.rotate(outline, -_axis(outline), origin=(0, 0), use_radians=True)
            for outline in outlines
        ]

    def _chips(
        self,
        heads: NDArray[np.int64],
        rise: tuple[Float, Float],
        offset: tuple[int, int],
        window: Window,
        rng: np.random.Generator,
        factor: float,
    ) -> list[Chip]:
        """Outlines around heads, turned to the fall line."""
        chips = []
        for row, col in heads.T:
            # Map coordinates point north, rows south.
            fall = np.arctan2(rise[0][row, col], -rise[1][row, col])
            outline = self.outlines[rng.integers(len(self.outlines))]
            turned = shapely.affinity.rotate(
                outline, fall + np.pi * rng.integers(2), origin=(0, 0), use_radians=True
            )
            turned = shapely.affinity.scale(turned, factor**0.5, factor**0.5, origin=(0, 0))
            chips.append(self._burn(turned, row + offset[0], col + offset[1], window))
        return chips

    def _burn(self, outline: shapely.Polygon, row: int, col: int, window: Window) -> Chip:
        west, south, east, north = np.array(outline.bounds) / self.spacing
        edge = 1 + int(3 * self.sigma)
        rows = clipped(row - north - edge, row - south + edge + 1, window.height)
        cols = clipped(col + west - edge, col + east + edge + 1, window.width)
        height, width = rows.stop - rows.start, cols.stop - cols.start
        if height <= 0 or width <= 0:
            return Chip((rows, cols), np.zeros((0, 0), np.float32))
        n, step = SUBPIXELS, self.spacing / SUBPIXELS
        corner = (cols.start - col - 0.5) * self.spacing, (row + 0.5 - rows.start) * self.spacing
        fine = rasterize(
            [outline],
            (n * height, n * width),
            transform=Affine(step, 0, corner[0], 0, -step, corner[1]),
            dtype="uint8",
        )
        share = fine.reshape(height, n, width, n).mean(axis=(1, 3), dtype=np.float32)
        return Chip((rows, cols), self._blur(share))


def _axis(outline: shapely.Polygon) -> float:
    """Direction of the longest side of the smallest rectangle, radians anticlockwise from east."""
    corners = shapely.get_coordinates(outline.minimum_rotated_rectangle)
    sides = np.diff(corners, axis=0)
    longest = sides[np.hypot(*sides.T).argmax()]
    return float(np.arctan2(longest[1], longest[0]))

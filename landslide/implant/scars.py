"""Where implanted landslides lie: scars that run down the slopes of a scene."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from landslide.errors import InputError
from landslide.geo.grid import Window
from landslide.geo.relief import Float
from landslide.simulate.noise import smooth_noise
from landslide.simulate.slides import Paths, landslide_areas, run_out

HEAD_SLOPE, HEAD_SLOPE_SPREAD = 30.0, 9.0
"""Slope in degrees where most landslides start, and its standard deviation. Inventories of
earthquakes and storms have their mode between 25 and 35 degrees (Parise & Jibson 2000, Engineering
Geology 58, 251-270); the spread is wide because coarse DEMs flatten slopes."""

MIN_HEAD_SLOPE = 10.0
"""Slope in degrees below which none starts."""

SMALLEST_AREA = 300.0
"""Smallest landslide in m² of the distribution of areas."""

FEWEST_PIXELS = 3
"""Smallest scar in pixels that is implanted; a smaller one could not be told from speckle."""


class Terrain(NamedTuple):
    """Slopes of a scene, (H, W) each.

    Attributes:
        slope: Slope in degrees; NaN where it is unknown.
        south: Rise towards the south, metres per metre.
        east: Rise towards the east, metres per metre.
    """

    slope: Float
    south: Float
    east: Float

    @classmethod
    def of(cls, slope: Float, aspect: Float) -> "Terrain":
        """Terrain from slope and aspect in degrees, clockwise from grid north."""
        rise = np.tan(np.radians(np.nan_to_num(slope)))
        away = np.radians(np.nan_to_num(aspect))
        return cls(slope, rise * np.cos(away), -rise * np.sin(away))

    def smoothed(self, pixels: float) -> "Terrain":
        """The same with fall lines smoothed by a Gaussian of a standard deviation in pixels."""
        south, east = (ndimage.gaussian_filter(rise, pixels) for rise in self[1:])
        return self._replace(south=south, east=east)

    @classmethod
    def unknown(cls, shape: tuple[int, int], slope: Float | None = None) -> "Terrain":
        """Terrain whose fall lines are not known: they point in any direction, from hill to hill.

        Args:
            shape: (H, W).
            slope: Slope in degrees, if that at least is known.
        """
        direction = 2 * np.pi * smooth_noise(shape, 20, np.random.default_rng(0))
        known = np.full(shape, HEAD_SLOPE, np.float32) if slope is None else slope
        return cls.of(known, np.degrees(direction).astype(np.float32))


class ScarPool:
    """Scars all over a scene, of which samples take some.

    Their areas follow the distribution of real inventories and their paths the fall line, as in
    ``landslide.simulate.slides``.

    Args:
        terrain: Slopes of the scene.
        valid: (H, W) pixels that count.
        spacing: Pixel size in metres.
        count: Number of scars.
        mean_area: Mean area in m² of all landslides, those that are too small for a pixel too.
        rng: Source of randomness.

    Raises:
        InputError: No valid pixel is steep enough.
    """

    def __init__(
        self,
        terrain: Terrain,
        valid: NDArray[np.bool_],
        spacing: float,
        count: int,
        mean_area: float,
        rng: np.random.Generator,
    ) -> None:
        areas = landslide_areas(20 * count, mean_area, SMALLEST_AREA, rng)
        areas = np.resize(areas[areas >= FEWEST_PIXELS * spacing**2], count)
        heads = _draw_heads(terrain.slope, valid, count, rng)
        self.paths: Paths = run_out((terrain.south, terrain.east), heads, areas, spacing, rng)
        alive = self.paths.radius > 0
        steps = np.maximum(alive.sum(axis=1), 1)
        middle = np.arange(count), (steps - 1) // 2
        self._rows, self._cols = self.paths.rows[middle], self.paths.cols[middle]

    def within(self, window: Window) -> NDArray[np.intp]:
        """Numbers of the scars whose middle lies in a window."""
        rows, cols = self._rows - window.row, self._cols - window.col
        inside = (rows >= 0) & (rows < window.height) & (cols >= 0) & (cols < window.width)
        return np.flatnonzero(inside)

    def coverage(self, number: int, window: Window) -> Float:
        """Share of each pixel of a window that a scar covers, (H, W) in [0, 1]."""
        alive = self.paths.radius[number] > 0
        radius = self.paths.radius[number, alive]
        rows = self.paths.rows[number, alive] - window.row - 0.5
        cols = self.paths.cols[number, alive] - window.col - 0.5
        share = np.zeros((window.height, window.width), np.float32)
        reach = float(radius.max(initial=0)) + 2
        top, bottom = _bounds(rows, reach, window.height)
        left, right = _bounds(cols, reach, window.width)
        if top >= bottom or left >= right:
            return share
        i, j = np.arange(top, bottom)[:, None, None], np.arange(left, right)[None, :, None]
        # Half a pixel on either side of the edge is covered in part.
        inside = radius + 0.5 - np.hypot(i - rows, j - cols)
        share[top:bottom, left:right] = inside.max(axis=-1).clip(0, 1)
        return share


def _bounds(positions: NDArray[np.float64], reach: float, size: int) -> tuple[int, int]:
    low, high = positions.min(initial=np.inf) - reach, positions.max(initial=-np.inf) + reach
    return int(max(low, 0)) if low < size else size, int(min(high + 1, size)) if high > 0 else 0


def _draw_heads(
    slope: Float, valid: NDArray[np.bool_], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """(2, count) pixels where scars start."""
    angle = np.nan_to_num(slope)
    weight = np.exp(-0.5 * ((angle - HEAD_SLOPE) / HEAD_SLOPE_SPREAD) ** 2)
    weight[~valid | (angle < MIN_HEAD_SLOPE)] = 0
    total = np.cumsum(weight.ravel().astype(np.float64))
    if not total[-1] > 0:
        raise InputError(
            f"implants: no valid pixel of the scene is steeper than {MIN_HEAD_SLOPE:g} degrees, so "
            "that no landslide can start: choose an area with slopes"
        )
    chosen = np.searchsorted(total / total[-1], rng.random(count), side="right")
    return np.stack(np.divmod(np.minimum(chosen, weight.size - 1), slope.shape[1]))


def blur(share: Float, resolution: float, spacing: float) -> Float:
    """Coverage (H, W) as the radar sees it at its resolution (width at half maximum) in metres."""
    sigma = resolution / spacing / np.sqrt(8 * np.log(2))
    return ndimage.gaussian_filter(share, sigma) if sigma > 0.2 else share

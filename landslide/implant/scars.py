"""Where implanted landslides lie: scars that run down the slopes of a scene."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from landslide.errors import InputError
from landslide.geo.grid import Grid, Window
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

LEAST_BLUR = 0.2
"""Standard deviation in pixels below which a resolution is not felt."""

FEWEST_PIXELS = 3
"""Smallest scar in pixels that is implanted; a smaller one could not be told from speckle."""


class Terrain(NamedTuple):
    """Slopes of a scene, (H, W) each.

    Attributes:
        slope: Slope in degrees; NaN where it is unknown.
        south: Rise towards the south, metres per metre.
        east: Rise towards the east, metres per metre.
        known: Whether the fall lines are those of the scene.
    """

    slope: Float
    south: Float
    east: Float
    known: bool = True

    @classmethod
    def of(cls, slope: Float, aspect: Float) -> "Terrain":
        """Terrain from slope and aspect in degrees, clockwise from grid north."""
        rise = np.tan(np.radians(np.nan_to_num(slope)))
        away = np.radians(np.nan_to_num(aspect))
        return cls(slope, rise * np.cos(away), -rise * np.sin(away))

    def smoothed(self, pixels: float) -> "Terrain":
        """The same with fall lines smoothed by a Gaussian of a standard deviation in pixels."""
        south, east = (ndimage.gaussian_filter(rise, pixels) for rise in (self.south, self.east))
        return self._replace(south=south, east=east)

    @classmethod
    def unknown(cls, shape: tuple[int, int], slope: Float | None = None) -> "Terrain":
        """Terrain whose fall lines are not known: they point in any direction, from hill to hill.

        Args:
            shape: (H, W).
            slope: Slope in degrees, if that at least is known.
        """
        direction = 2 * np.pi * smooth_noise(shape, 60, np.random.default_rng(0))
        known = np.full(shape, HEAD_SLOPE, np.float32) if slope is None else slope
        return cls.of(known, np.degrees(direction).astype(np.float32))._replace(known=False)


class Chip(NamedTuple):
    """A patch of ground in a window.

    Attributes:
        place: Rows and columns of the window.
        coverage: (h, w) share of each of their pixels, [0, 1].
    """

    place: tuple[slice, slice]
    coverage: Float


class ScarSource:
    """Draws scars that run down the slopes of a scene.

    Their areas follow the distribution of real inventories and their paths the fall line, as those
    of simulated scenes do.

    Args:
        terrain: Slopes of the scene.
        valid: (H, W) pixels that count.
        grid: Grid of the scene.
        resolution: Resolution of the radar in metres, to which coverages are smoothed.
        mean_area: Mean area in m² of all landslides, also of those that are too small for a pixel.

    Raises:
        InputError: No valid pixel is steep enough.
    """

    def __init__(
        self,
        terrain: Terrain,
        valid: NDArray[np.bool_],
        grid: Grid,
        resolution: float,
        mean_area: float,
    ) -> None:
        self.terrain, self.grid, self.spacing = terrain, grid, float(grid.transform.a)
        # The width of the resolution at half maximum.
        self.sigma = resolution / self.spacing / np.sqrt(8 * np.log(2))
        areas = landslide_areas(50_000, mean_area, SMALLEST_AREA, np.random.default_rng(0))
        self.areas = areas[areas >= FEWEST_PIXELS * grid.pixel_area]
        angle = np.nan_to_num(terrain.slope)
        self.weight = np.exp(-0.5 * ((angle - HEAD_SLOPE) / HEAD_SLOPE_SPREAD) ** 2)
        self.weight[~valid | (angle < MIN_HEAD_SLOPE)] = 0
        if not len(self.areas) or not self.weight.any():
            raise InputError(
                "implants: the scene has no valid pixel that is steeper than "
                f"{MIN_HEAD_SLOPE:g} degrees and no landslide is of {FEWEST_PIXELS} px: choose "
                "an area with slopes, or a larger datamodule.implants.mean_area"
            )

    def draw(
        self, window: Window, count: int, rng: np.random.Generator, factor: float = 1.0
    ) -> list[Chip]:
        """Draw scars that start in a window; fewer where it has no slopes.

        Args:
            window: Pixels of the scene, which may reach beyond it.
            count: Number of scars.
            rng: Source of randomness.
            factor: Factor of their areas.
        """
        inside = self.grid.clip(window)
        rows, cols = inside.within(self.grid.full_window)
        total = np.cumsum(self.weight[rows, cols], dtype=np.float64)
        if not count or not len(total) or not total[-1] > 0:
            return []
        chosen = np.searchsorted(total, rng.random(count) * total[-1], side="right")
        heads = np.stack(np.divmod(np.minimum(chosen, len(total) - 1), inside.width))
        rise = self._rise(rows, cols, rng)
        offset = inside.row - window.row, inside.col - window.col
        drawn = self._chips(heads, rise, offset, window, rng, factor)
        return [chip for chip in drawn if chip.coverage.size]

    def _rise(self, rows: slice, cols: slice, rng: np.random.Generator) -> tuple[Float, Float]:
        """Rise towards the south and east of a window.

        Where it is not known it is turned by an angle of its own for every draw. Scars would
        otherwise gather at the same places, which a network could learn.
        """
        south, east = self.terrain.south[rows, cols], self.terrain.east[rows, cols]
        if self.terrain.known:
            return south, east
        cosine, sine = np.cos(angle := rng.uniform(0, 2 * np.pi)), np.sin(angle)
        return cosine * south - sine * east, sine * south + cosine * east

    def _chips(
        self,
        heads: NDArray[np.int64],
        rise: tuple[Float, Float],
        offset: tuple[int, int],
        window: Window,
        rng: np.random.Generator,
        factor: float,
    ) -> list[Chip]:
        """Scars that start at heads (2, N); these and ``rise`` lie at ``offset`` in the window."""
        count = heads.shape[1]
        areas = factor * self.areas[rng.integers(len(self.areas), size=count)]
        paths = run_out(rise, heads, areas, self.spacing, rng)
        return [self._chip(paths, number, offset, window) for number in range(count)]

    def _chip(self, paths: Paths, number: int, offset: tuple[int, int], window: Window) -> Chip:
        """Coverage of one scar, whose path is relative to ``offset`` in the window."""
        alive = paths.radius[number] > 0
        radius = paths.radius[number, alive]
        # Positions are from the corner of a pixel, coverages of its middle.
        rows = paths.rows[number, alive] + offset[0] - 0.5
        cols = paths.cols[number, alive] + offset[1] - 0.5
        reach = float(radius.max(initial=0)) + 2 + 3 * self.sigma
        place = _around(rows, reach, window.height), _around(cols, reach, window.width)
        i, j = (np.arange(part.start, part.stop) for part in place)
        # Half a pixel on either side of the edge is covered in part.
        inside = radius + 0.5 - np.hypot(i[:, None, None] - rows, j[None, :, None] - cols)
        coverage = inside.max(axis=-1, initial=0).clip(0, 1).astype(np.float32)
        return Chip(place, self._blur(coverage))

    def _blur(self, coverage: Float) -> Float:
        """Smooth a coverage to the radar's resolution."""
        if self.sigma <= LEAST_BLUR:
            return coverage
        blurred: Float = ndimage.gaussian_filter(coverage, self.sigma)
        return blurred


def _around(positions: NDArray[np.float64], reach: float, size: int) -> slice:
    """Pixels within reach of positions; empty outside 0 to ``size``."""
    if not len(positions):
        return slice(0, 0)
    return clipped(positions.min() - reach, int(positions.max() + reach) + 1, size)


def clipped(low: float, high: float, size: int) -> slice:
    """Pixels from low to high that lie in 0 to ``size``, both towards zero."""
    return slice(*np.clip([low, high], 0, size).astype(int).tolist())

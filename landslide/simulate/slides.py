"""Landslides: their sizes, where they start and run out, and how they are mapped."""

from dataclasses import dataclass
from typing import NamedTuple

import geopandas as gpd
import numpy as np
import shapely
import shapely.affinity
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy import ndimage, optimize, special, stats

from landslide.errors import InputError
from landslide.geo.grid import Grid
from landslide.geo.relief import Float, gradient, slope_degrees
from landslide.simulate.noise import smooth_noise

TAIL_EXPONENT = 1.4
"""rho of Malamud et al. (2004): beyond the rollover, density falls as area^-(rho + 1)."""
MAX_AREA_RATIO = 20
"""Largest over mean landslide area; merged landslides in an inventory may be larger."""
SUBPIXELS = 4
"""Sub-pixels per side for measuring a polygon's share of a pixel."""
MIN_RUNOUT = 30.0
"""Shortest runout in metres."""


@dataclass(frozen=True)
class Slides:
    """Properties of the landslides and their inventory.

    Attributes:
        share: Landslide share of the scene, (0, 0.5).
        mean_area: Mean area in m² of a single landslide; mapped ones, often merged, are larger.
        slope: Slope in degrees where landslides start most readily.
        slope_spread: Standard deviation in degrees around ``slope``.
        aspect: Aspect in degrees clockwise from north that failed most readily.
        aspect_preference: Relative excess of failures at that aspect, [0, 1].
        minimum_area: Smallest mapped landslide in m².
        boundary_error: Standard deviation of a mapped outline's displacement in metres.
        missed: Share of landslides left out of the inventory, [0, 1).
    """

    share: float
    mean_area: float
    slope: float
    slope_spread: float
    aspect: float
    aspect_preference: float
    minimum_area: float
    boundary_error: float
    missed: float


class Paths(NamedTuple):
    """Paths of N landslides over S steps, head first.

    Attributes:
        rows: (N, S) pixel rows, fractional.
        cols: (N, S) pixel columns, fractional.
        radius: (N, S) half width in pixels, 0 beyond the toe.
    """

    rows: Float
    cols: Float
    radius: Float


def landslide_areas(
    count: int, mean_area: float, minimum_area: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw landslide areas from a truncated inverse gamma distribution.

    The distribution is that of Malamud et al. (2004, Earth Surf. Process. Landforms 29,
    687-711, eq. 3) with rho = 1.4; the rollover follows from the wanted mean.

    Args:
        count: How many.
        mean_area: Mean area in m².
        minimum_area: Smallest area in m².
        rng: Source of randomness.

    Returns:
        (count,) areas in m², all in [minimum_area, LARGEST * mean_area].
    """
    low, high, rho = max(minimum_area, 1.0), MAX_AREA_RATIO * mean_area, TAIL_EXPONENT

    def excess(scale: float) -> float:
        """Mean between the bounds minus the wanted one, from incomplete gamma functions."""
        total, mass = (
            special.gammaincc(order, scale / high) - special.gammaincc(order, scale / low)
            for order in (rho - 1, rho)
        )
        return float(scale / (rho - 1) * total / mass - mean_area)

    law = stats.invgamma(rho, scale=optimize.brentq(excess, 0.01 * mean_area, 4 * mean_area))
    areas: NDArray[np.float64] = law.ppf(rng.uniform(law.cdf(low), law.cdf(high), count))
    return areas


def draw_landslides(
    elevation: Float,
    valid: NDArray[np.bool_],
    grid: Grid,
    options: Slides,
    rng: np.random.Generator,
) -> gpd.GeoDataFrame:
    """Draw landslides until they cover the wanted share of the valid pixels.

    Args:
        elevation: (H, W) in metres, without NaN.
        valid: (H, W) pixels that count.
        grid: Grid of both.
        options: Properties of the landslides.
        rng: Source of randomness.

    Returns:
        Polygons in the CRS of the grid, which may overlap as scars do.

    Raises:
        InputError: The terrain has too little room for that share.
    """
    wanted = options.share * int(valid.sum())
    count = 40 + int(4 * wanted * grid.pixel_area / options.mean_area)
    areas = landslide_areas(count, options.mean_area, options.minimum_area, rng)
    heads = _heads(elevation, valid, grid, options, count, rng)
    fall_line = gradient(ndimage.gaussian_filter(elevation, 2.5), grid.transform.a)
    paths = run_out(fall_line, heads, areas, grid.transform.a, rng)
    polygons = gpd.GeoDataFrame(geometry=_outlines(paths, grid), crs=grid.crs)
    order = first_covering(polygons, grid)
    covered = np.bincount(order[(order > 0) & valid], minlength=count + 1)[1:].cumsum()
    if covered[-1] < 0.8 * wanted:
        raise InputError(
            f"slides.share={options.share:g} cannot be reached on this terrain "
            f"({covered[-1] / valid.sum():.3f} at most); choose a smaller one."
        )
    enough = min(count, int(np.searchsorted(covered, wanted)) + 1)
    return polygons.iloc[:enough]


def _heads(
    elevation: Float,
    valid: NDArray[np.bool_],
    grid: Grid,
    options: Slides,
    count: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """(2, count) pixels where landslides start: steep, high on the slope, clustered."""
    smooth = ndimage.gaussian_filter(elevation, 2)
    slope = slope_degrees(smooth, grid.transform.a)
    south, east = gradient(smooth, grid.transform.a)
    aspect = np.arctan2(-east, south)  # downslope
    weight = np.exp(-0.5 * ((slope - options.slope) / options.slope_spread) ** 2)
    weight *= 1 + options.aspect_preference * np.cos(aspect - np.radians(options.aspect))
    # Landslides come in swarms because shaking, rock and soil differ from hill to hill.
    weight *= 0.003 + 1 / (1 + np.exp(3 - 6 * smooth_noise(elevation.shape, 280, rng)))
    weight *= np.exp(0.8 * smooth_noise(elevation.shape, 60, rng))
    above = smooth - ndimage.gaussian_filter(elevation, 12)
    weight *= 1 / (1 + np.exp(-above / max(1.0, 0.5 * float(above.std()))))
    weight = (weight * valid).ravel().astype(np.float64)
    chosen = np.searchsorted(
        np.cumsum(weight) / max(weight.sum(), 1e-300), rng.random(count), side="right"
    )
    return np.stack(np.divmod(np.minimum(chosen, weight.size - 1), elevation.shape[1]))


def run_out(
    rise: tuple[Float, Float],
    heads: NDArray[np.int64],
    areas: NDArray[np.float64],
    spacing: float,
    rng: np.random.Generator,
) -> Paths:
    """Let landslides run down the fall line together, one pixel per step.

    Args:
        rise: (H, W) gradient of smoothed terrain towards the south and the east.
        heads: (2, N) rows and columns where they start.
        areas: (N,) areas in m² that they are to cover.
        spacing: Pixel size in metres.
        rng: Source of randomness.
    """
    south, east = rise
    elongation = np.exp(rng.normal(np.log(3.2), 0.4, areas.size))
    length = np.maximum(np.sqrt(areas * elongation), MIN_RUNOUT) / spacing
    position = heads + rng.random(heads.shape)
    heading = np.zeros_like(position)
    travelled, alive = np.zeros(areas.size), np.ones(areas.size, bool)
    track, flow, slopes = [], [], []
    for _ in range(int(np.ceil(length.max())) + 1):
        row = np.clip(position[0].astype(int), 0, south.shape[0] - 1)
        col = np.clip(position[1].astype(int), 0, south.shape[1] - 1)
        fall = -np.stack([south[row, col], east[row, col]])
        steep = np.hypot(*fall)
        alive &= travelled <= length
        track.append(position.copy())
        flow.append(alive.copy())
        slopes.append(steep)
        # Momentum takes a slide across small hollows and out onto the valley floor.
        heading = 0.6 * heading + fall / np.maximum(steep, 1e-6) * np.minimum(1, 4 * steep)
        position = position + heading / np.maximum(np.hypot(*heading), 1e-6)
        # On flat ground the energy is spent five times as fast.
        travelled += np.where(steep < np.tan(np.radians(8)), 5.0, 1.0)
    rows, cols = np.stack(track, axis=-1)
    return Paths(
        rows, cols, _half_widths(np.stack(flow, 1), np.stack(slopes, 1), areas, spacing, rng)
    )


def _half_widths(
    alive: NDArray[np.bool_],
    slopes: NDArray[np.float64],
    areas: NDArray[np.float64],
    spacing: float,
    rng: np.random.Generator,
) -> Float:
    """(N, S) half widths in pixels, such that the swept area is the drawn one."""
    steps = alive.sum(1, keepdims=True)
    along = np.arange(alive.shape[1])[None, :] / np.maximum(steps, 1)
    head = np.clip(0.55 + 2.5 * along, 0, 1)
    spread = 1 + 0.8 * np.clip(1 - slopes / np.tan(np.radians(14)), 0, 1)
    ragged = np.exp(
        0.3 * ndimage.gaussian_filter1d(rng.standard_normal(alive.shape), 1.5, axis=1) * 2
    )
    profile = np.where(alive, head * spread * ragged, 0)
    # A chain of discs of radius r over S steps covers 2 r S plus a cap of about 2 r².
    mean = np.maximum(profile.sum(1, keepdims=True) / np.maximum(steps, 1), 1e-6)
    pixels = areas[:, None] / spacing**2
    radius = (np.sqrt(steps**2 + 3.1 * pixels) - steps) / 3.1
    widths: Float = (profile / mean * np.minimum(radius, 0.22 * steps + 0.5)).astype(np.float32)
    return widths


def _outlines(paths: Paths, grid: Grid) -> NDArray[np.object_]:
    """Outline of every landslide: the hulls of consecutive discs, united."""
    x = grid.transform.c + grid.transform.a * paths.cols
    y = grid.transform.f + grid.transform.e * paths.rows
    alive = paths.radius > 0
    discs = np.full(alive.shape, None, dtype=object)
    centres = shapely.points(x[alive], y[alive])
    discs[alive] = shapely.buffer(centres, paths.radius[alive] * grid.transform.a, quad_segs=3)
    links = np.full((alive.shape[0], alive.shape[1] - 1), None, dtype=object)
    linked = alive[:, 1:]
    links[linked] = shapely.convex_hull(shapely.union(discs[:, :-1][linked], discs[:, 1:][linked]))
    return np.asarray(shapely.union_all(links, axis=1), dtype=object)


def first_covering(polygons: gpd.GeoDataFrame, grid: Grid) -> NDArray[np.int32]:
    """(H, W): the 1-based number of the first polygon covering each pixel centre, 0 if none."""
    numbered = [(shape, number) for number, shape in enumerate(polygons.geometry, 1)]
    return _rasterize(numbered[::-1], grid, "int32")


def coverage(polygons: gpd.GeoDataFrame, grid: Grid) -> Float:
    """(H, W): the share of each pixel that polygons cover, [0, 1] in steps of a sixteenth."""
    n = SUBPIXELS
    transform = grid.transform @ Affine.scale(1 / n)
    fine = Grid(grid.crs, transform, n * grid.height, n * grid.width)
    burnt = _rasterize([(shape, 1) for shape in polygons.geometry], fine, "uint8")
    blocks = burnt.reshape(grid.height, n, grid.width, n)
    share: Float = blocks.sum((1, 3), dtype=np.uint8).astype(np.float32) / np.float32(n**2)
    return share


def _rasterize(
    shapes: list[tuple[shapely.Geometry, int]], grid: Grid, dtype: str
) -> NDArray[np.int32]:
    shapes = [pair for pair in shapes if not shapely.is_empty(pair[0])]
    if not shapes:
        return np.zeros((grid.height, grid.width), dtype)
    burnt: NDArray[np.int32] = rasterize(
        shapes, (grid.height, grid.width), transform=grid.transform, dtype=dtype
    )
    return burnt


def map_inventory(
    landslides: gpd.GeoDataFrame, grid: Grid, options: Slides, rng: np.random.Generator
) -> gpd.GeoDataFrame:
    """Map the landslides as an interpreter does, with errors.

    Outlines are displaced and grown or shrunk by the boundary error, some landslides are
    missed, touching ones are mapped as one, and small ones are left out.

    Args:
        landslides: True outlines in a metric CRS.
        grid: Grid of the scene, which bounds the inventory.
        options: Errors of the mapping.
        rng: Source of randomness.

    Returns:
        Polygons with ``area_m2``.
    """
    error, count = options.boundary_error, len(landslides)
    shift = rng.normal(0, error / np.sqrt(2), (count, 2))
    grow = rng.normal(0, error / 2, count)
    kept = rng.random(count) >= options.missed
    drawn = [
        shapely.affinity.translate(shape, *by)
        for shape, by in zip(landslides.geometry, shift, strict=True)
    ]
    outlines = shapely.simplify(shapely.buffer(drawn, grow, quad_segs=2), 3.0)
    merged = shapely.union_all(outlines[kept]).intersection(shapely.box(*grid.bounds))
    parts = shapely.get_parts(merged)
    parts = parts[shapely.area(parts) >= max(options.minimum_area, 1.0)]
    inventory = gpd.GeoDataFrame(geometry=parts, crs=landslides.crs)
    inventory["area_m2"] = inventory.area.round(1)
    return inventory

"""Terrain: dissected hills with aggraded valley floors."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from landslide.geo.relief import Float, slope_degrees
from landslide.simulate.drainage import border_cells, erode
from landslide.simulate.noise import fractal_noise, pixel_indices, resample, smooth_noise

POSTING = 30.0
"""Posting in metres of the simulated DEM, as SRTM and AW3D30."""
MARGIN_CELLS = 48
"""Cells of the 30 m grid that are simulated around the scene and cut off, to hide the edge."""


def hills(
    shape: tuple[int, int],
    spacing: float,
    rng: np.random.Generator,
    *,
    mean_slope: float = 14.5,
    valley_share: float = 0.27,
) -> Float:
    """Simulated terrain: fractal uplands cut by streams, with flat floors in the valleys.

    A fractal surface is uplifted and cut by stream power on successively finer grids down
    to 30 m, scaled to the wanted steepness, its main valleys are filled with sediment, and
    it is brought to ``spacing`` by cubic interpolation, as a 30 m DEM would be.

    Args:
        shape: Size (H, W) in pixels.
        spacing: Pixel size in metres.
        rng: Source of randomness.
        mean_slope: Mean slope of the scene in degrees.
        valley_share: Share of the scene under valley floors, [0, 1).

    Returns:
        (H, W) float32 elevations in metres.
    """
    step = spacing / POSTING
    inner = (int(np.ceil(shape[0] * step)) + 2, int(np.ceil(shape[1] * step)) + 2)
    outer = (inner[0] + 2 * MARGIN_CELLS, inner[1] + 2 * MARGIN_CELLS)
    relief, area = _dissected(outer, rng)
    window = np.s_[MARGIN_CELLS : MARGIN_CELLS + inner[0], MARGIN_CELLS : MARGIN_CELLS + inner[1]]
    floor = _valley_floor(relief, area, window, valley_share)
    # Sediment meets the hillside in a narrow concave foot.
    soft = 0.012 * float(relief.std())
    filled = _bend(soft * np.logaddexp(relief / soft, floor / soft), rng)
    fine = resample(filled[window], shape, step, (1.0, 1.0))
    rough = resample(smooth_noise(inner, 1.5, rng), shape, step, (1.0, 1.0))
    return _scale_to_slope(fine, rough, spacing, mean_slope)


def _bend(surface: Float, rng: np.random.Generator) -> Float:
    """Displace a surface by up to some cells, so that no valley follows the grid's diagonals."""
    indices = np.stack(pixel_indices(surface.shape))
    for index in indices:
        index += 3 * smooth_noise(surface.shape, 40, rng)
        index += 0.8 * smooth_noise(surface.shape, 12, rng)
    bent: Float = ndimage.map_coordinates(surface, indices, order=3, mode="nearest")
    return bent


def _dissected(shape: tuple[int, int], rng: np.random.Generator) -> tuple[Float, Float]:
    """Relief in arbitrary units and upstream area in km², (H, W) each, at 30 m."""
    hardness = np.exp(0.35 * smooth_noise(shape, 60, rng))
    surface: NDArray[np.float64] = 2.5 * fractal_noise(shape, 3.0, rng).astype(np.float64)
    area = np.ones(shape)
    surface = _coarsen(surface, 4)
    for coarse, steps, diffusion in ((4, 50, 0.3), (2, 16, 0.4), (1, 8, 0.55)):
        uplift = _coarsen(hardness, coarse)
        if coarse < 4:
            surface = resample(surface, _coarse(shape, coarse), 0.5).astype(np.float64)
            surface += 0.3 * rng.standard_normal(surface.shape)
        surface, area = erode(
            surface, _outlets(surface), uplift, steps, erosion=0.15, diffusion=diffusion
        )
    return surface.astype(np.float32), (area * (POSTING / 1000) ** 2).astype(np.float32)


def _coarse(shape: tuple[int, int], step: int) -> tuple[int, int]:
    return -(-shape[0] // step), -(-shape[1] // step)


def _coarsen(field: NDArray[np.floating], step: int) -> NDArray[np.float64]:
    return resample(field, _coarse((field.shape[0], field.shape[1]), step), step).astype(np.float64)


def _outlets(surface: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The low part of the border, where rivers leave."""
    border = border_cells(surface.shape)
    low = np.quantile(surface[border], 0.15)
    return border & (surface <= low)


def _valley_floor(relief: Float, area: Float, window: tuple[slice, slice], share: float) -> Float:
    """Surface (H, W) of the sediment that buries ``share`` of the window."""
    channel = area > min(1.0, float(np.quantile(area, 0.995)))
    nearest = ndimage.distance_transform_edt(~channel, return_distances=False, return_indices=True)
    level = ndimage.gaussian_filter(relief[tuple(nearest)], 8)
    depth = np.quantile((relief - level)[window], share)
    floor: Float = level + depth
    return floor


def _scale_to_slope(relief: Float, rough: Float, spacing: float, mean_slope: float) -> Float:
    """Elevations in metres, 20 m and more, whose mean slope is ``mean_slope`` degrees."""
    relief = relief - relief.min()
    target = np.tan(np.radians(mean_slope))
    factor = np.float32(1)
    for _ in range(5):
        slope = slope_degrees(factor * relief + 0.6 * rough, spacing).mean()
        factor *= np.float32(target / np.tan(np.radians(slope)))
    metres: Float = 20 + factor * relief + 0.6 * rough
    return metres

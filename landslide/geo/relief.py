"""Slope and aspect of terrain by Horn's method, and filling of voids."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Float = NDArray[np.float32]
FloatType = TypeVar("FloatType", bound=np.floating)


def gradient(elevation: NDArray[np.floating], spacing: float) -> tuple[Float, Float]:
    """Horn's gradient, metres per metre: (towards the south, towards the east).

    Horn (1981, Proc. IEEE 69(1), 14-47) takes the gradient of a cell from its eight neighbours,
    the four nearest with a weight of two. Borders repeat the outermost cells.

    Args:
        elevation: (H, W) in metres; NaN spreads to the cells around it.
        spacing: Pixel size in metres.
    """
    z = np.asarray(elevation, np.float32)
    scale = np.float32(8 * spacing)
    south: Float = ndimage.sobel(z, axis=0, mode="nearest") / scale
    east: Float = ndimage.sobel(z, axis=1, mode="nearest") / scale
    return south, east


def slope_degrees(elevation: NDArray[np.floating], spacing: float) -> Float:
    """Slope angle (H, W) float32 in degrees, [0, 90); see ``gradient``."""
    down, right = gradient(elevation, spacing)
    slope: Float = np.degrees(np.arctan(np.hypot(down, right))).astype(np.float32)
    return slope


def aspect_degrees(south: Float, east: Float) -> Float:
    """Direction of the steepest descent, from the gradient.

    Args:
        south: Rise towards the south, metres per metre.
        east: Rise towards the east, metres per metre.

    Returns:
        float32 in degrees clockwise from grid north, [0, 360); 0 on flat ground.
    """
    aspect: Float = np.degrees(np.arctan2(-east, south)).astype(np.float32)
    return np.where(aspect < 0, aspect + np.float32(360), aspect)


def fill_from_nearest(image: NDArray[FloatType]) -> NDArray[FloatType]:
    """Image (H, W) with every void (NaN) filled from the nearest other pixel, if there is any."""
    void = np.isnan(image)
    if void.all() or not void.any():
        return image
    nearest = ndimage.distance_transform_edt(void, return_distances=False, return_indices=True)
    filled: NDArray[FloatType] = image[tuple(nearest)]
    return filled

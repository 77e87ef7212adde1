"""Despeckling: total variation within a date, and averages over dates."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from landslide.geo.relief import Float, fill_from_nearest

TV_WEIGHT = 0.2
"""Fidelity to the image, as in OPERA's disturbance products; the smaller, the smoother."""


def total_variation(power: Float, weight: float = TV_WEIGHT) -> Float:
    """Smooth an image but its edges by minimising the total variation in decibels.

    The method is that of Goldstein and Osher (2009, SIAM J. Imaging Sciences 2, 323-343), with
    scikit-image's split Bregman iterations.

    Args:
        power: (H, W) linear power; NaN, zero and below are not measured.
        weight: Fidelity to the image; the smaller, the smoother.

    Returns:
        (H, W) linear power with the same pixels measured; others are NaN.
    """
    # Scenes that are not despeckled do without the half second that this takes to import.
    from skimage.restoration import denoise_tv_bregman

    valid = np.isfinite(power) & (power > 0)
    if not valid.any():
        return np.full_like(power, np.nan)
    decibels = np.full(power.shape, np.nan, np.float64)
    decibels[valid] = 10 * np.log10(power[valid])
    # Holes take the value of the nearest measurement, so that they do not affect neighbours.
    smooth = denoise_tv_bregman(fill_from_nearest(decibels), weight=weight)
    return np.where(valid, 10 ** (smooth / 10), np.nan).astype(np.float32)


def temporal_filter(dates: Sequence[Float], size: int = 7) -> list[Float]:
    """Average the speckle of all dates, and keep what changed in one of them.

    J_k = <I_k> / N sum_i I_i / <I_i>, with <I> the mean over a window (Quegan and Yu 2001, IEEE
    TGRS 39, 2373-2379, equation 14 for uncorrelated images); N counts the dates that measured a
    pixel.

    Args:
        dates: (H, W) linear power of each date on one grid; NaN, zero and below are not measured.
        size: Side of the window in pixels.

    Returns:
        The filtered dates in the same order, NaN where they were not measured.
    """
    dates = [np.where(date > 0, date, np.float32(np.nan)) for date in dates]
    means = [_local_mean(date, size) for date in dates]
    total = np.zeros(dates[0].shape)
    count = np.zeros(dates[0].shape, dtype=int)
    for date, mean in zip(dates, means, strict=True):
        ratio = date / mean
        known = np.isfinite(ratio)
        total[known] += ratio[known]
        count += known
    with np.errstate(invalid="ignore", divide="ignore"):
        texture = total / count
    return [
        np.where(np.isfinite(date), mean * texture, np.nan).astype(np.float32)
        for date, mean in zip(dates, means, strict=True)
    ]


def _local_mean(power: Float, size: int) -> Float:
    """Mean of the measured pixels in a window; NaN where there are none."""
    valid = np.isfinite(power)
    total = ndimage.uniform_filter(np.where(valid, power, 0).astype(np.float64), size)
    weight = ndimage.uniform_filter(valid.astype(np.float64), size)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Float = np.where(weight > 1e-9, total / weight, np.nan)
    return mean

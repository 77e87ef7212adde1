"""Random fields of a given correlation length."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from landslide.geo.relief import Float


def smooth_noise(shape: tuple[int, int], length: float, rng: np.random.Generator) -> Float:
    """Stationary Gaussian field of zero mean and unit variance.

    Args:
        shape: Size (H, W) in pixels.
        length: Correlation length in pixels (standard deviation of the smoothing kernel
            times the square root of two); the field is white below half a pixel.
        rng: Source of randomness.

    Returns:
        (H, W) float32.
    """
    if length < 0.5:
        return rng.standard_normal(shape, dtype=np.float32)
    # The field is drawn on a coarser grid because a wide kernel would only cost time.
    step = max(1, int(length / 3))
    sigma = length / step / np.sqrt(2)
    margin = int(np.ceil(3 * sigma)) + 2
    extra = 2 + 2 * margin
    coarse = (shape[0] // step + extra, shape[1] // step + extra)
    white = rng.standard_normal(coarse, dtype=np.float32)
    taps = np.exp(-0.5 * (np.arange(-30, 31) / sigma) ** 2)
    gain = np.square(taps / taps.sum()).sum()  # variance left by the separable kernel
    field: Float = ndimage.gaussian_filter(white, sigma, mode="wrap") / np.float32(gain)
    if step == 1:
        return np.ascontiguousarray(field[: shape[0], : shape[1]])
    offset = margin + rng.random(2)
    return resample(field, shape, 1 / step, (float(offset[0]), float(offset[1])))


def pixel_indices(shape: tuple[int, ...]) -> tuple[Float, Float]:
    """Row and column of every pixel, float32, of the first two dimensions."""
    rows, cols = np.indices(shape[:2], dtype=np.float32)
    return rows.astype(np.float32, copy=False), cols.astype(np.float32, copy=False)


def fractal_noise(shape: tuple[int, int], exponent: float, rng: np.random.Generator) -> Float:
    """Self-affine surface of zero mean and unit variance by spectral synthesis.

    Args:
        shape: Size (H, W) in pixels.
        exponent: Exponent of the fall of power spectral density with frequency.
        rng: Source of randomness.

    Returns:
        (H, W) float32, not periodic (cut from a surface of twice the side).
    """
    height, width = 2 * shape[0], 2 * shape[1]
    spectrum = np.fft.rfft2(rng.standard_normal((height, width), dtype=np.float32))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = np.inf
    surface = np.fft.irfft2(spectrum * frequency ** (-exponent / 2), s=(height, width))
    surface = surface[: shape[0], : shape[1]]
    unit: Float = ((surface - surface.mean()) / surface.std()).astype(np.float32)
    return unit


def resample(
    field: NDArray[np.floating],
    shape: tuple[int, int],
    step: float,
    offset: tuple[float, float] = (0.0, 0.0),
) -> Float:
    """Cubic resampling on a regular grid: row i reads ``offset + (i + 0.5) * step - 0.5``."""
    start = np.array(offset) + 0.5 * step - 0.5
    resampled: Float = ndimage.affine_transform(
        np.asarray(field, np.float32), [step, step], start, shape, order=3, mode="nearest"
    )
    return resampled

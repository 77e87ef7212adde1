"""Co-registration: the displacement of a date from the others of its track, to sub-pixels.

The speckle of two dates differs, whereas the pattern of forest edges, roads, ridges and bright
points stays. The cross-correlation of both images in decibels, without brightness that changes over
more than a few pixels, peaks at the shift. Upsampled Fourier transforms refine it to a fraction of
a pixel (Guizar-Sicairos et al. 2008, Optics Letters 33, 156-158, in scikit-image). The result is
the median over tiles.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from landslide.geo.relief import Float

TILE_SIZE = 128
"""Side of a tile in pixels; a smaller image is one tile."""

MIN_VALID_SHARE = 0.5
"""Minimum share of a tile that is valid in both images."""

BACKGROUND = 8.0
"""Standard deviation in pixels of the Gaussian that removes slow changes of brightness."""

UPSAMPLING = 50
"""Steps per pixel in which a shift is measured."""


class Shift(NamedTuple):
    """Displacement of a date from its reference in pixels.

    Attributes:
        rows: Southwards.
        cols: Eastwards.
        spread: Median distance of the tiles' shifts from their median; NaN for a single tile.
        tiles: Number of tiles that were measured.
    """

    rows: float
    cols: float
    spread: float
    tiles: int

    @property
    def distance(self) -> float:
        """Length of the shift in pixels."""
        return float(np.hypot(self.rows, self.cols))


def measure_shift(date: Float, reference: Float) -> Shift | None:
    """Measure the displacement of a date.

    Args:
        date: (P, H, W) backscatter of each polarisation in linear power; NaN, zero and below are
            not measured.
        reference: The same for the other dates, preferably their geometric mean.

    Returns:
        The shift of ``date`` against ``reference``, to about 0.05 px on 100 x 100 px of real hills
        in both polarisations; None where both measured no tile.
    """
    details = [[_details(image) for image in images] for images in (date, reference)]
    shifts = np.array(
        [
            [_tile_shift(one[tile], other[tile]) for one, other in zip(*details, strict=True)]
            for tile in _tiles(date.shape[1:])
        ]
    )
    # One polarisation of a tile is enough.
    measured = np.isfinite(shifts).any(axis=(-1, -2))
    shifts = np.nanmean(shifts[measured], axis=1) if measured.any() else shifts[measured]
    if not len(shifts):
        return None
    rows, cols = np.median(shifts, axis=0)
    spread = np.median(np.hypot(*(shifts - (rows, cols)).T)) if len(shifts) > 1 else np.nan
    return Shift(float(rows), float(cols), float(spread), len(shifts))


def shift_image(image: Float, rows: float, cols: float) -> Float:
    """Displace an image, in linear power, by cubic interpolation.

    Args:
        image: (H, W) linear power; NaN where nothing was measured.
        rows: Pixels southwards.
        cols: Pixels eastwards.

    Returns:
        (H, W), NaN where a pixel comes from outside or mostly from unmeasured pixels.
    """
    valid = np.isfinite(image)
    filled = np.where(valid, image, np.nanmedian(image) if valid.any() else 0).astype(np.float32)
    moved: Float = ndimage.shift(filled, (rows, cols), order=3, mode="nearest")
    known = ndimage.shift(valid.astype(np.float32), (rows, cols), order=1, cval=0.0)
    return np.where((known > 0.5) & (moved > 0), moved, np.float32(np.nan))


def _details(power: Float) -> NDArray[np.float64]:
    """Decibels without their slow changes; NaN where not measured."""
    decibels = np.full(power.shape, np.nan)
    valid = np.isfinite(power) & (power > 0)
    decibels[valid] = 10 * np.log10(power[valid])
    smooth: NDArray[np.float64] = ndimage.gaussian_filter(np.where(valid, decibels, 0), BACKGROUND)
    if valid.all():
        return decibels - smooth
    weight = ndimage.gaussian_filter(valid.astype(float), BACKGROUND)
    return np.where(valid, decibels - smooth / np.maximum(weight, 1e-6), np.nan)


def _tiles(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Tiles that cover an image and overlap by half."""
    starts = [
        sorted({*range(0, length - TILE_SIZE, TILE_SIZE // 2), max(length - TILE_SIZE, 0)})
        for length in shape
    ]
    for row in starts[0]:
        for col in starts[1]:
            yield slice(row, row + TILE_SIZE), slice(col, col + TILE_SIZE)


def _tile_shift(date: NDArray[np.float64], reference: NDArray[np.float64]) -> tuple[float, float]:
    """Rows and columns by which one tile is displaced; NaN where too little was measured."""
    # Scenes without a stack do without the half second that these take to import.
    from scipy.signal.windows import tukey
    from skimage.registration import phase_cross_correlation

    both = np.isfinite(date) & np.isfinite(reference)
    if both.mean() < MIN_VALID_SHARE:
        return np.nan, np.nan
    window = np.outer(*(tukey(length, 0.25) for length in date.shape)) * both
    first, second = (np.where(both, image, 0) for image in (reference, date))
    rows = cols = 0.0
    # The second pass corrects the error that the window's edge causes for a large shift.
    for _ in range(2):
        moved = second
        if rows or cols:
            moved = ndimage.shift(second, (-rows, -cols), order=3, mode="nearest")
        step, _, _ = phase_cross_correlation(  # type: ignore[no-untyped-call]
            first * window, moved * window, upsample_factor=UPSAMPLING, normalization=None
        )
        rows, cols = rows - step[0], cols - step[1]
    return rows, cols

"""What changes between dates and is no landslide: implanted too, with mask 0."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from landslide.geo.relief import Float
from landslide.implant.scars import Chip
from landslide.simulate.noise import smooth_noise


class Decoy(NamedTuple):
    """A kind of change that is no landslide.

    Attributes:
        change: Mean change in decibels in like and in cross polarisation.
        spread: Standard deviation of both.
        side: Shortest and longest side in metres.
        slope: Smallest and largest slope in degrees that it lies on.
    """

    change: tuple[float, float]
    spread: float
    side: tuple[float, float]
    slope: tuple[float, float]


HARVEST = Decoy((0.0, -1.0), 3.0, (60, 300), (0, 6))
FLOOD = Decoy((-6.0, -6.0), 2.0, (100, 600), (0, 4))
CONSTRUCTION = Decoy((6.0, 4.0), 2.0, (30, 120), (0, 10))
FELLING = Decoy((-1.5, -3.0), 1.0, (80, 300), (3, 35))
"""Fields and clearings have straight edges. Their changes are those of the simulated land cover,
widened."""

DECOYS = (HARVEST, FLOOD, CONSTRUCTION, FELLING)

DECOYS_PER_PIXEL = 0.6 / 96**2
"""Mean number of rectangles."""

SNOW_SHARE, SNOW_CHANGE = 0.05, (-2.5, 1.5)
"""Share of samples that a line of wet snow crosses, and mean and standard deviation of its change
in decibels (Nagler & Rott 2000, IEEE TGRS 38, 754-765, take -3 dB as the threshold of wet snow)."""

SHIFT_SHARE, SHIFT_PIXELS = 0.2, 0.25
"""Share of samples with displaced dates after the event, and the standard deviation per axis."""

OFFSET_DB = 0.3
"""Standard deviation in decibels of what is added to a whole date beside its own weather."""


def draw_decoys(
    slope: Float, polarisations: Sequence[str], spacing: float, rng: np.random.Generator
) -> list[tuple[Chip, Float]]:
    """Draw the decoys of a sample: rectangles on slopes that suit them, and snow.

    Args:
        slope: (H, W) in degrees; NaN where it is unknown and may be any.
        polarisations: Polarisations of the image.
        spacing: Pixel size in metres.
        rng: Source of randomness.

    Returns:
        Where each lies, and its change (P,) in decibels.
    """
    drawn = []
    for _ in range(rng.poisson(DECOYS_PER_PIXEL * slope.size)):
        decoy = DECOYS[rng.integers(len(DECOYS))]
        chip = _rectangle(decoy, slope, spacing, rng)
        if chip is not None:
            drawn.append((chip, _change(decoy.change, decoy.spread, polarisations, rng)))
    if rng.random() < SNOW_SHARE:
        level = smooth_noise(slope.shape, 3000 / spacing, rng) + rng.normal()
        chip = Chip((slice(None), slice(None)), (level > 0).astype(np.float32))
        mean, spread = SNOW_CHANGE
        drawn.append((chip, _change((mean, mean), spread, polarisations, rng)))
    return drawn


def _rectangle(decoy: Decoy, slope: Float, spacing: float, rng: np.random.Generator) -> Chip | None:
    """A rectangle in any direction; None where no ground suits it."""
    low, high = decoy.slope
    suits = np.flatnonzero(np.isnan(slope) | ((slope >= low) & (slope <= high)))
    if not len(suits):
        return None
    row, col = divmod(int(suits[rng.integers(len(suits))]), slope.shape[1])
    angle, sides = rng.uniform(0, np.pi), rng.uniform(*decoy.side, 2) / spacing
    reach = int(np.hypot(*sides) / 2) + 2
    rows = slice(max(row - reach, 0), min(row + reach, slope.shape[0]))
    cols = slice(max(col - reach, 0), min(col + reach, slope.shape[1]))
    i, j = np.ogrid[rows, cols]
    along = np.cos(angle) * (j - col) + np.sin(angle) * (i - row)
    across = np.cos(angle) * (i - row) - np.sin(angle) * (j - col)
    inside = np.minimum(sides[0] / 2 - np.abs(along), sides[1] / 2 - np.abs(across)) + 0.5
    return Chip((rows, cols), inside.clip(0, 1).astype(np.float32))


def _change(
    means: tuple[float, float],
    spread: float,
    polarisations: Sequence[str],
    rng: np.random.Generator,
) -> Float:
    """Change (P,) in decibels, of which polarisations share the deviation from its mean."""
    like, cross = means
    mean = np.array([cross if p in ("vh", "hv") else like for p in polarisations])
    change: Float = (mean + spread * rng.standard_normal()).astype(np.float32)
    return change


def displace(after: Float, donors: Float, rng: np.random.Generator) -> tuple[Float, Float]:
    """Displace dates (D, P, H, W), linear power, by fractions of a pixel in some samples.

    Donors of speckle move with the dates that take it, so that it is interpolated alike.
    """
    if rng.random() >= SHIFT_SHARE:
        return after, donors
    by = rng.normal(0, SHIFT_PIXELS, (len(after), 2))
    return _moved(after, by), _moved(donors, by)


def _moved(dates: Float, by: NDArray[np.float64]) -> Float:
    # Bilinear weights add up to one, so that NaN spreads to neighbours and nothing rings.
    return np.stack(
        [
            [ndimage.shift(band, shift, order=1, mode="nearest") for band in image]
            for image, shift in zip(dates, by, strict=True)
        ]
    )


def offset(dates: Float, rng: np.random.Generator) -> Float:
    """Brighten or darken whole dates (D, P, H, W), linear power."""
    by = rng.normal(0, OFFSET_DB, (*dates.shape[:2], 1, 1))
    return (dates * 10 ** (by / 10)).astype(np.float32)

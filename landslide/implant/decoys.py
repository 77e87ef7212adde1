"""What changes between dates and is no landslide: implanted too, with mask 0."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from landslide.geo.relief import Float
from landslide.implant.change import ChangedGround, on_dates
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
    slope: Float,
    polarisations: Sequence[str],
    dates: int,
    spacing: float,
    rng: np.random.Generator,
) -> list[ChangedGround]:
    """Draw the decoys of a sample: rectangles on slopes that suit them, and snow."""
    drawn = []
    for _ in range(rng.poisson(DECOYS_PER_PIXEL * slope.size)):
        decoy = DECOYS[rng.integers(len(DECOYS))]
        chip = _rectangle(decoy, slope, spacing, rng)
        if chip is not None:
            drawn.append(_changed(chip, decoy.change, decoy.spread, polarisations, dates, rng))
    if rng.random() < SNOW_SHARE:
        level = smooth_noise(slope.shape, 3000 / spacing, rng) + rng.normal()
        snow = (level > 0).astype(np.float32)
        mean, spread = SNOW_CHANGE
        chip = Chip((slice(None), slice(None)), snow)
        drawn.append(_changed(chip, (mean, mean), spread, polarisations, dates, rng))
    return drawn


def _rectangle(decoy: Decoy, slope: Float, spacing: float, rng: np.random.Generator) -> Chip | None:
    """A rectangle in any direction; None where no ground suits it."""
    low, high = decoy.slope
    suits = np.flatnonzero((slope >= low) & (slope <= high))
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


def _changed(
    chip: Chip,
    means: tuple[float, float],
    spread: float,
    polarisations: Sequence[str],
    dates: int,
    rng: np.random.Generator,
) -> ChangedGround:
    like, cross = means
    mean = np.array([cross if p in ("vh", "hv") else like for p in polarisations], np.float32)
    common = np.float32(spread * rng.standard_normal())
    return ChangedGround(chip, on_dates(mean + common, dates, rng))


def displace(dates: Float, rng: np.random.Generator) -> Float:
    """Displace dates (D, P, H, W), linear power, by fractions of a pixel in some samples."""
    if rng.random() >= SHIFT_SHARE:
        return dates
    moved = np.empty_like(dates)
    for date, image in enumerate(dates):
        by = rng.normal(0, SHIFT_PIXELS, 2)
        for band, values in enumerate(image):
            # Bilinear weights add up to one, so that NaN spreads to neighbours and nothing rings.
            moved[date, band] = ndimage.shift(values, by, order=1, mode="nearest")
    return moved


def offset(dates: Float, rng: np.random.Generator) -> Float:
    """Brighten or darken whole dates (D, P, H, W), linear power."""
    by = rng.normal(0, OFFSET_DB, (*dates.shape[:2], 1, 1))
    return (dates * 10 ** (by / 10)).astype(np.float32)

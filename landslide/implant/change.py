"""What a landslide, and what else, does to backscatter after the event.

A patch of changed ground has a coverage and a change in decibels for every date and polarisation.
It is put into an image such that the image's own texture, weather and kind of speckle stay: with a
change of 0 dB nothing can be found (see ``implant``).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from landslide.geo.relief import Float
from landslide.implant.scars import Chip
from landslide.simulate.noise import smooth_noise

MEAN_CHANGE = {"vv": -1.0, "vh": -3.0, "hh": -1.0, "hv": -3.0}
"""Mean change of scars in decibels. Canopy that becomes bare soil loses most in cross polarisation,
while debris, moisture and steeper incidence brighten many scars: every sign has been reported
(Mondini et al. 2021, Earth-Science Reviews 216, 103574). On a real scar in forest VV rose and VH
fell."""

CHANGE_SPREAD, CORRELATION = 4.0, 0.5
"""Standard deviation of the change from scar to scar in decibels, and its correlation between
polarisations."""

ALIKE = 0.5
"""Share of the variance of changes that all scars of an event have in common."""

LEAST_CHANGE, GREATEST_CHANGE = 2.0, 12.0
"""The largest change over polarisations has at least the first many decibels, since a scar that
changes less cannot be seen; none has more than the second."""

TRACK_SPREAD = 1.5
"""Standard deviation in decibels between tracks, which see a scar from other sides."""

DATE_SPREAD = 0.7
"""Standard deviation in decibels between dates after the event, as a scar is wet or dry."""

STEEPEST_FALL, GREATEST_EFFECT = 3.0, 5.0
"""Largest exponent of the fall of a scar's backscatter with the local incidence angle, and the
largest effect of it in decibels."""

PATCHINESS, PATCH_METRES = 1.5, 40.0
"""Standard deviation in decibels within a scar, and its correlation length in metres."""

TREES = 0.1
"""Mean share of the canopy that survives in a scar."""

LEVEL_PIXELS = 4.0
"""Standard deviation in pixels of the Gaussian that finds the level of a date around a pixel."""


class ChangedGround(NamedTuple):
    """A patch of ground that changed.

    Attributes:
        chip: Where it lies.
        change: Decibels by date after the event and polarisation, (D, P, 1, 1), or (D, P, h, w)
            where they depend on the place.
    """

    chip: Chip
    change: Float


def draw_scar_changes(count: int, polarisations: Sequence[str], rng: np.random.Generator) -> Float:
    """Draw the changes (N, P) in decibels of the scars of one event, for all tracks and dates.

    The distribution is normal, given that one of the polarisations changes by ``LEAST_CHANGE``.
    Scars of one event resemble each other, as they lie in the same forest.
    """
    mean = np.array([MEAN_CHANGE[p] for p in polarisations])
    changes: list[NDArray[np.float64]] = []
    event = _deviation_of(len(mean), rng)
    while len(changes) < count:
        own = _deviation_of(len(mean), rng)
        scar = mean + CHANGE_SPREAD * (np.sqrt(ALIKE) * event + np.sqrt(1 - ALIKE) * own)
        if LEAST_CHANGE <= np.abs(scar).max() <= GREATEST_CHANGE:
            changes.append(scar)
        elif not changes:
            event = _deviation_of(len(mean), rng)
    return np.array(changes, np.float32).reshape(count, len(mean))


def _deviation_of(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Standard normal variates of polarisations that correlate."""
    common, own = rng.standard_normal(), rng.standard_normal(size)
    deviation: NDArray[np.float64] = np.sqrt(CORRELATION) * common + np.sqrt(1 - CORRELATION) * own
    return deviation


def on_dates(change: Float, dates: int, rng: np.random.Generator) -> Float:
    """Change (D, P, 1, 1) of one track's dates, from that of the scar (P,)."""
    track = change + TRACK_SPREAD * rng.standard_normal(change.shape)
    weather = DATE_SPREAD * rng.standard_normal((dates, 1))
    return (track + weather).astype(np.float32)[..., None, None]


def incidence_effect(angle: Float, rng: np.random.Generator) -> Float:
    """Decibels (H, W) by which a scar is brighter where it is seen more steeply than on average.

    Backscatter of bare soil falls with the local incidence angle as cos^p, where that of the canopy
    before it hardly does (Ulaby, Moore & Fung 1982, volume II); p is drawn from 0 to
    ``STEEPEST_FALL``.

    Args:
        angle: (H, W) local incidence angle in degrees; NaN where it is unknown.
        rng: Source of randomness.
    """
    cosine = np.cos(np.radians(np.clip(np.nan_to_num(angle, nan=40.0), 0, 80)))
    effect = 10 * rng.uniform(0, STEEPEST_FALL) * np.log10(cosine / np.cos(np.radians(40)))
    clipped: Float = effect.clip(-GREATEST_EFFECT, GREATEST_EFFECT).astype(np.float32)
    return clipped


def draw_openness(shape: tuple[int, int], spacing: float, rng: np.random.Generator) -> Float:
    """Share (H, W) of a scar's ground without surviving trees, which stand in clumps."""
    each = rng.beta(2 * TREES, 2 * (1 - TREES))
    clumps = 0.35 * smooth_noise(shape, 30 / spacing, rng)
    openness: Float = (1 - np.clip(each + clumps - TREES, 0, 1)).astype(np.float32)
    return openness


def implant(
    after: Float,
    donors: Float,
    usual: Float,
    patches: Sequence[ChangedGround],
    openness: Float,
    spacing: float,
    rng: np.random.Generator,
    strength: float = 1.0,
) -> Float:
    """Put changed ground into the dates after an event.

    Within a patch the speckle of a date, its deviation from the usual image in decibels, is
    replaced by that of another quiet date (a donor), so that it is new, and of the image's own
    distribution and correlation. The change comes on top of it, in linear power.

    Args:
        after: (D, P, H, W) linear power of quiet dates; NaN where not measured.
        donors: (D, P, H, W) quiet dates that the sample does not use otherwise.
        usual: (P, H, W) mean of the dates before.
        patches: What changed; later patches cover earlier ones, in part at their edges.
        openness: (H, W) share of the ground that changes within a patch.
        spacing: Pixel size in metres.
        rng: Source of randomness.
        strength: Factor of all changes; with 0 only the speckle is new.

    Returns:
        (D, P, H, W) linear power.
    """
    if not patches:
        return after
    shape = after.shape[-2:]
    share = np.zeros(shape, np.float32)
    gain: Float = np.ones(after.shape, np.float32)
    patchy = PATCHINESS * smooth_noise(shape, PATCH_METRES / spacing, rng)
    for (place, coverage), decibels in patches:
        share[place] = np.maximum(share[place], coverage)
        under, opened = gain[..., *place], coverage * openness[place]
        change = np.float32(strength) * (decibels + patchy[place])
        under += opened * (10 ** (change / 10) - under)
    speckle = _deviation(donors, usual) - _deviation(after, usual)
    # A mixture would be smoother than either. Where the donor did not measure, nothing is new.
    speckle = np.where((share >= 0.5) & np.isfinite(speckle), speckle, 0)
    return (after * gain * 10 ** (speckle / 10)).astype(np.float32)


def _deviation(dates: Float, usual: Float) -> Float:
    """Decibels (D, P, H, W) by which dates deviate from the usual image, beyond their level."""
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = 10 * np.log10(dates / usual)
    measured = np.isfinite(difference)
    sigma = (0, 0, LEVEL_PIXELS, LEVEL_PIXELS)
    total = ndimage.gaussian_filter(np.where(measured, difference, 0), sigma)
    weight = ndimage.gaussian_filter(measured.astype(np.float32), sigma)
    return np.where(measured, difference - total / np.maximum(weight, 1e-6), np.nan)

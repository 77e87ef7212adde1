"""Acquisitions: the dates of an orbit, and the images that its radar takes on them."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landslide.geo.relief import Float
from landslide.radar.geometry import RadarGeometry, local_incidence, projected_area
from landslide.radar.stack import Side
from landslide.simulate.backscatter import Radar, RadarGrid, speckle
from landslide.simulate.inputs import SPACING
from landslide.simulate.options import Dates
from landslide.simulate.scattering import (
    EARTHQUAKE,
    CrossRatio,
    Ground,
    draw_date_shifts,
    from_decibel,
)

REPEAT_CYCLE = 12.0
"""Days from one acquisition of an orbit to the next."""

DAY_ZERO = datetime(2018, 8, 31, tzinfo=timezone(timedelta(hours=9)))
"""Start of the last day of August in Japan, from which days of September are counted."""


class PlannedDate(NamedTuple):
    """A date on which an orbit images the scene.

    Attributes:
        day: Day of September 2018, fractional; 0 is the last of August, 31 is 1 October.
        offset: (2,) shift in dB of all the ground in VV and in VH.
        draw: Randomness of ground, geolocation and VV.
        cross_draw: Randomness of VH.
    """

    day: float
    offset: Float
    draw: np.random.Generator
    cross_draw: np.random.Generator


class Acquisition(NamedTuple):
    """What an orbit measured on a date.

    Attributes:
        day: As in ``PlannedDate``.
        offset: As in ``PlannedDate``.
        displacement: Metres (east, north) by which the images lie off.
        images: (H, W) gamma nought of each polarisation, linear power, NaN where invalid.
    """

    day: float
    offset: Float
    displacement: tuple[float, float]
    images: Mapping[str, Float]

    @property
    def side(self) -> Side:
        """``pre`` before the earthquake, ``post`` after it."""
        return "pre" if self.day < EARTHQUAKE else "post"


def local_time(day: float) -> datetime:
    """Time in Japan of a fractional day of September 2018, to the second."""
    return DAY_ZERO + timedelta(seconds=round(day * 86_400))


class RadarImager:
    """Images a scene from one orbit: from brightness of the ground to an image with speckle.

    Args:
        elevation: (H, W) in metres, without NaN.
        shadow: (H, W) pixels in radar shadow.
        geometry: Geometry of the orbit.
        radar: Properties of the radar.
    """

    def __init__(
        self, elevation: Float, shadow: NDArray[np.bool_], geometry: RadarGeometry, radar: Radar
    ) -> None:
        self.radar = radar
        self.grid = RadarGrid(elevation, SPACING, geometry)
        self.incidence = local_incidence(elevation, SPACING, geometry)
        area = projected_area(elevation, SPACING, geometry)
        self.area = np.where(shadow, 0, area).astype(np.float32)
        flat = np.cos(np.radians(geometry.incidence))
        self.noise = from_decibel(radar.noise - 10 * np.log10(flat))

    def image(self, gamma: Float, error: NDArray[np.float64], rng: np.random.Generator) -> Float:
        """Image (H, W) of gamma nought on the ellipsoid.

        Args:
            gamma: (H, W) gamma nought of the ground.
            error: Geolocation error in pixels, (2,).
            rng: Source of randomness.
        """
        power = self.grid.image(self.area * gamma)
        speckled = speckle(power + self.noise, self.radar, SPACING, rng)
        return self.grid.geocode(speckled, error)


class Orbit:
    """An orbit over a scene, which measures the same again for the same planned date.

    Args:
        ground: The ground through time.
        imager: The radar on this orbit.
        valid: (H, W) pixels with terrain.
        cross: Difference of VH from VV, or None for VV alone.

    Attributes:
        polarisations: ``vv``, or ``vv`` and ``vh``.
    """

    def __init__(
        self,
        ground: Ground,
        imager: RadarImager,
        valid: NDArray[np.bool_],
        cross: CrossRatio | None,
    ) -> None:
        self._ground, self._imager = ground, imager
        self._valid, self._cross = valid, cross
        self.polarisations = ("vv",) if cross is None else ("vv", "vh")

    def acquire(self, date: PlannedDate) -> Acquisition:
        """Image the scene on a date.

        Polarisations share the ground and the geolocation error. Their speckle is independent:
        over ground that is symmetric to the plane of incidence their amplitudes do not correlate
        (Nghiem et al. 1992).
        """
        draw, cross_draw = deepcopy((date.draw, date.cross_draw))
        ground, imager, gains = self._ground, self._imager, from_decibel(date.offset)
        weather = ground.weather(date.day, draw)
        error = draw.normal(0, imager.radar.geolocation / SPACING, 2)
        gamma = ground.gamma(weather, imager.incidence)
        images = {"vv": imager.image(gains[0] * gamma, error, draw)}
        if self._cross is not None:
            gamma = ground.gamma(weather, imager.incidence, self._cross)
            images["vh"] = imager.image(gains[1] * gamma, error, cross_draw)
        east, north = imager.grid.displacement(error)
        return Acquisition(
            date.day,
            date.offset,
            (east * SPACING, north * SPACING),
            {name: mask_invalid(image, self._valid) for name, image in images.items()},
        )


class SimulatedStack:
    """All dates of an orbit in order of time, of which most are imaged when they are asked for.

    Args:
        orbit: The orbit.
        dates: Dates to image, or what was measured on them.

    Attributes:
        days: Day of each date, as in ``PlannedDate``.
        reference_offset: ``offset`` of the last date before the earthquake.
    """

    def __init__(self, orbit: Orbit, dates: Sequence[PlannedDate | Acquisition]) -> None:
        self._orbit, self._dates = orbit, sorted(dates, key=lambda date: date.day)
        self.days = [date.day for date in self._dates]
        before = [date for date in self._dates if date.day < EARTHQUAKE]
        self.reference_offset = before[-1].offset

    @property
    def polarisations(self) -> tuple[str, ...]:
        """Polarisations of every date."""
        return self._orbit.polarisations

    def __iter__(self) -> Iterator[Acquisition]:
        """Measure date after date; one at a time is in memory."""
        for date in self._dates:
            yield date if isinstance(date, Acquisition) else self._orbit.acquire(date)


def plan_further_dates(
    days: Sequence[float], dates: Dates, whole_date: float, rng: np.random.Generator
) -> list[PlannedDate]:
    """Plan the dates of a stack that come on top of the paper's.

    Every date has randomness of its own: it stays the same whatever number is asked for.

    Args:
        days: Days of the paper's dates of the orbit, one before the earthquake and two after it.
        dates: Number of all dates.
        whole_date: Standard deviation in dB of the shift of a whole date in VV.
        rng: Source of randomness.
    """
    earlier = days[0] - REPEAT_CYCLE * np.arange(1, dates.before)
    later = days[-1] + REPEAT_CYCLE * np.arange(1, dates.after - 1)
    planned = []
    for side, side_rng in zip((earlier, later), rng.spawn(2), strict=True):
        for day, date_rng in zip(side, side_rng.spawn(len(side)), strict=True):
            shift_rng, draw, cross_draw = date_rng.spawn(3)
            offset = draw_date_shifts(whole_date, 1, shift_rng)[0]
            planned.append(PlannedDate(float(day), offset, draw, cross_draw))
    return planned


def mask_invalid(image: Float, valid: NDArray[np.bool_]) -> Float:
    """Image (H, W) with NaN where it is not valid."""
    return np.where(valid, image, np.float32(np.nan))

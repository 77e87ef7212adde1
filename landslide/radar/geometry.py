"""Radar geometry: what a side-looking radar sees of a terrain.

Angles are in degrees. Without a ``reach`` the look is that of a plane wave; with one, the
incidence angle grows along the look as it does under a satellite: over 100 km by about 8 degrees.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from landslide.geo.relief import Float, gradient

EARTH_RADIUS, ORBIT_ALTITUDE = 6_371_000.0, 700_000.0
"""Radius of the Earth and altitude of Sentinel-1 in metres, both to 1 percent."""


class RadarGeometry(NamedTuple):
    """Direction of flight and look of a right-looking radar.

    Attributes:
        heading: Flight direction in degrees clockwise from grid north.
        incidence: Incidence angle on the ellipsoid in degrees.
    """

    heading: float
    incidence: float

    @property
    def look_azimuth(self) -> float:
        """Azimuth in degrees towards which the radar looks."""
        return (self.heading + 90) % 360

    def incidence_at(self, reach: Float) -> Float:
        """Incidence angle at distances along the look from where it is ``incidence``.

        On a sphere: the angle at the Earth's centre between satellite and target grows by
        reach / EARTH_RADIUS, and fixes the triangle of both radii.

        Args:
            reach: Distances in metres on the ground, negative towards the satellite.
        """
        theta, orbit = np.radians(self.incidence), EARTH_RADIUS + ORBIT_ALTITUDE
        centre = theta - np.arcsin(EARTH_RADIUS / orbit * np.sin(theta)) + reach / EARTH_RADIUS
        nadir = np.arctan2(EARTH_RADIUS * np.sin(centre), orbit - EARTH_RADIUS * np.cos(centre))
        angle: Float = np.degrees(centre + nadir)
        return angle


class Distortion(NamedTuple):
    """Where relief hides or folds the terrain, (H, W) booleans each."""

    shadow: NDArray[np.bool_]
    layover: NDArray[np.bool_]


def local_incidence(
    elevation: Float, spacing: float, orbit: RadarGeometry, reach: float | None = None
) -> Float:
    """Angle between the surface normal and the direction to the radar.

    cos(theta) = (cos(i) + p sin(i)) / sqrt(1 + |grad z|²), with p the gradient of the
    elevation along the look direction: a slope of angle a that faces the radar has
    theta = |i - a|, one that faces away i + a.

    Args:
        elevation: (H, W) in metres.
        spacing: Pixel size in metres.
        orbit: Geometry.
        reach: Metres along the look from where the incidence angle is that of ``orbit`` to
            the middle of the array; None for a plane wave.

    Returns:
        (H, W) float32 in degrees, [0, 180); over 90 the surface is turned away.
    """
    cosine = _incidence_cosine(elevation, spacing, orbit, reach)[0]
    theta: Float = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return theta.astype(np.float32)


def projected_area(elevation: Float, spacing: float, orbit: RadarGeometry) -> Float:
    """Surface of a pixel seen along the look, over the same on flat ground; 0 if turned away.

    The gamma-nought reference area of Small (2011, IEEE TGRS 49(8), section III) per map
    pixel: cos(theta) of the surface element, enlarged by its tilt, over cos(incidence).
    """
    cosine, tilt = _incidence_cosine(elevation, spacing, orbit)
    area: Float = np.maximum(cosine * tilt, 0) / np.float32(np.cos(np.radians(orbit.incidence)))
    return area


def _incidence_cosine(
    elevation: Float, spacing: float, orbit: RadarGeometry, reach: float | None = None
) -> tuple[Float, Float]:
    """Cosine of the local incidence angle, and surface per map area (1 / cos slope)."""
    south, east = gradient(elevation, spacing)
    look = np.radians(orbit.look_azimuth)
    incidence: Float | float = np.radians(orbit.incidence)
    if reach is not None:
        rows, cols = (np.arange(n) - (n - 1) / 2 for n in elevation.shape)
        along = spacing * (np.sin(look) * cols[None, :] - np.cos(look) * rows[:, None])
        incidence = np.radians(orbit.incidence_at(reach + along)).astype(np.float32)
    rise = np.float32(np.sin(look)) * east - np.float32(np.cos(look)) * south
    tilt = np.sqrt(1 + south**2 + east**2)
    cosine: Float = (np.cos(incidence) + rise * np.sin(incidence)).astype(np.float32) / tilt
    return cosine, tilt


def distortion(
    elevation: Float, spacing: float, orbit: RadarGeometry, reach: float | None = None
) -> Distortion:
    """Shadow and layover by a scan along range.

    The terrain is turned so that columns run away from the radar. A point lies in shadow
    when an earlier one rises above its line of sight; it is laid over when its slant range
    is not in the order of its ground range (Kropatsch & Strobl 1990, IEEE TGRS 28(1)).

    Args:
        elevation: (H, W) in metres, without NaN.
        spacing: Pixel size in metres.
        orbit: Geometry.
        reach: As in ``local_incidence``.
    """
    turn = _RangeRotation(elevation.shape, orbit)
    z = turn.forward(elevation)
    x = np.arange(z.shape[1], dtype=np.float32) * np.float32(spacing)
    if reach is None:
        incidence: Float = np.full(x.shape, np.radians(orbit.incidence), np.float32)
        drop, near = x / np.tan(incidence), x * np.sin(incidence)
    else:  # the same, summed up as the angle grows
        incidence = np.radians(orbit.incidence_at(reach + x - x.mean())).astype(np.float32)
        drop = np.cumsum(spacing / np.tan(incidence)).astype(np.float32)
        near = np.cumsum(spacing * np.sin(incidence)).astype(np.float32)
    sight = z + drop
    shadow = sight < np.maximum.accumulate(sight, axis=1) - 1e-2
    slant = near - z * np.cos(incidence)
    before = np.maximum.accumulate(slant, axis=1)
    after = np.minimum.accumulate(slant[:, ::-1], axis=1)[:, ::-1]
    layover = (slant < before - 1e-2) | (slant > after + 1e-2)
    return Distortion(turn.back(shadow), turn.back(layover))


class _RangeRotation:
    """Turns an image so that its columns point away from the radar, and back."""

    def __init__(self, shape: tuple[int, ...], orbit: RadarGeometry) -> None:
        look = np.radians(orbit.look_azimuth)
        # Unit steps in (row, col): along range, and along azimuth to its right.
        self.range = np.array([-np.cos(look), np.sin(look)])
        self.azimuth = np.array([np.sin(look), np.cos(look)])
        self.shape = (shape[0], shape[1])
        self.centre = (np.array(self.shape) - 1) / 2
        half = np.abs(np.stack([self.azimuth, self.range])) @ (self.centre + 1)
        self.size = (int(np.ceil(2 * half[0])) + 1, int(np.ceil(2 * half[1])) + 1)
        self.middle = (np.array(self.size) - 1) / 2

    def forward(self, image: Float) -> Float:
        matrix = np.stack([self.azimuth, self.range], axis=1)
        turned: Float = ndimage.affine_transform(
            image, matrix, self.centre - matrix @ self.middle, self.size, order=1, mode="nearest"
        )
        return turned

    def back(self, image: NDArray[np.bool_]) -> NDArray[np.bool_]:
        matrix = np.stack([self.azimuth, self.range])
        turned = ndimage.affine_transform(
            image.astype(np.float32),
            matrix,
            self.middle - matrix @ self.centre,
            self.shape,
            order=1,
        )
        back: NDArray[np.bool_] = turned > 0.5
        return back

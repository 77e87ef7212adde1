"""Radar geometry: how a side-looking radar sees a terrain.

Angles are in degrees. Without a ``ground_range`` the radar sends a plane wave; with one, the
incidence angle grows along the look as it does under a satellite, by about 8 degrees in 100 km.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from landslide.geo.relief import Float, gradient

EARTH_RADIUS, ORBIT_ALTITUDE = 6_371_000.0, 700_000.0
"""Radius of the Earth and altitude of Sentinel-1 in metres, both to 1 percent."""

ORDER_TOLERANCE = 1e-2
"""Metres by which lines of sight and slant ranges may be out of order."""


class RadarGeometry(NamedTuple):
    """Flight and look direction of a right-looking radar.

    Attributes:
        heading: Flight direction in degrees clockwise from grid north.
        incidence: Incidence angle on the ellipsoid in degrees.
    """

    heading: float
    incidence: float

    @property
    def look_azimuth(self) -> float:
        """Direction in which the radar looks, in degrees clockwise from grid north."""
        return (self.heading + 90) % 360

    def incidence_at(self, ground_range: Float) -> Float:
        """Incidence angle at distances along the look from where it is ``incidence``.

        On a sphere, the angle at the Earth's centre between satellite and target grows by
        ground_range / EARTH_RADIUS; it determines the triangle with both radii.

        Args:
            ground_range: Distances on the ground in metres, negative towards the satellite.
        """
        theta, orbit = np.radians(self.incidence), EARTH_RADIUS + ORBIT_ALTITUDE
        centre = theta - np.arcsin(EARTH_RADIUS / orbit * np.sin(theta))
        centre = centre + ground_range / EARTH_RADIUS
        nadir = np.arctan2(EARTH_RADIUS * np.sin(centre), orbit - EARTH_RADIUS * np.cos(centre))
        angle: Float = np.degrees(centre + nadir)
        return angle


class Distortion(NamedTuple):
    """Radar shadow and layover, (H, W) booleans each."""

    shadow: NDArray[np.bool_]
    layover: NDArray[np.bool_]


def local_incidence(
    elevation: Float, spacing: float, geometry: RadarGeometry, ground_range: float | None = None
) -> Float:
    """Angle between the surface normal and the direction to the radar.

    cos(theta) = (cos(i) + p sin(i)) / sqrt(1 + |grad z|²), with p the gradient of the
    elevation along the look direction: a slope of angle a that faces the radar has
    theta = |i - a|, one that faces away i + a.

    Args:
        elevation: (H, W) in metres.
        spacing: Pixel size in metres.
        geometry: Radar geometry.
        ground_range: Metres along the look to the middle of the array from where the incidence
            angle is that of ``geometry``; None for a plane wave.

    Returns:
        (H, W) float32 in degrees, [0, 180); above 90 the surface faces away from the radar.
    """
    cosine = _incidence_cosine(elevation, spacing, geometry, ground_range)[0]
    theta: Float = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return theta.astype(np.float32)


def projected_area(elevation: Float, spacing: float, geometry: RadarGeometry) -> Float:
    """Surface of a pixel as the radar sees it, relative to flat ground; 0 if it faces away.

    This is the gamma-nought reference area of Small (2011, IEEE TGRS 49(8), section III) per map
    pixel: cos(theta) of the surface element, enlarged by its tilt, over cos(incidence).
    """
    cosine, tilt = _incidence_cosine(elevation, spacing, geometry)
    area: Float = np.maximum(cosine * tilt, 0) / np.float32(np.cos(np.radians(geometry.incidence)))
    return area


def _incidence_cosine(
    elevation: Float, spacing: float, geometry: RadarGeometry, ground_range: float | None = None
) -> tuple[Float, Float]:
    """Cosine of the local incidence angle, and surface per map area (1 / cos slope)."""
    south, east = gradient(elevation, spacing)
    look = np.radians(geometry.look_azimuth)
    incidence: Float | float = np.radians(geometry.incidence)
    if ground_range is not None:
        rows, cols = (np.arange(n) - (n - 1) / 2 for n in elevation.shape)
        along = spacing * (np.sin(look) * cols[None, :] - np.cos(look) * rows[:, None])
        incidence = np.radians(geometry.incidence_at(ground_range + along)).astype(np.float32)
    rise = np.float32(np.sin(look)) * east - np.float32(np.cos(look)) * south
    tilt = np.sqrt(1 + south**2 + east**2)
    cosine: Float = (np.cos(incidence) + rise * np.sin(incidence)).astype(np.float32) / tilt
    return cosine, tilt


def distortion(
    elevation: Float, spacing: float, geometry: RadarGeometry, ground_range: float | None = None
) -> Distortion:
    """Find shadow and layover by a scan along range.

    The terrain is rotated so that columns run away from the radar. A point lies in shadow
    when an earlier one rises above its line of sight; it is in layover when its slant range
    is not in the order of its ground range (Kropatsch & Strobl 1990, IEEE TGRS 28(1)).

    Args:
        elevation: (H, W) in metres, without NaN.
        spacing: Pixel size in metres.
        geometry: Radar geometry.
        ground_range: As in ``local_incidence``.
    """
    rotation = _RangeRotation(elevation.shape, geometry)
    z = rotation.rotate(elevation)
    x = np.arange(z.shape[1], dtype=np.float32) * np.float32(spacing)
    if ground_range is None:
        incidence: Float = np.full(x.shape, np.radians(geometry.incidence), np.float32)
        drop, near = x / np.tan(incidence), x * np.sin(incidence)
    else:  # summed up, as the angle grows
        angle = geometry.incidence_at(ground_range + x - x.mean())
        incidence = np.radians(angle).astype(np.float32)
        drop = np.cumsum(spacing / np.tan(incidence)).astype(np.float32)
        near = np.cumsum(spacing * np.sin(incidence)).astype(np.float32)
    sight = z + drop
    shadow = sight < np.maximum.accumulate(sight, axis=1) - ORDER_TOLERANCE
    slant = near - z * np.cos(incidence)
    before = np.maximum.accumulate(slant, axis=1)
    after = np.minimum.accumulate(slant[:, ::-1], axis=1)[:, ::-1]
    layover = (slant < before - ORDER_TOLERANCE) | (slant > after + ORDER_TOLERANCE)
    return Distortion(rotation.rotate_back(shadow), rotation.rotate_back(layover))


class _RangeRotation:
    """Rotation of an image that makes its columns point away from the radar."""

    def __init__(self, shape: tuple[int, ...], geometry: RadarGeometry) -> None:
        look = np.radians(geometry.look_azimuth)
        # Columns: unit steps in (row, col) along azimuth and along range.
        self.matrix = np.array([[np.sin(look), -np.cos(look)], [np.cos(look), np.sin(look)]])
        self.shape = (shape[0], shape[1])
        self.centre = (np.array(self.shape) - 1) / 2
        half = np.abs(self.matrix.T) @ (self.centre + 1)
        self.size = (int(np.ceil(2 * half[0])) + 1, int(np.ceil(2 * half[1])) + 1)
        self.middle = (np.array(self.size) - 1) / 2

    def rotate(self, image: Float) -> Float:
        start = self.centre - self.matrix @ self.middle
        rotated: Float = ndimage.affine_transform(
            image, self.matrix, start, self.size, order=1, mode="nearest"
        )
        return rotated

    def rotate_back(self, image: NDArray[np.bool_]) -> NDArray[np.bool_]:
        start = self.middle - self.matrix.T @ self.centre
        rotated: Float = ndimage.affine_transform(
            image.astype(np.float32), self.matrix.T, start, self.shape, order=1
        )
        is_set: NDArray[np.bool_] = rotated > 0.5
        return is_set

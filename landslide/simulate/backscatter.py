"""Backscatter: from the brightness of the ground to a terrain-corrected image with speckle."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from landslide.geo.relief import Float
from landslide.radar.geometry import RadarGeometry
from landslide.simulate.noise import pixel_indices

PADDING = 24
"""Pixels of mirrored terrain around the scene, so that its border is imaged like the rest."""
ROWS_AT_ONCE = 128
"""Map rows projected into the radar's grid at a time."""


@dataclass(frozen=True)
class Radar:
    """Properties of the radar.

    Attributes:
        incidence: Incidence angle on the ellipsoid in degrees, (10, 60).
        looks: Equivalent number of looks in radar geometry.
        resolution: Ground resolution (3 dB width) in metres.
        noise: Noise-equivalent sigma nought in dB.
        geolocation: Standard deviation in metres, per axis, of the error of each image.
    """

    incidence: float
    looks: float
    resolution: float
    noise: float
    geolocation: float


class RadarGrid:
    """Mapping between a scene's pixels and the radar's image grid.

    The radar's grid has azimuth along rows and ellipsoidal ground range along columns, at
    the pixel size of the map. Higher ground is nearer to the radar: a point at ground range
    x and height z is imaged at x - z / tan(incidence).

    Args:
        elevation: (H, W) in metres, without NaN.
        spacing: Pixel size in metres.
        geometry: Radar geometry.
    """

    def __init__(self, elevation: Float, spacing: float, geometry: RadarGeometry) -> None:
        self.elevation = np.pad(elevation, PADDING, mode="reflect")
        look = np.radians(geometry.look_azimuth)
        self._sin, self._cos = np.float32(np.sin(look)), np.float32(np.cos(look))
        self._rise = np.float32(1 / (spacing * np.tan(np.radians(geometry.incidence))))
        rows, cols = pixel_indices(self.elevation.shape)
        azimuth, ground_range = self.project(rows, cols, self.elevation)
        self.origin = (float(azimuth.min()) - 8, float(ground_range.min()) - 8)
        self.shape = (
            int(azimuth.max() - self.origin[0]) + 10,
            int(ground_range.max() - self.origin[1]) + 10,
        )
        inner = np.s_[PADDING:-PADDING, PADDING:-PADDING]
        self.positions = (azimuth[inner] - self.origin[0], ground_range[inner] - self.origin[1])

    def project(self, rows: Float, cols: Float, elevation: Float) -> tuple[Float, Float]:
        """Azimuth and range in pixels of map points given in pixels and metres."""
        azimuth = rows * self._sin + cols * self._cos
        ground_range = cols * self._sin - rows * self._cos - elevation * self._rise
        return azimuth, ground_range

    def image(self, power: Float) -> Float:
        """Power that arrives in each cell of the radar's grid.

        Args:
            power: (H, W) backscattered power per map pixel. Where several pixels share a cell,
                as on slopes that face the radar and in layover, their powers add up.

        Returns:
            Radar image of this grid's shape, without the system's resolution and speckle.
        """
        padded = np.pad(power, PADDING, mode="reflect")
        total = np.zeros(self.shape[0] * self.shape[1])
        for start in range(0, padded.shape[0] - 1, ROWS_AT_ONCE):
            stop = min(start + ROWS_AT_ONCE, padded.shape[0] - 1)
            for shift_row in (0.25, 0.75):
                for shift_col in (0.25, 0.75):
                    self._add_power(total, padded, slice(start, stop), shift_row, shift_col)
        return total.reshape(self.shape).astype(np.float32)

    def _add_power(
        self, total: NDArray[np.float64], power: Float, rows: slice, down: float, right: float
    ) -> None:
        """Add a quarter of every pixel's power bilinearly, at a sub-pixel position."""
        z = _interpolate(self.elevation, rows, down, right)
        i, j = pixel_indices(z.shape)
        azimuth, ground_range = self.project(
            i + np.float32(rows.start + down), j + np.float32(right), z
        )
        azimuth, ground_range = azimuth - self.origin[0], ground_range - self.origin[1]
        p = _interpolate(power, rows, down, right) / 4
        i, j = azimuth.astype(np.int64), ground_range.astype(np.int64)
        fy, fx = azimuth - i, ground_range - j
        base = i * self.shape[1] + j
        low = int(base.min())
        for step, weight in (
            (0, (1 - fy) * (1 - fx)),
            (1, (1 - fy) * fx),
            (self.shape[1], fy * (1 - fx)),
            (self.shape[1] + 1, fy * fx),
        ):
            sums = np.bincount((base - low + step).ravel(), (weight * p).ravel())
            total[low : low + sums.size] += sums

    def geocode(self, image: Float, error: NDArray[np.floating]) -> Float:
        """Resample a radar image to the map (H, W), bilinearly, displaced by ``error`` pixels."""
        azimuth, ground_range = self.positions
        out: Float = ndimage.map_coordinates(
            image, (azimuth + np.float32(error[0]), ground_range + np.float32(error[1])), order=1
        )
        return out

    def displacement(self, error: NDArray[np.floating]) -> tuple[float, float]:
        """Pixels (east, north) by which an image geocoded with ``error`` lies off."""
        azimuth, ground_range = error
        east = -self._cos * azimuth - self._sin * ground_range
        north = self._sin * azimuth - self._cos * ground_range
        return float(east), float(north)


def _interpolate(field: Float, rows: slice, down: float, right: float) -> Float:
    """Bilinear values a fraction of a pixel below and to the right of the pixels of ``rows``."""
    upper = field[rows]
    lower = field[rows.start + 1 : rows.stop + 1]
    column = (1 - down) * upper + down * lower
    return ((1 - right) * column[:, :-1] + right * column[:, 1:]).astype(np.float32)


def speckle(power: Float, radar: Radar, spacing: float, rng: np.random.Generator) -> Float:
    """Multilook intensity image of fully developed speckle.

    Each look is a circular Gaussian field of variance ``power`` seen through the system's
    impulse response, squared; looks of equal weight and one of smaller weight give any
    equivalent number of looks (Oliver & Quegan 2004, section 4.3).

    Args:
        power: (H, W) mean power.
        radar: Properties of the radar, for looks and resolution.
        spacing: Pixel size in metres.
        rng: Source of randomness.

    Returns:
        (H, W) float32, positive.
    """
    # The intensity response exp(-x²/s²) is 3 dB down at s sqrt(ln 2).
    sigma = radar.resolution / spacing / (2 * np.sqrt(np.log(2)))
    taps = np.exp(-0.5 * (np.arange(-12, 13) / sigma) ** 2)
    energy = np.float32((np.square(taps / taps.sum()).sum()) ** 2)
    amplitude = np.sqrt(power / 2)
    total, weights = np.zeros_like(power), look_weights(radar.looks)
    for weight in weights:
        for _ in range(2):
            field = amplitude * rng.standard_normal(power.shape, dtype=np.float32)
            field = ndimage.gaussian_filter(field, sigma, truncate=3.5)
            total += np.float32(weight) * field**2
    intensity: Float = total / (energy * np.float32(sum(weights)))
    return intensity


def look_weights(looks: float) -> list[float]:
    """Weights of independent looks whose weighted mean has ``looks`` equivalent looks."""
    whole = int(looks)
    rest = looks - whole
    if rest == 0:
        return [1.0] * whole
    # (n + w)² / (n + w²) = looks, solved for the smaller root.
    root = np.sqrt(whole**2 - (looks - 1) * (looks - whole) * whole)
    return [1.0] * whole + [float((whole - root) / (looks - 1))]

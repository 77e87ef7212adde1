"""Backscatter as providers store it (power, amplitude, decibels; scaled integers) to power."""

import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from landslide.errors import InputError
from landslide.pixels import read_pixels
from landslide.prepare.mosaic import open_georeferenced
from landslide.prepare.sources import Tile, Units
from landslide.relief import Float

HINTS: dict[Units, str] = {
    "db": r"(?<![a-z])(db|decibels?)(?![a-z])",
    "amplitude": r"(?<![a-z])(amplitude|amp)(?![a-z])",
    "power": r"(?<![a-z])(power|intensity|linear)(?![a-z])",
}
"""Words in file names, band descriptions and tags that tell units."""

AMPLITUDE_FROM = 0.28
"""Median from which values are amplitude: as power -5.5 dB, brighter than land is as a whole."""

DECIBELS = (-60.0, 40.0)
"""Backscatter in dB outside of this is fill: Sentinel-1's noise floor is near -22 dB."""


class Calibration(NamedTuple):
    """How values become linear power.

    Attributes:
        units: Units of the values, scale and offset applied.
        zero: Value of a stored 0, which is the band's offset.
        zero_is_fill: Whether a stored 0 means that nothing was measured.
        reason: Why these units: ``option``, ``metadata`` or ``values``.
        median: Median in dB of a sample; NaN where nothing is measured.
        zeros: Share of the sample that is 0 and not declared nodata.
    """

    units: Units
    zero: float
    zero_is_fill: bool
    reason: str
    median: float
    zeros: float

    def __call__(self, values: Float, valid: NDArray[np.bool_]) -> Float:
        """Return linear power, NaN where there is no measurement."""
        if self.zero_is_fill:
            valid = valid & (values != np.float32(self.zero))
        return to_power(np.where(valid, values, np.float32(np.nan)), self.units)


def to_power(values: Float, units: Units) -> Float:
    """Linear power of values in units; NaN where it would not be positive."""
    if units == "db":
        low, high = DECIBELS
        power = 10 ** (np.where((values > low) & (values < high), values, np.nan) / 10)
    else:
        power = np.where(values > 0, values, np.nan)
        if units == "amplitude":
            power = power**2
    return power.astype(np.float32)


def calibrate(tile: Tile, units: Units | None, reason: str = "option") -> Calibration:
    """Find how a tile's pixels become linear power.

    Args:
        tile: Band of a raster.
        units: Units where they are known.
        reason: Who knows them.

    Raises:
        InputError: Whole numbers without a scale that are no backscatter in any units.
    """
    with open_georeferenced(tile) as source:
        index = tile.band - 1
        scale, offset = source.scales[index], source.offsets[index]
        step = max(1, max(source.shape) // 1024)
        shape = (max(1, source.height // step), max(1, source.width // step))
        pixels = read_pixels(source, tile.band, shape=shape)
        integer = np.issubdtype(np.dtype(source.dtypes[index]), np.integer)
        declared = source.nodata is not None
        hints = units or hinted_units(source, tile.band)
    sample = pixels.values[pixels.valid]
    zero = sample == np.float32(offset)
    zeros = float(zero.mean()) if len(sample) else 0.0
    values = sample[~zero]
    if units is None:
        units, reason = hints, "metadata"
    if units is None:
        units, reason = guess_units(values), "values"
    if integer and (scale, offset) == (1.0, 0.0) and len(values) and np.abs(values).max() > 60:
        raise InputError(
            f"{tile.path} holds whole numbers up to {values.max():.0f} and no scale, which is no "
            "calibrated backscatter: calibrate it, or set the band's scale and offset"
        )
    power = to_power(values, units)
    power = power[np.isfinite(power)]
    median = float(10 * np.log10(np.median(power))) if len(power) else float("nan")
    # Real decibels are hardly ever exactly 0; without declared nodata, 0 is fill.
    fill = units != "db" or not declared
    return Calibration(units, offset, fill, reason, median, zeros)


def hinted_units(source: DatasetReader, band: int) -> Units | None:
    """Units as the band's unit and description, the file's name and tags tell; None if not."""
    name = source.name.replace("\\", "/").rsplit("/", 1)[-1]
    tags = [f"{key} {value}" for key, value in source.tags(band).items()]
    tags += [value for key, value in source.tags().items() if "unit" in key.lower()]
    for text in (source.units[band - 1], source.descriptions[band - 1], *tags, name):
        words = re.sub(r"[_.\-]", " ", (text or "").lower())
        for units, pattern in HINTS.items():
            if re.search(pattern, words):
                return units
    return None


def guess_units(values: NDArray[Any]) -> Units:
    """Units by values without fill: many negative ones are dB, large ones amplitude."""
    if not len(values):
        return "power"
    if (values < 0).mean() > 0.05:
        return "db"
    return "amplitude" if np.median(values) >= AMPLITUDE_FROM else "power"

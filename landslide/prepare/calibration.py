"""Backscatter as providers store it (power, amplitude, decibels; scaled integers) to power."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from landslide.errors import InputError
from landslide.geo.pixels import read_pixels
from landslide.geo.relief import Float
from landslide.prepare.mosaic import open_georeferenced
from landslide.prepare.names import units_in_name, units_of
from landslide.prepare.sources import Acquisition, Tile, Units

AMPLITUDE_FROM = {"vv": 0.28, "hh": 0.28, "vh": 0.11, "hv": 0.11}
"""Median from which values are amplitude: as power -5.5 dB, brighter than land is as a whole.

Of cross-polarised bands -9.6 dB.
"""

DECIBELS = (-60.0, 40.0)
"""Backscatter in dB outside of this is fill: Sentinel-1's noise floor is near -22 dB."""


KnownBy = Literal["declaration", "metadata", "values"]
DECLARED, METADATA, VALUES = get_args(KnownBy)


class Calibration(NamedTuple):
    """How values become linear power.

    Attributes:
        units: Units of the values, scale and offset applied.
        zero: Value of a stored 0, which is the band's offset.
        zero_is_fill: Whether a stored 0 means that nothing was measured.
        known_by: What tells the units: ``declaration`` (an option, or a description of the
            source), ``metadata`` (tags and names) or ``values`` alone.
        median: Median in dB of a sample; NaN where nothing is measured.
        zeros: Share of the sample that is 0 and not declared nodata.
    """

    units: Units
    zero: float
    zero_is_fill: bool
    known_by: KnownBy
    median: float
    zeros: float

    def __call__(self, values: Float, valid: NDArray[np.bool_]) -> Float:
        """Return linear power, NaN where there is no measurement."""
        if self.zero_is_fill:
            valid = valid & (values != np.float32(self.zero))
        return to_power(np.where(valid, values, np.float32(np.nan)), self.units)


Calibrated = Mapping[str, Sequence[tuple[Tile, Calibration]]]
"""Tiles and their calibrations by band of an orbit."""


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


def calibrate_orbit(dates: Mapping[str, Acquisition]) -> Calibrated:
    """Find how the images of an orbit become linear power, all from the same units.

    Returns:
        Tiles and their calibrations by band: ``vv_pre``, ``vv_post1``, …, then ``vh_pre``.

    Raises:
        InputError: Files of different units, or of none that backscatter has.
    """
    found = {
        f"{polarisation}_{date}": [
            (tile, calibrate(tile, polarisation, acquisition.units))
            for tile in acquisition.tiles[polarisation]
        ]
        for polarisation in next(iter(dates.values())).tiles
        for date, acquisition in dates.items()
    }
    images = [image for band in found.values() for image in band]
    first, known = min(images, key=lambda image: image[1].known_by == VALUES)
    for tile, calibration in images:
        if calibration.units != known.units:
            raise InputError(
                f"{first.path} is in {known.units} by its {known.known_by}, but {tile.path} in "
                f"{calibration.units} by its {calibration.known_by}: the images of an orbit have "
                "one unit, say which with sar.units=power, amplitude or db, or convert one"
            )
    return found


def calibrate(tile: Tile, polarisation: str, units: Units | None = None) -> Calibration:
    """Find how a tile's pixels become linear power.

    Args:
        tile: Band of a raster.
        polarisation: In lower case.
        units: Units where options or the provider declare them.

    Raises:
        InputError: Whole numbers without a scale, or negative ones that cannot be in the units.
    """
    with open_georeferenced(tile) as source:
        index = tile.band - 1
        scale, offset = source.scales[index], source.offsets[index]
        step = max(1, max(source.shape) // 1024)
        shape = (max(1, source.height // step), max(1, source.width // step))
        pixels = read_pixels(source, tile.band, shape=shape)
        integer = np.issubdtype(np.dtype(source.dtypes[index]), np.integer)
        declared = source.nodata is not None
        metadata = units_of(*texts_of(source, tile)) or units_in_name(tile.path.name)
    sample = pixels.values[pixels.valid]
    zero = sample == np.float32(offset)
    values = sample[~zero]
    if integer and (scale, offset) == (1.0, 0.0) and len(values) and np.abs(values).max() > 60:
        raise InputError(
            f"{tile.path} holds whole numbers up to {values.max():.0f} and no scale, which is no "
            "calibrated backscatter: calibrate it, or set the band's scale and offset"
        )
    known_by = DECLARED if units else METADATA if metadata else VALUES
    units = units or metadata or guess_units(values, polarisation)
    if units != "db" and len(values) and (values < 0).mean() > 0.5:
        raise InputError(
            f"{tile.path} is taken for {units} by its {known_by}, but most of its values are "
            "negative, as those of decibels: say sar.units=db"
        )
    power = to_power(values, units)
    power = power[np.isfinite(power)]
    median = float(10 * np.log10(np.median(power))) if len(power) else float("nan")
    # Real decibels are hardly ever exactly 0; without declared nodata, 0 is fill.
    fill = not declared or (units != "db" and offset == 0)
    zeros = float(zero.mean()) if len(sample) else 0.0
    return Calibration(units, offset, fill, known_by, median, zeros)


def texts_of(source: DatasetReader, tile: Tile) -> list[str | None]:
    """What tells of a band's units: its unit and description, tags of units of band and file."""
    index = tile.band - 1
    tags = [*source.tags(tile.band).items(), *source.tags().items()]
    told = [value for key, value in tags if "unit" in key.lower()]
    return [source.units[index], source.descriptions[index], *told]


def guess_units(values: NDArray[Any], polarisation: str = "vv") -> Units:
    """Units by values without fill: many negative ones are dB, large ones amplitude."""
    if not len(values):
        return "power"
    if (values < 0).mean() > 0.05:
        return "db"
    return "amplitude" if np.median(values) >= AMPLITUDE_FROM[polarisation] else "power"


def guessed(name: str, found: Calibrated) -> list[str]:
    """Warn where nothing but their values tells the units of an orbit's images."""
    images = {
        band: calibration
        for band, tiles in found.items()
        for _, calibration in tiles
        if calibration.known_by == VALUES
    }
    if not images:
        return []
    units = next(iter(images.values())).units
    levels = ", ".join(f"{band} {each.median:.1f} dB" for band, each in images.items())
    return [
        f"{name}: nothing but their values tells the units of {len(images)} of {len(found)} bands: "
        f"they are taken for {units} (medians: {levels}); say sar.units={units} if that is right"
    ]

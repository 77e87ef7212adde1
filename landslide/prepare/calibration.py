"""Backscatter as providers store it (power, amplitude, decibels; scaled integers) to power."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from landslide.errors import InputError
from landslide.geo.pixels import read_pixels
from landslide.geo.relief import Float
from landslide.prepare.mosaic import open_georeferenced
from landslide.prepare.names import units_from_name, units_from_texts
from landslide.prepare.sources import Acquisition, Tile, Units
from landslide.prepare.threads import THREADS

MIN_AMPLITUDE = {"vv": 0.28, "hh": 0.28, "vh": 0.11, "hv": 0.11}
"""Median from which values are amplitude: as power it would be -5.5 dB (-9.6 dB for
cross-polarised bands), brighter than land as a whole."""

DECIBEL_RANGE = (-60.0, 40.0)
"""Backscatter in dB outside this range is fill: Sentinel-1's noise floor is near -22 dB."""

KnownBy = Literal["declaration", "metadata", "values"]
DECLARED, METADATA, VALUES = get_args(KnownBy)


class Calibration(NamedTuple):
    """How values become linear power.

    Attributes:
        units: Units of the values, scale and offset applied.
        zero: Value of a stored 0, which is the band's offset.
        zero_is_fill: Whether a stored 0 means that nothing was measured.
        known_by: How the units are known: ``declaration`` (an option, or a description of the
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


CalibratedBands = Mapping[str, Sequence[tuple[Tile, Calibration]]]
"""Tiles and their calibrations by band of an orbit."""


def to_power(values: Float, units: Units) -> Float:
    """Linear power of values in units; NaN where it would not be positive."""
    if units == "db":
        low, high = DECIBEL_RANGE
        power = 10 ** (np.where((values > low) & (values < high), values, np.nan) / 10)
    else:
        power = np.where(values > 0, values, np.nan)
        if units == "amplitude":
            power = power**2
    return power.astype(np.float32)


def calibrate_orbit(dates: Mapping[str, Acquisition]) -> CalibratedBands:
    """Find how the images of an orbit become linear power, all from the same units.

    Returns:
        Tiles and their calibrations by band: ``vv_pre``, ``vv_post1``, …, then ``vh_pre``.

    Raises:
        InputError: Files have different units, or values that no backscatter has.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        found = {
            f"{polarisation}_{date}": [
                (tile, pool.submit(calibrate, tile, polarisation, acquisition.units))
                for tile in acquisition.tiles[polarisation]
            ]
            for polarisation in next(iter(dates.values())).tiles
            for date, acquisition in dates.items()
        }
    bands = {
        band: [(tile, future.result()) for tile, future in tiles] for band, tiles in found.items()
    }
    images = [image for band in bands.values() for image in band]
    reference, known = min(images, key=lambda image: image[1].known_by == VALUES)
    for tile, calibration in images:
        if calibration.units != known.units:
            raise InputError(
                f"{reference.path} is in {known.units} by its {known.known_by}, but {tile.path} "
                f"in {calibration.units} by its {calibration.known_by}: the images of an orbit "
                "must have one unit; set sar.units=power, amplitude or db, or convert one"
            )
    return bands


def calibrate(tile: Tile, polarisation: str, units: Units | None = None) -> Calibration:
    """Find how a tile's pixels become linear power.

    ``units`` are those that options or the provider declare.

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
        has_nodata = source.nodata is not None
        metadata = units_from_texts(*texts_on_units(source, tile)) or units_from_name(
            tile.path.name
        )
    sample = pixels.values[pixels.valid]
    zero = sample == np.float32(offset)
    values = sample[~zero]
    if integer and (scale, offset) == (1.0, 0.0) and len(values) and np.abs(values).max() > 60:
        raise InputError(
            f"{tile.path} holds whole numbers up to {values.max():.0f} and no scale, so it is no "
            "calibrated backscatter: calibrate it, or set the band's scale and offset"
        )
    known_by = DECLARED if units else METADATA if metadata else VALUES
    units = units or metadata or guess_units(values, polarisation)
    if units != "db" and len(values) and (values < 0).mean() > 0.5:
        raise InputError(
            f"{tile.path} is taken for {units} by its {known_by}, but most of its values are "
            "negative, as those of decibels: set sar.units=db"
        )
    power = to_power(values, units)
    power = power[np.isfinite(power)]
    median = float(10 * np.log10(np.median(power))) if len(power) else float("nan")
    # Real decibels are hardly ever exactly 0; without declared nodata, 0 is fill.
    zero_is_fill = not has_nodata or (units != "db" and offset == 0)
    zeros = float(zero.mean()) if len(sample) else 0.0
    return Calibration(units, offset, zero_is_fill, known_by, median, zeros)


def texts_on_units(source: DatasetReader, tile: Tile) -> list[str | None]:
    """A band's declared unit and description, and the tags on units of band and file."""
    tags = [*source.tags(tile.band).items(), *source.tags().items()]
    declared = [value for key, value in tags if "unit" in key.lower()]
    return [source.units[tile.band - 1], source.descriptions[tile.band - 1], *declared]


def guess_units(values: NDArray[Any], polarisation: str = "vv") -> Units:
    """Units by values without fill: many negative ones are dB, large ones amplitude."""
    if not len(values):
        return "power"
    if (values < 0).mean() > 0.05:
        return "db"
    return "amplitude" if np.median(values) >= MIN_AMPLITUDE[polarisation] else "power"


def warn_guessed_units(orbit: str, bands: CalibratedBands) -> list[str]:
    """Warn where only their values show the units of an orbit's images."""
    guessed = {
        band: calibration
        for band, tiles in bands.items()
        for _, calibration in tiles
        if calibration.known_by == VALUES
    }
    if not guessed:
        return []
    units = next(iter(guessed.values())).units
    medians = ", ".join(f"{band} {each.median:.1f} dB" for band, each in guessed.items())
    return [
        f"{orbit}: only their values show the units of {len(guessed)} of {len(bands)} bands: "
        f"they are taken for {units} (medians: {medians}); set sar.units={units} if that is right"
    ]

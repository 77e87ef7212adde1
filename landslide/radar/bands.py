"""Meaning of an image's channels, by the names of their bands.

A band is **backscatter in linear power** if its name is a polarisation (vv, vh, hv, hh) and
nothing more, or a polarisation, an underscore and a date: ``pre``, ``post``, either with a
number (``post1``), ``pre_mean``, ``post_mean``, or the eight digits of a day (``20180905``).
The prefixes ``gamma0_``, ``sigma0_`` and ``beta0_`` are allowed; case is ignored.

A band called ``aspect``, or ending in ``_aspect``, is a **direction** in degrees clockwise from
north. Every other band (``vv_coherence``, ``vv_pre_std``, ``slope``) is used as it is: no
decibels or roots are taken of it, and its zeros are measurements.

A channel ``vv_pre`` is the band of that description in the composite of the dataset's own orbit.
``vv_pre@descending`` is read from ``descending.tif`` beside it. ``vv_post1/vv_pre`` is the
quotient of two backscatter bands in linear power, which in decibels is their log ratio.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rasterio.io import DatasetReader
from rasterio.windows import Window

from landslide.errors import InputError
from landslide.geo.rasters import open_raster, reading

if TYPE_CHECKING:  # simulation and preparation read names of bands and need no torch
    from torch import Tensor

BACKSCATTER = re.compile(
    r"(?:(?:gamma|sigma|beta)0_)?(?P<polarisation>vv|vh|hv|hh)"
    r"(?:_(?P<date>(?:pre|post)(?:\d+|_mean)?|\d{8}))?",
    re.IGNORECASE,
)
"""Descriptions of bands that are backscatter in linear power."""

POLARISED = re.compile(r"(?:(?:gamma|sigma|beta)0_)?(?:vv|vh|hv|hh)(?:_|$)", re.IGNORECASE)
"""Start of the descriptions of bands that are backscatter or derived from it."""

ORBITS = ("ascending", "descending")

ORBIT_MARK, QUOTIENT_MARK = "@", "/"

SAMPLE_SIZE = 64
"""Side in pixels of the windows that are sampled to check a raster's units."""


class BandSource(NamedTuple):
    """A band of a file.

    Attributes:
        file: Path of the GeoTIFF.
        name: Description of the band in it.
    """

    file: str
    name: str

    @classmethod
    def of(cls, band: str, composite: Path | str) -> "BandSource":
        """Find a band, which is no quotient, by the composite of the dataset's own orbit."""
        orbit = orbit_of(band)
        if orbit is None:
            return cls(str(composite), band)
        # Path would remove a slash from /vsicurl/https://…
        folder, slash, _ = str(composite).rpartition("/")
        return cls(f"{folder}{slash}{orbit}.tif", band_description(band))


def is_backscatter(band: str) -> bool:
    """Whether a band is radar backscatter in linear power (``vv_pre``), or a quotient of two."""
    return all(BACKSCATTER.fullmatch(band_description(part)) for part in source_bands(band))


def polarisation_of(band: str) -> str:
    """Polarisation of a backscatter band in lower case; of a quotient, that of its first."""
    return _match_backscatter(source_bands(band)[0])["polarisation"].lower()


def acquisition_of(image: str) -> str:
    """Date and orbit of a backscatter band, which its polarisations share: ``pre@``."""
    date = (_match_backscatter(image)["date"] or "").lower()
    return f"{date}{ORBIT_MARK}{orbit_of(image) or ''}"


def _match_backscatter(band: str) -> re.Match[str]:
    found = BACKSCATTER.fullmatch(band_description(band))
    if found is None:
        raise ValueError(f"the band {band!r} is no backscatter")
    return found


def is_direction(band: str) -> bool:
    """Whether a band is a direction in degrees clockwise from north."""
    return band_description(band).lower().split("_")[-1] == "aspect"


def naming_notes(bands: Sequence[str]) -> list[str]:
    """Notes for the user on bands named after a polarisation that are not what that suggests."""
    named = [b for b in bands if not band_description(b).lower().endswith("_pre_std")]
    plain = [b for b in named if POLARISED.match(band_description(b)) and not is_backscatter(b)]
    if not plain:
        return []
    return [
        f"{', '.join(plain)}: used as measured, not as backscatter in linear power, which would "
        "be called vv, vv_pre, vv_post1, vv_pre_mean or vv_20180905"
    ]


def is_quotient(band: str) -> bool:
    """Whether a channel is a quotient of two bands."""
    return QUOTIENT_MARK in band


def band_description(band: str) -> str:
    """Description of a band in its file, without the orbit."""
    return band.split(ORBIT_MARK)[0]


def source_bands(band: str) -> list[str]:
    """The one or two bands that a channel is made of."""
    return band.split(QUOTIENT_MARK)


def backscatter_bands(bands: Sequence[str]) -> list[str]:
    """The backscatter bands that channels are made of, each once, in order."""
    sources = dict.fromkeys(source for band in bands for source in source_bands(band))
    return [source for source in sources if is_backscatter(source)]


def orbit_of(band: str) -> str | None:
    """The orbit that a band names, or None for the dataset's own."""
    return band.partition(ORBIT_MARK)[2] or None


def orbits_of(bands: Sequence[str]) -> list[str]:
    """The orbits that bands name, each once."""
    named = [orbit_of(part) for band in bands for part in source_bands(band)]
    return list(dict.fromkeys(orbit for orbit in named if orbit))


def require_distinct_bands(bands: Sequence[str], composite: Path | str) -> None:
    """Check that no two names stand for the same channel.

    Args:
        bands: Names of a model's channels.
        composite: GeoTIFF of the dataset's own orbit.

    Raises:
        InputError: Two names stand for the same bands of the same files.
    """
    names: dict[tuple[BandSource, ...], str] = {}
    for band in bands:
        sources = tuple(BandSource.of(source, composite) for source in source_bands(band))
        if sources in names:
            raise InputError(
                f"the bands {names[sources]} and {band} are the same in {composite}: name each "
                "once, of the orbit that it is of"
            )
        names[sources] = band


class ChannelBuilder:
    """Builds channels from the bands of one or several files.

    Args:
        composite: GeoTIFF of the dataset's own orbit, beside those of other orbits.
        bands: Names of the channels.

    Attributes:
        files: The bands to read by file, in the order that a call expects.

    Raises:
        InputError: A name cannot be read.
    """

    def __init__(self, composite: Path | str, bands: Sequence[str]) -> None:
        for band in bands:
            _require_readable(band)
        channels = [
            [BandSource.of(source, composite) for source in source_bands(band)] for band in bands
        ]
        sources = dict.fromkeys(source for channel in channels for source in channel)
        self.files: dict[str, list[str]] = {}
        for source in sources:
            self.files.setdefault(source.file, []).append(source.name)
        order = [BandSource(file, name) for file, names in self.files.items() for name in names]
        self._numerators = [order.index(channel[0]) for channel in channels]
        self._denominators = {
            i: order.index(channel[1]) for i, channel in enumerate(channels) if len(channel) == 2
        }
        self._plain = self._numerators == list(range(len(order))) and not self._denominators

    def __call__(self, measured: "Tensor") -> "Tensor":
        """Build the channels.

        Args:
            measured: Bands (S, H, W) of all files, in their order; NaN where not measured.

        Returns:
            (C, H, W); a quotient is NaN where either band is NaN, or where it leaves the range
            of float32.
        """
        if self._plain:
            return measured
        image = measured[self._numerators]
        for channel, denominator in self._denominators.items():
            quotient = image[channel] / measured[denominator]
            image[channel] = quotient.where(quotient.isfinite() & (quotient > 0), math.nan)
        return image


def _require_readable(band: str) -> None:
    """Raise where the name of a channel is malformed."""
    sources = source_bands(band)
    for source in sources:
        name, mark, orbit = source.partition(ORBIT_MARK)
        if not name or (mark and orbit not in ORBITS):
            raise InputError(
                f"the band {band!r} cannot be read: write vv_pre, vv_pre@descending (of that "
                "orbit's file) or vv_post1/vv_pre (a quotient)"
            )
    if is_quotient(band) and not (len(sources) == 2 and all(map(is_backscatter, sources))):
        raise InputError(
            f"the band {band!r} is no quotient of two backscatter bands: write it like "
            "vv_post1/vv_pre (backscatter is called vv, vv_pre, vv_post1, vv_pre_mean, vv_20180905)"
        )


def described_bands(path: Path | str) -> list[str]:
    """Descriptions of the bands of a raster that have one."""
    with open_raster(path) as source:
        return [name for name in source.descriptions if name]


def require_bands(source: DatasetReader, bands: Sequence[str]) -> tuple[str, ...]:
    """Descriptions of all bands of a raster.

    Raises:
        InputError: One of ``bands`` is not among them.
    """
    described = tuple(name or "" for name in source.descriptions)
    missing = [band for band in bands if band not in described]
    if missing:
        require_dates_after(described, source.name)
        has = ", ".join(name for name in described if name) or "no described band"
        raise InputError(
            f"{source.name} does not describe the band {missing[0]!r}; it has {has}: set the "
            "band descriptions or choose other bands"
        )
    return described


def require_dates_after(described: Sequence[str], name: str) -> None:
    """Check that a stack has a date after the event, by the descriptions of its bands.

    Raises:
        InputError: It has none yet; the message begins with ``name``.
    """
    if "pre_count" in described and "post_count" not in described:
        raise InputError(
            f"{name} has no image after the event yet: prepare the scene again when one has come"
        )


def require_linear_power(source: DatasetReader, bands: Sequence[str]) -> None:
    """Check samples of a raster's backscatter bands.

    Raises:
        InputError: Most samples of a band are negative, as decibels are.
    """
    measured = list(filter(is_backscatter, bands))
    if not measured:
        return
    # All bands at once: where they lie together in the file, each costs as much as all.
    indices = [source.descriptions.index(band) + 1 for band in measured]
    for number in (3, 8):
        known, negative = np.zeros(len(measured)), np.zeros(len(measured))
        for window in _sample_windows(source, number):
            with reading(source.name):
                samples = source.read(indices, window=window, masked=True)
            finite = np.isfinite(samples.data) & ~np.ma.getmaskarray(samples)
            known += finite.sum(axis=(1, 2))
            negative += (finite & (samples.data < 0)).sum(axis=(1, 2))
        if known.min() >= SAMPLE_SIZE**2:
            break
    for band, share in zip(measured, negative / np.maximum(known, 1), strict=True):
        if share > 0.5:
            raise InputError(
                f"{source.name}: most of {band} is negative, which looks like decibels where "
                "linear power is expected: convert it with 10 ** (dB / 10)"
            )


def _sample_windows(source: DatasetReader, number: int) -> list[Window]:
    """Windows in so many rows and columns across a raster, or as many as there is room for."""
    size = (min(source.width, SAMPLE_SIZE), min(source.height, SAMPLE_SIZE))
    rows, cols = (min(number, -(-side // SAMPLE_SIZE)) for side in source.shape)
    return [
        Window(int(col), int(row), *size)
        for row in np.linspace(0, source.height - size[1], rows)
        for col in np.linspace(0, source.width - size[0], cols)
    ]

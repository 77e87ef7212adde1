"""What a channel of an image is, by the name of its band.

A band is **backscatter in linear power** if its name is a polarisation (vv, vh, hv, hh) and
nothing more, or a polarisation, an underscore and a date: ``pre``, ``post``, either with a
number (``post1``), ``pre_mean``, ``post_mean``, or the eight digits of a day (``20180905``).
``gamma0_``, ``sigma0_`` or ``beta0_`` may come before. Capitals make no difference.

A band called ``aspect``, or ending in ``_aspect``, is a **direction** in degrees clockwise from
north. Every other band (``vv_coherence``, ``vv_pre_std``, ``slope``) is used as it is: it is
never put into decibels or under a root, and its zeros are measurements.

``vv_pre`` is the band of that description in the composite of the dataset's own orbit.
``vv_pre@descending`` is read from ``descending.tif`` beside it. ``vv_post1/vv_pre`` is the
quotient of two backscatter bands in linear power; in decibels that is their log ratio.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rasterio.io import DatasetReader
from rasterio.windows import Window
from torch import Tensor

from landslide.errors import InputError
from landslide.geo.rasters import reading

BACKSCATTER = re.compile(
    r"(?:(?:gamma|sigma|beta)0_)?(?P<polarisation>vv|vh|hv|hh)"
    r"(?:_(?P<date>(?:pre|post)(?:\d+|_mean)?|\d{8}))?",
    re.IGNORECASE,
)
"""Descriptions of bands that are backscatter in linear power."""

POLARISED = re.compile(r"(?:(?:gamma|sigma|beta)0_)?(?:vv|vh|hv|hh)(?:_|$)", re.IGNORECASE)
"""How descriptions of bands begin that are backscatter or made of it."""

ORBITS = ("ascending", "descending")

ORBIT_MARK, QUOTIENT_MARK = "@", "/"

SAMPLE_SIZE = 64
"""Side in pixels of the places that are looked at for a raster's units."""


class BandSource(NamedTuple):
    """A band of a file.

    Attributes:
        file: Path of the GeoTIFF.
        name: Description of the band in it.
    """

    file: str
    name: str

    @classmethod
    def of(cls, part: str, composite: Path | str) -> "BandSource":
        """Find a band, which is no quotient, from the composite of the dataset's own orbit."""
        orbit = orbit_of(part)
        if orbit is None:
            return cls(str(composite), part)
        # Not Path: it would take a slash out of /vsicurl/https://…
        folder, slash, _ = str(composite).rpartition("/")
        return cls(f"{folder}{slash}{orbit}.tif", band_description(part))


def is_backscatter(band: str) -> bool:
    """Whether a band is radar backscatter in linear power (``vv_pre``), or a quotient of two."""
    return all(BACKSCATTER.fullmatch(band_description(part)) for part in source_bands(band))


def polarisation_of(band: str) -> str:
    """Polarisation of a backscatter band in lower case; of a quotient, that of its first."""
    found = BACKSCATTER.fullmatch(band_description(source_bands(band)[0]))
    if found is None:
        raise ValueError(f"the band {band!r} is no backscatter")
    return found["polarisation"].lower()


def acquisition_of(image: str) -> str:
    """What the polarisations of one acquisition share: ``pre`` of ``vv_pre`` and ``vh_pre``.

    Args:
        image: A backscatter band, no quotient.
    """
    found = BACKSCATTER.fullmatch(band_description(image))
    if found is None:
        raise ValueError(f"the band {image!r} is no backscatter")
    return f"{(found['date'] or '').lower()}{ORBIT_MARK}{orbit_of(image) or ''}"


def is_direction(band: str) -> bool:
    """Whether a band is a direction in degrees clockwise from north."""
    return band_description(band).lower().split("_")[-1] == "aspect"


def naming_notes(bands: Sequence[str]) -> list[str]:
    """What a user should know of bands named after a polarisation that are no backscatter."""
    plain = [b for b in bands if POLARISED.match(band_description(b)) and not is_backscatter(b)]
    if not plain:
        return []
    return [
        f"{', '.join(plain)}: used as measured, not as backscatter in linear power, which would "
        "be called vv, vv_pre, vv_post1, vv_pre_mean or vv_20180905"
    ]


def is_quotient(band: str) -> bool:
    """Whether a band is a quotient of two others."""
    return QUOTIENT_MARK in band


def band_description(band: str) -> str:
    """Description of a band in its file, without the orbit."""
    return band.split(ORBIT_MARK)[0]


def source_bands(band: str) -> list[str]:
    """The one or two bands that a channel is made of."""
    return band.split(QUOTIENT_MARK)


def backscatter_bands(bands: Sequence[str]) -> list[str]:
    """The backscatter bands that channels are made of, each once, in order."""
    read = [part for band in bands for part in source_bands(band)]
    return list(dict.fromkeys(part for part in read if is_backscatter(part)))


def orbit_of(part: str) -> str | None:
    """The orbit that a band names, or None for the dataset's own."""
    return part.partition(ORBIT_MARK)[2] or None


def orbits_of(bands: Sequence[str]) -> list[str]:
    """The orbits that bands name, each once."""
    named = [orbit_of(part) for band in bands for part in source_bands(band)]
    return list(dict.fromkeys(orbit for orbit in named if orbit))


def require_distinct_bands(bands: Sequence[str], composite: Path | str) -> None:
    """Check that no channel is given twice.

    Args:
        bands: Names of a model's channels.
        composite: GeoTIFF of the dataset's own orbit.

    Raises:
        InputError: Two names stand for the same bands of the same files.
    """
    seen: dict[tuple[BandSource, ...], str] = {}
    for band in bands:
        sources = tuple(BandSource.of(part, composite) for part in source_bands(band))
        if sources in seen:
            raise InputError(
                f"the bands {seen[sources]} and {band} are the same in {composite}: name each "
                "once, of the orbit that it is of"
            )
        seen[sources] = band


class ChannelBuilder:
    """How channels are made of the bands of one or several files.

    Args:
        composite: GeoTIFF of the dataset's own orbit; those of others lie beside it.
        bands: Names of the channels.

    Attributes:
        files: The bands to read by file, in the order that a call wants them in.

    Raises:
        InputError: A name cannot be read.
    """

    def __init__(self, composite: Path | str, bands: Sequence[str]) -> None:
        for band in bands:
            _require_readable(band)
        channels = [
            [BandSource.of(part, composite) for part in source_bands(band)] for band in bands
        ]
        files = dict.fromkeys(source.file for channel in channels for source in channel)
        self.files = {
            file: list(dict.fromkeys(s.name for c in channels for s in c if s.file == file))
            for file in files
        }
        order = [BandSource(file, name) for file, names in self.files.items() for name in names]
        self._numerators = [order.index(channel[0]) for channel in channels]
        self._denominators = {
            i: order.index(channel[1]) for i, channel in enumerate(channels) if len(channel) == 2
        }
        self._plain = self._numerators == list(range(len(order))) and not self._denominators

    def __call__(self, measured: Tensor) -> Tensor:
        """Make the channels.

        Args:
            measured: Bands (S, H, W) of all files, in their order; NaN where not measured.

        Returns:
            (C, H, W); a quotient is NaN where either band is, or where it leaves the range
            of float32.
        """
        if self._plain:
            return measured
        image = measured[self._numerators]
        for channel, denominator in self._denominators.items():
            quotient = image[channel] / measured[denominator]
            image[channel] = quotient.where(quotient.isfinite() & (quotient > 0), torch.nan)
        return image


def _require_readable(band: str) -> None:
    """Raise where the name of a band makes no sense."""
    for part in source_bands(band):
        name, at, orbit = part.partition(ORBIT_MARK)
        if not name or (at and orbit not in ORBITS):
            raise InputError(
                f"the band {band!r} cannot be read: write vv_pre, vv_pre@descending (of that "
                "orbit's file) or vv_post1/vv_pre (a quotient)"
            )
    if is_quotient(band) and not (
        len(source_bands(band)) == 2 and all(is_backscatter(part) for part in source_bands(band))
    ):
        raise InputError(
            f"the band {band!r} is no quotient of two backscatter bands: write it like "
            "vv_post1/vv_pre (backscatter is called vv, vv_pre, vv_post1, vv_pre_mean, vv_20180905)"
        )


def require_bands(source: DatasetReader, bands: Sequence[str]) -> tuple[str, ...]:
    """Descriptions of all bands of a raster.

    Raises:
        InputError: One of ``bands`` is not among them.
    """
    described = tuple(name or "" for name in source.descriptions)
    missing = [band for band in bands if band not in described]
    if missing:
        has = ", ".join(name for name in described if name) or "no described band"
        raise InputError(
            f"{source.name} does not describe the band {missing[0]!r}; it has {has}: set the "
            "band descriptions or choose other bands"
        )
    return described


def require_linear_power(source: DatasetReader, bands: Sequence[str]) -> None:
    """Look at a sample of a raster's backscatter bands.

    Raises:
        InputError: Most of one is negative, as decibels are.
    """
    windows = [
        Window(int(col), int(row), SAMPLE_SIZE, SAMPLE_SIZE).intersection(
            Window(0, 0, source.width, source.height)
        )
        for row in np.linspace(0, max(source.height - SAMPLE_SIZE, 0), 8)
        for col in np.linspace(0, max(source.width - SAMPLE_SIZE, 0), 8)
    ]
    for band in filter(is_backscatter, bands):
        index = source.descriptions.index(band) + 1
        with reading(source.name):
            samples = [source.read(index, window=w, masked=True).compressed() for w in windows]
        values = np.concatenate(samples)
        values = values[np.isfinite(values)]
        if len(values) and (values < 0).mean() > 0.5:
            raise InputError(
                f"{source.name}: most of {band} is negative, which looks like decibels where "
                "linear power is expected: convert it with 10 ** (dB / 10)"
            )

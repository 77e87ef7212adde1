"""Sentinel-1 IW GRD products as they are delivered: a SAFE folder, or a zip of one.

Names and elements: Sentinel-1 Product Specification, S1-RS-MDA-52-7441.
"""

import shutil
import warnings
import zlib
from datetime import datetime
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, cast
from xml.etree import ElementTree
from zipfile import BadZipFile, ZipFile, is_zipfile

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from landslide.errors import InputError
from landslide.prepare.sources import Pass, parse_time

MANIFEST = "manifest.safe"

PARTS = {
    "annotation": "annotation/s1*-{}-*.xml",
    "calibration": "annotation/calibration/calibration-s1*-{}-*.xml",
    "measurement": "measurement/s1*-{}-*.tiff",
}
"""Files of a polarisation, by what they are."""

CHUNK = 1 << 24
"""Bytes read at a time."""


class Points(NamedTuple):
    """The annotation's grid of tie points: longitude, latitude, incidence angle in degrees."""

    longitude: NDArray[np.float64]
    latitude: NDArray[np.float64]
    incidence: NDArray[np.float64]


class Product:
    """A product that can be terrain-corrected.

    Args:
        path: SAFE folder, or a zip that holds one.
        polarisations: Those that are wanted, in lower case.

    Raises:
        InputError: It is none, of another kind, incomplete, or lacks a polarisation.
    """

    def __init__(self, path: Path, polarisations: list[str]) -> None:
        self.path = path
        self.polarisations = polarisations
        self._root = self._find_root()
        manifest = self._parse(MANIFEST)
        facts = {
            name: (manifest.findtext(f".//{{*}}{name}") or "").strip()
            for name in ("productType", "mode", "pass", "relativeOrbitNumber", "startTime")
        }
        self._check_kind(manifest, facts)
        self.direction = cast(Pass, facts["pass"].lower())
        self.relative_orbit = int(facts["relativeOrbitNumber"])
        self.time: datetime = parse_time(facts["startTime"], f"{path}: startTime")
        self.platform = f"S1{manifest.findtext('.//{*}platform/{*}number')}"
        listed = [node.get("href", "") for node in manifest.iterfind(".//{*}fileLocation")]
        self.files = {
            p: self._files_of(p, [_plain(href) for href in listed]) for p in polarisations
        }

    @property
    def name(self) -> str:
        """Name that ESA gave it."""
        named = self._root.rstrip("/").rpartition("/")[2] or self.path.resolve().name
        return named.removesuffix(".SAFE").removesuffix(".zip")

    @cached_property
    def points(self) -> Points:
        """Tie points, (N,) each."""
        nodes = list(self._annotation.iterfind(".//geolocationGridPoint"))
        names = ("longitude", "latitude", "incidenceAngle")
        table = [[float(node.findtext(name, "nan")) for name in names] for node in nodes]
        if not table:
            raise InputError(f"the annotation of {self.path} has no tie points: fetch it anew")
        return Points(*np.array(table).T)

    @cached_property
    def _annotation(self) -> ElementTree.Element:
        return self._parse(self.files[self.polarisations[0]]["annotation"])

    @cached_property
    def fingerprint(self) -> str:
        """Name and checksum of the files used: the same for a folder and for a zip of it."""
        sums = [
            f"{zlib.crc32(str([self._crc(files[part]) for part in sorted(files)]).encode()):08x}"
            for files in self.files.values()
        ]
        return "_".join([self.name, *self.polarisations, *sums])

    def unpack(self, folder: Path) -> Path:
        """Folder with the files of the polarisations; those of a zip are unpacked into ``folder``.

        Raises:
            InputError: The zip is damaged.
        """
        if self._zip is None:
            return self.path
        members = [MANIFEST, *(name for files in self.files.values() for name in files.values())]
        for member in members:
            target = folder / member
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with self._zip.open(self._root + member) as packed, target.open("wb") as file:
                    shutil.copyfileobj(packed, file, CHUNK)
            except (BadZipFile, zlib.error, EOFError) as error:
                raise InputError(
                    f"{self.path} is damaged ({error}, {member}): fetch it anew"
                ) from error
        return folder

    @cached_property
    def _zip(self) -> ZipFile | None:
        return ZipFile(self.path) if is_zipfile(self.path) else None

    def _find_root(self) -> str:
        """Prefix of the product's files within a zip; empty for a folder."""
        if self._zip is not None:
            names = [n for n in self._zip.namelist() if n.rpartition("/")[2] == MANIFEST]
            roots = [name.removesuffix(MANIFEST) for name in names]
            if len(roots) == 1:
                return roots[0]
        elif (self.path / MANIFEST).is_file():
            return ""
        raise InputError(
            f"{self.path} is no SAFE folder nor a zip of one (it has no {MANIFEST}, or the zip is "
            "cut short): give the product as it was fetched"
        )

    def _check_kind(self, manifest: ElementTree.Element, facts: dict[str, str]) -> None:
        kind = f"{facts['mode'] or '?'} {facts['productType'] or '?'}"
        if kind != "IW GRD":
            raise InputError(
                f"{self.path} is a Sentinel-1 {kind} product, and sar.source=safe takes IW GRD: "
                "fetch the IW_GRDH product of that date"
            )
        missing = [name for name, text in facts.items() if not text]
        if missing or facts["pass"].lower() not in ("ascending", "descending"):
            raise InputError(
                f"the manifest of {self.path} has no {(missing or ['pass'])[0]}: it is incomplete, "
                "fetch it anew"
            )
        if not facts["relativeOrbitNumber"].isdigit():
            raise InputError(
                f"the manifest of {self.path} says relativeOrbitNumber "
                f"{facts['relativeOrbitNumber']}: fetch the product anew"
            )
        has = [
            node.text or "" for node in manifest.iterfind(".//{*}transmitterReceiverPolarisation")
        ]
        missing = [p.upper() for p in self.polarisations if p.upper() not in has]
        if missing:
            raise InputError(
                f"{self.path} has no {missing[0]}, only {', '.join(has)}: "
                "leave it out of sar.polarisations"
            )

    def _files_of(self, polarisation: str, listed: list[str]) -> dict[str, str]:
        """Files of a polarisation, all of them there and in order."""
        files = {}
        for part, pattern in PARTS.items():
            named = [n for n in listed if fnmatch(n.lower(), pattern.format(polarisation))]
            if len(named) != 1 or not self._has(named[0]):
                missing = named[0] if named else pattern.format(polarisation)
                raise InputError(f"{self.path} lacks {missing}: it is incomplete, fetch it anew")
            files[part] = named[0]
        self._parse(files["calibration"])
        self._check_size(self._parse(files["annotation"]), files["measurement"])
        return files

    def _check_size(self, annotation: ElementTree.Element, measurement: str) -> None:
        """Check that the raster is the one that the annotation describes."""
        prefix = "" if self._zip is None else "/vsizip/"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                with rasterio.open(f"{prefix}{self.path}/{self._root}{measurement}") as source:
                    found = source.shape
        except RasterioIOError as error:
            raise InputError(
                f"{self.path}: {measurement} cannot be read as a raster: fetch it anew"
            ) from error
        names = ("numberOfLines", "numberOfSamples")
        told = tuple(int(annotation.findtext(f".//{name}", "0")) for name in names)
        if found != told:
            raise InputError(
                f"{self.path}: {measurement} is {found[1]} x {found[0]} px and {told[1]} x "
                f"{told[0]} by its annotation: fetch it anew"
            )

    def _has(self, member: str) -> bool:
        if self._zip is None:
            return (self.path / member).is_file()
        return self._root + member in self._zip.namelist()

    def _parse(self, member: str) -> ElementTree.Element:
        try:
            if self._zip is None:
                return ElementTree.parse(self.path / member).getroot()
            return ElementTree.fromstring(self._zip.read(self._root + member))
        except (ElementTree.ParseError, BadZipFile, zlib.error) as error:
            raise InputError(
                f"{self.path}: {member} is damaged ({error}): fetch it anew"
            ) from error

    def _crc(self, member: str) -> int:
        """CRC-32 of a file, which a zip tells without being unpacked."""
        if self._zip is not None:
            return self._zip.getinfo(self._root + member).CRC
        crc = 0
        with (self.path / member).open("rb") as file:
            while chunk := file.read(CHUNK):
                crc = zlib.crc32(chunk, crc)
        return crc


def _plain(href: str) -> str:
    """Path within a product of a manifest's reference."""
    return href.removeprefix("./")

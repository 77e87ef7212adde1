"""Sentinel-1 IW GRD products as they are delivered: a SAFE folder, or a zip of one.

Names and elements: Sentinel-1 Product Specification, S1-RS-MDA-52-7441.
"""

import shutil
import warnings
import zipfile
import zlib
from datetime import datetime
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, cast
from xml.etree import ElementTree

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from landslide.errors import InputError
from landslide.prepare.sources import PASSES, Pass, parse_timestamp

MANIFEST = "manifest.safe"

FILE_PATTERNS = {
    "annotation": "annotation/s1*-{}-*.xml",
    "calibration": "annotation/calibration/calibration-s1*-{}-*.xml",
    "measurement": "measurement/s1*-{}-*.tiff",
}
"""Files of a polarisation, by role."""

CHUNK = 1 << 24
"""Bytes read at a time."""


class TiePoints(NamedTuple):
    """The annotation's grid of tie points: longitude, latitude, incidence angle in degrees."""

    longitude: NDArray[np.float64]
    latitude: NDArray[np.float64]
    incidence: NDArray[np.float64]


class Product:
    """A product that can be terrain-corrected.

    It is a SAFE folder, or a zip that holds one; polarisations are in lower case.

    Raises:
        InputError: It is no IW GRD product, is incomplete, or lacks a polarisation.
    """

    def __init__(self, path: Path, polarisations: list[str]) -> None:
        self.path = path
        self.polarisations = polarisations
        self._zip = zipfile.ZipFile(path) if zipfile.is_zipfile(path) else None
        self._prefix = self._find_prefix()
        manifest = self._parse(MANIFEST)
        facts = {
            name: (manifest.findtext(f".//{{*}}{name}") or "").strip()
            for name in ("productType", "mode", "pass", "relativeOrbitNumber", "startTime")
        }
        self._check_kind(manifest, facts)
        self.direction = cast(Pass, facts["pass"].lower())
        self.relative_orbit = int(facts["relativeOrbitNumber"])
        self.time: datetime = parse_timestamp(facts["startTime"], f"{path}: startTime").time
        self.platform = f"S1{manifest.findtext('.//{*}platform/{*}number')}"
        nodes = manifest.iterfind(".//{*}fileLocation")
        listed = [node.get("href", "").removeprefix("./") for node in nodes]
        self.files = {p: self._find_files(p, listed) for p in polarisations}

    @property
    def name(self) -> str:
        """Name that ESA gave it."""
        name = Path(self._prefix).name or self.path.resolve().name
        return name.removesuffix(".SAFE").removesuffix(".zip")

    @cached_property
    def tie_points(self) -> TiePoints:
        """Tie points, (N,) each."""
        annotation = self._parse(self.files[self.polarisations[0]]["annotation"])
        names = ("longitude", "latitude", "incidenceAngle")
        table = [
            [float(node.findtext(name, "nan")) for name in names]
            for node in annotation.iterfind(".//geolocationGridPoint")
        ]
        if not table:
            raise self._damaged("its annotation has no tie points")
        return TiePoints(*np.array(table).T)

    @cached_property
    def fingerprint(self) -> str:
        """Name and checksum of the files used: the same for a folder and for a zip of it."""
        sums = [
            f"{zlib.crc32(str([self._crc(files[role]) for role in sorted(files)]).encode()):08x}"
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
                with self._member(member).open("rb") as packed, target.open("wb") as file:
                    shutil.copyfileobj(packed, file, CHUNK)
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise self._damaged(f"{member} cannot be unpacked ({error})") from error
        return folder

    def _find_prefix(self) -> str:
        """Prefix of the product's files within a zip; empty for a folder."""
        if self._zip is not None:
            names = [n for n in self._zip.namelist() if n.rpartition("/")[2] == MANIFEST]
            if len(names) == 1:
                return names[0].removesuffix(MANIFEST)
        elif (self.path / MANIFEST).is_file():
            return ""
        raise InputError(
            f"{self.path} is no SAFE folder nor a zip of one (it has no {MANIFEST}, or the zip is "
            "cut short): give the product as it was downloaded"
        )

    def _check_kind(self, manifest: ElementTree.Element, facts: dict[str, str]) -> None:
        kind = f"{facts['mode'] or '?'} {facts['productType'] or '?'}"
        if kind != "IW GRD":
            raise InputError(
                f"{self.path} is a Sentinel-1 {kind} product, and sar.source=safe takes IW GRD: "
                "download the IW_GRDH product of that date"
            )
        missing = [name for name, text in facts.items() if not text]
        if missing or facts["pass"].lower() not in PASSES:
            raise self._damaged(f"its manifest has no {(missing or ['pass'])[0]}")
        if not facts["relativeOrbitNumber"].isdigit():
            raise self._damaged(f"its relativeOrbitNumber is {facts['relativeOrbitNumber']}")
        nodes = manifest.iterfind(".//{*}transmitterReceiverPolarisation")
        available = [node.text or "" for node in nodes]
        missing = [p.upper() for p in self.polarisations if p.upper() not in available]
        if missing:
            raise InputError(
                f"{self.path} has no {missing[0]}, only {', '.join(available)}: "
                "leave it out of sar.polarisations"
            )

    def _find_files(self, polarisation: str, listed: list[str]) -> dict[str, str]:
        """Files of a polarisation by role, all of them present and readable."""
        files = {}
        for role, pattern in FILE_PATTERNS.items():
            named = [n for n in listed if fnmatch(n.lower(), pattern.format(polarisation))]
            if len(named) != 1 or not self._member(named[0]).is_file():
                missing = named[0] if named else pattern.format(polarisation)
                raise self._damaged(f"it lacks {missing}")
            files[role] = named[0]
        self._parse(files["calibration"])
        self._check_size(self._parse(files["annotation"]), files["measurement"])
        return files

    def _check_size(self, annotation: ElementTree.Element, measurement: str) -> None:
        """Check that the raster has the size that the annotation says."""
        driver = "" if self._zip is None else "/vsizip/"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                with rasterio.open(f"{driver}{self.path}/{self._prefix}{measurement}") as source:
                    shape = source.shape
        except RasterioIOError as error:
            raise self._damaged(f"{measurement} cannot be read as a raster") from error
        names = ("numberOfLines", "numberOfSamples")
        annotated = tuple(int(annotation.findtext(f".//{name}", "0")) for name in names)
        if shape != annotated:
            raise self._damaged(
                f"{measurement} is {shape[1]} x {shape[0]} px and {annotated[1]} x {annotated[0]} "
                "by its annotation"
            )

    def _damaged(self, problem: str) -> InputError:
        return InputError(f"{self.path} is incomplete or damaged ({problem}): download it again")

    def _member(self, name: str) -> Path | zipfile.Path:
        if self._zip is None:
            return self.path / name
        return zipfile.Path(self._zip, self._prefix + name)

    def _parse(self, member: str) -> ElementTree.Element:
        try:
            return ElementTree.fromstring(self._member(member).read_bytes())
        except (ElementTree.ParseError, zipfile.BadZipFile, zlib.error) as error:
            raise self._damaged(f"{member} is damaged ({error})") from error

    def _crc(self, member: str) -> int:
        """CRC-32 of a file, which a zip states without being unpacked."""
        if self._zip is not None:
            return self._zip.getinfo(self._prefix + member).CRC
        crc = 0
        with (self.path / member).open("rb") as file:
            while chunk := file.read(CHUNK):
                crc = zlib.crc32(chunk, crc)
        return crc

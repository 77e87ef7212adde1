"""Radar images, DEM and inventory that are local files already (``sar.source=files``)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from shapely.geometry.base import BaseGeometry

from landslide.errors import InputError
from landslide.prepare.mosaic import open_georeferenced
from landslide.prepare.sources import (
    DATES,
    PASSES,
    Acquisition,
    Dem,
    Event,
    Pass,
    Sources,
    Tile,
    parse_time,
)
from landslide.rasters import open_raster

PRODUCT = re.compile(r"S1[A-D]_(?:IW|EW|S\d)_[A-Z]{3}._.{4}_(\d{8}T\d{6})_\d{8}T\d{6}_(\d{6})_")
"""Names that ESA gives: start and absolute orbit."""

NAME = re.compile(r"(S1[A-D])__\w{2,4}_+([AD])_(\d{8}T\d{6})")
"""Names that pyroSAR gives: satellite, pass, start."""

MOMENT = re.compile(
    r"(?<!\d)((?:19|20)\d{2})-?([01]\d)-?([0-3]\d)(?:T(\d{2})(\d{2})(\d{2}))?(?!\d)"
)
"""A day, with or without a time, in any name."""

FIRST_ORBIT = {"S1A": 73, "S1B": 27, "S1C": 172}
"""Absolute orbit before the first of a cycle of 175 relative orbits, less one."""

TIME_TAGS = ("datetime", "acquisition_time", "acquisition_date", "start_datetime")
PASS_TAGS = ("sat:orbit_state", "orbit_state", "orbit_direction", "pass_direction", "pass")
TRACK_TAGS = ("sat:relative_orbit", "relative_orbit", "relative_orbit_number", "track")
HEADING_TAGS = ("heading", "platform_heading", "platformheading")
INCIDENCE_TAGS = ("incidence", "incidence_angle", "view:incidence_angle")


def acquire(config: DictConfig, event: Event, area: BaseGeometry | None) -> Sources:
    """Take the images that ``sar.ascending`` and ``sar.descending`` name; see ``Acquire``.

    Raises:
        InputError: A file is missing or unusable, or an option is.
    """
    polarisations, numbers = config.sar.polarisations, config.sar.bands
    orbits = {
        name: {date: acquisition(paths, polarisations, numbers) for date, paths in dates.items()}
        for name, dates in given_dates(config).items()
    }
    return Sources(orbits, local_dem(config.dem))


def given_dates(config: DictConfig) -> dict[Pass, dict[str, list[Path]]]:
    """Files of each date that ``sar.ascending`` and ``sar.descending`` name.

    Raises:
        InputError: There is none, no elevation, not two or three dates, or a file is missing.
    """
    orbits: dict[Pass, dict[str, list[Path]]] = {}
    for name in PASSES:
        key, given = f"sar.{name}", config.sar[name]
        if given is None:
            continue
        dates = _plain(given)
        if not isinstance(dates, list) or not 2 <= len(dates) <= len(DATES):
            raise InputError(
                f"{key} needs two or three dates, [pre,post1] or [pre,post1,post2]; each is a file "
                "or a list of files"
            )
        orbits[name] = {
            date: paths_of(files, key) for date, files in zip(DATES, dates, strict=False)
        }
    if not orbits:
        raise InputError("no image is given: set sar.ascending=[pre.tif,post1.tif,…] or descending")
    if config.dem is None:
        raise InputError("no elevation is given: set dem=dem.tif")
    return orbits


def local_dem(given: object) -> Dem:
    """Elevation from one file or a list of tiles."""
    return Dem(tuple(Tile(path) for path in paths_of(_plain(given), "dem")))


def acquisition(
    paths: Sequence[Path], polarisations: Iterable[str], numbers: Mapping[str, int | None]
) -> Acquisition:
    """One date of an orbit from its files: tiles, polarisations, or both.

    Args:
        paths: Its files.
        polarisations: Those that are wanted.
        numbers: Band numbers by polarisation, None where the files themselves tell.

    Raises:
        InputError: A file is no raster, or a polarisation is missing.
    """
    wanted = [polarisation.lower() for polarisation in polarisations]
    tiles: dict[str, tuple[Tile, ...]] = {}
    told = {name: number for name, number in numbers.items() if number is not None}
    for path in paths:
        if path.is_dir() or path.suffix.lower() == ".zip":
            raise InputError(f"{path} is no raster: add sar.source=safe if it is a raw GRD product")
        bands = told or polarisation_bands(path)
        for polarisation in wanted:
            if polarisation in bands:
                tile = Tile(path, bands[polarisation])
                tiles[polarisation] = (*tiles.get(polarisation, ()), tile)
    missing = [polarisation for polarisation in wanted if polarisation not in tiles]
    if missing:
        raise InputError(
            f"{paths[0]} has no band {missing[0].upper()}: name it in the band's description or in "
            "the file's name, or leave it out of sar.polarisations"
        )
    facts = metadata(paths[0])
    items = tuple(path.name for path in paths)
    return Acquisition(tiles=tiles, items=items, **facts)


def polarisation_bands(path: Path) -> dict[str, int]:
    """Band number of each polarisation, by descriptions, else by the file's name.

    A single band of which neither tells is taken for VV, what this method uses.
    """
    with open_georeferenced(Tile(path)) as source:
        texts, count = source.descriptions, source.count
    described = {
        found.group().lower(): index
        for index, text in enumerate(texts, 1)
        if (found := re.search(r"(?<![A-Z])(VV|VH|HH|HV)(?![A-Z])", (text or "").upper()))
    }
    if described:
        return described
    named = re.findall(r"(?<![A-Z])(VV|VH|HH|HV)(?![A-Z])", path.stem.upper())
    if count == 1:
        return {(named[-1] if named else "VV").lower(): 1}
    raise InputError(
        f"{path} has {count} bands that are not described as VV or VH: say which is which, as in "
        "sar.bands.vv=1 sar.bands.vh=2"
    )


def metadata(path: Path) -> dict[str, Any]:
    """What a file's tags, its name and its folder's name tell of an acquisition."""
    with open_raster(path) as source:
        tags = {key.lower(): value for key, value in source.tags().items()}
        tags |= {key.lower(): value for key, value in source.tags(1).items()}
    facts: dict[str, Any] = {}
    for name in (path.parent.name, path.stem):  # the file's own name counts more
        facts |= _from_name(name)
    if moment := _first(tags, TIME_TAGS):
        facts |= {"time": parse_time(moment, f"{path}: datetime"), "exact": len(moment) > 10}
    if direction := _first(tags, PASS_TAGS):
        facts["direction"] = "ascending" if direction.lower().startswith("a") else "descending"
    for key, names, kind in (
        ("relative_orbit", TRACK_TAGS, int),
        ("heading", HEADING_TAGS, float),
        ("incidence", INCIDENCE_TAGS, float),
    ):
        if value := _first(tags, names):
            try:
                facts[key] = kind(value)
            except ValueError as error:
                raise InputError(f"{path}: the tag for {key} is {value!r}, no number") from error
    if platform := _first(tags, ("platform",)):
        facts.setdefault("platform", platform)
    return facts


def _from_name(name: str) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if found := MOMENT.search(name):
        year, month, day, *clock = found.groups()
        text = f"{year}-{month}-{day}" + (f"T{':'.join(clock)}" if clock[0] else "")
        try:
            facts = {"time": parse_time(text, name), "exact": bool(clock[0])}
        except InputError:  # digits that look like a date, as in a tile's number
            facts = {}
    if found := PRODUCT.search(name):
        facts["platform"] = name[found.start() : found.start() + 3]
        if first := FIRST_ORBIT.get(facts["platform"]):
            facts["relative_orbit"] = (int(found.group(2)) - first) % 175 + 1
    if found := NAME.search(name):
        facts["platform"] = found.group(1)
        facts["direction"] = "ascending" if found.group(2) == "A" else "descending"
    return facts


def _first(tags: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((tags[name] for name in names if tags.get(name)), None)


def _plain(value: object) -> Any:  # noqa: ANN401
    return OmegaConf.to_object(value) if OmegaConf.is_config(value) else value


def paths_of(given: object, key: str) -> list[Path]:
    """Paths of one file or a list of files.

    Raises:
        InputError: Not a path, an empty list, or a file that is not there.
    """
    names: list[Any] = given if isinstance(given, list) else [given]
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{key}={given} is not a file or a list of files")
    paths = [Path(name) for name in names]
    for path in paths:
        if not path.exists():
            raise InputError(f"there is no file {path}, which {key} names")
    return paths

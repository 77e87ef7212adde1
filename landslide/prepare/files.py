"""Radar images and DEM that are local files already (``sar.source=files``)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from shapely.geometry.base import BaseGeometry

from landslide.errors import InputError
from landslide.geo.rasters import open_raster
from landslide.prepare.area import DEGREES, footprint
from landslide.prepare.discovery import dem_from_option, images_from_options
from landslide.prepare.mosaic import open_georeferenced
from landslide.prepare.names import (
    POLARISATION,
    Radiometry,
    day_from_text,
    facts_from_name,
    is_auxiliary,
    normalize_platform,
    polarisation_of_band,
)
from landslide.prepare.quality import require_same_radiometry
from landslide.prepare.sources import (
    OVERPASS,
    PASSES,
    Acquisition,
    Event,
    Pass,
    Sources,
    Tile,
    parse_timestamp,
)

TIME_TAGS = ("datetime", "acquisition_time", "acquisition_date", "start_datetime")
PASS_TAGS = ("sat:orbit_state", "orbit_state", "orbit_direction", "pass_direction", "pass")
TRACK_TAGS = ("sat:relative_orbit", "relative_orbit", "relative_orbit_number", "track")
HEADING_TAGS = ("heading", "platform_heading", "platformheading")
INCIDENCE_TAGS = ("incidence", "incidence_angle", "view:incidence_angle")


def acquire_from_files(
    config: DictConfig, event: Event, area: BaseGeometry | None = None
) -> Sources:
    """Take the images that ``sar.ascending`` and ``sar.descending`` name, and the DEM.

    Images of folders that do not overlap with ``area``, in EPSG:4326, are left out.

    Raises:
        InputError: A file is missing or unusable, or an option is.
    """
    sar = config.sar

    def describe(paths: Sequence[Path]) -> dict[Path, Acquisition]:
        return describe_files(paths, sar.bands, area)

    orbits: dict[Pass, dict[str, Acquisition]] = {}
    for orbit, dates in images_from_options(config, event, describe).items():
        key = f"sar.dates.{orbit}"
        days = [parse_timestamp(str(day), key).time.date() for day in sar.dates[orbit] or ()]
        # apply_options checks that there are as many days as images.
        day_of = dict(zip(dates, days, strict=False))
        orbits[orbit] = {
            name: read_acquisition(paths, sar.polarisations, sar.bands, day_of.get(name))
            for name, paths in dates.items()
        }
    return Sources(orbits, dem_from_option(config.dem))


def describe_files(
    paths: Sequence[Path], bands: Mapping[str, int | None], area: BaseGeometry | None
) -> dict[Path, Acquisition]:
    """What is known of the files of a folder that hold backscatter.

    Files of which nothing shows the polarisation are taken for something else. ``bands`` are band
    numbers by polarisation; files outside ``area``, in EPSG:4326, are left out.
    """
    numbers = {name: number for name, number in bands.items() if number is not None}
    found = {}
    for path in paths:
        if is_auxiliary(path.stem) or not (shown := find_bands(path, numbers, None)):
            continue
        if area is None or footprint(Tile(path), DEGREES).intersects(area):
            tiles = {name: (Tile(path, band),) for name, band in shown.items()}
            found[path] = Acquisition(tiles, **read_facts(path))
    return found


def read_acquisition(
    paths: Sequence[Path],
    polarisations: Iterable[str],
    band_options: Mapping[str, int | None],
    day: date | None = None,
) -> Acquisition:
    """One date of an orbit from its files: tiles, polarisations, or both.

    Files that hold no backscatter by their names (masks, angles, elevation) are left out.
    ``band_options`` are band numbers by polarisation, None where the files themselves show them;
    ``day`` selects among the dates of a file with several.

    Raises:
        InputError: A file is no raster, does not show its polarisation or is not of the same
            overpass as the others, or a polarisation is missing.
    """
    wanted = [polarisation.lower() for polarisation in polarisations]
    numbers = {name: number for name, number in band_options.items() if number is not None}
    images, notes = _drop_auxiliary(paths, numbers)
    bands = {path: find_bands(path, numbers, day) for path in images}
    if unnamed := [path for path, found in bands.items() if not found]:
        if len(unnamed) < len(images) or len(wanted) > 1:
            raise InputError(
                f"{unnamed[0]} does not say which polarisation it is of: put VV or VH into its "
                "name or its band's description, or leave the file out"
            )
        bands = {path: {wanted[0]: 1} for path in unnamed}
        notes += [
            f"{path.name} names no polarisation and is taken for {wanted[0]}" for path in unnamed
        ]
    tiles = {
        name: tuple(Tile(path, found[name]) for path, found in bands.items() if name in found)
        for name in wanted
    }
    if missing := [polarisation for polarisation, found in tiles.items() if not found]:
        raise InputError(
            f"{images[0]} has no band {missing[0].upper()}: name it in the band's description or "
            "in the file's name, or leave it out of sar.polarisations"
        )
    used = list(dict.fromkeys(tile for found in tiles.values() for tile in found))
    facts = _merge_facts({tile.path: read_facts(*tile) for tile in used})
    names = tuple(dict.fromkeys(tile.path.name for tile in used))
    return Acquisition(tiles=tiles, items=names, notes=tuple(notes), **facts)


def _drop_auxiliary(
    paths: Sequence[Path], numbers: Mapping[str, int]
) -> tuple[list[Path], list[str]]:
    """Files that may hold backscatter, and a note on those left out."""
    for path in paths:
        if path.is_dir() or path.suffix.lower() == ".zip":
            raise InputError(f"{path} is no raster: add sar.source=safe if it is a raw GRD product")
    auxiliary = [path for path in paths if is_auxiliary(path.stem)]
    images = [path for path in paths if path not in auxiliary]
    if not auxiliary:
        return images, []
    if images:
        names = ", ".join(path.name for path in auxiliary)
        return images, [f"{names} left out: no backscatter by the name"]
    if numbers:
        return auxiliary, []
    raise InputError(
        f"{auxiliary[0]} is no backscatter by its name: give the image itself, or say which band "
        "it is with sar.bands.vv=1"
    )


def find_bands(path: Path, numbers: Mapping[str, int], day: date | None) -> dict[str, int]:
    """Band number of each polarisation: by options, descriptions, or the file's name.

    ``numbers`` are band numbers that options give; ``day`` is wanted of a file with several.

    Returns:
        Empty where nothing shows the polarisation of a file's only band.

    Raises:
        InputError: Bands or names may mean several polarisations or dates.
    """
    with open_georeferenced(Tile(path)) as source:
        descriptions = source.descriptions
    in_name = set(POLARISATION.findall(path.stem.upper()))
    relevant = not in_name or in_name & {name.upper() for name in numbers}
    if numbers and (len(descriptions) > 1 or relevant):
        return dict(numbers)
    described: dict[str, list[int]] = {}
    for index, text in enumerate(descriptions, 1):
        if polarisation := polarisation_of_band(text):
            described.setdefault(polarisation, []).append(index)
    if described:
        return {p: _band_of_day(path, p, b, descriptions, day) for p, b in described.items()}
    if len(descriptions) > 1:
        raise InputError(
            f"{path} has {len(descriptions)} bands that are not described as VV or VH: say which "
            "is which, as in sar.bands.vv=1 sar.bands.vh=2"
        )
    if len(in_name) > 1:
        raise InputError(
            f"the name of {path} contains {' and '.join(sorted(in_name))}: name it after the one "
            "it holds, or leave it out"
        )
    return {name.lower(): 1 for name in in_name}


def _band_of_day(
    path: Path,
    polarisation: str,
    bands: Sequence[int],
    descriptions: Sequence[str | None],
    day: date | None,
) -> int:
    """The band of a polarisation; of several, the one whose description has the day."""
    if len(bands) == 1:
        return bands[0]
    days = {band: day_from_text(descriptions[band - 1]) for band in bands}
    matching = [band for band, found in days.items() if day and found == day]
    if len(matching) == 1:
        return matching[0]
    described = ", ".join(f"{band} {descriptions[band - 1]}" for band in bands)
    known = [found for found in days.values() if found]
    if len(set(known)) == len(bands):
        remedy = f"say which days with sar.dates, as in [{','.join(map(str, sorted(known)))}]"
    else:
        remedy = f"say which is meant with sar.bands.{polarisation}={bands[0]}"
    missing = f" and none of {day}" if day and known else ""
    raise InputError(
        f"{path} has {len(bands)} bands of {polarisation.upper()} ({described}){missing}: {remedy}"
    )


def _merge_facts(facts: Mapping[Path, Mapping[str, Any]]) -> dict[str, Any]:
    """What is known of a date, from what is known of each of its files."""
    for (path, known), (other_path, other) in combinations(facts.items(), 2):
        for key in ("relative_orbit", "direction"):
            values = [known.get(key), other.get(key)]
            if None not in values and values[0] != values[1]:
                raise InputError(
                    f"{path} and {other_path} are given for one date, but their {key} is "
                    f"{values[0]} and {values[1]}: give each date files of one overpass"
                )
        if {"time", "exact"} <= known.keys() & other.keys():
            limit = OVERPASS if known["exact"] and other["exact"] else timedelta(days=1)
            if abs(known["time"] - other["time"]) >= limit:
                raise InputError(
                    f"{path} ({known['time']:%Y-%m-%d %H:%M}) and {other_path} "
                    f"({other['time']:%Y-%m-%d %H:%M}) are given for one date: give each date its "
                    "own files"
                )
        require_same_radiometry(
            known.get("product"), other.get("product"), str(path), str(other_path)
        )
    merged = {key: value for each in [*facts.values()][::-1] for key, value in each.items()}
    if product := str(Radiometry.from_texts(*(each.get("product") for each in facts.values()))):
        merged["product"] = product
    exact = [each["time"] for each in facts.values() if each.get("exact")]
    return merged | ({"time": min(exact), "exact": True} if exact else {})


def read_facts(path: Path, band: int = 1) -> dict[str, Any]:
    """Attributes of an ``Acquisition`` by a band's tags and description and the file's names.

    Raises:
        InputError: A tag cannot be understood.
    """
    with open_raster(path) as source:
        tags = {key.lower(): value for key, value in source.tags().items()}
        tags |= {key.lower(): value for key, value in source.tags(band).items()}
        description = source.descriptions[band - 1]
    # The file's own name counts more than its folder's. The Planetary Computer keeps its images in
    # <product>/measurement/iw-vv.rtc.tiff.
    folder = path.parent.parent if path.parent.name == "measurement" else path.parent
    facts = facts_from_name(folder.name) | facts_from_name(path.stem)
    day = day_from_text(description)
    if day and ("time" not in facts or facts["time"].date() != day):
        facts |= parse_timestamp(str(day), str(path))._asdict()
    if text := _first_tag(tags, TIME_TAGS):
        facts |= parse_timestamp(text, f"{path}: datetime")._asdict()
    if state := _first_tag(tags, PASS_TAGS):
        facts["direction"] = _parse_direction(state, path)
    for key, names, number in (
        ("relative_orbit", TRACK_TAGS, int),
        ("heading", HEADING_TAGS, float),
        ("incidence", INCIDENCE_TAGS, float),
    ):
        if value := _first_tag(tags, names):
            try:
                facts[key] = number(value)
            except ValueError as error:
                raise InputError(f"{path}: the tag for {key} is {value!r}, no number") from error
    if platform := tags.get("platform"):
        facts.setdefault("platform", normalize_platform(platform))
    if product := str(Radiometry.from_texts(description, *tags.values(), path.stem)):
        facts["product"] = product
    return facts


def _parse_direction(state: str, path: Path) -> Pass:
    for name in PASSES:
        if state.lower() in (name[0], name.removesuffix("ending"), name):  # a, asc, ascending
            return name
    raise InputError(f"{path}: the tag for the pass is {state!r}, not ascending or descending")


def _first_tag(tags: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((tags[name] for name in names if tags.get(name)), None)

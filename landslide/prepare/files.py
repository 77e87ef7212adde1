"""Radar images, DEM and inventory that are local files already (``sar.source=files``)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from shapely.geometry.base import BaseGeometry

from landslide.errors import InputError
from landslide.geo.rasters import open_raster
from landslide.prepare.mosaic import open_georeferenced
from landslide.prepare.names import (
    POLARISATION,
    Radiometry,
    day_in,
    facts_in,
    is_auxiliary,
    platform_of,
    polarisation_of_band,
)
from landslide.prepare.quality import require_alike
from landslide.prepare.sources import (
    DATES,
    OVERPASS,
    PASSES,
    Acquisition,
    Dem,
    Event,
    Pass,
    Sources,
    Tile,
    parse_time,
)

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
    orbits: dict[Pass, dict[str, Acquisition]] = {}
    for name, dates in given_dates(config).items():
        # As many as images, which with_options checks.
        told = [parse_time(str(day), f"sar.dates.{name}") for day in config.sar.dates[name] or ()]
        days = dict(zip(dates, (time.date() for time in told), strict=False))
        orbits[name] = {
            date: acquisition(paths, polarisations, numbers, days.get(date))
            for date, paths in dates.items()
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
    paths: Sequence[Path],
    polarisations: Iterable[str],
    numbers: Mapping[str, int | None],
    day: date | None = None,
) -> Acquisition:
    """One date of an orbit from its files: tiles, polarisations, or both.

    Files that hold no backscatter by their names (masks, angles, elevation) are left out.

    Args:
        paths: Its files.
        polarisations: Those that are wanted.
        numbers: Band numbers by polarisation, None where the files themselves tell.
        day: Its day, which chooses among the dates of a stack.

    Raises:
        InputError: A file is no raster, does not tell its polarisation or is not of the same
            overpass as the others, or a polarisation is missing.
    """
    wanted = [polarisation.lower() for polarisation in polarisations]
    told = {name: number for name, number in numbers.items() if number is not None}
    images, notes = _without_auxiliary(paths, told)
    bands = {path: bands_of(path, told, day) for path in images}
    unnamed = [path for path, found in bands.items() if not found]
    if unnamed:
        if len(unnamed) < len(images) or len(wanted) > 1:
            raise InputError(
                f"{unnamed[0]} does not say which polarisation it is of: put VV or VH into its "
                "name or its band's description, or leave the file out"
            )
        bands = {path: {wanted[0]: 1} for path in unnamed}
        notes += [f"{path.name} does not say so and is taken for {wanted[0]}" for path in unnamed]
    tiles = {
        polarisation: tuple(
            Tile(path, found[polarisation])
            for path, found in bands.items()
            if polarisation in found
        )
        for polarisation in wanted
    }
    missing = [polarisation for polarisation, found in tiles.items() if not found]
    if missing:
        raise InputError(
            f"{images[0]} has no band {missing[0].upper()}: name it in the band's description or "
            "in the file's name, or leave it out of sar.polarisations"
        )
    used = list(dict.fromkeys(tile for found in tiles.values() for tile in found))
    facts = _agreed({tile.path: metadata(*tile) for tile in used})
    names = tuple(dict.fromkeys(tile.path.name for tile in used))
    return Acquisition(tiles=tiles, items=names, notes=tuple(notes), **facts)


def _without_auxiliary(
    paths: Sequence[Path], told: Mapping[str, int]
) -> tuple[list[Path], list[str]]:
    """Files that may hold backscatter, and a note on those left out.

    Raises:
        InputError: There is none, or a file is no raster.
    """
    for path in paths:
        if path.is_dir() or path.suffix.lower() == ".zip":
            raise InputError(f"{path} is no raster: add sar.source=safe if it is a raw GRD product")
    others = [path for path in paths if is_auxiliary(path.stem)]
    images = [path for path in paths if path not in others]
    if not others:
        return images, []
    if not images and told:
        return others, []
    if not images:
        raise InputError(
            f"{others[0]} is no backscatter by its name: give the image itself, or say which band "
            "it is with sar.bands.vv=1"
        )
    names = ", ".join(path.name for path in others)
    return images, [f"{names} left out: no backscatter by the name"]


def bands_of(path: Path, told: Mapping[str, int], day: date | None) -> dict[str, int]:
    """Band number of each polarisation: by options, descriptions, or the file's name.

    Args:
        path: Raster.
        told: Band numbers that options tell.
        day: Which day is wanted of a stack.

    Returns:
        Empty where nothing tells of a file's only band.

    Raises:
        InputError: Bands or names that may mean several polarisations or dates.
    """
    with open_georeferenced(Tile(path)) as source:
        texts = source.descriptions
    named = set(POLARISATION.findall(path.stem.upper()))
    if told and (len(texts) > 1 or not named or named & {name.upper() for name in told}):
        return dict(told)
    described: dict[str, list[int]] = {}
    for index, text in enumerate(texts, 1):
        if polarisation := polarisation_of_band(text):
            described.setdefault(polarisation, []).append(index)
    if described:
        return {p: _of_day(path, p, found, texts, day) for p, found in described.items()}
    if len(texts) > 1:
        raise InputError(
            f"{path} has {len(texts)} bands that are not described as VV or VH: say which is "
            "which, as in sar.bands.vv=1 sar.bands.vh=2"
        )
    if len(named) > 1:
        raise InputError(
            f"the name of {path} tells of {' and '.join(sorted(named))}: name it after the one it "
            "holds, or leave it out"
        )
    return {name.lower(): 1 for name in named}


def _of_day(
    path: Path,
    polarisation: str,
    indices: Sequence[int],
    texts: Sequence[str | None],
    day: date | None,
) -> int:
    """The band of a polarisation; of several, the one whose description has the day.

    Raises:
        InputError: Not exactly one has.
    """
    if len(indices) == 1:
        return indices[0]
    right = [index for index in indices if day and day_in(texts[index - 1]) == day]
    if len(right) == 1:
        return right[0]
    bands = ", ".join(f"{index} {texts[index - 1]}" for index in indices)
    days = [found for index in indices if (found := day_in(texts[index - 1]))]
    if len(set(days)) == len(indices):
        remedy = f"say which days with sar.dates, as in [{','.join(map(str, sorted(days)))}]"
    else:
        remedy = f"say which is meant with sar.bands.{polarisation}={indices[0]}"
    missing = f" and none of {day}" if day and days else ""
    raise InputError(
        f"{path} has {len(indices)} bands of {polarisation.upper()} ({bands}){missing}: {remedy}"
    )


def _agreed(facts: Mapping[Path, Mapping[str, Any]]) -> dict[str, Any]:
    """What is known of a date, from what is known of each of its files.

    Raises:
        InputError: They are not of one overpass, or not of one kind.
    """
    for (first, known), (path, other) in combinations(facts.items(), 2):
        for key in ("relative_orbit", "direction"):
            values = [known.get(key), other.get(key)]
            if None not in values and values[0] != values[1]:
                raise InputError(
                    f"{first} and {path} are given for one date, but their {key} is {values[0]} "
                    f"and {values[1]}: give each date files of one overpass"
                )
        if {"time", "exact"} <= known.keys() & other.keys():
            apart = abs(known["time"] - other["time"])
            limit = OVERPASS if known["exact"] and other["exact"] else timedelta(days=1)
            if apart >= limit:
                raise InputError(
                    f"{first} ({known['time']:%Y-%m-%d %H:%M}) and {path} "
                    f"({other['time']:%Y-%m-%d %H:%M}) are given for one date: give each date its "
                    "own files"
                )
        require_alike(known.get("product"), other.get("product"), str(first), str(path))
    merged = {key: value for other in [*facts.values()][::-1] for key, value in other.items()}
    if product := str(Radiometry.of(*(other.get("product") for other in facts.values()))):
        merged["product"] = product
    exact = [other["time"] for other in facts.values() if other.get("exact")]
    return merged | ({"time": min(exact), "exact": True} if exact else {})


def metadata(path: Path, band: int = 1) -> dict[str, Any]:
    """What a band's tags and description, its file's and folder's names tell of an acquisition.

    Raises:
        InputError: A tag that cannot be understood.
    """
    with open_raster(path) as source:
        tags = {key.lower(): value for key, value in source.tags().items()}
        tags |= {key.lower(): value for key, value in source.tags(band).items()}
        description = source.descriptions[band - 1]
    facts: dict[str, Any] = {}
    for name in (path.parent.name, path.stem):  # the file's own name counts more
        facts |= facts_in(name)
    day = day_in(description)
    if day and ("time" not in facts or facts["time"].date() != day):  # one date of a stack
        facts |= {"time": parse_time(str(day), str(path)), "exact": False}
    if moment := _first(tags, TIME_TAGS):
        facts |= {"time": parse_time(moment, f"{path}: datetime"), "exact": len(moment) > 10}
    if state := _first(tags, PASS_TAGS):
        facts["direction"] = _direction(state, path)
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
        facts.setdefault("platform", platform_of(platform))
    product = str(Radiometry.of(description, *tags.values(), path.stem))
    return facts | ({"product": product} if product else {})


def _direction(state: str, path: Path) -> Pass:
    for name in PASSES:
        if state.lower() in (name[0], name.removesuffix("ending"), name):  # a, asc, ascending
            return name
    raise InputError(f"{path}: the tag for the pass is {state!r}, not ascending or descending")


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

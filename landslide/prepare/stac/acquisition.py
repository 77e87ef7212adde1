"""From an area and an event's date to local files, by way of an archive."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import geopandas as gpd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from shapely.geometry.base import BaseGeometry

from landslide.errors import InputError
from landslide.geo.grid import utm_crs
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
from landslide.prepare.stac.archive import Archive, Box, Slice
from landslide.prepare.stac.download import Part, fetch, measured
from landslide.prepare.stac.overpasses import Choice, Overpass, Track, Wish, choose, tracks_of
from landslide.prepare.stac.table import table_of

IMAGE_MARGIN = 200.0
"""Metres fetched of images around the area, so that any grid of it is covered."""

DEM_MARGIN = 3000.0
"""Metres fetched of the DEM around the area: a ridge 2 km high lays over and shades so far."""


class Found(NamedTuple):
    """What an archive holds for an event, and what of it is chosen."""

    tracks: list[Track]
    choices: dict[Pass, Choice]


def plan(config: DictConfig, event: Event, aoi: BaseGeometry | None) -> Table:
    """Lay out which images there are, which would be taken and when the next one comes.

    Args:
        config: Configuration of ``conf/prepare.yaml``.
        event: What is to be mapped.
        aoi: Area of interest in EPSG:4326.

    Raises:
        InputError: There is no area, or the archive cannot be searched or has nothing there.
    """
    archive = Archive.of(config)
    found = _find(config, archive, event, _checked(aoi))
    return table_of(found.tracks, found.choices, event, archive)


def acquire(
    config: DictConfig,
    event: Event,
    aoi: BaseGeometry | None,
    console: Console | None = None,
) -> Sources:
    """Choose images of the area by the event's date and fetch them, with elevation.

    Files that are in ``config.cache`` are not fetched again.

    Args:
        config: Configuration of ``conf/prepare.yaml``.
        event: What is to be mapped.
        aoi: Area of interest in EPSG:4326.
        console: Shows progress; None is silent.

    Raises:
        InputError: There is no area; the archive cannot be searched, has no image before and
            after the event, or does not hand out what it lists.
    """
    aoi = _checked(aoi)
    archive = Archive.of(config)
    found = _find(config, archive, event, aoi)
    if not found.choices:
        raise InputError(
            f"{archive.collection} of {archive.endpoint} has no track with an image both before "
            "and after the event: see which dates there are with plan=true"
        )
    folder, where = Path(config.cache), _around(aoi, IMAGE_MARGIN)
    images = {
        (direction, date, polarisation): _parts_of(overpass, archive, polarisation, where, folder)
        for direction, choice in found.choices.items()
        for date, overpass in choice.overpasses.items()
        for polarisation in config.sar.polarisations
    }
    elevation = _dem_parts(archive, _around(aoi, DEM_MARGIN), folder) if not config.dem else []
    parts = [part for group in images.values() for part in group] + elevation
    there = set(_fetch_all(parts, archive, console))

    orbits: dict[Pass, dict[str, Acquisition]] = {}
    for direction, choice in found.choices.items():
        for date, overpass in choice.overpasses.items():
            tiles = {
                polarisation: _tiles(images[direction, date, polarisation], there, overpass)
                for polarisation in config.sar.polarisations
            }
            acquisition = _acquisition(choice.track, overpass, tiles, archive)
            orbits.setdefault(direction, {})[date] = acquisition
    dem = _dem(elevation, there, archive)
    return Sources(orbits, dem, notes=tuple(_notes(found, event)))


def _checked(aoi: BaseGeometry | None) -> BaseGeometry:
    """An area that can be searched.

    Raises:
        InputError: There is none, or it lies on both sides of the antimeridian.
    """
    if aoi is None:
        raise InputError(
            "sar.source=stac needs an area: give aoi=[west,south,east,north] in degrees "
            "or a polygon file"
        )
    west, _, east, _ = aoi.bounds
    if west < -180 or east > 180:
        raise InputError(
            f"aoi from {west:g} to {east:g} degrees east crosses the antimeridian: "
            "prepare one scene on each side of it"
        )
    return aoi


def _around(aoi: BaseGeometry, margin: float) -> Box:
    """Box around an area and ``margin`` metres more, outwards to a thousandth of a degree.

    Rounding lets areas that differ by metres share what was fetched.
    """
    area = gpd.GeoSeries([aoi], crs="EPSG:4326").to_crs(utm_crs(aoi.bounds))
    metric = area.envelope.buffer(margin, join_style="mitre")
    west, south, east, north = metric.to_crs("EPSG:4326").total_bounds
    return Box(
        *(float(round(edge, 3)) for edge in (west - 5e-4, south - 5e-4, east + 5e-4, north + 5e-4))
    )


def _find(config: DictConfig, archive: Archive, event: Event, aoi: BaseGeometry) -> Found:
    """Search for images around the event and choose among them.

    Raises:
        InputError: There is none, or not what was wished for.
    """
    wishes = {direction: _wish(config, direction) for direction in PASSES}
    times = [
        event.time - timedelta(days=archive.days_before),
        event.time + timedelta(days=archive.days_after),
    ]
    for direction, wish in wishes.items():
        for date in wish.dates or ():
            time = parse_time(date, f"sar.dates.{direction}")
            times += [time - timedelta(days=1), time + timedelta(days=1)]
    period = min(times), max(times)
    slices = archive.search(archive.collection, Box(*aoi.bounds), period)
    tracks = tracks_of([item for item in slices if item.footprint.intersects(aoi)], aoi)
    if not tracks:
        raise InputError(
            f"{archive.collection} of {archive.endpoint} has no image of the area from "
            f"{period[0]:%Y-%m-%d} to {period[1]:%Y-%m-%d}: check aoi and event.date, or search "
            "longer with sar.stac.days_after=…"
        )
    choices = {
        direction: choice
        for direction, wish in wishes.items()
        if (choice := choose(tracks, event, direction, wish))
    }
    return Found(tracks, choices)


def _wish(config: DictConfig, direction: Pass) -> Wish:
    """What the user asks of a pass direction.

    Raises:
        InputError: Dates are not two or three.
    """
    dates = config.sar.dates[direction]
    if dates is not None:
        dates = [str(date) for date in dates] if OmegaConf.is_list(dates) else [str(dates)]
        if len(dates) not in (len(DATES) - 1, len(DATES)):
            raise InputError(
                f"sar.dates.{direction}=[{','.join(dates)}] are {len(dates)} dates; "
                "give [pre,post1] or [pre,post1,post2]"
            )
    return Wish(config.sar.relative_orbit[direction], dates)


def _parts_of(
    overpass: Overpass, archive: Archive, polarisation: str, where: Box, folder: Path
) -> list[Part]:
    """What is to be fetched of an overpass."""
    asset = archive.asset(polarisation)
    remedy = (
        f"name another with sar.stac.assets.{polarisation}=…, or choose other dates with sar.dates"
    )
    folder = _folder(folder, archive, archive.collection, where)
    # Decibels may be negative, so that they are kept apart from what is not.
    end = "_db.tif" if archive.units == "db" else ".tif"
    return [
        Part(
            item.id,
            asset,
            item.address(asset, remedy),
            where,
            archive.units,
            folder / f"{_file_name(item)}_{asset}{end}",
        )
        for item in overpass.slices
    ]


def _dem_parts(archive: Archive, where: Box, folder: Path) -> list[Part]:
    """What is to be fetched of a DEM.

    Raises:
        InputError: The archive has no elevation there.
    """
    items = archive.search(archive.dem_collection, where)
    if not items:
        raise InputError(
            f"{archive.dem_collection} of {archive.endpoint} has no elevation of the area: "
            "give a file with dem=…, or name another collection with sar.stac.dem_collection=…"
        )
    asset = archive.dem_asset
    remedy = "name another with sar.stac.dem_asset=…, or give a file with dem=…"
    folder = _folder(folder, archive, archive.dem_collection, where)
    return [
        Part(
            item.id,
            asset,
            item.address(asset, remedy),
            where,
            None,
            folder / f"{_file_name(item)}_{asset}.tif",
        )
        for item in items
    ]


def _folder(cache: Path, archive: Archive, collection: str, where: Box) -> Path:
    """Where the parts of a collection that lie in a box are kept."""
    host = urlsplit(archive.endpoint).netloc.replace(":", "_")
    return cache / host / collection / "_".join(f"{edge:.3f}" for edge in where)


def _file_name(item: Slice) -> str:
    """Name of an item, fit for a file."""
    return item.id.replace("/", "_")


def _fetch_all(parts: list[Part], archive: Archive, console: Console | None) -> list[Path]:
    """Fetch parts under a progress bar."""
    columns = (TextColumn("fetching"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=console is None) as bar:
        task = bar.add_task("fetching", total=len(parts))
        return fetch(parts, archive, lambda: bar.advance(task))


def _tiles(parts: list[Part], there: set[Path], overpass: Overpass) -> tuple[Tile, ...]:
    """The files of an overpass and polarisation.

    Raises:
        InputError: They hold no measurement in the area.
    """
    paths = [part.path for part in parts if part.path in there]
    if not measured(paths):
        items = ", ".join(part.item for part in parts)
        raise InputError(
            f"asset {parts[0].asset!r} of {overpass.time:%Y-%m-%d} ({items}) has no measurement "
            "in the area, only fill: choose other dates with sar.dates, or set sar.units=db if its "
            "values are decibels"
        )
    return tuple(Tile(path) for path in paths)


def _dem(parts: list[Part], there: set[Path], archive: Archive) -> Dem:
    """The files of a DEM."""
    tiles = tuple(Tile(part.path) for part in parts if part.path in there)
    provider = f"{archive.endpoint} {archive.dem_collection}"
    return Dem(tiles, items=tuple(part.item for part in parts), provider=provider)


def _acquisition(
    track: Track, overpass: Overpass, tiles: Mapping[str, tuple[Tile, ...]], archive: Archive
) -> Acquisition:
    """What is known of an overpass."""
    return Acquisition(
        tiles,
        time=overpass.time,
        direction=track.direction,
        relative_orbit=track.relative_orbit,
        platform=overpass.platform,
        units=archive.units,
        product=archive.product,
        items=tuple(item.id for item in overpass.slices),
        provider=f"{archive.endpoint} {archive.collection}",
    )


def _notes(found: Found, event: Event) -> Iterator[str]:
    """What a user should know of the choice."""
    for direction in PASSES:
        choice = found.choices.get(direction)
        if choice is None:
            yield f"{direction}: no track has an image both before and after the event"
            continue
        name = f"{direction} track {choice.track.relative_orbit}"
        if "post2" not in choice.overpasses:
            time, platform = choice.track.next
            yield (
                f"{name}: only one image after the event; the next is due on "
                f"{time:%Y-%m-%d}, day {event.days_after(time):.0f} ({platform})"
            )
        if round(choice.coverage, 2) < 1:
            yield f"{name}: its images cover {choice.coverage:.0%} of the area"

"""From an area and an event's date to local files, by way of an archive."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import geopandas as gpd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table
from shapely.geometry.base import BaseGeometry

from landslide.errors import InputError
from landslide.geo.grid import utm_crs
from landslide.prepare.dates import MIN_BEFORE
from landslide.prepare.discovery import dem_from_option
from landslide.prepare.progress import progress_bar
from landslide.prepare.sources import (
    DATES,
    PASSES,
    Acquisition,
    Dem,
    Event,
    Pass,
    Sources,
    Tile,
    label_dates,
    parse_timestamp,
)
from landslide.prepare.stac.archive import Archive, ArchiveItem, Box
from landslide.prepare.stac.download import Subset, count_measured, download_all
from landslide.prepare.stac.overpasses import (
    CYCLE,
    Overpass,
    Track,
    TrackChoice,
    TrackRequest,
    choose_track,
    group_tracks,
)
from landslide.prepare.stac.plan_table import plan_table

IMAGE_MARGIN = 200.0
"""Metres of images downloaded around the area, so that any grid of it is covered."""

DEM_MARGIN = 3000.0
"""Metres of the DEM downloaded around the area: the reach of a ridge 2 km high."""


def plan_acquisition(config: DictConfig, event: Event, aoi: BaseGeometry | None) -> Table:
    """Lay out the available images, those that would be used and when the next one is due.

    ``aoi`` is in EPSG:4326.

    Raises:
        InputError: There is no area, or the archive cannot be searched or has nothing there.
    """
    archive = Archive.of(config)
    tracks, choices = search_tracks(config, archive, event, require_area(aoi))
    return plan_table(tracks, choices, event, archive)


def acquire_from_archive(
    config: DictConfig,
    event: Event,
    aoi: BaseGeometry | None,
    console: Console | None = None,
) -> Sources:
    """Choose images of the area by the event's date and download them, with elevation.

    Elevation comes from ``config.dem`` where it is set. Files in ``config.cache`` are not
    downloaded again. ``aoi`` is in EPSG:4326.

    Raises:
        InputError: There is no area; the archive cannot be searched, has too few images (see
            ``choose_track``), or does not deliver what it lists.
    """
    aoi = require_area(aoi)
    from_archive = config.dem is None
    archive = Archive.of(config)
    _, choices = search_tracks(config, archive, event, aoi)
    if not choices:
        raise InputError(
            f"{archive.collection} of {archive.endpoint} has no track with "
            f"{_needed(config.sar.before)} the event: plan=true lists its dates"
        )
    cache, polarisations = Path(config.cache), config.sar.polarisations
    where = _box_around(aoi, IMAGE_MARGIN)
    images = {
        (orbit, date): {p: _subsets(archive, o.slices, p, where, cache) for p in polarisations}
        for orbit, choice in choices.items()
        for date, o in choice.overpasses.items()
    }
    elevation = _dem_subsets(archive, aoi, cache) if from_archive else []
    wanted = [s for bands in images.values() for band in bands.values() for s in band] + elevation
    with progress_bar(console, "downloading", len(wanted)) as advance:
        present = set(download_all(wanted, archive, advance))
    orbits: dict[Pass, dict[str, Acquisition]] = {}
    for (orbit, date), bands in images.items():
        overpass = choices[orbit].overpasses[date]
        tiles = {p: _measured_tiles(subsets, present, overpass) for p, subsets in bands.items()}
        acquisition = _acquisition(choices[orbit].track, overpass, tiles, archive)
        orbits.setdefault(orbit, {})[date] = acquisition
    if from_archive:
        dem: Dem | None = _dem_of(archive, elevation, present)
    else:
        dem = dem_from_option(config.dem)
    return Sources(orbits, dem, notes=tuple(_notes(choices, event, config.sar)))


def acquire_dem(config: DictConfig, aoi: BaseGeometry) -> Dem | None:
    """Download the elevation of an area alone, or take that of ``config.dem``; None without one.

    Raises:
        InputError: There is none, or the archive fails.
    """
    if config.dem is not None:
        return dem_from_option(config.dem)
    archive = Archive.of(config)
    elevation = _dem_subsets(archive, aoi, Path(config.cache))
    return _dem_of(archive, elevation, set(download_all(elevation, archive, lambda: None)))


def _dem_subsets(archive: Archive, aoi: BaseGeometry, cache: Path) -> list[Subset]:
    where = _box_around(aoi, DEM_MARGIN)
    return _subsets(archive, _search_dem(archive, where), None, where, cache)


def _dem_of(archive: Archive, elevation: Sequence[Subset], present: set[Path]) -> Dem:
    return Dem(
        tuple(Tile(subset.path) for subset in elevation if subset.path in present),
        items=tuple(subset.item for subset in elevation),
        provider=f"{archive.endpoint} {archive.dem_collection}",
    )


def require_area(aoi: BaseGeometry | None) -> BaseGeometry:
    """An area that can be searched.

    Raises:
        InputError: There is none, or it crosses the antimeridian.
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


def _box_around(aoi: BaseGeometry, margin: float) -> Box:
    """Box around an area and ``margin`` metres more, outwards to a thousandth of a degree.

    Rounding lets areas that differ by metres share their downloads.
    """
    area = gpd.GeoSeries([aoi], crs="EPSG:4326").to_crs(utm_crs(aoi.bounds))
    metric = area.envelope.buffer(margin, join_style="mitre")
    west, south, east, north = metric.to_crs("EPSG:4326").total_bounds
    return Box(
        *(float(round(edge, 3)) for edge in (west - 5e-4, south - 5e-4, east + 5e-4, north + 5e-4))
    )


def search_tracks(
    config: DictConfig, archive: Archive, event: Event, aoi: BaseGeometry
) -> tuple[list[Track], dict[Pass, TrackChoice]]:
    """Tracks with images around the event, and the choice of each pass direction.

    Raises:
        InputError: The archive cannot be searched, or has no image of the area.
    """
    requests = {direction: _track_request(config, direction) for direction in PASSES}
    # Gaps of two repeat cycles are common.
    before = max(timedelta(days=archive.days_before), (config.sar.before + 2) * CYCLE)
    after = max(timedelta(days=archive.days_after), (config.sar.after + 2) * CYCLE)
    times = [event.time - before, event.time + after]
    for direction, request in requests.items():
        for date in request.dates or ():
            time = parse_timestamp(date, f"sar.dates.{direction}").time
            times += [time - timedelta(days=1), time + timedelta(days=1)]
    period = min(times), max(times)
    items = archive.search(archive.collection, Box(*aoi.bounds), period)
    tracks = group_tracks([item for item in items if item.footprint.intersects(aoi)], aoi)
    if not tracks:
        raise InputError(
            f"{archive.collection} of {archive.endpoint} has no image of the area from "
            f"{period[0]:%Y-%m-%d} to {period[1]:%Y-%m-%d}: check aoi and event.date, or search "
            "longer with sar.stac.days_after=…"
        )
    choices = {
        direction: choice
        for direction, request in requests.items()
        if (choice := choose_track(tracks, event, direction, request))
    }
    return tracks, choices


def _track_request(config: DictConfig, direction: Pass) -> TrackRequest:
    """Track and dates that options ask for in a pass direction."""
    dates = config.sar.dates[direction]
    if dates is not None:
        dates = [str(date) for date in dates] if OmegaConf.is_list(dates) else [str(dates)]
        key = f"sar.dates.{direction}=[{','.join(dates)}]"
        label_dates(dates[: len(DATES)], key)
    sar = config.sar
    return TrackRequest(sar.relative_orbit[direction], dates, sar.before, sar.after)


def _subsets(
    archive: Archive,
    items: Sequence[ArchiveItem],
    polarisation: str | None,
    where: Box,
    cache: Path,
) -> list[Subset]:
    """Files of a polarisation, or of the DEM (None), in a box."""
    if polarisation is None:
        collection, asset, units = archive.dem_collection, archive.dem_asset, None
        remedy = "name another with sar.stac.dem_asset=…, or give a file with dem=…"
    else:
        collection, asset = archive.collection, archive.asset(polarisation)
        units = archive.units
        remedy = (
            f"name another with sar.stac.assets.{polarisation}=…, or choose other dates with "
            "sar.dates"
        )
    host = urlsplit(archive.endpoint).netloc.replace(":", "_")
    folder = cache / host / collection / "_".join(f"{edge:.3f}" for edge in where)
    # Decibels may be negative and are therefore kept apart.
    ending = f"{asset}_db.tif" if units == "db" else f"{asset}.tif"
    names = [f"{item.id.replace('/', '_')}_{ending}" for item in items]
    return [
        Subset(item.id, asset, item.asset_url(asset, remedy), where, units, folder / name)
        for item, name in zip(items, names, strict=True)
    ]


def _search_dem(archive: Archive, where: Box) -> list[ArchiveItem]:
    """Tiles of the DEM in a box."""
    items = archive.search(archive.dem_collection, where)
    if not items:
        raise InputError(
            f"{archive.dem_collection} of {archive.endpoint} has no elevation of the area: "
            "give a file with dem=…, or name another collection with sar.stac.dem_collection=…"
        )
    return items


def _measured_tiles(
    subsets: list[Subset], present: set[Path], overpass: Overpass
) -> tuple[Tile, ...]:
    """The downloaded files of an overpass and polarisation."""
    paths = [subset.path for subset in subsets if subset.path in present]
    if not count_measured(paths):
        items = ", ".join(subset.item for subset in subsets)
        raise InputError(
            f"asset {subsets[0].asset!r} of {overpass.time:%Y-%m-%d} ({items}) has no measurement "
            "in the area, only fill: choose other dates with sar.dates, or set sar.units=db if its "
            "values are decibels"
        )
    return tuple(Tile(path) for path in paths)


def _acquisition(
    track: Track, overpass: Overpass, tiles: Mapping[str, tuple[Tile, ...]], archive: Archive
) -> Acquisition:
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


def _needed(before: int) -> str:
    """Images that a track must have, for ``before`` dates before the event."""
    if before < MIN_BEFORE:
        return "an image both before and after"
    return "two images, as a stack needs, before"


def _notes(choices: Mapping[Pass, TrackChoice], event: Event, sar: DictConfig) -> Iterator[str]:
    """What a user should know about the choice by the options of ``sar``."""
    for direction in PASSES:
        choice = choices.get(direction)
        if choice is None:
            yield f"{direction}: no track has {_needed(sar.before)} the event"
            continue
        name = f"{direction} track {choice.track.relative_orbit}"
        if len(choice.after) < min(sar.after, len(DATES) - 1):
            time, platform = choice.track.next_overpass(event)
            count = "only one" if choice.after else "no"
            yield (
                f"{name}: {count} image after the event; the next is due on "
                f"{time:%Y-%m-%d}, day {event.days_after(time):.0f} ({platform})"
            )
        if round(choice.coverage, 2) < 1:
            yield f"{name}: its images cover {choice.coverage:.0%} of the area"

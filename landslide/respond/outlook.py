"""What the archive has of an event, what is due, and what a step is made from."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from omegaconf import DictConfig
from shapely.geometry.base import BaseGeometry

import landslide
from landslide.errors import InputError
from landslide.prepare.sources import Event, Pass
from landslide.prepare.stac.acquire import require_area, search_tracks
from landslide.prepare.stac.archive import Archive
from landslide.prepare.stac.overpasses import Overpass, TrackChoice

FIRST_IMAGE = datetime(2014, 4, 3, tzinfo=UTC)
"""Launch of Sentinel-1A."""

POLES = 80.0
"""Degrees of latitude beyond which scenes have no UTM zone in both hemispheres."""


class Flown(NamedTuple):
    """A pass of a satellite over the area.

    Attributes:
        time: When, in UTC.
        platform: Satellite, such as ``S1A``.
        items: The archive's names of its images.
        coverage: Share of the area that they cover, [0, 1].
    """

    time: datetime
    platform: str
    items: tuple[str, ...]
    coverage: float

    @classmethod
    def of(cls, overpass: Overpass) -> "Flown":
        """Read it from the archive's answer."""
        items = tuple(item.id for item in overpass.slices)
        return cls(overpass.time, overpass.platform, items, overpass.coverage)


@dataclass(frozen=True)
class Watch:
    """The track that is watched in one direction of flight.

    Attributes:
        direction: Direction of flight.
        track: Number of the track.
        before: Passes before the event, in order of time.
        after: Passes after it.
        left_out: Passes after it that cover less of the area than those before.
        due: When the next pass is expected.
        platform: Satellite of that pass.
    """

    direction: Pass
    track: int
    before: Sequence[Flown]
    after: Sequence[Flown]
    left_out: Sequence[Flown]
    due: datetime
    platform: str

    @classmethod
    def of(cls, direction: Pass, choice: TrackChoice, event: Event) -> "Watch":
        """Read it from the choice of a track.

        Passes before the event that the archive has not got yet are not waited for.
        """
        passes = (choice.before, choice.after, choice.left_out(event))
        before, after, left_out = (tuple(map(Flown.of, some)) for some in passes)
        due, platform = choice.track.next_overpass(event)
        number = choice.track.relative_orbit
        return cls(direction, number, before, after, left_out, due, platform)


def check_event(event: Event, area: BaseGeometry | None, now: datetime) -> BaseGeometry:
    """Check that Sentinel-1 may have seen an event, and return its area, in EPSG:4326.

    Raises:
        InputError: The event is in the future or before Sentinel-1, or the area is missing, crosses
            the antimeridian or lies at a pole.
    """
    if event.time > now:
        raise InputError(
            f"event.date={event.time:%Y-%m-%dT%H:%MZ} is in the future: check it, in UTC"
        )
    if event.time < FIRST_IMAGE:
        raise InputError(
            f"event.date={event.time:%Y-%m-%d} is before Sentinel-1, whose images begin in 2014: "
            "map it from images of another satellite, with landslide prepare"
        )
    found = require_area(area)
    _, south, _, north = found.bounds
    if north > POLES or south < -POLES:
        raise InputError(
            f"aoi from {south:g} to {north:g} degrees north lies at a pole, where scenes have "
            f"no UTM zone: choose an area within {POLES:g} degrees"
        )
    return found


def look(config: DictConfig, event: Event, area: BaseGeometry) -> list[Watch]:
    """Search the archive for one track in each direction of flight.

    Args:
        config: Composed from ``conf/prepare.yaml``.
        event: The event.
        area: Its area, in EPSG:4326.

    Raises:
        InputError: The archive cannot be searched, or has too few images before the event.
    """
    archive = Archive.of(config)
    _, choices = search_tracks(config, archive, event, area)
    if not choices:
        raise InputError(
            f"{archive.collection} of {archive.endpoint} has no track with two images of the area "
            "before the event: list its dates with landslide prepare … plan=true"
        )
    return [Watch.of(direction, choice, event) for direction, choice in choices.items()]


def name_by_inputs(what: str, *inputs: object) -> str:
    """Name of a folder by what it is made from: equal inputs have equal names."""
    return f"{what}-{digest(landslide.__version__, *inputs)}"


def digest(*inputs: object) -> str:
    """Ten hexadecimal digits of SHA-256 that stand for inputs, which are written as JSON."""
    text = json.dumps(inputs, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def images_of(watches: Sequence[Watch], *, after: bool) -> dict[str, list[str]]:
    """Names of the images of each direction, those after the event on request."""
    return {
        watch.direction: [
            item
            for flown in (*watch.before, *(watch.after if after else ()))
            for item in flown.items
        ]
        for watch in watches
    }

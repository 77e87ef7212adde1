"""From items to overpasses, and which of them show the ground before and after an event."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

import shapely
from shapely.geometry.base import BaseGeometry

from landslide.errors import InputError
from landslide.prepare.sources import DATES, Event, Pass, parse_time
from landslide.prepare.stac.archive import Slice

ONE_PASS = timedelta(hours=1)
"""Slices of one track closer in time than this are of one overpass; an orbit takes 99 minutes."""

CYCLE = timedelta(days=12)
"""After this time a Sentinel-1 satellite flies the same track again."""

AS_GOOD = 0.05
"""Share of the area by which coverage may fall short of the best and count as complete."""

DAY_ANYWHERE = (timedelta(hours=-14), timedelta(hours=36))
"""From when to when, after midnight UTC, a day of the calendar lasts somewhere on Earth."""


@dataclass(frozen=True, eq=False)
class Overpass:
    """Everything one satellite saw of an area while it passed.

    Attributes:
        slices: Items, in order of time and name.
        coverage: Share of the area inside their footprints, [0, 1].
    """

    slices: tuple[Slice, ...]
    coverage: float

    @property
    def time(self) -> datetime:
        """When the first slice was acquired, in UTC."""
        return self.slices[0].time

    @property
    def platform(self) -> str:
        """Satellite, such as ``S1A``."""
        return self.slices[0].platform


@dataclass(frozen=True, eq=False)
class Track:
    """The overpasses of one relative orbit, in order of time."""

    direction: Pass
    relative_orbit: int
    overpasses: tuple[Overpass, ...]

    @property
    def coverage(self) -> float:
        """Coverage of its best overpass, [0, 1]."""
        return max(overpass.coverage for overpass in self.overpasses)

    @property
    def complete(self) -> tuple[Overpass, ...]:
        """Overpasses of which no slice is missing over the area."""
        least = self.coverage - AS_GOOD
        return tuple(overpass for overpass in self.overpasses if overpass.coverage >= least)

    @property
    def next(self) -> tuple[datetime, str]:
        """When it is likely flown next, and by which satellite, if the pattern goes on."""
        last = {overpass.platform: overpass.time for overpass in self.overpasses}
        coming = {time + CYCLE: platform for platform, time in last.items()}
        time = min(time for time in coming if time > self.overpasses[-1].time)
        return time, coming[time]


class Wish(NamedTuple):
    """What a user asks of one pass direction: a track, dates, neither or both."""

    relative_orbit: int | None = None
    dates: Sequence[str] | None = None


class Choice(NamedTuple):
    """A track and its overpass of each of ``DATES``; ``post2`` may be missing."""

    track: Track
    overpasses: Mapping[str, Overpass]

    @property
    def coverage(self) -> float:
        """Coverage of the poorest overpass, [0, 1]."""
        return min(overpass.coverage for overpass in self.overpasses.values())


def tracks_of(slices: Iterable[Slice], aoi: BaseGeometry) -> list[Track]:
    """Sort items into overpasses of tracks, ascending before descending, then by number.

    Args:
        slices: Items of a collection of Sentinel-1 images.
        aoi: Area of interest in EPSG:4326.
    """

    def track(item: Slice) -> tuple[Pass, int]:
        return item.direction, item.relative_orbit

    ordered = sorted(slices, key=lambda item: (*track(item), item.time, item.id))
    return [
        Track(direction, number, tuple(_overpasses(list(items), aoi)))
        for (direction, number), items in groupby(ordered, key=track)
    ]


def _overpasses(slices: Sequence[Slice], aoi: BaseGeometry) -> list[Overpass]:
    """Cut one track's items, in order of time, where time leaps."""
    groups: list[list[Slice]] = []
    for item in slices:
        if groups and item.time - groups[-1][-1].time < ONE_PASS:
            groups[-1].append(item)
        else:
            groups.append([item])
    return [Overpass(tuple(group), _coverage(group, aoi)) for group in groups]


def _coverage(slices: Iterable[Slice], aoi: BaseGeometry) -> float:
    """Share of the area inside footprints, [0, 1]."""
    seen = shapely.union_all([shapely.make_valid(item.footprint) for item in slices])
    return float(seen.intersection(aoi).area / aoi.area)


def side(event: Event, time: datetime) -> str:
    """Say whether a time is ``before`` or ``after`` an event, or ``unsure``.

    Where only the event's day is known, it is the local day somewhere on Earth.
    """
    start, end = (event.time, event.time)
    if not event.exact:
        start, end = (event.time + offset for offset in DAY_ANYWHERE)
    if time < start:
        return "before"
    return "after" if time > end else "unsure"


def choose(tracks: Sequence[Track], event: Event, direction: Pass, wish: Wish) -> Choice | None:
    """Choose the track of a pass direction, and its last date before and first two after.

    Among tracks that cover the area as well as the best one (to 5 % of the area), the one with
    more dates after the event wins, then the one whose dates are complete earlier, then the
    lower number.

    Returns:
        The choice, or None where no track has an image before and one after.

    Raises:
        InputError: What the user wished for is not there.
    """
    mine = [track for track in tracks if track.direction == direction]
    if wish.relative_orbit is not None:
        key = f"sar.relative_orbit.{direction}={wish.relative_orbit}"
        numbers = ", ".join(str(track.relative_orbit) for track in mine) or "none"
        mine = [track for track in mine if track.relative_orbit == wish.relative_orbit]
        if not mine:
            raise InputError(f"{key} has no image of the area; {direction} tracks are: {numbers}")
    if wish.dates is not None:
        choices = _of_dates(mine, direction, wish.dates)
    else:
        choices = [choice for track in mine if (choice := _around(track, event))]
    if not choices:
        return None
    best = max(choice.coverage for choice in choices)
    good = [choice for choice in choices if choice.coverage >= best - AS_GOOD]
    return min(good, key=_rank)


def _rank(choice: Choice) -> tuple[int, datetime, int]:
    """What a choice is judged by: the smallest is best."""
    last = max(overpass.time for overpass in choice.overpasses.values())
    return -len(choice.overpasses), last, choice.track.relative_orbit


def _around(track: Track, event: Event) -> Choice | None:
    """The last complete overpass before an event and the first two after it, if any."""
    before = [each for each in track.complete if side(event, each.time) == "before"]
    after = [each for each in track.complete if side(event, each.time) == "after"]
    if not before or not after:
        return None
    chosen = (before[-1], *after[: len(DATES) - 1])
    return Choice(track, dict(zip(DATES, chosen, strict=False)))


def _of_dates(tracks: Sequence[Track], direction: Pass, dates: Sequence[str]) -> list[Choice]:
    """The tracks that have an overpass of every date.

    Raises:
        InputError: No track has them all.
    """
    key = f"sar.dates.{direction}"
    found = []
    for track in tracks:
        chosen = [_on(track, date, key) for date in dates]
        if all(chosen):
            pairs = zip(DATES, (each for each in chosen if each), strict=False)
            found.append(Choice(track, dict(pairs)))
    if not found:
        held = "; ".join(
            f"track {track.relative_orbit}: "
            + ", ".join(f"{overpass.time:%Y-%m-%d}" for overpass in track.overpasses)
            for track in tracks
        )
        raise InputError(
            f"{key}=[{','.join(dates)}] are not all dates of one track; "
            f"there are {held or f'no {direction} images'}"
        )
    return found


def _on(track: Track, date: str, key: str) -> Overpass | None:
    """The overpass of a day, or within an hour of a time."""
    time = parse_time(date, key)
    if len(date) <= len("2018-09-06"):
        matches = [each for each in track.overpasses if each.time.date() == time.date()]
    else:
        matches = [each for each in track.overpasses if abs(each.time - time) < ONE_PASS]
    return max(matches, key=lambda each: each.coverage, default=None)

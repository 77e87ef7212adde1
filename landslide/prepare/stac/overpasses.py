"""From items to overpasses, and the choice of those before and after an event."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import NamedTuple

import shapely
from shapely.geometry.base import BaseGeometry

from landslide.errors import InputError
from landslide.prepare.dates import MIN_BEFORE, name_dates, sides
from landslide.prepare.sources import DATES, Event, Pass, label_dates, parse_timestamp
from landslide.prepare.stac.archive import ArchiveItem

OVERPASS_GAP = timedelta(hours=1)
"""Slices of one track closer in time than this are of one overpass; an orbit takes 99 minutes."""

CYCLE = timedelta(days=12)
"""After this time a Sentinel-1 satellite flies the same track again."""

MISSED = 3
"""Cycles without an image of a satellite after which it is not expected any more."""

COVERAGE_TOLERANCE = 0.05
"""Share of the area by which coverage may fall short of the best and count as complete."""


@dataclass(frozen=True, eq=False)
class Overpass:
    """All slices of an area that one satellite acquired in one pass.

    Slices are in order of time and name; ``coverage`` is the share of the area in their footprints.
    """

    slices: tuple[ArchiveItem, ...]
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

    def complete(self, event: Event, count: int = 1) -> tuple[Overpass, ...]:
        """Overpasses that cover the area about as well as the best ones before an event.

        An image after it that covers more does not make those before it incomplete.

        Args:
            event: The event.
            count: Number of best ones before it, of which the poorest is the measure.
        """
        before = [o.coverage for o in self.overpasses if event.side_of(o.time) == "before"]
        best = sorted(before or [o.coverage for o in self.overpasses], reverse=True)
        least = best[min(count, len(best)) - 1] - COVERAGE_TOLERANCE
        return tuple(o for o in self.overpasses if o.coverage >= least)

    def next_overpass(self, event: Event) -> tuple[datetime, str]:
        """Expected time and satellite of the next overpass after an event, if the pattern goes on.

        It is later than all that are known. Every satellite repeats its own overpasses, unless it
        has missed the last three.
        """
        newest = self.overpasses[-1].time
        last = {o.platform: o.time for o in self.overpasses if newest - o.time <= MISSED * CYCLE}
        due = []
        for platform, time in last.items():
            while event.side_of(time) != "after" or time <= newest:
                time += CYCLE
            due.append((time, platform))
        return min(due)


class TrackRequest(NamedTuple):
    """What a user asks for in one pass direction; None leaves the track and the dates open.

    ``before`` and ``after`` are the numbers of dates around the event, where dates are open.
    """

    relative_orbit: int | None = None
    dates: Sequence[str] | None = None
    before: int = 1
    after: int = len(DATES) - 1


class TrackChoice(NamedTuple):
    """A track and its overpasses by the names of ``name_dates``."""

    track: Track
    overpasses: Mapping[str, Overpass]

    @property
    def coverage(self) -> float:
        """Coverage of the poorest overpass, [0, 1]."""
        return min(overpass.coverage for overpass in self.overpasses.values())

    @property
    def before(self) -> list[Overpass]:
        """Overpasses before the event, in order of time."""
        return [o for name, o in self.overpasses.items() if sides(self.overpasses)[name] == "pre"]

    @property
    def after(self) -> list[Overpass]:
        """Overpasses after the event, in order of time."""
        return [o for name, o in self.overpasses.items() if sides(self.overpasses)[name] == "post"]

    def left_out(self, event: Event) -> list[Overpass]:
        """Overpasses after the event that cover less of the area than those before it."""
        complete = self.track.complete(event, min(len(self.before), MIN_BEFORE))  # as it was chosen
        after = [o for o in self.track.overpasses if event.side_of(o.time) == "after"]
        return [overpass for overpass in after if overpass not in complete]


def group_tracks(items: Iterable[ArchiveItem], aoi: BaseGeometry) -> list[Track]:
    """Group items into overpasses of tracks, ascending before descending, then by number.

    ``aoi`` is in EPSG:4326.
    """

    def track(item: ArchiveItem) -> tuple[Pass, int]:
        return item.direction, item.relative_orbit

    ordered = sorted(items, key=lambda item: (*track(item), item.time, item.id))
    return [
        Track(direction, number, tuple(_group_overpasses(list(slices), aoi)))
        for (direction, number), slices in groupby(ordered, key=track)
    ]


def _group_overpasses(slices: Sequence[ArchiveItem], aoi: BaseGeometry) -> list[Overpass]:
    """Split one track's items, in order of time, at gaps in time."""
    groups: list[list[ArchiveItem]] = []
    for item in slices:
        if groups and item.time - groups[-1][-1].time < OVERPASS_GAP:
            groups[-1].append(item)
        else:
            groups.append([item])
    covered = [shapely.union_all([shapely.make_valid(i.footprint) for i in g]) for g in groups]
    return [
        Overpass(tuple(group), float(area.intersection(aoi).area / aoi.area))
        for group, area in zip(groups, covered, strict=True)
    ]


def choose_track(
    tracks: Sequence[Track], event: Event, direction: Pass, request: TrackRequest
) -> TrackChoice | None:
    """Choose the track of a pass direction, its last dates before the event and first ones after.

    Among tracks that cover the area as well as the best one (to 5 % of the area), the one with
    more of the dates asked for wins, then the one whose dates are complete earlier, then the
    lower number. A stack may be of a track without an image after the event, if no other that
    covers as much has one; then the track that is flown next wins.

    Returns:
        The choice, or None where no track has an image before (two for a stack) and one after.

    Raises:
        InputError: The archive does not have what the user asked for.
    """
    candidates = [track for track in tracks if track.direction == direction]
    if (number := request.relative_orbit) is not None:
        numbers = ", ".join(str(track.relative_orbit) for track in candidates) or "none"
        candidates = [track for track in candidates if track.relative_orbit == number]
        if not candidates:
            raise InputError(
                f"sar.relative_orbit.{direction}={number} has no image of the area; {direction} "
                f"tracks are: {numbers}"
            )
    if request.dates is not None:
        choices = _choose_by_dates(candidates, event, direction, request)
    else:
        choices = [
            choice for track in candidates if (choice := _choose_by_event(track, event, request))
        ]
    if not choices:
        return None
    best = max(choice.coverage for choice in choices)
    choices = [choice for choice in choices if choice.coverage >= best - COVERAGE_TOLERANCE]
    return min(
        [choice for choice in choices if choice.after] or choices,
        key=lambda c: (
            -len(c.overpasses),
            c.after[-1].time if c.after else c.track.next_overpass(event)[0],
            c.track.relative_orbit,
        ),
    )


def _choose_by_event(track: Track, event: Event, request: TrackRequest) -> TrackChoice | None:
    """The last complete overpasses before an event and the first ones after it.

    A single date before needs one after it.
    """
    needed = min(request.before, MIN_BEFORE)
    complete = track.complete(event, needed)
    before = [each for each in complete if event.side_of(each.time) == "before"]
    after = [each for each in complete if event.side_of(each.time) == "after"]
    if len(before) < needed:
        return None
    if not after and request.before < MIN_BEFORE:
        return None
    chosen = before[-request.before :], after[: request.after]
    return TrackChoice(track, name_dates(*chosen, _day))


def _day(overpass: Overpass) -> date:
    return overpass.time.date()


def _choose_by_dates(
    tracks: Sequence[Track], event: Event, direction: Pass, request: TrackRequest
) -> list[TrackChoice]:
    """The tracks that have an overpass of every date; many dates, or two before, are a stack."""
    key, dates = f"sar.dates.{direction}", request.dates or ()
    choices = []
    for track in tracks:
        chosen = [overpass for text in dates if (overpass := _overpass_on(track, text, key))]
        if len(chosen) == len(dates):
            if request.before == 1 and len(dates) <= len(DATES):
                named = label_dates(chosen, key)
            else:
                named = _name_by_event(chosen, event, key)
            choices.append(TrackChoice(track, named))
    if not choices:
        available = "; ".join(
            f"track {track.relative_orbit}: "
            + ", ".join(f"{overpass.time:%Y-%m-%d}" for overpass in track.overpasses)
            for track in tracks
        )
        raise InputError(
            f"{key}=[{','.join(dates)}] are not all dates of one track; "
            f"there are {available or f'no {direction} images'}"
        )
    return choices


def _name_by_event(chosen: Sequence[Overpass], event: Event, key: str) -> dict[str, Overpass]:
    ordered = sorted(chosen, key=lambda overpass: overpass.time)
    before, after = (
        [o for o in ordered if event.side_of(o.time) == side] for side in ("before", "after")
    )
    if not before or len(before) + len(after) < len(chosen):
        raise InputError(
            f"{key}: a stack needs dates before the event, and none that may be of both sides: "
            "check them, or give event.date with its time"
        )
    return name_dates(before, after, _day)


def _overpass_on(track: Track, text: str, key: str) -> Overpass | None:
    """The overpass of a day, or within an hour of a time."""
    time, exact = parse_timestamp(text, key)
    if exact:
        matches = [each for each in track.overpasses if abs(each.time - time) < OVERPASS_GAP]
    else:
        matches = [each for each in track.overpasses if each.time.date() == time.date()]
    return max(matches, key=lambda each: each.coverage, default=None)

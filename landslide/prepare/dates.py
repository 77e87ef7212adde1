"""The dates of an orbit: their names, their sides of the event, and what a stack of them needs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import TypeVar

from omegaconf import DictConfig

from landslide.errors import InputError
from landslide.prepare.orbit import known_tracks, passes_of_two_tracks
from landslide.prepare.sources import DATES, Acquisition, Event, Pass, Sources
from landslide.radar.stack import Side

T = TypeVar("T")

MIN_BEFORE = 2
"""Dates before the event that a stack needs: one has no scatter."""


def name_dates(
    before: Sequence[T], after: Sequence[T], day_of: Callable[[T], date | None]
) -> dict[str, T]:
    """Name an orbit's images around an event, which are in order of time.

    The last before it and the first two after it have the names of ``DATES``, all others those of
    their days, such as ``20180812``. There may be none after it yet.
    """
    paper = dict(zip(DATES, [*before[-1:], *after[: len(DATES) - 1]], strict=False))
    earlier = {f"{day_of(image):%Y%m%d}": image for image in before[:-1]}
    later = {f"{day_of(image):%Y%m%d}": image for image in after[len(DATES) - 1 :]}
    return earlier | paper | later


def is_stack(dates: Iterable[str]) -> bool:
    """Whether an orbit has more dates than those of the paper."""
    return not set(dates) <= set(DATES)


def sides(dates: Iterable[str]) -> dict[str, Side]:
    """Side of the event of each date of an orbit; names are in order of time."""
    names = list(dates)
    last = names.index(DATES[0])
    return {name: "pre" if index <= last else "post" for index, name in enumerate(names)}


def arrange_dates(sources: Sources, event: Event) -> Sources:
    """Order the dates of stacks by time and name them by the event.

    Raises:
        InputError: A date of a stack is not known, of the event's own day, or given twice, or none
            is before the event.
    """
    orbits = {
        orbit: _arrange(orbit, list(dates.values()), event) if is_stack(dates) else dates
        for orbit, dates in sources.orbits.items()
    }
    return replace(sources, orbits=orbits)


def _arrange(orbit: Pass, images: Sequence[Acquisition], event: Event) -> dict[str, Acquisition]:
    parts: dict[str, list[Acquisition]] = {"before": [], "after": []}
    for image in sorted(images, key=lambda image: _time_key(orbit, image)):
        side = _side(image, event)
        if side not in parts:
            raise InputError(
                f"{image.name} ({image.day}) may be from either side of the event: give event.date "
                "and the image with their time, or leave the image out"
            )
        parts[side].append(image)
    for one, other in pairwise([*parts["before"], *parts["after"]]):
        if one.day == other.day:
            raise InputError(
                f"{one.name} and {other.name} are both of {one.day}: give each date of "
                f"sar.{orbit} once, its tiles as one list"
            )
    if not parts["before"]:
        raise InputError(
            f"none of the {len(images)} dates of sar.{orbit} is before the event "
            f"({event.time:%Y-%m-%d}): check event.date"
        )
    return name_dates(parts["before"], parts["after"], lambda image: image.day)


def _time_key(orbit: Pass, image: Acquisition) -> float:
    if image.time is None:
        raise InputError(
            f"the date of {image.name} is not known, and a stack needs it: give "
            f"sar.dates.{orbit}=[…]"
        )
    return image.time.timestamp()


def _side(image: Acquisition, event: Event) -> str:
    assert image.time is not None
    return event.side_of(image.time, exact=image.exact)


def check_stacks(sources: Sources, config: DictConfig) -> list[str]:
    """Check that every stack is of one track and has enough dates.

    Returns:
        A warning where there are fewer dates than asked for.

    Raises:
        InputError: Dates of several tracks, by their numbers or times of day, only one date before
            the event, or no stack where its dates are to be despeckled.
    """
    warnings, options = [], config.sar
    for orbit, dates in sources.orbits.items():
        if not (is_stack(dates) or options.before > 1):
            if config.despeckle != "none":
                raise InputError(
                    f"despeckle={config.despeckle} is for the dates of a stack, and {orbit} has "
                    "none: add sar.before=8, or leave it out"
                )
            continue
        found = list(sides(dates).values())
        before, after = found.count("pre"), found.count("post")
        if before < MIN_BEFORE:
            raise InputError(
                f"{orbit}: there is one date before the event, and the scatter of a stack needs "
                f"{MIN_BEFORE}: give earlier images, leave sar.dates open, or set sar.before=1 "
                "sar.after=2 for no stack"
            )
        if len(tracks := known_tracks(dates)) > 1:
            raise InputError(
                f"sar.{orbit} has images of tracks {' and '.join(map(str, tracks))}: a stack is of "
                f"one, so choose it with sar.relative_orbit.{orbit}={tracks[0]} or leave the "
                "others out"
            )
        if pair := passes_of_two_tracks(dates):
            one, other = (f"{a.name} ({a.time:%H:%M} UTC)" for a in pair)
            raise InputError(
                f"{one} and {other} are of two tracks, since each passes at its own time of day: "
                f"keep the images of one track in sar.{orbit}, in a folder of their own or by a "
                f"pattern such as '*T{pair[0].time:%H%M}*'"
            )
        for side, have, wanted in (
            ("before", before, options.before),
            ("after", after, options.after),
        ):
            if 0 < have < wanted:  # a note tells of a stack without a date after
                warnings.append(
                    f"{orbit}: {have} of the {wanted} dates that sar.{side} asks for were found "
                    f"{side} the event"
                )
    return warnings

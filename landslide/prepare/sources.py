"""What a scene is made of: the event, the radar images of each orbit and the DEM.

Every way to obtain images (local files, an archive, raw products) ends in ``Sources``: rasters on
the local disk with what is known of them. The following steps do not depend on their origin.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, TypeVar, get_args

from omegaconf import DictConfig

from landslide.errors import InputError

T = TypeVar("T")

Pass = Literal["ascending", "descending"]
PASSES: tuple[Pass, Pass] = ("ascending", "descending")
"""Directions of flight; each makes one composite of a scene."""

DATES = ("pre", "post1", "post2")
"""Names of an orbit's dates in order of time; the last may be missing. The further dates of a stack
are named by their days (``20180812``)."""

LOCAL_DAY = (timedelta(hours=-14), timedelta(hours=36))
"""Begin and end of a calendar day anywhere on Earth, from midnight UTC."""

OVERPASS = timedelta(minutes=15)
"""Frames of one overpass begin within this time."""

Units = Literal["power", "amplitude", "db"]
"""Linear power, its square root, or decibels of power."""


class Timestamp(NamedTuple):
    """A time in UTC, and whether the time of day is known (otherwise it is midnight)."""

    time: datetime
    exact: bool


def parse_timestamp(text: str, key: str) -> Timestamp:
    """Read a day (``2018-09-06``) or a time (``2018-09-05T18:07:59Z``) of ISO 8601 as UTC.

    Raises:
        InputError: It is neither; the message names ``key``.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{key}={text} is not a date: write 2018-09-06 or 2018-09-05T18:07:59Z"
        ) from error
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return Timestamp(time, exact=len(text) > len("2018-09-06"))


def label_dates(images: Sequence[T], key: str) -> dict[str, T]:
    """Give two or three images of an orbit, which are in order of time, the names of ``DATES``.

    Raises:
        InputError: There are not two or three; the message names ``key``.
    """
    if not len(DATES) - 1 <= len(images) <= len(DATES):
        raise InputError(
            f"{key} needs two or three dates, [pre,post1] or [pre,post1,post2], not {len(images)}"
        )
    return dict(zip(DATES, images, strict=False))


@dataclass(frozen=True)
class Event:
    """What is to be mapped, and when it happened.

    Attributes:
        name: Its name, for titles and ``scene.json``.
        time: When it happened, in UTC; midnight where only the day is known.
        exact: Whether the time of day is known.
    """

    name: str
    time: datetime
    exact: bool

    @classmethod
    def of(cls, name: str, date: str) -> Self:
        """Read the event's day or time (UTC unless it names a zone).

        Raises:
            InputError: It is neither.
        """
        return cls(name, *parse_timestamp(date, "event.date"))

    def side_of(
        self, time: datetime, *, exact: bool = True
    ) -> Literal["before", "after", "unsure"]:
        """Return on which side of the event a time lies.

        Where only the event's day is known, it is the local day somewhere on Earth. Where only the
        day of the time is known (not ``exact``), days are compared.
        """
        if not exact:
            days = (time.date() - self.time.date()).days
            return "unsure" if days == 0 else "before" if days < 0 else "after"
        start, end = (self.time, self.time)
        if not self.exact:
            start, end = (self.time + offset for offset in LOCAL_DAY)
        if time < start:
            return "before"
        return "after" if time > end else "unsure"

    def days_after(self, time: datetime) -> float:
        """Days from the event to a time, negative before it.

        Where the event's time of day is unknown these are whole days, and 0 is its own day.
        """
        if self.exact:
            return (time - self.time).total_seconds() / 86400
        return float((time.date() - self.time.date()).days)


class Tile(NamedTuple):
    """One band of a raster file."""

    path: Path
    band: int = 1


@dataclass(frozen=True)
class Acquisition:
    """The images of one orbit and date: one or more tiles per polarisation.

    None means unknown; options may supply it. Where tiles overlap, the first measurement counts.

    Attributes:
        tiles: Rasters by polarisation in lower case (``vv``, ``vh``).
        time: When the first tile was acquired, in UTC.
        exact: Whether the time of day is known.
        direction: Direction of flight.
        relative_orbit: Number of the track, 1 to 175 for Sentinel-1.
        platform: Satellite, such as ``S1A``.
        units: Units of the pixels; None to infer them from names, tags and values.
        product: What the pixels are, such as ``gamma0, terrain-flattened``.
        incidence: Incidence angle on the ellipsoid in degrees at the middle of the area.
        heading: Direction of flight in degrees clockwise from north.
        items: The provider's names of the products, one per tile or slice.
        provider: Origin: an archive's address and collection, or ``files``.
        notes: What a user should know about the choice of its files.
    """

    tiles: Mapping[str, tuple[Tile, ...]]
    time: datetime | None = None
    exact: bool = True
    direction: Pass | None = None
    relative_orbit: int | None = None
    platform: str | None = None
    units: Units | None = None
    product: str | None = None
    incidence: float | None = None
    heading: float | None = None
    items: tuple[str, ...] = ()
    provider: str = "files"
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Tile, ...]:
        """One band of each file."""
        return tuple({t.path: t for tiles in self.tiles.values() for t in tiles}.values())

    @property
    def name(self) -> str:
        """Its first file, for messages."""
        return str(self.files[0].path)

    @property
    def day(self) -> date | None:
        """Day of acquisition, in UTC."""
        return self.time.date() if self.time else None


@dataclass(frozen=True)
class Dem:
    """Elevation above any datum, in one or more tiles; the first valid one counts."""

    tiles: tuple[Tile, ...]
    items: tuple[str, ...] = ()
    provider: str = "files"


@dataclass(frozen=True)
class Sources:
    """Everything but the inventory that a scene is made of, as files on the local disk.

    Attributes:
        orbits: Acquisition of each date (see ``DATES``) by direction, one or both of ``PASSES``.
        dem: Elevation, with a margin around the area where there is one; None without.
        notes: What a user should know about the choice of images; kept in ``scene.json``.
    """

    orbits: Mapping[Pass, Mapping[str, Acquisition]]
    dem: Dem | None
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> list[Tile]:
        """One band of each file."""
        images = [tile for _, _, image in self.images() for tile in image.files]
        return [*images, *(self.dem.tiles if self.dem else ())]

    def images(self) -> Iterator[tuple[Pass, str, Acquisition]]:
        """Direction, name of the date and acquisition of every image."""
        for orbit, dates in self.orbits.items():
            for date_name, acquisition in dates.items():
                yield orbit, date_name, acquisition


def apply_options(sources: Sources, options: DictConfig) -> Sources:
    """Let the options of ``sar`` supply or correct what is known of the images.

    Raises:
        InputError: The number of dates differs from that of the images, or units do not exist.
    """
    units = options.units
    if units not in (None, *get_args(Units)):
        raise InputError(f"sar.units={units} is unknown: choose power, amplitude or db")
    if units is not None and options.source == "safe":
        raise InputError(
            f"sar.units={units} does not apply to raw products, which are calibrated to linear "
            "power: leave it out"
        )
    orbits: dict[Pass, Mapping[str, Acquisition]] = {}
    for orbit, dates in sources.orbits.items():
        given = {key: options[key][orbit] for key in ("relative_orbit", "incidence", "heading")}
        facts = {key: v for key, v in (given | {"units": units}).items() if v is not None}
        # An archive's images are chosen by sar.dates, and their exact time is known.
        days = options.dates[orbit] if options.source != "stac" else None
        days = days or [None] * len(dates)
        if len(days) != len(dates):
            raise InputError(
                f"sar.dates.{orbit} has {len(days)} dates, but {len(dates)} images are given"
            )
        orbits[orbit] = {
            name: replace(image, **facts, **_time_from_option(day, f"sar.dates.{orbit}", image))
            for (name, image), day in zip(dates.items(), days, strict=True)
        }
    return replace(sources, orbits=orbits)


def _time_from_option(day: object, key: str, image: Acquisition) -> dict[str, Any]:
    """Attributes of an image that an option's date changes; a day adds nothing to a time on it."""
    if day is None:
        return {}
    option = parse_timestamp(str(day), key)
    if not option.exact and image.exact and image.day == option.time.date():
        return {}
    if image.day in (None, option.time.date()):
        return option._asdict()
    note = f"its own day is {image.day}, but {key} says {option.time:%Y-%m-%d}, which counts"
    return option._asdict() | {"notes": (*image.notes, note)}

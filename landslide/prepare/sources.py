"""What a scene is made of: the event, the radar images of each orbit, the DEM, the inventory.

Every way to come by images (local files, an archive, raw products) ends in ``Sources``:
rasters on the local disk with what is known of them. What follows does not care where they
came from.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple, Self

from omegaconf import DictConfig
from shapely.geometry.base import BaseGeometry

from landslide.errors import InputError

Pass = Literal["ascending", "descending"]
PASSES: tuple[Pass, Pass] = ("ascending", "descending")
"""Directions of flight; each makes one composite of a scene."""

DATES = ("pre", "post1", "post2")
"""Names of an orbit's dates in time; the last may be missing."""

OVERPASS = timedelta(minutes=15)
"""How far apart frames of one overpass may begin."""

Units = Literal["power", "amplitude", "db"]
"""Linear power, its square root, or decibels of power."""


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
    def of(cls, name: str, moment: str) -> Self:
        """Read a day (``2018-09-06``) or a time (``2018-09-05T18:07:59Z``; UTC unless it says).

        Raises:
            InputError: It is neither.
        """
        exact = len(moment) > len("2018-09-06")
        return cls(name, parse_time(moment, "event.date"), exact)

    def days_after(self, moment: datetime) -> float:
        """Days from the event to a moment, negative before it; whole days if the time is not known.

        0 then means the event's own day, on either side of it.
        """
        if self.exact:
            return (moment - self.time).total_seconds() / 86400
        return float((moment.date() - self.time.date()).days)


def parse_time(moment: str, key: str) -> datetime:
    """Read a day or time of ISO 8601 as UTC.

    Raises:
        InputError: It is neither; names ``key``.
    """
    try:
        time = datetime.fromisoformat(moment)
    except ValueError as error:
        raise InputError(
            f"{key}={moment} is not a date: write 2018-09-06 or 2018-09-05T18:07:59Z"
        ) from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


class Tile(NamedTuple):
    """One band of a raster file."""

    path: Path
    band: int = 1


@dataclass(frozen=True)
class Acquisition:
    """The images of one orbit and date: one or more tiles per polarisation.

    Whatever is None is not known; options may say it. Where tiles overlap, the first that
    has a measurement counts.

    Attributes:
        tiles: Rasters by polarisation in lower case (``vv``, ``vh``).
        time: When the first tile was acquired, in UTC.
        exact: Whether the time of day is known.
        direction: Direction of flight.
        relative_orbit: Number of the track, 1 to 175 for Sentinel-1.
        platform: Satellite, such as ``S1A``.
        units: Units of the pixels; None to tell by names, tags and values.
        product: What the pixels are, such as ``gamma0, terrain-flattened``.
        incidence: Incidence angle on the ellipsoid in degrees at the middle of the area.
        heading: Direction of flight in degrees clockwise from north.
        items: The provider's names of the products, one per tile or slice.
        provider: Where it came from: an archive's address and collection, or ``files``.
        notes: What a user should know of how its files were taken.
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
    def day(self) -> date | None:
        """Day of acquisition, in UTC."""
        return self.time.date() if self.time else None


@dataclass(frozen=True)
class Dem:
    """Elevation above any datum, in metres: one or more tiles, the first valid one counts."""

    tiles: tuple[Tile, ...]
    items: tuple[str, ...] = ()
    provider: str = "files"


@dataclass(frozen=True)
class Sources:
    """Everything a scene is made of, as files on the local disk.

    Attributes:
        orbits: By direction (one or both of ``PASSES``), the acquisition of each of
            ``DATES``, of which ``post2`` may be missing.
        dem: Elevation, with a margin around the area where there is one.
        inventory: Polygons, points or a mask raster; None when only predicting.
    """

    orbits: Mapping[Pass, Mapping[str, Acquisition]]
    dem: Dem
    inventory: Path | None = None
    notes: tuple[str, ...] = field(default=())
    """What a user should know of how these were chosen; printed and kept in ``scene.json``."""


Acquire = Callable[[DictConfig, Event, BaseGeometry | None], Sources]
"""What ``acquire`` of each way to come by images is given.

The whole configuration of ``conf/prepare.yaml``; the event; the area of interest in EPSG:4326
(None where the user names none, so that the images' own extent counts). Where ``config.dem``
is None the way itself should find a DEM. The inventory is always a local file, added later.
"""

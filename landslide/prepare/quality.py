"""A close look at a scene while it is written: statistics of bands, and warnings."""

from collections.abc import Mapping
from datetime import timedelta
from itertools import combinations, pairwise

import numpy as np

from landslide.errors import InputError
from landslide.geo.relief import Float
from landslide.prepare.names import Radiometry
from landslide.prepare.orbit import tracks_of, view
from landslide.prepare.sources import PASSES, Acquisition, Event, Pass, Sources
from landslide.radar.bands import is_backscatter

PLAUSIBLE = (-22.0, -1.0)
"""Median backscatter in dB that land has as a whole; outside, the units are probably wrong."""

LEAST_VALID = 0.5
"""Share of valid pixels below which a band is called mostly invalid."""

DAWN, DUSK = 6.0, 18.0
"""Local solar time in hours at which Sentinel-1 descends and ascends."""


INCIDENCE_ERROR = 2.0
"""Degrees by which an incidence angle may differ from the track's before it is called wrong."""


class Histogram:
    """Counts of a band's values, gathered block by block.

    Args:
        band: Name of the band; backscatter is counted in dB.
    """

    def __init__(self, band: str) -> None:
        self.decibel = is_backscatter(band)
        low, high = (-60, 40) if self.decibel else (0, 360) if band == "aspect" else (0, 180)
        self.edges = np.linspace(low, high, 20 * (high - low) + 1)
        self.counts = np.zeros(len(self.edges) - 1, np.int64)
        self.pixels = self.valid = 0
        self.total = 0.0

    def add(self, values: Float) -> None:
        """Count a block; NaN is invalid."""
        valid = values[np.isfinite(values)].astype(np.float64)
        self.pixels += values.size
        self.valid += valid.size
        self.total += float(valid.sum())
        shown = 10 * np.log10(valid) if self.decibel else valid
        shown = shown.clip(self.edges[0], self.edges[-1])
        self.counts += np.histogram(shown, self.edges)[0]

    @property
    def valid_share(self) -> float:
        """Share of valid pixels."""
        return self.valid / self.pixels if self.pixels else 0.0

    @property
    def mean(self) -> float:
        """Mean of the measurements; that of backscatter is of linear power, in dB."""
        mean = self.total / self.valid if self.valid else np.nan
        return float(10 * np.log10(mean)) if self.decibel else float(mean)

    def percentile(self, percent: float) -> float:
        """Percentile to a twentieth of the unit; NaN without a valid pixel."""
        if not self.valid:
            return float("nan")
        rank = np.searchsorted(np.cumsum(self.counts), percent / 100 * self.valid)
        return float((self.edges[rank] + self.edges[rank + 1]) / 2)

    def summary(self) -> dict[str, float]:
        """What ``scene.json`` says of a band."""
        numbers = {"mean": self.mean} | {f"p{p}": self.percentile(p) for p in (5, 50, 95)}
        known = {name: round(value, 3) for name, value in numbers.items() if np.isfinite(value)}
        return {"valid_share": round(self.valid_share, 6), **known}


def check_dates(sources: Sources, event: Event) -> list[str]:
    """Compare the dates, tracks and passes of the images with the event and each other.

    Returns:
        Warnings.

    Raises:
        InputError: Dates out of order, or an image of the other pass.
    """
    warnings: list[str] = []
    for name, dates in sources.orbits.items():
        for date, acquisition in dates.items():
            if acquisition.direction not in (None, name):
                raise InputError(
                    f"{_file(acquisition)} is {acquisition.direction} by its metadata, but given "
                    f"as {name}: give it as sar.{acquisition.direction}"
                )
            warnings += _side(name, date, acquisition, event)
        for (first, a), (second, b) in combinations(dates.items(), 2):
            if any(tiles == b.tiles.get(polarisation) for polarisation, tiles in a.tiles.items()):
                warnings.append(
                    f"{name}: {first} and {second} are the same pixels ({_file(a)}), between which "
                    "nothing changes: give each date its own image"
                )
        known = [(date, a) for date, a in dates.items() if a.time is not None]
        for (first, a), (second, b) in pairwise(known):
            if a.time is not None and b.time is not None and b.time <= a.time:
                raise InputError(
                    f"the {name} image {second} ({b.time:%Y-%m-%d}) is not later than {first} "
                    f"({a.time:%Y-%m-%d}): give them in order of time, pre, post1, post2"
                )
        if missing := [date for date, a in dates.items() if a.time is None]:
            warnings.append(
                f"{name}: the date of {', '.join(missing)} is not known: give sar.dates.{name}=[…]"
            )
        tracks = tracks_of(dates)
        if len(tracks) > 1:
            warnings.append(
                f"{name}: the dates come from different relative orbits "
                f"({', '.join(map(str, tracks))}): their geometry differs, and what "
                "changes with it looks like change"
            )
    return warnings


def _side(name: Pass, date: str, acquisition: Acquisition, event: Event) -> list[str]:
    if acquisition.time is None:
        return []
    day = f"{acquisition.time:%Y-%m-%d}"
    if event.exact and acquisition.exact:
        days = event.days_after(acquisition.time)
        wrong = days >= 0 if date == "pre" else days <= 0
    else:
        days = float((acquisition.time.date() - event.time.date()).days)
        wrong = days > 0 if date == "pre" else days < 0
        if days == 0:
            return [f"{name}: {date} ({day}) is of the event's own day: give both with their time"]
    if not wrong:
        return []
    return [f"{name}: {date} ({day}) was acquired {'after' if days > 0 else 'before'} the event"]


def check_kinds(sources: Sources) -> list[str]:
    """Compare which backscatter the images of each orbit are, as far as they tell.

    Returns:
        Warnings.

    Raises:
        InputError: Gamma nought and sigma nought, or flattened for terrain and not.
    """
    warnings = []
    for name, dates in sources.orbits.items():
        known = {date: a for date, a in dates.items() if a.product}
        for a, b in combinations(known.values(), 2):
            require_alike(a.product, b.product, _file(a), _file(b))
        kinds = {date: Radiometry.of(a.product) for date, a in known.items()}
        if kinds and len(known) < len(dates):
            silent = [date for date in dates if date not in known]
            date, kind = next(iter(kinds.items()))
            warnings.append(
                f"{name}: {date} is {kind}, and nothing tells what {', '.join(silent)} is: check "
                "that all are of one kind"
            )
        makers = sorted({kind.maker for kind in kinds.values() if kind.maker})
        if len(makers) > 1:
            warnings.append(
                f"{name}: the images are of {' and '.join(makers)}, which treat terrain and noise "
                "each in their own way: what differs looks like change"
            )
    return warnings


def require_alike(one: str | None, other: str | None, file: str, other_file: str) -> None:
    """Refuse images that are known to be of different backscatter.

    Args:
        one: Which backscatter the first is, in words.
        other: Which the second is.
        file: The first, for the message.
        other_file: The second.

    Raises:
        InputError: They are.
    """
    kinds = Radiometry.of(one), Radiometry.of(other)
    if kinds[0].contradicts(kinds[1]):
        raise InputError(
            f"{file} is {kinds[0]} and {other_file} is {kinds[1]}: by slope they differ by several "
            "dB, so give images of one kind"
        )


def check_tracks(sources: Sources, longitude: float, latitude: float) -> list[str]:
    """Warn of tracks from which the area is not seen, or not at the incidence angle told."""
    warnings = []
    for name, dates in sources.orbits.items():
        for track in tracks_of(dates):
            seen = view(track, name, longitude, latitude)
            told = {a.incidence for a in dates.values() if a.incidence is not None}
            wrong = [angle for angle in told if abs(angle - seen.incidence) > INCIDENCE_ERROR]
            if not seen.seen:
                other = PASSES[name == PASSES[0]]
                hint = f"; {other} it does" if view(track, other, longitude, latitude).seen else ""
                warnings.append(
                    f"{name}: from track {track} Sentinel-1 does not see the area while it is "
                    f"{name}{hint}: check pass, place and sar.relative_orbit.{name}"
                )
            elif wrong:
                warnings.append(
                    f"{name}: the incidence angle is told as {wrong[0]:.1f} degrees, but from "
                    f"track {track} it is {seen.incidence:.1f}: check sar.incidence.{name}"
                )
    return warnings


def check_sun(sources: Sources, longitude: float, latitude: float) -> list[str]:
    """Warn where the time of day tells of the other pass: Sentinel-1 descends in the morning."""
    warnings = []
    for name, dates in sources.orbits.items():
        for date, a in dates.items():
            if a.direction is not None or a.time is None or not a.exact or abs(latitude) > 65:
                continue
            solar = a.time + timedelta(hours=longitude / 15)
            hour = solar.hour + solar.minute / 60
            other = "ascending" if name == "descending" else "descending"
            if abs(hour - (DUSK if other == "ascending" else DAWN)) < 3:
                warnings.append(
                    f"{name}: {date} was acquired at {hour:.0f} h local solar time, when "
                    f"Sentinel-1 is {other}: check that the orbits are not swapped"
                )
    return warnings


def check_bands(bands: Mapping[Pass, Mapping[str, Histogram]]) -> list[str]:
    """Warn of bands that are mostly invalid, or whose values no land has."""
    warnings = []
    for name, histograms in bands.items():
        for band, histogram in histograms.items():
            if histogram.valid_share < LEAST_VALID:
                warnings.append(
                    f"{name}: {band} is mostly invalid ({100 * histogram.valid_share:.1f} % valid)"
                )
            median = histogram.percentile(50)
            if histogram.decibel and not PLAUSIBLE[0] <= median <= PLAUSIBLE[1]:
                warnings.append(
                    f"{name}: the median of {band} is {median:.1f} dB, which land hardly has: "
                    "check sar.units"
                )
    return warnings


def _file(acquisition: Acquisition) -> str:
    return str(next(iter(acquisition.tiles.values()))[0].path)

"""Checks of images against the event and each other, and statistics of the written bands."""

from collections.abc import Mapping
from datetime import timedelta
from itertools import combinations, pairwise

import numpy as np

from landslide.errors import InputError
from landslide.geo.extent import pixel_jacobian
from landslide.geo.grid import Grid
from landslide.geo.relief import Float
from landslide.prepare.dates import is_stack, sides
from landslide.prepare.mosaic import open_georeferenced
from landslide.prepare.names import Radiometry
from landslide.prepare.orbit import known_tracks, viewing_geometry
from landslide.prepare.sources import PASSES, Acquisition, Event, Pass, Sources
from landslide.radar.bands import is_backscatter, polarisation_of
from landslide.radar.stack import Side

PLAUSIBLE_MEDIAN = {
    "vv": (-22.0, -1.0),
    "hh": (-22.0, -1.0),
    "vh": (-30.0, -6.0),
    "hv": (-30.0, -6.0),
}
"""Median backscatter of land in dB; outside these ranges the units are probably wrong."""

MIN_VALID = 0.5
"""Share of valid pixels below which a band is called mostly invalid."""

COARSE = 1.5
"""Pixels of a scene that a pixel of its images may span."""

PASS_HOUR: Mapping[Pass, float] = {"ascending": 18.0, "descending": 6.0}
"""Local solar time in hours of Sentinel-1's passes."""

INCIDENCE_ERROR = 2.0
"""Degrees by which an incidence angle may differ from the track's."""


ANY_RANGE = np.geomspace(1e-6, 1e9, 3451)
"""Edges of the bins of positive values of any size, 1 percent wide."""


class Histogram:
    """Counts of a band's values (of backscatter in dB), gathered block by block.

    Args:
        band: Name of the band.
        any_range: Whether its values may be of any size and sign.
    """

    def __init__(self, band: str, *, any_range: bool = False) -> None:
        self.decibel = is_backscatter(band)
        self.any_range = any_range
        low, high = (-60, 40) if self.decibel else (0, 360) if band == "aspect" else (0, 180)
        self.edges = np.linspace(low, high, 20 * (high - low) + 1)
        if any_range:
            self.edges = np.concatenate([-ANY_RANGE[::-1], ANY_RANGE])
        self.counts = np.zeros(len(self.edges) - 1, np.int64)
        self.pixels = self.valid = 0
        self.total = 0.0

    def add(self, values: Float) -> None:
        """Count a block; NaN is invalid."""
        valid = values[np.isfinite(values)].astype(np.float64)
        self.pixels += values.size
        self.valid += valid.size
        self.total += float(valid.sum())
        scaled = 10 * np.log10(valid) if self.decibel else valid
        self.counts += np.histogram(scaled.clip(self.edges[0], self.edges[-1]), self.edges)[0]

    def merge(self, other: "Histogram") -> None:
        """Add the counts of another part of the band."""
        self.pixels, self.valid = self.pixels + other.pixels, self.valid + other.valid
        self.total += other.total
        self.counts += other.counts

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
        """Percentile to a twentieth of the unit or 1 percent of it; NaN without a valid pixel."""
        if not self.valid:
            return float("nan")
        rank = np.searchsorted(np.cumsum(self.counts), percent / 100 * self.valid)
        return float((self.edges[rank] + self.edges[rank + 1]) / 2)

    def summary(self) -> dict[str, float]:
        """Statistics for ``scene.json``."""
        numbers = {"mean": self.mean} | {f"p{p}": self.percentile(p) for p in (5, 50, 95)}
        known = {name: round(value, 3) for name, value in numbers.items() if np.isfinite(value)}
        return {"valid_share": round(self.valid_share, 6), **known}


def check_dates(sources: Sources, event: Event) -> list[str]:
    """Compare the dates, tracks and passes of the images with the event and each other.

    Returns:
        Warnings.

    Raises:
        InputError: Dates are out of order, or an image is of the other pass.
    """
    warnings: list[str] = []
    for orbit, dates in sources.orbits.items():
        side = sides(dates)
        for date, acquisition in dates.items():
            if acquisition.direction not in (None, orbit):
                raise InputError(
                    f"{acquisition.name} is {acquisition.direction} by its metadata, but "
                    f"given as {orbit}: give it as sar.{acquisition.direction}"
                )
            warnings += _check_side_of_event(orbit, date, side[date], acquisition, event)
        for (first, a), (second, b) in combinations(dates.items(), 2):
            if any(tiles == b.tiles.get(polarisation) for polarisation, tiles in a.tiles.items()):
                warnings.append(
                    f"{orbit}: {first} and {second} are the same pixels ({a.name}), so "
                    "nothing changes between them: give each date its own image"
                )
        timed = [(date, a.time) for date, a in dates.items() if a.time is not None]
        for (first, earlier), (second, later) in pairwise(timed):
            if later <= earlier:
                raise InputError(
                    f"the {orbit} image {second} ({later:%Y-%m-%d}) is not later than {first} "
                    f"({earlier:%Y-%m-%d}): give them in order of time, pre, post1, post2"
                )
        if missing := [date for date, a in dates.items() if a.time is None]:
            warnings.append(
                f"{orbit}: the date of {', '.join(missing)} is not known: "
                f"give sar.dates.{orbit}=[…]"
            )
        tracks = known_tracks(dates)
        if len(tracks) > 1:
            warnings.append(
                f"{orbit}: the dates come from different relative orbits "
                f"({', '.join(map(str, tracks))}): the difference in their geometry looks like "
                "change"
            )
    return warnings


def _check_side_of_event(
    orbit: Pass, date: str, side: Side, acquisition: Acquisition, event: Event
) -> list[str]:
    if acquisition.time is None:
        return []
    day = f"{acquisition.time:%Y-%m-%d}"
    before = side == "pre"
    if event.exact and acquisition.exact:
        days = event.days_after(acquisition.time)
        wrong = days >= 0 if before else days <= 0
    else:
        days = float((acquisition.time.date() - event.time.date()).days)
        wrong = days > 0 if before else days < 0
        if days == 0:
            return [f"{orbit}: {date} ({day}) is of the event's own day: give both with their time"]
    if not wrong:
        return []
    return [f"{orbit}: {date} ({day}) was acquired {'after' if days > 0 else 'before'} the event"]


def check_radiometry(sources: Sources) -> list[str]:
    """Compare which backscatter the images of each orbit are, as far as it is known.

    Returns:
        Warnings.

    Raises:
        InputError: Gamma nought and sigma nought, or flattened for terrain and not.
    """
    warnings = []
    for orbit, dates in sources.orbits.items():
        known = {date: a for date, a in dates.items() if a.product}
        for a, b in combinations(known.values(), 2):
            require_same_radiometry(a.product, b.product, a.name, b.name)
        kinds = {date: Radiometry.from_texts(a.product) for date, a in known.items()}
        if kinds and len(known) < len(dates):
            unknown = [date for date in dates if date not in known]
            date, kind = next(iter(kinds.items()))
            warnings.append(
                f"{orbit}: {date} is {kind}, and nothing shows what {', '.join(unknown)} is: check "
                "that all are of one kind"
            )
        processors = sorted({kind.processor for kind in kinds.values() if kind.processor})
        if len(processors) > 1:
            warnings.append(
                f"{orbit}: the images are of {' and '.join(processors)}, which treat terrain and "
                "noise differently: such differences look like change"
            )
    return warnings


def require_same_radiometry(a: str | None, b: str | None, a_file: str, b_file: str) -> None:
    """Refuse images that are known to be of different backscatter.

    ``a`` and ``b`` describe the backscatter in words, the others name the images in the message.

    Raises:
        InputError: They are.
    """
    first, second = Radiometry.from_texts(a), Radiometry.from_texts(b)
    if first.contradicts(second):
        raise InputError(
            f"{a_file} is {first} and {b_file} is {second}: on slopes they differ by several dB, "
            "so give images of one kind"
        )


def check_tracks(sources: Sources, longitude: float, latitude: float) -> list[str]:
    """Warn of tracks that do not see the area, or not at the given incidence angle."""
    warnings = []
    for orbit, dates in sources.orbits.items():
        angles = {a.incidence for a in dates.values() if a.incidence is not None}
        for track in known_tracks(dates):
            view = viewing_geometry(track, orbit, longitude, latitude)
            wrong = [angle for angle in angles if abs(angle - view.incidence) > INCIDENCE_ERROR]
            if not view.in_swath:
                other = PASSES[orbit == PASSES[0]]
                sees = viewing_geometry(track, other, longitude, latitude).in_swath
                hint = f"; {other} it does" if sees else ""
                warnings.append(
                    f"{orbit}: from track {track} Sentinel-1 does not see the area while it is "
                    f"{orbit}{hint}: check pass, place and sar.relative_orbit.{orbit}"
                )
            elif wrong:
                warnings.append(
                    f"{orbit}: the incidence angle is given as {wrong[0]:.1f} degrees, but from "
                    f"track {track} it is {view.incidence:.1f}: check sar.incidence.{orbit}"
                )
    return warnings


def check_posting(sources: Sources, grid: Grid) -> list[str]:
    """Warn of stacks whose images are much coarser than the grid, which then holds copies."""
    warnings = []
    for orbit, dates in sources.orbits.items():
        if not is_stack(dates):
            continue
        with open_georeferenced(dates["pre"].files[0]) as source:
            spans = np.linalg.norm(pixel_jacobian(Grid.of(source), grid), axis=1)
        posting = float(grid.transform.a / spans.mean())
        if posting > COARSE * grid.transform.a:
            warnings.append(
                f"{orbit}: the images have pixels of {posting:.0f} m and the scene of "
                f"{grid.transform.a:g} m, which shows nothing more and looks smooth: set "
                f"grid.resolution={posting:.0f}"
            )
    return warnings


def check_solar_time(sources: Sources, longitude: float, latitude: float) -> list[str]:
    """Warn where the time of day fits the other pass: Sentinel-1 descends in the morning."""
    warnings = []
    for orbit, date, a in sources.images():
        if a.direction is not None or a.time is None or not a.exact or abs(latitude) > 65:
            continue
        solar = a.time + timedelta(hours=longitude / 15)
        hour = solar.hour + solar.minute / 60
        other = PASSES[orbit == PASSES[0]]
        if abs(hour - PASS_HOUR[other]) < 3:
            warnings.append(
                f"{orbit}: {date} was acquired at {hour:.0f} h local solar time, when "
                f"Sentinel-1 is {other}: check that the orbits are not swapped"
            )
    return warnings


def check_bands(bands: Mapping[Pass, Mapping[str, Histogram]]) -> list[str]:
    """Warn of bands that are mostly invalid, or whose values are implausible for land."""
    warnings = []
    for orbit, histograms in bands.items():
        for band, histogram in histograms.items():
            if histogram.valid_share < MIN_VALID:
                warnings.append(
                    f"{orbit}: {band} is mostly invalid ({100 * histogram.valid_share:.1f} % valid)"
                )
            if not histogram.decibel:
                continue
            median, (low, high) = histogram.percentile(50), PLAUSIBLE_MEDIAN[polarisation_of(band)]
            if not low <= median <= high:
                warnings.append(
                    f"{orbit}: the median of {band} is {median:.1f} dB, which is implausible for "
                    "land: check sar.units"
                )
    return warnings

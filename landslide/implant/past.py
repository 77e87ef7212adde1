"""Samples from a scene's quiet past: the event's bands, with landslides that never happened."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landslide.errors import InputError
from landslide.geo.grid import Window
from landslide.geo.metadata import scene_info
from landslide.geo.relief import Float
from landslide.implant.change import (
    ChangedGround,
    draw_openness,
    draw_scar_changes,
    implant,
    incidence_effect,
    on_dates,
)
from landslide.implant.dates import Calendar, Choice, DrawnFor, QuietDates
from landslide.implant.decoys import displace, draw_decoys, offset
from landslide.implant.scars import Chip, ScarSource
from landslide.radar.balance import Balance
from landslide.radar.bands import ORBIT_MARK, band_description, orbit_of, source_bands

MARGIN = 16
"""Pixels around a window that are drawn with it, so that its edge is like the rest."""

RESOLUTION = 20.0
"""Resolution in metres of Sentinel-1's ground-range products and their composites."""

DRAWN = re.compile(
    r"(?:(?P<polarisation>vv|vh|hv|hh)_)?"
    r"(?P<kind>pre|post\d*|pre_mean|post_mean|pre_std|pre_count|post_count)"
)
"""Bands that are made of dates; all others are read from the scene."""

SWARMS = ((0.25, 0, 0), (0.35, 1, 4), (0.25, 5, 20), (0.15, 20, 50))
"""Share of the samples, and fewest and most scars of usual size on ``SWARM_PIXELS``."""

LARGEST = 8.0
"""Factor by which scars of an event may be larger than usual, fewer of them in proportion; events
differ in size, and scars that merge on one slope are mapped as one."""

SWARM_PIXELS = 64**2


@dataclass(frozen=True)
class Implants:
    """What is implanted.

    Attributes:
        mean_area: Mean area of scars in m².
        before: Most dates before a pretended event; None for as many as there are.
        after: Dates after it; None for as many as the event has, at least one.
        outlines: Vector file of a real inventory, whose outlines are taken instead; of anywhere.
        strength: Factor of all changes in decibels; 0 only renews the speckle.
    """

    mean_area: float = 6000.0
    outlines: str | None = None
    before: int | None = None
    after: int | None = None
    strength: float = 1.0


class Ground(NamedTuple):
    """What a scene is like in a window, whatever the date.

    Attributes:
        static: Bands (H, W) that are read from the scene, by name.
        slope: Slope in degrees of the window with ``MARGIN`` around it.
        angles: Local incidence angle of the same in degrees by orbit, where it is known.
    """

    static: Mapping[str, Float]
    slope: Float
    angles: Mapping[str | None, Float]


class Drawn(NamedTuple):
    """A sample.

    Attributes:
        image: (C, H, W) in the units of the files, NaN where not measured.
        landslides: (H, W) booleans, true in implanted scars.
        choices: Dates by orbit; None is the dataset's own.
    """

    image: Tensor
    landslides: NDArray[np.bool_]
    choices: dict[str | None, Choice]


class Track:
    """The dates of one orbit and the bands that are made of them.

    Args:
        root: Scene folder.
        orbit: ``ascending`` or ``descending``.
        bands: Descriptions of the bands, without the orbit.
        implants: Counts of dates.
        limit: Bytes that the dates may take in memory.
    """

    def __init__(
        self, root: Path, orbit: str, bands: Sequence[str], implants: Implants, limit: int
    ) -> None:
        self.bands = {band: match for band in bands if (match := DRAWN.fullmatch(band))}
        found = self.bands.values()
        named = dict.fromkeys(m["polarisation"] for m in found if m["polarisation"])
        self.polarisations = list(named) or ["vv"]
        self.dates = QuietDates(root, orbit, self.polarisations, limit)
        needed = max([1, *map(position_after, found)])
        after = implants.after or max(_dates_after(root, orbit), needed)
        if after < needed:
            raise InputError(
                f"implants.after={after}: the bands {', '.join(bands)} need {needed} dates after "
                "the event: leave it out, or choose a dataset of fewer dates"
            )
        fewest = 2 if any(m["kind"] == "pre_std" for m in found) else 1
        path = str(self.dates.path)
        self.calendar = Calendar(len(self.dates.days), implants.before, after, fewest, path)

    def build(self, before: Float, after: Float, offsets: tuple[Float, Float]) -> dict[str, Float]:
        """Bands (H, W) by description, as ``StackStatistics`` makes them.

        Args:
            before: (D, P, H, W) linear power of the dates before.
            after: The same after.
            offsets: (D, P) decibels by which the dates before and after are brighter than usual.
        """
        built = {}
        for band, match in self.bands.items():
            polarisation, kind = match["polarisation"], match["kind"]
            index = self.polarisations.index(polarisation) if polarisation else 0
            side = 0 if kind.startswith("pre") else 1
            dates, brighter = (before, after)[side][:, index], offsets[side][:, index]
            if kind.endswith("_count"):
                built[band] = np.isfinite(dates).sum(axis=0).astype(np.float32)
            elif kind == "pre_std":
                built[band] = _scatter(dates, brighter)
            elif kind.endswith("_mean"):
                built[band] = _levelled_mean(dates, brighter)
            elif kind == "pre":
                built[band] = dates[-1]
            else:
                built[band] = dates[position_after(match) - 1]
        return built

    def levels(
        self, before: NDArray[np.intp], after: NDArray[np.intp]
    ) -> dict[str, NDArray[np.float64]]:
        """Levels in decibels, (1, 1), of the bands that are backscatter, as maps measure them."""
        levels = {}
        for band, match in self.bands.items():
            kind = match["kind"]
            if match["polarisation"] is None or kind == "pre_std":
                continue
            index = self.polarisations.index(match["polarisation"])
            offsets = self.dates.offsets[before if kind.startswith("pre") else after, index]
            if kind.endswith("_mean"):
                own = 10 * np.log10(np.mean(10 ** (offsets / 10)))
            else:
                own = offsets[-1 if kind == "pre" else position_after(match) - 1]
            levels[band] = np.full((1, 1), self.dates.levels[index] + own, np.float64)
        return levels


class QuietPast:
    """Draws samples of a scene's bands from its dates before the event.

    Args:
        root: Scene folder.
        orbit: The dataset's own orbit.
        bands: The dataset's bands.
        implants: What is implanted.
        limit: Bytes that the dates may take in memory.
        balanced: Whether the dates are balanced, as maps of the network will be.

    Attributes:
        tracks: Dates of each orbit that bands are of; None is the dataset's own.
        static: Bands that are read from the scene.
        spacing: Pixel size in metres.

    Raises:
        InputError: See ``QuietDates`` and ``Calendar``.
    """

    def __init__(
        self,
        root: Path,
        orbit: str,
        bands: Sequence[str],
        implants: Implants,
        *,
        limit: int,
        balanced: bool,
    ) -> None:
        self.bands, self.implants, self.balanced = list(bands), implants, balanced
        sources = list(dict.fromkeys(part for band in bands for part in source_bands(band)))
        drawn = [s for s in sources if DRAWN.fullmatch(band_description(s))]
        self.static = [s for s in sources if s not in drawn]
        self.tracks: dict[str | None, Track] = {}
        for key in dict.fromkeys(orbit_of(s) for s in drawn):
            own = [band_description(s) for s in drawn if orbit_of(s) == key]
            self.tracks[key] = Track(root, key or orbit, own, implants, limit // 2)
        first = next(iter(self.tracks.values()))
        self.grid = first.dates.grid
        self.spacing = float(self.grid.transform.a)
        self.polarisations = list(
            dict.fromkeys(p for track in self.tracks.values() for p in track.polarisations)
        )

    def draw(
        self,
        window: Window,
        ground: Ground,
        scars: ScarSource | None,
        rng: np.random.Generator,
        split: DrawnFor,
        *,
        count: int | None = None,
    ) -> Drawn:
        """Draw a sample.

        Args:
            window: Pixels of the scene.
            ground: What is there.
            scars: Source of scars; None for quiet ground without scars and decoys.
            rng: Source of randomness.
            split: What the sample is for (see ``Calendar``).
            count: Number of scars; None for as many as training draws.
        """
        around = window.padded(MARGIN)
        inside = window.within(around)
        chips = [] if scars is None else self._draw_scars(scars, around, count, rng)
        changes = [*draw_scar_changes(len(chips), self.polarisations, rng)]
        # Decoys come first, so that scars lie on top; all tracks see both at the same places.
        decoys = (
            []
            if scars is None
            else draw_decoys(ground.slope, self.polarisations, self.spacing, rng)
        )
        openness = draw_openness(ground.slope.shape, self.spacing, rng)
        values = dict(ground.static)
        levels: dict[str, NDArray[np.float64]] = {}
        choices = {}
        for key, track in self.tracks.items():
            choice = choices[key] = track.calendar.draw(rng, split)
            before = track.dates.read(around, choice.before)
            after = track.dates.read(around, choice.after)
            if scars is not None:
                own = [self.polarisations.index(p) for p in track.polarisations]
                patches = [
                    ChangedGround(chip, on_dates(change[own], len(after), rng))
                    for chip, change in decoys
                ]
                for chip, change in zip(chips, changes, strict=True):
                    decibels = on_dates(change[own], len(after), rng)
                    if key in ground.angles:
                        decibels = decibels + incidence_effect(ground.angles[key][chip.place], rng)
                    patches.append(ChangedGround(chip, decibels))
                donors = track.dates.read(around, choice.donors)
                after, donors = displace(after, donors, rng)
                after = implant(
                    after,
                    donors,
                    _mean(before),
                    patches,
                    openness,
                    self.spacing,
                    rng,
                    self.implants.strength,
                )
                after = offset(after, rng)
            mark = f"{ORBIT_MARK}{key}" if key else ""
            built = track.build(
                before[..., *inside],
                after[..., *inside],
                (track.dates.offsets[choice.before], track.dates.offsets[choice.after]),
            )
            values |= {name + mark: band for name, band in built.items()}
            own_levels = track.levels(choice.before, choice.after)
            levels |= {name + mark: level for name, level in own_levels.items()}
        image = torch.from_numpy(np.stack([_channel(band, values) for band in self.bands]))
        if self.balanced:
            image = Balance(self.bands, self.grid, levels)(image, window)
        landslides = np.zeros((around.height, around.width), bool)
        for place, coverage in chips:
            landslides[place] |= coverage >= 0.5
        return Drawn(image, landslides[inside], choices)

    def _draw_scars(
        self, scars: ScarSource, window: Window, count: int | None, rng: np.random.Generator
    ) -> list[Chip]:
        """Draw the scars of a sample: none, some, or a swarm."""
        if count is None:
            shares = [share for share, *_ in SWARMS]
            _, fewest, most = SWARMS[rng.choice(len(SWARMS), p=shares)]
            area = max(window.height * window.width / SWARM_PIXELS, 1.0)
            factor = LARGEST ** rng.uniform()
            count = math.ceil(rng.integers(fewest, most + 1) * area / factor)
        else:
            factor = 1.0
        chips = scars.draw(window, count, rng, factor)
        # A scar that covers half of no pixel would change the image without being in the mask.
        return [chip for chip in chips if (chip.coverage >= 0.5).any()]


def _channel(band: str, values: Mapping[str, Float]) -> Float:
    """A channel from the bands that it is made of."""
    first, *second = (values[part] for part in source_bands(band))
    if not second:
        return first
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = first / second[0]
    return np.where(np.isfinite(quotient) & (quotient > 0), quotient, np.nan).astype(np.float32)


def position_after(match: re.Match[str]) -> int:
    """Which date after the event a band needs, from 1; 0 if any will do."""
    number = match["kind"].removeprefix("post")
    if match["kind"] == "post":
        return 1
    return int(number) if number.isdigit() else 0


def _dates_after(root: Path, orbit: str) -> int:
    """Number of dates after the event that a scene's stack has."""
    stack = scene_info(root).get("stack") or {}
    return sum(date.get("side") == "post" for date in stack.get(orbit, []))


def _mean(dates: Float) -> Float:
    """Mean of the dates (D, …) that measured a pixel; NaN where none did."""
    known = np.isfinite(dates)
    total, count = np.where(known, dates, 0).sum(axis=0), known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _levelled_mean(dates: Float, offsets: Float) -> Float:
    """Mean of dates (D, H, W); where some are missing, with the mean offset of all."""
    mean, complete = _mean(dates), np.isfinite(dates).all(axis=0)
    if complete.all():
        return mean
    gains = (10 ** (offsets / 10)).astype(np.float32)
    levelled = _mean(dates / gains[:, None, None]) * gains.mean()
    return np.where(complete, mean, levelled)


def _scatter(dates: Float, offsets: Float) -> Float:
    """Standard deviation in decibels (H, W) of dates (D, H, W) without their offsets."""
    decibels = 10 * np.log10(dates) - offsets[:, None, None]
    known = np.isfinite(decibels)
    count = known.sum(axis=0)
    deviation = np.where(known, decibels - _mean(decibels), 0)
    variance = np.square(deviation).sum(axis=0) / np.maximum(count - 1, 1)
    return np.where(count > 1, np.sqrt(variance), np.nan).astype(np.float32)

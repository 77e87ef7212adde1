"""Stacks: every date of an orbit in one file, and the bands that are made of its dates.

``<scene>/dates/<orbit>.tif`` holds backscatter in linear power on the grid of the scene, NaN where
it was not measured, in bands such as ``vv_20180905`` and ``vh_20180905`` in order of time.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from landslide.geo.relief import Float
from landslide.radar.bands import BACKSCATTER
from landslide.radar.statistics import DateStatistics

Side = Literal["pre", "post"]

DATES_FOLDER = "dates"


def dates_path(root: Path, orbit: str) -> Path:
    """File that holds every date of an orbit of a scene."""
    return root / DATES_FOLDER / f"{orbit}.tif"


def date_band(polarisation: str, day: date) -> str:
    """Description of the band of a date, such as ``vv_20180905``."""
    return f"{polarisation}_{day:%Y%m%d}"


def read_dates(descriptions: Sequence[str | None]) -> dict[date, dict[str, str]]:
    """Find the dates among the bands of a file.

    Returns:
        Description of the band of each polarisation by date, in order of time.
    """
    dates: dict[date, dict[str, str]] = {}
    for description in filter(None, descriptions):
        found = BACKSCATTER.fullmatch(description)
        if found and (found["date"] or "").isdigit():
            day = datetime.strptime(found["date"], "%Y%m%d").date()
            dates.setdefault(day, {})[found["polarisation"].lower()] = description
    return dict(sorted(dates.items()))


def stack_bands(polarisations: Sequence[str]) -> list[str]:
    """Bands that a stack of dates adds to a scene's composite, in the order of the file."""
    bands = [f"{p}_{name}" for p in polarisations for name in ("pre_mean", "post_mean", "pre_std")]
    return [*bands, "pre_count", "post_count"]


class StackStatistics:
    """The bands of a stack from dates that are added one after another.

    Args:
        shape: (H, W) of every image.
        polarisations: Polarisations of every date, such as ``vv`` and ``vh``.
    """

    def __init__(self, shape: tuple[int, int], polarisations: Sequence[str]) -> None:
        self._sides: dict[Side, dict[str, DateStatistics]] = {
            side: {p: DateStatistics(shape) for p in polarisations} for side in ("pre", "post")
        }

    def add(
        self, side: Side, images: Mapping[str, Float], offsets: Mapping[str, float] | None = None
    ) -> None:
        """Add a date before (``pre``) or after (``post``) the event.

        Args:
            side: Which of the two.
            images: (H, W) linear power of each polarisation; NaN, zero and below are not measured.
            offsets: Decibels by which each polarisation of the whole date is brighter than usual;
                the scatter leaves them out, and so do means of pixels that not all dates measured.
                None where they are not known.
        """
        for polarisation, image in images.items():
            offset = (offsets or {}).get(polarisation, 0.0)
            self._sides[side][polarisation].add(image, offset)

    def bands(self) -> dict[str, Float]:
        """Bands (H, W) float32 by name, in the order of ``stack_bands``.

        Means are in linear power and NaN where no date measured. The scatter ``pre_std`` is in
        decibels, without the offsets of whole dates, and NaN below two dates. Counts are of the
        first polarisation and 0 where no date measured.
        """
        before, after = self._sides["pre"], self._sides["post"]
        bands = {}
        for polarisation in before:
            bands[f"{polarisation}_pre_mean"] = before[polarisation].mean
            bands[f"{polarisation}_post_mean"] = after[polarisation].mean
            bands[f"{polarisation}_pre_std"] = before[polarisation].scatter
        for side, statistics in self._sides.items():
            bands[f"{side}_count"] = next(iter(statistics.values())).count.astype("float32")
        return bands

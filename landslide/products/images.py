"""The radar images that a map was made from, as its scene describes them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from landslide.models.detectors import ANOMALY
from landslide.radar.bands import (
    ORBIT_MARK,
    acquisition_of,
    backscatter_bands,
    band_description,
    is_backscatter,
    orbit_of,
    source_bands,
)

Phase = Literal["pre", "post"]

STACKED = ("_mean", ANOMALY)
"""Ends of the names of bands that are made from all dates of a stack."""


class Image(NamedTuple):
    """A radar image, whatever its polarisations.

    Attributes:
        orbit: Orbit of the scene's composite that it belongs to.
        date: Day (ISO 8601), where it is known.
        time: Time in UTC (ISO 8601), where it is known.
        phase: Whether it was taken before or after the event, where it is known.
        sensor: Mission, such as ``Sentinel-1``.
    """

    orbit: str
    date: str | None
    time: str | None
    phase: Phase | None
    sensor: str


def dates_of(bands: Sequence[str], info: Mapping[str, Any], orbit: str) -> dict[str, str]:
    """ISO 8601 date of each backscatter band, where it is known.

    Args:
        bands: Input bands of a model.
        info: Content of ``scene.json``.
        orbit: Orbit of bands that name none.
    """
    known = info.get("dates") or {}
    dates = {
        image: (known.get(orbit_of(image) or orbit) or {}).get(band_description(image))
        for image in backscatter_bands(bands)
    }
    return {image: date for image, date in dates.items() if date}


def list_images(bands: Sequence[str], info: Mapping[str, Any], orbit: str) -> list[Image]:
    """Images that bands were made from: one for each date, all dates of a stack for its means.

    Args:
        bands: Input bands of a model.
        info: Content of ``scene.json``.
        orbit: Orbit of bands that name none.
    """
    sensor = str(info.get("sensor") or "Sentinel-1")
    dates = dates_of(bands, info, orbit)
    parts = dict.fromkeys(part for band in bands for part in source_bands(band))
    images: dict[tuple[str, str], list[Image]] = {}
    for band in parts:
        own, stacked = orbit_of(band) or orbit, band_description(band).endswith(STACKED)
        entries = (info.get("stack") or {}).get(own)
        if stacked and entries:
            images[own, "stack"] = [
                Image(own, entry["date"], entry.get("time"), entry["side"], sensor)
                for entry in entries
            ]
        elif is_backscatter(band):
            name = acquisition_of(band).partition(ORBIT_MARK)[0]
            described = ((info.get("images") or {}).get(own) or {}).get(name) or {}
            time = described.get("time") or ""
            day = f"{name[:4]}-{name[4:6]}-{name[6:]}" if name.isdigit() else None
            date, exact = dates.get(band, day), time if "T" in time else None
            images.setdefault((own, name), [Image(own, date, exact, _phase_of(name), sensor)])
    return [image for group in images.values() for image in group]


def describe_images(images: Sequence[Image]) -> list[str]:
    """One line for each mission and orbit: its days before and after the event."""
    lines = []
    for sensor, orbit in dict.fromkeys((image.sensor, image.orbit) for image in images):
        own = [image for image in images if (image.sensor, image.orbit) == (sensor, orbit)]
        days = {
            words: list(dict.fromkeys(image.date for image in own if image.phase == phase))
            for phase, words in (("pre", "before"), ("post", "after"))
        }
        parts = [f"{_span(dates)} {words}" for words, dates in days.items() if dates]
        if parts:
            lines.append(f"{sensor} {orbit}: {', '.join(parts)}")
    return lines


def _span(dates: Sequence[str | None]) -> str:
    """Days in words: one or two, or how many from the first to the last."""
    known = sorted(date for date in dates if date)
    if len(known) < len(dates):
        return "undated"
    if len(known) <= 2:
        return " and ".join(known)
    return f"{known[0]} to {known[-1]} ({len(known)} dates)"


def _phase_of(name: str) -> Phase | None:
    if name.startswith("pre"):
        return "pre"
    return "post" if name.startswith("post") else None

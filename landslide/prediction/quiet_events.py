"""Quiet events: a scene as if an event lay between its dates before the real one.

Some dates before the event are taken as if they came after one, and others as if they came before
it. Nothing failed between them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio

from landslide.geo.grid import TILE_SIZE, Grid, Window
from landslide.geo.rasters import raster_profile
from landslide.geo.relief import Float
from landslide.models.detectors import ANOMALY
from landslide.radar.bands import backscatter_bands, band_description
from landslide.radar.stack import (
    DATES_FOLDER,
    Side,
    StackStatistics,
    dates_path,
    read_dates,
    stack_bands,
)

MAX_PIXELS = 2_000_000
"""Pixels of a scene that each event is tried on, at most, in blocks evenly over the scene."""

BLOCK_SIDE = 2 * TILE_SIZE
"""Side in pixels of these blocks."""


class QuietEvent(NamedTuple):
    """An orbit's composite as if an event lay between its quiet dates.

    Attributes:
        after: Days that are taken as after the event.
        before: Number of dates that are taken as before it.
        bands: Names of the bands that the dates make.
        compute: From a window of the scene to these bands, (H, W) each.
    """

    after: tuple[date, ...]
    before: int
    bands: Sequence[str]
    compute: Callable[[Window], Sequence[Float]]


def quiet_anomaly_path(root: Path, orbit: str) -> Path:
    """File of an orbit's anomaly in quiet events, in bands such as ``anomaly_20180823``.

    A band is named by the days that are taken as after the event. Only sampled blocks are known.
    """
    return root / DATES_FOLDER / f"{orbit}_{ANOMALY}.tif"


def quiet_anomaly_band(after: Sequence[date]) -> str:
    """Name of a band of this file."""
    return "_".join([ANOMALY, *(f"{day:%Y%m%d}" for day in after)])


def list_quiet_events(
    bands: Sequence[str], root: Path, orbit: str, info: Mapping[str, Any]
) -> list[QuietEvent]:
    """Quiet events of an orbit, in order of time.

    Args:
        bands: Bands that a detector reads.
        root: Scene folder.
        orbit: The orbit.
        info: Content of ``scene.json``, whose ``stack`` says which dates are before the event.

    Returns:
        Events, each with as many dates after as the real one has, or half of those before it;
        empty where the detector reads neither stacks nor the anomaly, or the scene keeps no dates.
    """
    entries = (info.get("stack") or {}).get(orbit) or []
    images = [band_description(band) for band in backscatter_bands(bands)]
    if images and all(image.endswith(("_pre_mean", "_post_mean")) for image in images):
        return _events_of_stack(dates_path(root, orbit), entries)
    if not images and ANOMALY in map(band_description, bands):
        return _events_of_anomaly(quiet_anomaly_path(root, orbit), entries)
    return []


def quiet_runs(days: Sequence[date], after: int) -> list[tuple[date, ...]]:
    """Runs of consecutive days, each of which plays the days after an event.

    Args:
        days: Days before the event.
        after: Number of days after it; at most half of those before it are taken.
    """
    length = max(min(after, len(days) // 2), 1)
    return [tuple(days[start : start + length]) for start in range(len(days) - length + 1)]


def _events_of_stack(file: Path, entries: Sequence[Mapping[str, Any]]) -> list[QuietEvent]:
    """Events of a detector of stacks, which takes all other dates as before."""
    if not file.exists():
        return []
    sides = {date.fromisoformat(entry["date"][:10]): entry for entry in entries}
    with rasterio.open(file) as source:
        dates = read_dates(source.descriptions)
    known = {day: dates[day] for day in dates if day in sides and sides[day]["side"] == "pre"}
    if len(known) < 2:
        return []
    offsets = {day: sides[day].get("offset_db") for day in known}
    bands = stack_bands(list(dict.fromkeys(p for names in known.values() for p in names)))
    runs = quiet_runs(list(known), sum(entry["side"] == "post" for entry in entries))
    if len(known) == 2 * len(runs[0]):
        runs = runs[1:]  # the first is the last one with before and after exchanged
    return [
        QuietEvent(
            run, len(known) - len(run), bands, partial(_compute_stack, file, known, offsets, run)
        )
        for run in runs
    ]


def _compute_stack(
    file: Path,
    known: Mapping[date, Mapping[str, str]],
    offsets: Mapping[date, Mapping[str, float] | None],
    after: Sequence[date],
    window: Window,
) -> list[Float]:
    """Bands of a stack whose dates ``after`` are taken as after the event."""
    polarisations = list(dict.fromkeys(p for names in known.values() for p in names))
    statistics = StackStatistics((window.height, window.width), polarisations)
    with rasterio.open(file) as source:
        for day, names in known.items():
            images = {
                p: source.read(source.descriptions.index(name) + 1, window=window.to_rasterio())
                for p, name in names.items()
            }
            side: Side = "post" if day in after else "pre"
            statistics.add(side, images, offsets[day])
    return list(statistics.bands().values())


def _events_of_anomaly(file: Path, entries: Sequence[Mapping[str, Any]]) -> list[QuietEvent]:
    """Events that ``landslide anomaly`` has computed."""
    if not file.exists():
        return []
    before = sorted(entry["date"][:10] for entry in entries if entry["side"] == "pre")
    events = []
    with rasterio.open(file) as source:
        for number, name in enumerate(source.descriptions, start=1):
            days = [datetime.strptime(day, "%Y%m%d").date() for day in re.findall(r"\d{8}", name)]
            earlier = sum(day < days[0].isoformat() for day in before)
            compute = partial(_read_anomaly, file, number)
            events.append(QuietEvent(tuple(days), earlier, [ANOMALY], compute))
    return events


def _read_anomaly(file: Path, number: int, window: Window) -> list[Float]:
    with rasterio.open(file) as source:
        return [source.read(number, window=window.to_rasterio())]


def write_composite(event: QuietEvent, bands: Sequence[str], composite: Path, folder: Path) -> None:
    """Write an orbit's composite of a quiet event: what its dates make, and the scene's terrain.

    Args:
        event: The event.
        bands: Bands that a detector reads.
        composite: The orbit's composite in the scene.
        folder: Where it is written, under the same name, in sampled blocks only.
    """
    with ExitStack() as files:
        scene = files.enter_context(rasterio.open(composite))
        needed = {*map(band_description, bands), "slope", "aspect", "layover_shadow"}
        terrain = [n for n in scene.descriptions if n in needed and n not in event.bands]
        names, grid = (*event.bands, *terrain), Grid.of(scene)
        profile = raster_profile(grid, "float32", len(names), np.nan)
        for option in ("compress", "predictor"):  # the file is read once
            del profile[option]
        profile |= {"sparse_ok": True}
        sink = files.enter_context(rasterio.open(folder / composite.name, "w", **profile))
        sink.descriptions = names
        for block in sampled_blocks(grid).values():
            window = block.to_rasterio()
            numbers = [scene.descriptions.index(name) + 1 for name in terrain]
            layers = [*event.compute(block), *(scene.read(n, window=window) for n in numbers)]
            sink.write(np.stack(layers).astype(np.float32), window=window)


def sampled_blocks(grid: Grid) -> dict[int, Window]:
    """Blocks of a scene by number, as many as hold ``MAX_PIXELS``, evenly."""
    blocks = grid.blocks(BLOCK_SIDE)
    count = min(len(blocks), max(1, MAX_PIXELS // BLOCK_SIDE**2))
    picks = np.linspace(0, len(blocks) - 1, count).round().astype(int)
    return {int(pick): blocks[pick] for pick in picks}

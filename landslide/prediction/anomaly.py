"""The band ``anomaly`` of a scene, from its dates: balanced, at 30 m, on the scene's grid."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rich.progress import track
from torch import nn

from landslide.errors import InputError
from landslide.geo.files import replacing
from landslide.geo.grid import Grid, Window
from landslide.geo.metadata import scene_info
from landslide.geo.rasters import raster_profile, read_reduced
from landslide.geo.relief import Float
from landslide.models.anomaly import POLARISATIONS, POSTING, load_transformer, measure_anomaly
from landslide.models.detectors import ANOMALY
from landslide.prediction.quiet_events import (
    quiet_anomaly_band,
    quiet_anomaly_path,
    quiet_runs,
    sampled_blocks,
)
from landslide.radar.bands import ORBITS, described_bands, require_dates_after
from landslide.radar.stack import Side, dates_path, read_dates
from landslide.radar.unchanged import unchanged_difference

TILE, HALO = 256, 32
"""Side of a tile at 30 m and the pixels around it that despeckling and windows of 16 px need."""

SAMPLE_SIDE, LOOKS = 1024, 4
"""Longest side of the reduced images that whole dates are balanced by, and the least number of
pixels along a side that one of theirs averages, so that speckle hides no unchanged ground."""


Sides = Mapping[Side, Mapping[date, Mapping[str, int]]]
"""Band numbers by polarisation of the dates before and after an event, in order of time."""


def add_anomaly(root: Path, quiet: int = 0) -> list[Path]:
    """Write the band ``anomaly`` to every orbit of a scene that keeps its dates.

    Args:
        root: Scene folder. An earlier band is replaced; the composite is written anew.
        quiet: Number of quiet events that the anomaly is measured for as well: the last dates
            before the event are taken as if they came after one. See ``quiet_anomaly_path``.

    Returns:
        The composites that have the band now.

    Raises:
        InputError: The package of the network is missing, or no orbit has dates in VV and VH, two
            before the event and one after it.
    """
    network, written = load_transformer(), []
    for orbit in ORBITS:
        if not dates_path(root, orbit).exists():
            continue
        with rasterio.open(dates_path(root, orbit)) as dates:
            sides = _sides(root, orbit, dates)
            if len(sides["pre"]) < 2 or not sides["post"]:
                continue
            stack = _Stack(dates, sides, network)
            _write_quiet_events(quiet_anomaly_path(root, orbit), stack, quiet)
            _rewrite(root / f"{orbit}.tif", stack)
        written.append(root / f"{orbit}.tif")
    if not written:
        for orbit in ORBITS:
            if (root / f"{orbit}.tif").exists():
                require_dates_after(described_bands(root / f"{orbit}.tif"), str(root))
        raise InputError(
            f"{root} has no dates/<orbit>.tif with two dates before the event and one after it in "
            "VV and VH: prepare it with sar.before=3 or more and sar.polarisations=[vv,vh]"
        )
    return written


def _sides(root: Path, orbit: str, dates: DatasetReader) -> Sides:
    """Dates of an orbit that have both polarisations."""
    entries = (scene_info(root).get("stack") or {}).get(orbit) or []
    sides = {entry["date"][:10]: entry["side"] for entry in entries}
    found: dict[Side, dict[date, dict[str, int]]] = {"pre": {}, "post": {}}
    for day, names in read_dates(dates.descriptions).items():
        if set(POLARISATIONS) <= set(names) and (side := sides.get(day.isoformat())) in found:
            numbers = {p: dates.descriptions.index(names[p]) + 1 for p in POLARISATIONS}
            found[side][day] = numbers
    return found


class _Stack:
    """The dates of an orbit, and the network that reads them.

    Args:
        dates: Their opened raster.
        sides: Dates before and after the event.
        network: See ``load_transformer``.
    """

    def __init__(self, dates: DatasetReader, sides: Sides, network: nn.Module) -> None:
        self.dates, self.sides, self.network = dates, sides, network
        self.grid = Grid.of(dates)
        self.factor = max(1, round(POSTING / self.grid.pixel_area**0.5))

    def anomaly(self, windows: Sequence[Window], sides: Sides, title: str) -> Iterator[Float]:
        """Anomaly of windows of the scene, of which a bar shows the progress.

        Args:
            windows: Their corners are multiples of the pixels that are averaged to 30 m.
            sides: Dates that are taken as before and after an event.
            title: Title of the bar.
        """
        offsets = _offsets(self.dates, sides)
        for window in track(windows, title, transient=True):
            yield _tile(self, sides, offsets, window)


def _rewrite(composite: Path, stack: _Stack) -> None:
    """Write a composite anew with its anomaly as the last band."""
    tiles = stack.grid.blocks(TILE * stack.factor)
    with ExitStack() as files:
        source = files.enter_context(rasterio.open(composite))
        kept = [i for i, name in enumerate(source.descriptions, start=1) if name != ANOMALY]
        profile = raster_profile(stack.grid, "float32", len(kept) + 1, np.nan)
        temporary = files.enter_context(replacing(composite))
        with rasterio.open(temporary, "w", **profile) as sink:
            sink.descriptions = (*(source.descriptions[i - 1] for i in kept), ANOMALY)
            sink.update_tags(**source.tags())
            found = stack.anomaly(tiles, stack.sides, f"Anomaly, {composite.stem}")
            for tile, values in zip(tiles, found, strict=True):
                window = tile.to_rasterio()
                bands = [*source.read(kept, window=window), values]
                sink.write(np.stack(bands).astype(np.float32), window=window)


def _write_quiet_events(path: Path, stack: _Stack, count: int) -> None:
    """Write the anomaly of quiet events in sampled blocks; remove an earlier file without any."""
    events = _quiet_sides(stack.sides, count)
    if not events:
        path.unlink(missing_ok=True)
        return
    blocks = list(sampled_blocks(stack.grid).values())
    profile = raster_profile(stack.grid, "float32", len(events), np.nan)
    profile |= {"sparse_ok": True, "interleave": "band"}
    with replacing(path) as temporary, rasterio.open(temporary, "w", **profile) as sink:
        sink.descriptions = tuple(quiet_anomaly_band(list(event["post"])) for event in events)
        for number, event in enumerate(events, start=1):
            title = f"Quiet dates {number} of {len(events)}, {path.stem}"
            found = stack.anomaly(blocks, event, title)
            for block, values in zip(blocks, found, strict=True):
                sink.write(values, number, window=block.to_rasterio())


def _quiet_sides(sides: Sides, count: int) -> list[Sides]:
    """The last events, in order of time, as if dates before the event came after another one.

    No two of them share a date. The network predicts the next image. Therefore only earlier dates
    are taken as before.
    """
    before = dict(sides["pre"])
    days = list(before)
    runs = [run for run in quiet_runs(days, len(sides["post"])) if days.index(run[0]) >= 2]
    runs = sorted(runs[:: -len(runs[0])]) if runs else []
    return [
        {
            "pre": {day: before[day] for day in days if day < run[0]},
            "post": {day: before[day] for day in run},
        }
        for run in runs[max(len(runs) - count, 0) :]
    ]


def _offsets(dates: DatasetReader, sides: Sides) -> dict[int, float]:
    """Brightness in dB of every band of dates against the mean of the dates before."""
    offsets, side = {}, min(SAMPLE_SIDE, max(dates.shape) // LOOKS)
    before, after = sides["pre"].values(), sides["post"].values()
    for p in POLARISATIONS:
        reduced = {
            date[p]: _decibels(read_reduced(dates, date[p], side, Resampling.average))
            for date in (*before, *after)
        }
        with np.errstate(invalid="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # pixels that no date measured
            reference = np.nanmean([reduced[date[p]] for date in before], axis=0)
        for number, image in reduced.items():
            difference = (image - reference)[np.isfinite(image - reference)]
            if not difference.size:
                raise InputError(
                    f"{dates.name}: {dates.descriptions[number - 1]} shares no ground with the "
                    "dates before the event and cannot be balanced: leave that date out"
                )
            offsets[number] = unchanged_difference(difference)
    return offsets


def _decibels(power: np.ma.MaskedArray[Any, Any]) -> Float:
    filled = power.filled(np.nan)
    return 10 * np.log10(np.where(filled > 0, filled, np.nan))


def _tile(stack: _Stack, sides: Sides, offsets: Mapping[int, float], tile: Window) -> Float:
    """Anomaly of a tile of the scene, computed at 30 m with a halo."""
    around = stack.grid.clip(tile.padded(HALO * stack.factor))

    def read(side: Side) -> list[dict[str, Float]]:
        return [
            {
                p: _average(
                    stack.dates.read(n, window=around.to_rasterio()) / 10 ** (offsets[n] / 10),
                    stack.factor,
                )
                for p, n in numbers.items()
            }
            for numbers in sides[side].values()
        ]

    coarse = measure_anomaly(stack.network, read("pre"), read("post"))
    fine = coarse.repeat(stack.factor, axis=0).repeat(stack.factor, axis=1)
    return fine[tile.within(around)]


def _average(power: Float, factor: int) -> Float:
    """Means of blocks of pixels that were measured; NaN where none was."""
    if factor == 1:
        return power
    rows, cols = (-side % factor for side in power.shape)
    padded = np.pad(power, ((0, rows), (0, cols)), constant_values=np.nan)
    height, width = (side // factor for side in padded.shape)
    blocks = padded.reshape(height, factor, width, factor)
    measured = np.isfinite(blocks) & (blocks > 0)
    total = np.where(measured, blocks, 0).sum(axis=(1, 3))
    count = measured.sum(axis=(1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)

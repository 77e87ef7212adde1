"""Quiet ground that detectors map at a stated rate of false alarms, on real Sentinel-1 bursts.

``python benchmarks/detector_alarms.py [--rate 0.01] [--output rates.json]``

The images are 21 dates of four hilly bursts on which nothing failed (OPERA RTC-S1,
``opera_rtc_quiet`` in the folder that LANDSLIDE_SHARED_DATA names). A scene has consecutive dates
before an event and one or two after it; the event is moved along the dates. The threshold knows the
dates before and the median of the map. Every mapped pixel is a false alarm.
"""

import argparse
import json
import logging
import os
import re
import tempfile
from collections.abc import Sequence
from datetime import date, datetime
from itertools import product
from pathlib import Path

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from landslide.api import predict
from landslide.geo.grid import Grid
from landslide.geo.rasters import write_raster
from landslide.models.detectors import MIN_SCORE
from landslide.prediction.quiet import find_quiet_events
from landslide.radar.stack import Side, StackStatistics, date_band, dates_path
from landslide.training.named_detectors import make_detector
from landslide.training.network import Network

Dates = dict[date, dict[str, NDArray[np.float32]]]

STEP = 2
"""The event is moved by this many dates."""


def read_burst(folder: Path) -> tuple[Grid, Dates]:
    """Grid of a burst, and its images by day and polarisation."""
    dates: Dates = {}
    for file in sorted(folder.glob("*.tif")):
        found = re.search(r"_(\d{8})T\d{6}Z_.*_(VV|VH)$", file.stem)
        assert found, file
        day = datetime.strptime(found[1], "%Y%m%d").date()
        with rasterio.open(file) as source:
            grid = Grid.of(source)
            dates.setdefault(day, {})[found[2].lower()] = source.read(1)
    return grid, dates


def write_scene(root: Path, grid: Grid, before: Dates, after: Dates) -> dict[str, object]:
    """Write a scene of stacks, and return the content of its ``scene.json``."""
    stack = StackStatistics((grid.height, grid.width), ["vv", "vh"])
    images: dict[str, NDArray[np.float32]] = {}
    entries = []
    sides: tuple[tuple[Side, Dates], ...] = (("pre", before), ("post", after))
    for side, dates in sides:
        for day, powers in dates.items():
            stack.add(side, powers)
            entries.append({"date": day.isoformat(), "side": side})
            images |= {date_band(name, day): power for name, power in powers.items()}
    for path, bands in (
        (dates_path(root, "ascending"), images),
        (root / "ascending.tif", stack.bands()),
    ):
        write_raster(path, np.stack(list(bands.values())), grid, list(bands), np.nan)
    return {"stack": {"ascending": entries}}


def mapped_share(
    detector: str, scene: tuple[Grid, Dates, Dates], rate: float, *, balance: bool
) -> float:
    """Share of a quiet scene that a detector maps."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        info = write_scene(root, *scene)
        task = make_detector(detector, str(root))
        task.normalization.balance = balance
        score = predict(Network([task], torch.device("cpu")), root)[0].to_numpy()
        values = score[np.isfinite(score) & (score > MIN_SCORE)]
        quiet = find_quiet_events(task, root, "ascending", info)
    if quiet is None:
        return float("nan")
    return float((values > quiet.threshold(rate, values)).mean())


def scenes(grid: Grid, dates: Dates, before: int, after: int) -> list[tuple[Grid, Dates, Dates]]:
    """Scenes of consecutive dates; the last date is always tried."""
    days = list(dates)
    events = sorted({*range(before, len(days) - after + 1, STEP), len(days) - after})

    def choose(chosen: Sequence[date]) -> Dates:
        return {day: dates[day] for day in chosen}

    return [(grid, choose(days[i - before : i]), choose(days[i : i + after])) for i in events]


def main() -> None:
    """Measure, print and write the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    data = Path(os.environ["LANDSLIDE_SHARED_DATA"]) / "opera_rtc_quiet"
    bursts = {path.name: read_burst(path) for path in sorted(data.iterdir()) if path.is_dir()}
    table = Table(title=f"Percent of quiet ground mapped at {100 * options.rate:g} % false alarms")
    for heading in ("detector", "before", "after", "balanced", *bursts, "within a factor of 2"):
        table.add_column(heading)
    rows = []
    for detector, balance, before, after in product(
        ("log_ratio", "change_z"), (True, False), (3, 7), (1, 2)
    ):
        shares = {
            name: [
                mapped_share(detector, scene, options.rate, balance=balance)
                for scene in scenes(*burst, before, after)
            ]
            for name, burst in bursts.items()
        }
        rows.append({"detector": detector, "before": before, "after": after, "balanced": balance})
        rows[-1]["shares"] = shares
        cells = [
            f"{100 * np.median(part):.2f} ({100 * min(part):.2f} to {100 * max(part):.2f})"
            for part in shares.values()
        ]
        ratio = np.concatenate(list(shares.values())) / options.rate
        within = f"{100 * np.mean((ratio > 0.5) & (ratio < 2)):.0f} %"
        table.add_row(detector, str(before), str(after), "yes" if balance else "no", *cells, within)
        if options.output:
            options.output.write_text(json.dumps(rows))
    Console(width=200).print(table)


if __name__ == "__main__":
    main()

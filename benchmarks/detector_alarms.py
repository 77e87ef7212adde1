"""Quiet ground that detectors map at a stated rate of false alarms, on real Sentinel-1 bursts.

``python benchmarks/detector_alarms.py [--rate 0.01] [--output rates.json]``

The images are 21 dates of four hilly bursts on which nothing failed (OPERA RTC-S1,
``opera_rtc_quiet`` in the folder that LANDSLIDE_SHARED_DATA names). A scene has consecutive dates
before an event and one or two after it; the event is moved along the dates. The threshold knows the
dates before and the median of the map. Every mapped pixel is a false alarm.

A second table displaces the dates after the event, each in its own random direction, by cubic
interpolation, and moves them back by the shift that is measured against the dates before. The
displaced and the corrected image are each interpolated once, as in ``landslide prepare``.

A third table changes the dates after the event in blobs, as landslides would, and counts what is
mapped between them and in them.
"""

import argparse
import json
import logging
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from landslide.api import predict
from landslide.geo.files import write_json
from landslide.geo.folders import SCENE_INFO
from landslide.geo.grid import Grid
from landslide.geo.rasters import write_raster
from landslide.models.detectors import MIN_SCORE
from landslide.prediction.anomaly import add_anomaly
from landslide.prediction.quiet import QuietEvents, find_quiet_events
from landslide.radar.coregistration import measure_shift, shift_image
from landslide.radar.stack import Side, StackStatistics, date_band, dates_path
from landslide.training.named_detectors import make_detector
from landslide.training.network import Network

Dates = dict[date, dict[str, NDArray[np.float32]]]
Bursts = dict[str, tuple[Grid, Dates]]
Row = dict[str, object]
Shares = dict[str, list[float]]

STEP = 2
"""The event is moved by this many dates."""

QUIET = 2
"""Quiet events of the anomaly."""

DISPLACEMENTS = (0.5, 1.0)
"""Pixels by which dates after the event are displaced."""


FAILED = (0.07, 0.2)
"""Share of the ground that is changed."""

CHANGE = {"vv": -1.3, "vh": -3.9}
"""Change of failed ground in decibels."""

BLOB_PIXELS = 3
"""Standard deviation of the Gaussian that smooths noise to blobs."""


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
    info: dict[str, object] = {"stack": {"ascending": entries}}
    write_json(root / SCENE_INFO, info)
    return info


def mapped_share(
    detector: str, scene: tuple[Grid, Dates, Dates], rate: float, *, balance: bool
) -> float:
    """Share of a quiet scene that a detector maps."""
    values, quiet = score_scene(detector, scene, balance=balance)
    return share_above(values, quiet, rate)[0]


def score_scene(
    detector: str, scene: tuple[Grid, Dates, Dates], *, balance: bool, quiet: bool = True
) -> tuple[NDArray[np.float32], QuietEvents | None]:
    """Scores (H, W) of a scene, NaN without, and those of its quiet events if they are wanted."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        info = write_scene(root, *scene)
        if detector == "anomaly":
            add_anomaly(root, QUIET)
        task = make_detector(detector, str(root))
        task.normalization.balance = balance
        network = Network([task], torch.device("cpu"))
        score = predict(network, root)[0].to_numpy()
        events = find_quiet_events(network, root, "ascending", info) if quiet else None
    return np.where(score > MIN_SCORE, score, np.nan), events


def share_above(
    values: NDArray[np.float32], quiet: QuietEvents | None, rate: float
) -> tuple[float, float]:
    """Share of the scores above the threshold, and it; the percentile without quiet events."""
    values = values[np.isfinite(values)]
    threshold = quiet.threshold(rate, values) if quiet else np.quantile(values, 1 - rate)
    return float((values > threshold).mean()), float(threshold)


def displace(before: Dates, after: Dates, pixels: float, seed: int) -> tuple[Dates, Dates]:
    """Dates after an event as they lie when displaced, and corrected by the measured shift."""
    random = np.random.default_rng(seed)
    reference = np.stack(
        [
            np.exp(np.nanmean([np.log(date[p]) for date in before.values()], axis=0))
            for p in ("vv", "vh")
        ]
    )
    displaced: Dates = {}
    corrected: Dates = {}
    for day, powers in after.items():
        angle = random.uniform(0, 2 * np.pi)
        put_in = pixels * np.array([np.sin(angle), np.cos(angle)])
        displaced[day] = {p: shift_image(power, *put_in) for p, power in powers.items()}
        found = measure_shift(np.stack([displaced[day][p] for p in ("vv", "vh")]), reference)
        assert found is not None
        left = put_in - (found.rows, found.cols)
        corrected[day] = {p: shift_image(power, *left) for p, power in powers.items()}
    return displaced, corrected


def displaced_shares(
    scene: tuple[Grid, Dates, Dates], rate: float, seed: int
) -> dict[str, tuple[float, float]]:
    """Share that ``log_ratio`` maps, and its threshold in dB, where dates after are displaced."""
    grid, before, after = scene
    values, quiet = score_scene("log_ratio", scene, balance=True)
    shares = {"as they lie": share_above(values, quiet, rate)}
    for pixels in DISPLACEMENTS:
        both = displace(before, after, pixels, seed)
        for name, dates in zip((f"{pixels:g} px", f"{pixels:g} px, corrected"), both, strict=True):
            values, _ = score_scene("log_ratio", (grid, before, dates), balance=True, quiet=False)
            shares[name] = share_above(values, quiet, rate)
    return shares


def failed_shares(
    detector: str, scene: tuple[Grid, Dates, Dates], rate: float, seed: int
) -> dict[str, float]:
    """Share that is mapped between blobs of changed ground, and in them."""
    grid, before, after = scene
    noise = np.random.default_rng(seed).normal(size=(grid.height, grid.width))
    height = ndimage.gaussian_filter(noise, BLOB_PIXELS)
    shares = {}
    for part in FAILED:
        failed = height > np.quantile(height, 1 - part)
        changed = {
            day: {
                p: np.where(failed, power * np.float32(10 ** (CHANGE[p] / 10)), power)
                for p, power in powers.items()
            }
            for day, powers in after.items()
        }
        values, quiet = score_scene(detector, (grid, before, changed), balance=True)
        _, threshold = share_above(values, quiet, rate)
        for name, where in (("between", ~failed), ("in", failed)):
            inside = values[where & np.isfinite(values)]
            shares[f"{name} blobs on {part:.0%}"] = float((inside > threshold).mean())
    return shares


def scenes(grid: Grid, dates: Dates, before: int, after: int) -> list[tuple[Grid, Dates, Dates]]:
    """Scenes of consecutive dates; the last date is always tried."""
    days = list(dates)
    events = sorted({*range(before, len(days) - after + 1, STEP), len(days) - after})

    def choose(chosen: Sequence[date]) -> Dates:
        return {day: dates[day] for day in chosen}

    return [(grid, choose(days[i - before : i]), choose(days[i : i + after])) for i in events]


def spread(shares: Sequence[float], rate: float) -> tuple[str, str]:
    """Median and range in percent, and how many shares are within a factor of 2 of the rate."""
    ratio = np.array(shares) / rate
    low, middle, high = (100 * np.quantile(shares, q) for q in (0, 0.5, 1))
    within = 100 * np.mean((ratio > 0.5) & (ratio < 2))
    return f"{middle:.2f} ({low:.2f} to {high:.2f})", f"{within:.0f} %"


def compare_detectors(bursts: Bursts, rate: float) -> Iterator[tuple[Row, Shares]]:
    """Shares by burst for every detector, with and without balance."""
    rows = [*product(("log_ratio", "change_z"), (True, False), (3, 7), (1, 2))]
    if find_spec("distmetrics"):
        rows += [("anomaly", True, 7, 1), ("anomaly", True, 7, 2)]
    for detector, balance, before, after in rows:
        row = {"detector": detector, "before": before, "after": after, "balanced": balance}
        yield (
            row,
            {
                name: [
                    mapped_share(detector, scene, rate, balance=balance)
                    for scene in scenes(*burst, before, after)
                ]
                for name, burst in bursts.items()
            },
        )


def compare_displacements(bursts: Bursts, rate: float, seed: int) -> Iterator[tuple[Row, Shares]]:
    """Shares of all bursts by displacement."""
    for before, after in product((1, 3, 7), (1, 2)):
        found = [
            displaced_shares(scene, rate, seed + number)
            for burst in bursts.values()
            for number, scene in enumerate(scenes(*burst, before, after))
        ]
        medians = {name: np.median([shares[name][1] for shares in found]) for name in found[0]}
        thresholds = ", ".join(f"{median:.2f}" for median in medians.values())
        yield (
            {"before": before, "after": after, "threshold, dB": thresholds},
            {name: [shares[name][0] for shares in found] for name in found[0]},
        )


def compare_failures(bursts: Bursts, rate: float, seed: int) -> Iterator[tuple[Row, Shares]]:
    """Shares of all bursts between and in blobs of changed ground."""
    for detector, after in product(("log_ratio", "change_z"), (1, 2)):
        found = [
            failed_shares(detector, scene, rate, seed + number)
            for burst in bursts.values()
            for number, scene in enumerate(scenes(*burst, 7, after))
        ]
        row: Row = {"detector": detector, "before": 7, "after": after}
        yield row, {name: [shares[name] for shares in found] for name in found[0]}


def show(title: str, found: Iterable[tuple[Row, Shares]], rate: float) -> list[Row]:
    """Print a table of shares, and return its rows."""
    rows: list[Row] = []
    table = Table(title=f"Percent of quiet ground mapped at {100 * rate:g} % false alarms, {title}")
    for row, shares in found:
        if not rows:
            for heading in (*row, *shares, "within a factor of 2"):
                table.add_column(heading)
        rows.append({**row, "shares": shares})
        cells = [spread(part, rate) for part in shares.values()]
        within = ", ".join(part for _, part in cells)
        table.add_row(*map(str, row.values()), *(cell for cell, _ in cells), within)
    Console(width=200).print(table)
    return rows


def main() -> None:
    """Measure, print and write the shares."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0, help="of displacements and blobs")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    data = Path(os.environ["LANDSLIDE_SHARED_DATA"]) / "opera_rtc_quiet"
    bursts = {path.name: read_burst(path) for path in sorted(data.iterdir()) if path.is_dir()}
    tables = {
        "displaced": compare_displacements(bursts, options.rate, options.seed),
        "by burst": compare_detectors(bursts, options.rate),
        "failed ground": compare_failures(bursts, options.rate, options.seed),
    }
    rows = {name: show(name, found, options.rate) for name, found in tables.items()}
    if options.output:
        options.output.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()

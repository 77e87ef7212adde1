"""False alarms of a detector on quiet ground: a scene's dates before the event against each other.

Every run of dates before the event is taken as if it came after an event, and the others as if
they came before it. Nothing failed between them, so that whatever a detector maps is a false alarm.
"""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray

from landslide.data.scene import Scene
from landslide.geo.files import write_json
from landslide.geo.folders import SCENE_INFO
from landslide.geo.grid import TILE_SIZE, Grid, Window
from landslide.geo.rasters import raster_profile
from landslide.models.detectors import MIN_SCORE
from landslide.prediction.inputs import balance_input
from landslide.prediction.stream import Stopwatch, choose_predictor, predict_scene
from landslide.radar.bands import backscatter_bands, band_description, orbits_of
from landslide.radar.stack import Side, StackStatistics, dates_path, read_dates, stack_bands
from landslide.training.network import Network
from landslide.training.task import LandslideTask

MAX_EVENTS = 8
"""Quiet events that are tried, at most, evenly over the dates."""

MAX_PIXELS = 2_000_000
"""Pixels of a scene that each is tried on, at most, in blocks evenly over the scene."""

MAX_FAILED = 0.2
"""Largest share of ground that is taken for landslides when the level of quiet ground is found."""

MAX_ROUNDS = 30
"""Rounds in which threshold and level of quiet ground are brought into agreement, at most."""

BLOCK_SIDE = 2 * TILE_SIZE
"""Side in pixels of these blocks."""


class QuietDates(NamedTuple):
    """The dates of an orbit before the event.

    Attributes:
        file: File of the dates, see ``landslide.radar.stack``.
        bands: Band of each polarisation by date, before the event only.
        offsets: Brightness of whole dates in decibels by date and polarisation, where known.
        after: Number of dates after the event.
    """

    file: Path
    bands: dict[date, dict[str, str]]
    offsets: dict[date, Mapping[str, float] | None]
    after: int


class QuietEvents(NamedTuple):
    """Scores of a detector where nothing failed.

    Rain, snow and the number of dates change how much all ground seems to change. Scores are
    therefore counted from the median of quiet ground, in units of the distance from its 15th
    percentile to the median. Landslides move neither: what the threshold maps beyond its rate is
    taken out of the quiet ground.

    Attributes:
        scores: By the days that were taken as after an event: scores (N) in these units, of ground
            that was observed and is steep enough.
        before: Number of dates that were taken as before the event.
        after: Number of dates that were taken as after it.
    """

    scores: dict[str, NDArray[np.float32]]
    before: int
    after: int

    def threshold(self, rate: float, values: NDArray[np.float32]) -> float:
        """Score that a share of quiet ground would exceed in a map.

        Args:
            rate: The share.
            values: Scores (N) of the map.
        """
        ordered, exceeded = np.sort(values), _exceeded(list(self.scores.values()), rate)
        failed = 0.0
        for _ in range(MAX_ROUNDS):
            middle, unit = _level(ordered, failed)
            threshold = middle + unit * exceeded
            mapped = 1 - np.searchsorted(ordered, threshold, side="right") / len(ordered)
            before, failed = failed, float(np.clip(mapped - rate, 0, MAX_FAILED))
            if abs(failed - before) < rate / 100:
                break
        return threshold

    def rates(self, rate: float) -> dict[str, float]:
        """Share of ground above the threshold in each event, if it follows from the others."""
        shares = {}
        for name, scores in self.scores.items():
            others = [part for other, part in self.scores.items() if other != name]
            shares[name] = float((scores > _exceeded(others, rate)).mean())
        return shares


def _level(ordered: NDArray[np.float32], failed: float = 0.0) -> tuple[float, float]:
    """Median of quiet ground, and its distance from the 15th percentile.

    Args:
        ordered: Scores (N) in ascending order.
        failed: Share of them that are landslides, which have the highest scores.
    """
    low, middle = np.quantile(ordered, [0.15 * (1 - failed), 0.5 * (1 - failed)])
    return float(middle), max(float(middle - low), 1e-6)


def _exceeded(parts: Sequence[NDArray[np.float32]], rate: float) -> float:
    """Value that a share of all parts exceeds, each part counted alike."""
    values = np.concatenate(parts)
    weights = np.concatenate([np.full(len(part), 1 / len(part)) for part in parts])
    order = np.argsort(values)[::-1]
    reached = np.cumsum(weights[order]) > rate * len(parts)
    return float(values[order][np.argmax(reached)])


def find_quiet_events(
    task: LandslideTask, root: Path, orbit: str, info: Mapping[str, Any]
) -> QuietEvents | None:
    """Apply a detector to a scene's dates before the event, as if an event lay between them.

    Balance, slope limit, smoothing and gaps are those of the map. As many dates are taken as after
    the event as the scene has, or half of those before it.

    Args:
        task: The detector.
        root: Scene folder.
        orbit: Orbit of bands that name none.
        info: Content of ``scene.json``, whose ``stack`` says which dates are before the event.

    Returns:
        Scores; None where the detector reads no stack, or the scene keeps fewer than two dates
        before the event, or too few for the detector.
    """
    stacks = {name: _quiet_dates(root, name, info) for name in [orbit, *orbits_of(task.bands)]}
    known = {name: stack for name, stack in stacks.items() if stack and len(stack.bands) > 1}
    if len(known) < len(stacks) or not _reads_stack(task.bands):
        return None
    after = min(min(stack.after, len(stack.bands) // 2) for stack in known.values())
    runs = {name: _runs(list(stack.bands), after) for name, stack in known.items()}
    network, scores = Network([task], task.device), {}
    for number in range(min(map(len, runs.values()))):
        chosen = {name: own[number] for name, own in runs.items()}
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            write_json(folder / SCENE_INFO, {"geometry": info.get("geometry")})
            for name, stack in known.items():
                _write_composite(task.bands, root, folder, name, stack, chosen[name])
            values = _score(network, Scene.of(folder, orbit, task.bands, truth=False))
        if len(values):
            middle, unit = _level(np.sort(values))
            days = " ".join(day.isoformat() for day in chosen[orbit])
            scores[days] = (values - middle) / unit
    if len(scores) < 2:
        return None
    return QuietEvents(scores, min(len(stack.bands) for stack in known.values()) - after, after)


def _reads_stack(bands: Sequence[str]) -> bool:
    """Whether the backscatter of bands, of which there is some, is made of stacks."""
    images = [band_description(band) for band in backscatter_bands(bands)]
    return bool(images) and all(image.endswith(("_pre_mean", "_post_mean")) for image in images)


def _quiet_dates(root: Path, orbit: str, info: Mapping[str, Any]) -> QuietDates | None:
    """The dates before the event; None where the scene does not keep or know them."""
    file, entries = dates_path(root, orbit), (info.get("stack") or {}).get(orbit) or []
    if not file.exists():
        return None
    sides = {date.fromisoformat(entry["date"][:10]): entry for entry in entries}
    with rasterio.open(file) as source:
        dates = read_dates(source.descriptions)
    before = {day: dates[day] for day in dates if day in sides and sides[day]["side"] == "pre"}
    after = sum(entry["side"] == "post" for entry in sides.values())
    offsets = {day: sides[day].get("offset_db") for day in before}
    return QuietDates(file, before, offsets, max(after, 1))


def _runs(days: Sequence[date], length: int) -> list[tuple[date, ...]]:
    """Runs of consecutive days, each of which plays the days after an event."""
    runs = [tuple(days[start : start + length]) for start in range(len(days) - length + 1)]
    picks = np.linspace(0, len(runs) - 1, min(len(runs), MAX_EVENTS)).round().astype(int)
    return [runs[pick] for pick in picks]


def _write_composite(
    bands: Sequence[str],
    root: Path,
    folder: Path,
    orbit: str,
    stack: QuietDates,
    after: Sequence[date],
) -> None:
    """Write an orbit's composite of a quiet event: bands of its stack, and the scene's terrain."""
    polarisations = list(dict.fromkeys(p for names in stack.bands.values() for p in names))
    own = stack_bands(polarisations)
    with ExitStack() as files:
        dates = files.enter_context(rasterio.open(stack.file))
        composite = files.enter_context(rasterio.open(root / f"{orbit}.tif"))
        needed = {*map(band_description, bands), "slope", "aspect", "layover_shadow"}
        terrain = [n for n in composite.descriptions if n in needed and n not in own]
        grid = Grid.of(composite)
        profile = raster_profile(grid, "float32", len(own) + len(terrain), np.nan)
        for option in ("compress", "predictor"):  # the file is read once
            del profile[option]
        profile |= {"sparse_ok": True}
        sink = files.enter_context(rasterio.open(folder / f"{orbit}.tif", "w", **profile))
        sink.descriptions = (*own, *terrain)
        for block in _sampled_blocks(grid).values():
            window, shape = block.to_rasterio(), (block.height, block.width)
            statistics = StackStatistics(shape, polarisations)
            for day, names in stack.bands.items():
                images = {
                    p: dates.read(dates.descriptions.index(name) + 1, window=window)
                    for p, name in names.items()
                }
                side: Side = "post" if day in after else "pre"
                statistics.add(side, images, stack.offsets[day])
            layers = list(statistics.bands().values())
            layers += [
                composite.read(composite.descriptions.index(name) + 1, window=window)
                for name in terrain
            ]
            sink.write(np.stack(layers).astype(np.float32), window=window)


def _sampled_blocks(grid: Grid) -> dict[int, Window]:
    """Blocks of a scene by number, as many as hold ``MAX_PIXELS``, evenly."""
    blocks = grid.blocks(BLOCK_SIDE)
    count = min(len(blocks), max(1, MAX_PIXELS // BLOCK_SIDE**2))
    picks = np.linspace(0, len(blocks) - 1, count).round().astype(int)
    return {int(pick): blocks[pick] for pick in picks}


class _Scores:
    """Scores of finished blocks, of ground that was observed and is steep enough.

    Args:
        finished: Numbers of blocks that need not be predicted.
    """

    def __init__(self, finished: set[int]) -> None:
        self.finished = finished
        self.values: list[NDArray[np.float32]] = [np.empty(0, np.float32)]

    def finish(self, number: int, block: Window, output: NDArray[np.float32] | None) -> None:
        """Keep the scores of a block."""
        if output is not None:
            self.values.append(output[0][np.isfinite(output[0]) & (output[0] > MIN_SCORE)])
        self.finished.add(number)


def _score(network: Network, scene: Scene) -> NDArray[np.float32]:
    """Scores (N) of a scene, its dates balanced as the detector wants it."""
    balance_input(network.tasks, scene)
    window = {"size": BLOCK_SIDE, "overlap": 0.5, "halo": None}
    predictor = choose_predictor(network, scene.grid, window)
    scores = _Scores(set(range(len(predictor.blocks))) - set(_sampled_blocks(scene.grid)))
    predict_scene(scene, predictor, scores, Stopwatch())
    return np.concatenate(scores.values)

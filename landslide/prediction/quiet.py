"""False alarms of a detector on quiet ground: a scene's dates before the event against each other.

Every run of dates before the event is taken as if it came after an event, and the others as if
they came before it. Nothing failed between them, so that whatever a detector maps is a false alarm.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landslide.data.scene import Scene
from landslide.geo.files import write_json
from landslide.geo.folders import SCENE_INFO
from landslide.geo.grid import Window
from landslide.models.detectors import MIN_SCORE
from landslide.prediction.inputs import balance_input
from landslide.prediction.quiet_events import (
    BLOCK_SIDE,
    QuietEvent,
    list_quiet_events,
    sampled_blocks,
    write_composite,
)
from landslide.prediction.stream import Stopwatch, choose_predictor, predict_scene
from landslide.radar.bands import orbits_of
from landslide.training.network import Network

MAX_EVENTS = 8
"""Quiet events that are tried, at most, evenly over the dates."""

MAX_FAILED = 0.2
"""Largest share of ground that is taken for landslides when the level of quiet ground is found."""

MAX_ROUNDS = 30
"""Rounds in which threshold and level of quiet ground are brought into agreement, at most."""


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
        """Share of ground that is mapped in each event, if the threshold follows from the others.

        Events that share a date with it are not among the others; where none is left, the event is
        left out.
        """
        shares = {}
        for name, scores in self.scores.items():
            days = set(name.split())
            others = {n: part for n, part in self.scores.items() if days.isdisjoint(n.split())}
            if others:
                threshold = self._replace(scores=others).threshold(rate, scores)
                shares[name] = float((scores > threshold).mean())
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
    network: Network, root: Path, orbit: str, info: Mapping[str, Any]
) -> QuietEvents | None:
    """Apply a detector to a scene's dates before the event, as if an event lay between them.

    Balance, slope limit, smoothing and gaps are those of the map. As many dates are taken as after
    the event as the scene has, or half of those before it. Orbits of unequal depth take the events
    that are nearest to the real one.

    Args:
        network: The detector's.
        root: Scene folder.
        orbit: Orbit of bands that name none.
        info: Content of ``scene.json``, whose ``stack`` says which dates are before the event.

    Returns:
        Scores; None where there are fewer than two quiet events (see ``list_quiet_events``), or too
        few dates for the detector.
    """
    bands, scores = network.members[0].bands, {}
    orbits = dict.fromkeys([orbit, *orbits_of(bands)])
    known = {name: list_quiet_events(bands, root, name, info) for name in orbits}
    before, after = [], []
    for chosen in _nearest_events(known):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            write_json(folder / SCENE_INFO, {"geometry": info.get("geometry")})
            for name, event in chosen.items():
                write_composite(event, bands, root / f"{name}.tif", folder)
            values = _score(network, Scene.of(folder, orbit, bands, truth=False))
        if len(values):
            middle, unit = _level(np.sort(values))
            days = " ".join(day.isoformat() for day in chosen[orbit].after)
            scores[days] = (values - middle) / unit
            before += [event.before for event in chosen.values()]
            after += [len(event.after) for event in chosen.values()]
    return QuietEvents(scores, min(before), min(after)) if len(scores) > 1 else None


def _nearest_events(known: Mapping[str, Sequence[QuietEvent]]) -> list[dict[str, QuietEvent]]:
    """Events of all orbits together, as far back as every orbit has some, evenly over time."""
    count = min(map(len, known.values()))
    if count < 2:
        return []
    picks = np.linspace(-count, -1, min(count, MAX_EVENTS)).round().astype(int)
    return [{name: events[pick] for name, events in known.items()} for pick in picks]


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
    balance_input(network.members, scene)
    window = {"size": BLOCK_SIDE, "overlap": 0.5, "halo": None}
    predictor = choose_predictor(network, scene.grid, window)
    scores = _Scores(set(range(len(predictor.blocks))) - set(sampled_blocks(scene.grid)))
    predict_scene(scene, predictor, scores, Stopwatch())
    return np.concatenate(scores.values)

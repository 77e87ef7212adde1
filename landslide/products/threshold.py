"""The value above which a pixel of a map is landslide, and where it comes from."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import rasterio
from numpy.typing import NDArray
from omegaconf import DictConfig

from landslide.data.scene import Scene
from landslide.errors import InputError
from landslide.geo.grid import Grid
from landslide.models.detectors import ANOMALY, MIN_SCORE
from landslide.prediction.quiet import find_quiet_events
from landslide.radar.bands import ORBITS, band_description
from landslide.training.member import ExportedMember
from landslide.training.network import Network

DEFAULT_RATE = 0.01
"""Share of quiet ground that a detector may map."""

MAX_SAMPLES = 4_000_000
"""Pixels of a map that its threshold is taken from, at most."""


class Threshold(NamedTuple):
    """A threshold with its origin.

    Attributes:
        value: Probability or score above which a pixel is landslide.
        origin: Where it comes from, in words.
        false_alarms: What is known of its false alarms, for ``summary.json``.
    """

    value: float
    origin: str
    false_alarms: dict[str, Any] | None = None

    def summary(self) -> dict[str, Any]:
        """The threshold as ``summary.json`` keeps it."""
        return {
            "threshold": self.value,
            "threshold_origin": self.origin,
            "false_alarms": self.false_alarms,
        }

    @classmethod
    def read(cls, summary: Mapping[str, Any]) -> Self:
        """Read the threshold from the content of ``summary.json``."""
        return cls(summary["threshold"], summary["threshold_origin"], summary["false_alarms"])


NOT_CHOSEN = Threshold(math.nan, "not chosen yet")


def choose_threshold(
    config: DictConfig, network: Network, scene: Scene, info: dict[str, Any], raster: Path
) -> Threshold:
    """Choose the threshold of a map.

    Args:
        config: ``threshold``, ``percentile`` and ``false_alarms`` of ``conf/predict.yaml``.
        network: The map's, whose first checkpoint's threshold counts. That of an exported detector
            counts too, unless a rate of false alarms is asked for.
        scene: The scene.
        info: Content of its ``scene.json``.
        raster: The finished map's probability or score.

    Raises:
        InputError: No ground is observed and steep enough.
    """
    if given := given_threshold(config, raster):
        return given
    first = network.members[0]
    if isinstance(first, ExportedMember) and config.false_alarms is None:
        return Threshold(first.threshold, "the exported model's")
    if network.measure == "probability":
        return Threshold(first.threshold, "the checkpoint's")
    rate, values = config.false_alarms or DEFAULT_RATE, _sample(raster)
    path = Path(scene.path)
    quiet = None
    if path.stem in ORBITS:
        quiet = find_quiet_events(network, path.parent, path.stem, info)
    if quiet is None:
        return Threshold(
            float(np.percentile(values, 100 * (1 - rate))),
            f"percentile {100 * (1 - rate):g} of the scene's own scores: that share of the ground "
            "is mapped whether or not it failed, since false alarms of this detector can only be "
            f"measured on {_quiet_dates(first.bands)}",
        )
    found = quiet.rates(rate)
    origin, shares = f"{100 * rate:g} % of quiet ground may be mapped", list(found.values())
    if shares:
        low, high = 100 * min(shares), 100 * max(shares)
        origin += (
            f"; between {len(shares)} choices of the scene's dates before the event {low:.2g} to "
            f"{high:.2g} % were"
        )
    facts = {
        "asked": rate,
        "found": float(np.mean(shares)) if shares else None,
        "by_date": found,
        "dates_before": quiet.before,
        "dates_after": quiet.after,
    }
    return Threshold(quiet.threshold(rate, values), origin, facts)


def given_threshold(config: DictConfig, raster: Path) -> Threshold | None:
    """The threshold that ``threshold`` or ``percentile`` of a configuration gives, if one does.

    Raises:
        InputError: A percentile is asked for, and no ground is observed and steep enough.
    """
    if config.threshold is not None:
        return Threshold(float(config.threshold), "as given")
    if config.percentile is not None:
        origin = f"percentile {config.percentile:g} of the scene's own values"
        return Threshold(float(np.percentile(_sample(raster), config.percentile)), origin)
    return None


def _quiet_dates(bands: Sequence[str]) -> str:
    """What a scene needs for false alarms to be measured."""
    if ANOMALY in map(band_description, bands):
        return "quiet dates of the anomaly, which `landslide anomaly root=… quiet=2` writes"
    return "a stack of three dates before the event or more, by a detector that reads it"


def require_thresholds(config: DictConfig, measure: str) -> None:
    """Check the options of the threshold before anything is computed.

    Args:
        config: ``threshold``, ``percentile`` and, where a model is at hand, ``false_alarms``.
        measure: ``probability``, or another name of what is mapped.

    Raises:
        InputError: A given threshold is no probability, two options contradict each other, or a
            rate of false alarms is given for a probability.
    """
    if config.threshold is not None and config.percentile is not None:
        raise InputError("threshold and percentile are both given: leave one out")
    if config.get("false_alarms") is not None and measure == "probability":
        raise InputError(
            f"false_alarms={config.false_alarms:g} is for detectors, whose scores have no "
            "threshold of their own: leave it out, or give it to train.py experiment=tonight"
        )
    if config.threshold is not None and measure == "probability" and config.threshold > 1:
        raise InputError(f"threshold={config.threshold} is not a probability, from 0 to 1")


def _sample(raster: Path) -> NDArray[np.float32]:
    """Values (N) of the first band that were observed and are steep enough, evenly over it."""
    samples = []
    with rasterio.open(raster) as source:
        grid = Grid.of(source)
        step = max(1, round((grid.height * grid.width / MAX_SAMPLES) ** 0.5))
        for block in grid.blocks():
            values = source.read(1, window=block.to_rasterio())[::step, ::step]
            samples.append(values[np.isfinite(values) & (values > MIN_SCORE)])
    sample = np.concatenate(samples)
    if not len(sample):
        raise InputError(
            "no ground is observed in all bands and steep enough to be a landslide: check that the "
            "bands have measurements (vv_pre_std needs two dates before the event)"
        )
    return sample

"""The value above which a pixel of a map is landslide, and where it comes from."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from omegaconf import DictConfig

from landslide.errors import InputError
from landslide.geo.grid import Grid
from landslide.models.detectors import MIN_SCORE
from landslide.training.task import LandslideTask

MAX_SAMPLES = 4_000_000
"""Pixels that a percentile of a scene is taken from, at most."""


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


NOT_CHOSEN = Threshold(math.nan, "not chosen yet")


def choose_threshold(
    config: DictConfig, task: LandslideTask, raster: Path, grid: Grid
) -> Threshold:
    """Choose the threshold of a map.

    Args:
        config: ``threshold``, ``percentile`` and ``false_alarms`` of ``conf/predict.yaml``.
        task: The first model.
        raster: The finished map's probability or score.
        grid: Its grid.

    Raises:
        InputError: A percentile is wanted and no ground is steep enough.
    """
    if config.threshold is not None:
        return Threshold(float(config.threshold), "as given")
    if config.percentile is not None:
        origin = f"percentile {config.percentile:g} of the scene's own values"
        return Threshold(scene_percentile(raster, grid, config.percentile), origin)
    if task.measure == "probability":
        return Threshold(task.threshold, "the checkpoint's")
    percentile = 100 * (1 - config.false_alarms)
    return Threshold(
        scene_percentile(raster, grid, percentile),
        f"percentile {percentile:g} of the scene's own scores, since the scene has too few dates "
        "before the event to measure false alarms: that share is mapped whether or not it failed",
    )


def require_thresholds(config: DictConfig, task: LandslideTask) -> None:
    """Check the options of the threshold before anything is computed.

    Raises:
        InputError: A given threshold is no probability, or two options contradict each other.
    """
    if config.threshold is not None and config.percentile is not None:
        raise InputError("threshold and percentile are both given: leave one out")
    if config.threshold is not None and task.measure == "probability" and config.threshold > 1:
        raise InputError(f"threshold={config.threshold} is not a probability, from 0 to 1")


def scene_percentile(raster: Path, grid: Grid, percentile: float) -> float:
    """A percentile of the first band, of pixels that were observed and are steep enough."""
    step = max(1, round((grid.height * grid.width / MAX_SAMPLES) ** 0.5))
    samples = []
    with rasterio.open(raster) as source:
        for block in grid.blocks():
            values = source.read(1, window=block.to_rasterio())[::step, ::step]
            samples.append(values[np.isfinite(values) & (values > MIN_SCORE)])
    values = np.concatenate(samples)
    if not len(values):
        raise InputError(f"{raster.name}: no observed ground is steep enough to be a landslide")
    return float(np.percentile(values, percentile))

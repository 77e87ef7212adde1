"""OPERA's disturbance transformer: how unusual an image is after a series of dates.

The network is that of Hardiman-Mostow et al. (2025), which OPERA's product DIST-S1 is made with. It
reads despeckled dates before (VV and VH, linear gamma0 as logits, 30 m) and predicts mean and
standard deviation of the next. It was trained on quiet series all over the world and knows
nothing of landslides. Its weights come with the package ``distmetrics``.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from landslide.errors import InputError
from landslide.geo.relief import Float
from landslide.radar.despeckling import total_variation

if TYPE_CHECKING:
    from torch import nn

POSTING = 30.0
"""Side in metres of the pixels that the network was trained on."""

POLARISATIONS = ("vv", "vh")

WEIGHTS = "transformer_anniversary_trained"
"""Name of the weights in the package."""

MAX_DATES = 20
"""Dates before that the network reads, the last ones."""

STRIDE = 4
"""Pixels between the network's windows of 16 x 16 px, whose predictions are averaged."""

POWER_RANGE = (1e-7, 1 - 1e-7)
"""Linear power is clipped to this, as in training."""

Image = Mapping[str, Float]
"""Linear power (H, W) of each polarisation, NaN where it was not measured."""


def load_transformer() -> "nn.Module":
    """Load the network.

    Raises:
        InputError: The package is missing.
    """
    try:
        from distmetrics import load_transformer_model
    except ImportError as error:
        raise InputError(
            "the anomaly needs the package distmetrics, on Python 3.12 or newer: pip install -e "
            '".[anomaly]" there, or map with the next best detector, change_z'
        ) from error
    network: nn.Module = load_transformer_model(WEIGHTS, device="cpu")
    return network


def measure_anomaly(network: "nn.Module", before: Sequence[Image], after: Sequence[Image]) -> Float:
    """Anomaly of images after an event, in standard deviations of what was to be expected.

    |logit(after) - mean| / standard deviation, the larger of VV and VH, and the mean over the
    dates after that measured a pixel.

    Args:
        network: See ``load_transformer``.
        before: Balanced dates before the event at 30 m, two or more, in order of time.
        after: Balanced dates after it.

    Returns:
        (H, W), NaN where no date before or none after measured.
    """
    from distmetrics import estimate_normal_params

    logits = [_fill([_logit(date[p]) for date in before[-MAX_DATES:]]) for p in POLARISATIONS]
    mean, deviation = estimate_normal_params(
        network, *logits, stride=STRIDE, tqdm_enabled=False, device="cpu"
    )
    dates = []
    for date in after:
        found = np.stack([_logit(date[p]) for p in POLARISATIONS])
        dates.append((np.abs(found - mean) / deviation).max(axis=0))
    measured = np.isfinite(dates)
    total = np.where(measured, dates, 0).sum(axis=0)
    count = measured.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _logit(power: Float) -> Float:
    smooth = np.clip(total_variation(np.clip(power, *POWER_RANGE)), *POWER_RANGE)
    logit: Float = np.log(smooth / (1 - smooth)).astype(np.float32)
    return logit


def _fill(dates: Sequence[Float]) -> list[Float]:
    """Fill what a date did not measure with the mean of the others."""
    measured = np.isfinite(dates)
    total = np.where(measured, dates, 0).sum(axis=0)
    count = measured.sum(axis=0)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
    return [np.where(np.isfinite(date), date, mean) for date in dates]

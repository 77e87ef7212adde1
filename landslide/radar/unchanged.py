"""The brightness of ground that did not change, in the difference of two images."""

import numpy as np
from numpy.typing import NDArray

LOOKS = 4
"""Side in pixels of the blocks that are averaged first, so that speckle does not hide unchanged
ground."""

MIN_SLOPE = 5.0
"""Slope in degrees above which levels and offsets are measured: landslides occur there, while sea,
lakes and fields, which change by themselves, are flat."""

MIN_AVERAGES = 200
"""Number of averages of ``LOOKS`` x ``LOOKS`` px that a level or an offset needs."""

UNCHANGED_DB = 1.5
"""Greatest distance in dB from the centre of all differences at which ground is unchanged."""


def unchanged_difference(difference: NDArray[np.float32]) -> float:
    """Return the difference in dB of most of the ground, which did not change.

    From the median on, the mean of the differences within 1.5 dB is taken until it stays (mean
    shift, Fukunaga & Hostetler 1975, IEEE Transactions on Information Theory 21(1)).
    """
    middle = float(np.quantile(difference, 0.5, method="lower"))
    for _ in range(100):
        moved = float(difference[np.abs(difference - middle) <= UNCHANGED_DB].mean())
        if abs(moved - middle) < 1e-4:
            break
        middle = moved
    return moved

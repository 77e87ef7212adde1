"""The brightness of ground that did not change, in the difference of two images."""

import numpy as np
from numpy.typing import NDArray

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

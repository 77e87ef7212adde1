"""Landslides by size: how many of each class were found."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZES = (0.0, 1e3, 1e4, np.inf)
"""Limits in m² of the size classes of landslides."""


def count_by_size(areas: NDArray[np.float64], shares: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Count landslides by size class, and together.

    Args:
        areas: (N) area of each landslide in m².
        shares: (N) share of it that was found.

    Returns:
        A row for each class and one for all: ``area`` in words, ``count``, how many were
        ``touched`` and of how many ``half`` or more was found.
    """
    rows = []
    for low, high in (*pairwise(SIZES), (SIZES[0], SIZES[-1])):
        found = shares[(areas >= low) & (areas < high)]
        rows.append(
            {
                "area": _size_class(low, high),
                "count": len(found),
                "touched": int((found > 0).sum()),
                "half": int((found >= 0.5).sum()),
            }
        )
    return rows


def _size_class(low: float, high: float) -> str:
    if high < np.inf:
        return f"{low:,.0f} to {high:,.0f} m²" if low else f"below {high:,.0f} m²"
    return f"from {low:,.0f} m²" if low else "all"

"""The brightness of ground that did not change, in the difference of two images."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from landslide.geo.grid import Grid, Window

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

MIN_TILE_METRES = 10_000.0
"""Least side of a tile that has a difference of its own: rain differs over some tens of km."""

REPORTED_CHANGE_DB = 1.0
"""Differences between dates, or across a scene, above this are reported to the user."""


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


class LevelTiles(NamedTuple):
    """Tiles of 10 km and more, on each of which the brightness of dates is measured.

    Attributes:
        grid: Grid of the scene.
        rows: Rows of tiles.
        cols: Columns of tiles.
    """

    grid: Grid
    rows: int
    cols: int

    @classmethod
    def of(cls, grid: Grid) -> Self:
        """Tiles of a scene."""
        metres = (grid.height * -grid.transform.e, grid.width * grid.transform.a)
        return cls(grid, *(max(1, int(length // MIN_TILE_METRES)) for length in metres))

    def numbers(self, window: Window) -> NDArray[np.intp]:
        """Number of the tile (h, w) of each average of ``LOOKS`` x ``LOOKS`` px of a window."""
        rows = (window.row + np.arange(0, window.height, LOOKS)) * self.rows // self.grid.height
        cols = (window.col + np.arange(0, window.width, LOOKS)) * self.cols // self.grid.width
        return rows[:, None] * self.cols + cols

    def differences(
        self, difference: NDArray[np.float32], numbers: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Difference in dB of the unchanged ground of each tile (rows, cols).

        Args:
            difference: Differences (N) of averages, one at least.
            numbers: Numbers (N) of their tiles. A tile of fewer than ``MIN_AVERAGES`` has the
                difference of the whole scene.
        """
        parts = [difference[numbers == number] for number in range(self.rows * self.cols)]
        found = [
            unchanged_difference(part if len(part) >= MIN_AVERAGES else difference)
            for part in parts
        ]
        return np.reshape(found, (self.rows, self.cols))

"""Mean, scatter and count of the dates of a stack, one date at a time."""

import numpy as np

from landslide.geo.relief import Float


class DateStatistics:
    """Statistics of dates that are added one after another, in the memory of a few.

    The scatter is that of decibels by Welford's recurrence (1962, Technometrics 4, 419-420), which
    stays exact where dates differ little.

    Args:
        shape: (H, W) of every date.

    Attributes:
        count: (H, W) number of dates that measured each pixel.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.count = np.zeros(shape, dtype=np.int32)
        self._gains: list[float] = []
        self._power = np.zeros(shape)
        self._levelled = np.zeros(shape)
        self._decibels = np.zeros(shape)
        self._squares = np.zeros(shape)

    def add(self, power: Float, offset: float = 0.0) -> None:
        """Add a date.

        Args:
            power: (H, W) linear power; NaN, zero and below are no measurement.
            offset: Decibels by which the whole date is brighter than usual, as after rain. They are
                no scatter of a pixel.
        """
        measured = np.isfinite(power) & (power > 0)
        valid = ... if measured.all() else measured  # whole arrays are three times as fast
        values = power[valid].astype(np.float64)
        decibels = 10 * np.log10(values) - offset
        self.count[valid] += 1
        self._power[valid] += values
        self._gains.append(10 ** (offset / 10))
        self._levelled[valid] += values / self._gains[-1]
        before = decibels - self._decibels[valid]
        self._decibels[valid] += before / self.count[valid]
        self._squares[valid] += before * (decibels - self._decibels[valid])

    @property
    def mean(self) -> Float:
        """Mean in linear power (H, W) float32; NaN where no date measured.

        Where some dates did not measure, the mean is that of the others without their offsets, with
        the mean offset of all dates, so that a bright date leaves no edge where it ends.
        """
        mean = _quotient(self._power, self.count)
        levelled = _quotient(self._levelled, self.count) * np.float32(np.mean(self._gains or 1))
        return np.where(self.count == len(self._gains), mean, levelled)

    @property
    def scatter(self) -> Float:
        """Standard deviation in decibels (H, W) float32; NaN below two dates."""
        return np.sqrt(_quotient(self._squares, self.count - 1))


def _quotient(total: np.ndarray, count: np.ndarray) -> Float:
    quotient = np.full(total.shape, np.nan, dtype=np.float32)
    np.divide(total, count, out=quotient, where=count > 0, casting="same_kind")
    return quotient

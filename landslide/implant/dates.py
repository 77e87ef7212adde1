"""The dates of one orbit before an event, and how samples choose among them."""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landslide.errors import InputError
from landslide.geo.grid import Grid, Window
from landslide.geo.metadata import scene_info
from landslide.geo.rasters import open_raster, reading
from landslide.geo.relief import Float
from landslide.radar.stack import dates_path, read_dates
from landslide.radar.unchanged import LOOKS, MIN_AVERAGES, MIN_SLOPE, unchanged_difference

HELD_OUT = 0.2
"""Share of the quiet dates, the last ones, that only validation and test see as dates after."""

SHUFFLED = 0.5
"""Share of the training samples whose dates are not in order of time, for more variety."""

VV_ALONE = "dataset.bands=[vv_pre_mean,vv_post_mean,vv_pre_std,slope]"
"""Option for scenes that have no VH."""

DrawnFor = Literal["train", "val", "test", "view"]
"""What a sample is for: a split, or a look at dates in order of time."""


class Choice(NamedTuple):
    """Dates of a sample, by their position in the file.

    Attributes:
        before: Dates before the pretended event, in order of time.
        after: Dates after it.
        donors: Dates, as many as after it, whose speckle implants take.
    """

    before: NDArray[np.intp]
    after: NDArray[np.intp]
    donors: NDArray[np.intp]


class Calendar:
    """Chooses dates for samples.

    Args:
        count: Number of quiet dates.
        before: Most dates before a pretended event; None for as many as there are.
        after: Dates after it.
        fewest: Fewest dates before it: two where the scatter is a band, else one.

    Attributes:
        before: Dates before a pretended event.

    Raises:
        InputError: There are too few dates.
    """

    def __init__(self, count: int, before: int | None, after: int, fewest: int, name: str) -> None:
        self.count, self.after = count, after
        # Validation and test have dates after of their own, where there are enough.
        shares = [max(2 * after, round(HELD_OUT * count)), after]
        rooms = [count - share - 2 * after for share in shares]
        if rooms[1] < fewest:
            needed = fewest + 3 * after
            raise InputError(
                f"{name} has {count} quiet dates before the event, and training on the past needs "
                f"{needed}: prepare more with sar.before={needed}, or map with checkpoint=log_ratio"
            )
        self.held_out, room = next(
            pair for pair in zip(shares, rooms, strict=True) if pair[1] >= fewest
        )
        self.before = room if before is None else min(before, room)

    def draw(self, rng: np.random.Generator, split: DrawnFor) -> Choice:
        """Draw the dates of a sample; what one split has after the event no other has there."""
        first = self.count - self.held_out
        if split == "train" and rng.random() < SHUFFLED:
            order = rng.permutation(first)
            after, donors, rest = np.split(order, [self.after, 2 * self.after])
            return Choice(np.sort(rest[: self.before]), np.sort(after), donors)
        apart = self.held_out >= 2 * self.after
        middle = first + self.held_out // 2
        low, high = {
            "train": (self.before, first),
            "view": (self.before, first),
            "val": (first, middle if apart else self.count),
            "test": (middle if apart else first, self.count),
        }[split]
        start = rng.integers(low, high - self.after + 1)
        before, after = np.arange(start - self.before, start), start + np.arange(self.after)
        known = np.arange(first if split in ("train", "view") else self.count)
        free = np.setdiff1d(known, np.concatenate([before, after]))
        return Choice(before, after, rng.permutation(free)[: self.after])


class QuietDates:
    """Backscatter of one orbit's dates before the event.

    Args:
        root: Scene folder.
        orbit: ``ascending`` or ``descending``.
        polarisations: Those that samples use.
        limit: Bytes that the dates may take in memory; otherwise windows are read from the file.

    Attributes:
        days: The quiet dates in order of time.
        offsets: (D, P) decibels by which unchanged ground is brighter on a date than usual.
        levels: (P,) usual brightness in decibels.

    Raises:
        InputError: The scene has no dates before its event, they were despeckled, or it lacks a
            polarisation.
    """

    def __init__(self, root: Path, orbit: str, polarisations: Sequence[str], limit: int) -> None:
        self.path, self.polarisations = dates_path(root, orbit), list(polarisations)
        if not self.path.exists():
            raise InputError(
                f"{root} has no {self.path.relative_to(root)}: prepare or simulate the scene with "
                "its dates before the event, as in sar.before=12"
            )
        method = (scene_info(root).get("options") or {}).get("despeckle", "none")
        if method != "none":
            # Despeckling would have weakened a real landslide, and small ones most.
            raise InputError(
                f"the dates of {root} were despeckled ({method}), and landslides can only be "
                "implanted into dates as they were measured: prepare the scene with despeckle=none"
            )
        with open_raster(self.path) as source:
            self.grid = Grid.of(source)
            bands = read_dates(source.descriptions)
            positions = {name: i for i, name in enumerate(source.descriptions, 1)}
        self.days = quiet_days(root, orbit, list(bands))
        missing = [p for p in polarisations if any(p not in bands[day] for day in self.days)]
        if missing or not self.days:
            raise InputError(
                f"{self.path} has no date of {', '.join(missing or polarisations)} before the "
                "event: prepare the scene with that polarisation and sar.before=12, or train "
                f"without it, as with '{VV_ALONE}'"
            )
        self._bands = [[positions[bands[day][p]] for p in polarisations] for day in self.days]
        self._memory: Float | None = None
        if 4 * self.grid.height * self.grid.width * len(self.days) * len(polarisations) <= limit:
            self._memory = self._read(self.grid.full_window, np.arange(len(self.days)))
        self.levels, self.offsets = self._measure(root / f"{orbit}.tif")

    def read(self, window: Window, dates: NDArray[np.intp]) -> Float:
        """Read dates (D, P, H, W) of a window, NaN where not measured or outside the scene."""
        inside = self.grid.clip(window)
        if inside == window:
            return self._read(window, dates)
        size = (len(dates), len(self.polarisations), window.height, window.width)
        image = np.full(size, np.nan, np.float32)
        if inside.height > 0 and inside.width > 0:
            image[:, :, *inside.within(window)] = self._read(inside, dates)
        return image

    def _read(self, window: Window, dates: NDArray[np.intp]) -> Float:
        if self._memory is not None:
            rows, cols = window.within(self.grid.full_window)
            return self._memory[dates, :, rows, cols]
        numbers = [band for date in dates for band in self._bands[date]]
        with open_raster(self.path) as source, reading(self.path):
            image = source.read(numbers, window=window.to_rasterio())
        image[~(np.isfinite(image) & (image > 0))] = np.nan
        shape = (len(dates), len(self.polarisations), window.height, window.width)
        dates_read: Float = image.reshape(shape).astype(np.float32)
        return dates_read

    def _measure(self, composite: Path) -> tuple[Float, Float]:
        """Usual level (P,) and offsets (D, P) in decibels, over ground that does not change.

        As for maps (``landslide.data.levels``) that is averages on slopes, if the scene has them.
        """
        every = np.arange(len(self.days))
        blocks = self.grid.blocks(64 * LOOKS)
        blocks = blocks[:: _stride(blocks)]
        values = np.concatenate([_averages(self.read(b, every)) for b in blocks], axis=-1)
        with open_raster(composite) as source, reading(composite):
            if "slope" in source.descriptions:
                number = source.descriptions.index("slope") + 1
                slopes = [source.read([number], window=b.to_rasterio()) for b in blocks]
                angle = np.concatenate([_means(slope[None]).ravel() for slope in slopes])
                if (angle > MIN_SLOPE).sum() >= MIN_AVERAGES:
                    values = values[..., angle > MIN_SLOPE]
        known = np.isfinite(values)
        for number, day in enumerate(self.days):
            if known[number].sum(axis=-1).min() < MIN_AVERAGES // 10:
                raise InputError(
                    f"{self.path}: the date {day} measured too little of the scene to be balanced: "
                    "prepare it without that date"
                )
        count = known.sum(axis=0)
        usual = np.where(known, values, 0).sum(axis=0) / np.maximum(count, 1)
        offsets = [
            [unchanged_difference((v - u)[k]) for v, u, k in zip(*parts, strict=True)]
            for parts in ((values[d], usual, known[d]) for d in every)
        ]
        levels = [np.median(u[c > 0]) for u, c in zip(usual, count, strict=True)]
        return np.array(levels, np.float32), np.array(offsets, np.float32)


def quiet_days(root: Path, orbit: str, days: Sequence[date]) -> list[date]:
    """The dates of an orbit that lie before the scene's event.

    Raises:
        InputError: The scene does not say when its event was.
    """
    info = scene_info(root)
    if stack := (info.get("stack") or {}).get(orbit):
        before = {each["date"] for each in stack if each["side"] == "pre"}
        return [day for day in days if day.isoformat() in before]
    event = info.get("event")
    time = event.get("time") if isinstance(event, dict) else None
    if not time:
        raise InputError(
            f"{root / 'scene.json'} has no time of the event, so that quiet dates are not known: "
            'write it as "event": {"time": "2018-09-06"}'
        )
    return [day for day in days if day < datetime.fromisoformat(str(time)).date()]


def _averages(image: Float) -> Float:
    """Means (D, P, N) in decibels of blocks of pixels that are measured throughout."""
    means = _means(image)
    return 10 * np.log10(means.reshape(*image.shape[:2], -1))


def _means(image: Float) -> Float:
    """Means (D, P, h, w) of blocks of an image (D, P, H, W)."""
    D, P, H, W = image.shape
    h, w = H // LOOKS, W // LOOKS
    blocks = image[:, :, : h * LOOKS, : w * LOOKS].reshape(D, P, h, LOOKS, w, LOOKS)
    means: Float = blocks.mean(axis=(3, 5))
    return means


def _stride(blocks: Sequence[Window]) -> int:
    """Every how manieth block is read, so that about a hundred are."""
    return max(1, len(blocks) // 100)

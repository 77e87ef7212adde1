"""A map against ground truth: pooled pixel metrics and the outcome of every pixel."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import rasterio
from numpy.typing import NDArray

from landslide.data.scene import GroundTruth
from landslide.errors import InputError
from landslide.geo.cartography import FALSE_NEGATIVE, FALSE_POSITIVE, TRUE_NEGATIVE, TRUE_POSITIVE
from landslide.geo.grid import Grid, Window
from landslide.geo.inventory import is_mask_raster, read_inventory
from landslide.geo.polygons import assign_layers, outline_mask, rasterize_window
from landslide.geo.rasters import UNKNOWN, raster_profile

OUTCOMES = ("true negative", "true positive", "false positive", "false negative")
"""Values 0 to 3 of ``outcome.tif``."""

COLORS = (TRUE_NEGATIVE, TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE)
"""Of the values of ``outcome.tif``."""

TRUTH_OF_OUTCOME = np.full(256, UNKNOWN, dtype=np.uint8)
TRUTH_OF_OUTCOME[:4] = (0, 1, 0, 1)

MAX_THRESHOLDS = 2**15
"""Probabilities that landslide pixels are ranked by, at most."""

SIZES = (0.0, 1e3, 1e4, np.inf)
"""Limits in m² of the classes that objects are counted in."""


class Truth(NamedTuple):
    """Ground truth on a scene's grid."""

    read: Callable[[Window], NDArray[np.uint8]]
    """Mask of a window: 0, 1, or 255 where unknown."""

    landslides: gpd.GeoDataFrame
    """The landslides one by one, with ``area_m2``."""


def open_truth(path: Path, grid: Grid) -> Truth:
    """Open a mask raster or polygons.

    Raises:
        InputError: The file is missing, unreadable, elsewhere, or a raster on another grid.
    """
    if not is_mask_raster(path):
        inventory = read_inventory(path, grid)
        polygons = inventory.polygons
        if polygons.empty:
            raise InputError(
                f"inventory={path}: none of its {inventory.features} features touches the scene: "
                "give one of this area, or mend its CRS"
            )
        ones = [1] * len(polygons)
        landslides = gpd.GeoDataFrame({"area_m2": polygons.area}, geometry=polygons)
        return Truth(
            lambda w: rasterize_window(polygons, ones, grid, w).astype(np.uint8), landslides
        )
    truth = GroundTruth(path)
    if not truth.grid.matches(grid):
        raise InputError(
            f"inventory={path} lies on another grid ({truth.grid}) than the scene ({grid}): "
            "warp it (nearest neighbour) or give polygons"
        )

    def read(window: Window) -> NDArray[np.uint8]:
        mask: NDArray[np.uint8] = truth[grid.slices(window)]["mask"].numpy().astype(np.uint8)
        return mask

    landslides, _ = outline_mask(path, grid)
    return Truth(read, landslides)


class Overlap:
    """How much of each object lies in a mask, gathered block by block.

    Objects are counted in the order of the table, each with all of its pixels: one that overlaps
    another takes nothing from it. One that meets no pixel's centre, small or narrow, is counted by
    the pixel that it lies in. Memory grows with the objects and the pairs that overlap.

    Args:
        objects: Polygons with ``area_m2``.
        grid: Grid of the mask.
    """

    def __init__(self, objects: gpd.GeoDataFrame, grid: Grid) -> None:
        self.objects, self.grid = objects, grid
        self.counts = np.zeros((2, len(objects)), dtype=np.int64)
        self.centres = np.zeros(len(objects), dtype=np.int64)
        points = objects.geometry.representative_point()
        cols, rows = ~grid.transform * (points.x.to_numpy(), points.y.to_numpy())
        self._places = np.floor([rows, cols]).astype(int)
        self._at_place = np.full(len(objects), UNKNOWN)
        layer = assign_layers(objects.geometry)
        self._layers = [np.flatnonzero(layer == number) for number in np.unique(layer)]

    def add(self, window: Window, mask: NDArray[np.uint8]) -> None:
        """Count the pixels of a window, which is given once, where the mask is known."""
        length = len(self.objects) + 1
        rows, cols = self._places - [[window.row], [window.col]]
        here = (rows >= 0) & (rows < window.height) & (cols >= 0) & (cols < window.width)
        self._at_place[here] = mask[rows[here], cols[here]]
        for chosen in self._layers:
            ids = rasterize_window(
                self.objects.geometry.iloc[chosen], chosen + 1, self.grid, window
            )
            self.centres += np.bincount(ids.ravel(), minlength=length)[1:]
            for value in (0, 1):
                self.counts[value] += np.bincount(ids[mask == value], minlength=length)[1:]

    def by_size(self) -> list[dict[str, Any]]:
        """Objects of each size class, and of all: how many are touched, how many by half.

        Objects without a known pixel are left out.
        """
        at_place = [self._at_place == value for value in (0, 1)]
        outside, inside = np.where(self.centres > 0, self.counts, at_place)
        known = inside + outside > 0
        share = inside / np.maximum(inside + outside, 1)
        area = self.objects.area_m2.to_numpy()
        rows = []
        for low, high in (*pairwise(SIZES), (SIZES[0], SIZES[-1])):
            chosen = share[known & (area >= low) & (area < high)]
            rows.append(
                {
                    "area": _size_class(low, high),
                    "count": len(chosen),
                    "touched": int((chosen > 0).sum()),
                    "half": int((chosen >= 0.5).sum()),
                }
            )
        return rows


def _size_class(low: float, high: float) -> str:
    if high < np.inf:
        return f"{low:,.0f} to {high:,.0f} m²" if low else f"below {high:,.0f} m²"
    return f"from {low:,.0f} m²" if low else "all"


class Scores:
    """Probabilities of landslide pixels: all of them, or an even choice where they are many.

    Attributes:
        values: Increasing; fewer than ``MAX_THRESHOLDS``.
    """

    def __init__(self) -> None:
        self.values = np.empty(0, dtype=np.float32)
        self._step = 1
        self._random = np.random.default_rng(0)

    def add(self, probability: NDArray[np.float32]) -> None:
        """Add landslide pixels; every second value goes whenever there are too many."""
        found = np.sort(probability, axis=None)[self._random.integers(self._step) :: self._step]
        self.values = np.sort(np.concatenate([self.values, found]))
        while len(self.values) >= MAX_THRESHOLDS:
            self.values = self.values[1::2]
            self._step *= 2


class Ranking:
    """Average precision of probabilities that arrive block by block.

    Pixels are counted between thresholds. With every landslide pixel's probability among the
    thresholds the result is exact, whatever the share of landslides. K thresholds that part the
    landslide pixels evenly shift it by (1 + ln K) / K at most, 0.0007 at half of
    ``MAX_THRESHOLDS``: recall grows by 1 / K from part to part, and within the k-th precision is
    known to 1 / k.

    Args:
        thresholds: Probabilities of landslide pixels, in any order.
    """

    def __init__(self, thresholds: NDArray[np.float32]) -> None:
        self.thresholds = np.unique(thresholds)
        self.counts = np.zeros((2, len(self.thresholds) + 1), dtype=np.int64)

    def add(self, probability: NDArray[np.float32], truth: NDArray[np.uint8]) -> None:
        """Count known, observed pixels by their truth and by how many thresholds they reach."""
        for value in (0, 1):
            chosen = probability[(truth == value) & np.isfinite(probability)]
            reached = np.searchsorted(self.thresholds, chosen, side="right")
            self.counts[value] += np.bincount(reached, minlength=self.counts.shape[1])

    def average_precision(self) -> float:
        """Sum of precision times the gain in recall, over falling thresholds."""
        negatives, positives = self.counts[:, ::-1].cumsum(axis=1)
        if not positives[-1]:
            return 0.0
        precision = positives / np.maximum(positives + negatives, 1)
        gain = np.diff(positives, prepend=0) / positives[-1]
        return float((precision * gain).sum())


def compare(folder: Path, truth: Truth, grid: Grid, threshold: float) -> dict[str, Any]:
    """Write ``outcome.tif`` and return the pooled metrics of a mapped scene.

    Args:
        folder: Holds ``probability.tif`` and ``landslides.tif``.
        truth: Ground truth.
        grid: Grid of the scene.
        threshold: Threshold of the mask, for the record.

    Returns:
        Counts and scores over all observed pixels with known truth. Precision, recall,
        F1 and IoU are those of the mask; average precision is that of the probability.
        ``objects`` counts landslides: how many of the inventory's are ``hit`` by the map,
        how many of the map's are ``real``, by size.
    """
    counts = np.zeros(256, dtype=np.int64)
    scores = Scores()
    hit = Overlap(truth.landslides, grid)
    real = Overlap(outline_mask(folder / "landslides.tif", grid)[0], grid)
    profile = raster_profile(grid, "uint8", 1, UNKNOWN)
    with (
        rasterio.open(folder / "probability.tif") as probabilities,
        rasterio.open(folder / "landslides.tif") as masks,
        rasterio.open(folder / "outcome.tif", "w", **profile) as sink,
    ):
        sink.descriptions = ("outcome: " + ", ".join(f"{i} {n}" for i, n in enumerate(OUTCOMES)),)
        sink.write_colormap(1, {value: _rgba(color) for value, color in enumerate(COLORS)})
        for window in grid.blocks():
            place = window.to_rasterio()
            mapped, known = masks.read(1, window=place), truth.read(window)
            known = np.where(mapped == UNKNOWN, np.uint8(UNKNOWN), known)
            outcome = np.where(mapped == 1, np.uint8(2), np.uint8(3))
            outcome = np.where(mapped == known, known, outcome)
            outcome = np.where(known == UNKNOWN, np.uint8(UNKNOWN), outcome)
            sink.write(outcome, 1, window=place)
            counts += np.bincount(outcome.ravel(), minlength=256)
            scores.add(probabilities.read(1, window=place)[known == 1])
            hit.add(window, np.where(known == UNKNOWN, np.uint8(UNKNOWN), mapped))
            real.add(window, known)
    tn, tp, fp, fn = (int(count) for count in counts[:4])
    return {
        **{"tp": tp, "fp": fp, "fn": fn, "tn": tn},
        "precision": tp / max(tp + fp, 1),
        "recall": tp / max(tp + fn, 1),
        "f1": 2 * tp / max(2 * tp + fp + fn, 1),
        "iou": tp / max(tp + fp + fn, 1),
        "average_precision": _average_precision(folder, scores, grid),
        "threshold": threshold,
        "objects": {"hit": hit.by_size(), "real": real.by_size()},
    }


def _average_precision(folder: Path, scores: Scores, grid: Grid) -> float:
    """Go through probability and outcome again, now that the thresholds are known."""
    ranking = Ranking(scores.values)
    with (
        rasterio.open(folder / "probability.tif") as probabilities,
        rasterio.open(folder / "outcome.tif") as outcomes,
    ):
        for window in grid.blocks():
            place = window.to_rasterio()
            truth = TRUTH_OF_OUTCOME[outcomes.read(1, window=place)]
            ranking.add(probabilities.read(1, window=place), truth)
    return ranking.average_precision()


def _rgba(color: str) -> tuple[int, int, int, int]:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue, 255

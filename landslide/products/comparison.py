"""A map against ground truth: pooled pixel metrics and the outcome of every pixel."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import rasterio
from numpy.typing import NDArray

from landslide.data.readers import MaskReader
from landslide.errors import InputError
from landslide.geo.cartography import FALSE_NEGATIVE, FALSE_POSITIVE, TRUE_NEGATIVE, TRUE_POSITIVE
from landslide.geo.folders import measure_of
from landslide.geo.grid import TILE_SIZE, Grid, Window
from landslide.geo.inventory import is_mask_raster, read_inventory
from landslide.geo.polygons import assign_layers, outline_mask, rasterize_window
from landslide.geo.rasters import UNKNOWN, raster_profile
from landslide.geo.regions import Regions
from landslide.training.size_classes import count_by_size

OUTCOMES = ("true negative", "true positive", "false positive", "false negative")
"""Names of the values 0 to 3 of ``outcome.tif``."""

COLORS = (TRUE_NEGATIVE, TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE)
"""Colours of the values of ``outcome.tif``."""

OUTCOME = np.array([[0, 2], [3, 1]], dtype=np.uint8)
"""Value of ``outcome.tif`` by truth and map."""

MAX_THRESHOLDS = 2**15
"""Limit of the thresholds that average precision is computed from."""


Numbers = Callable[[Window], Iterable[NDArray[np.int32]]]
"""Numbers of the landslides in a window, from 1; of those that overlap in several arrays."""


class Truth(NamedTuple):
    """Ground truth on a scene's grid."""

    read: Callable[[Window], NDArray[np.uint8]]
    """Mask of a window: 0, 1, or 255 where unknown."""

    landslides: gpd.GeoDataFrame
    """One polygon per landslide, with ``area_m2``."""

    regions: Path | None
    """Mask raster whose regions the landslides are, if they are."""


def open_truth(path: Path, grid: Grid) -> Truth:
    """Open a mask raster or polygons.

    Raises:
        InputError: The file is missing or unreadable, does not touch the scene, or is a raster
            on another grid.
    """
    if not is_mask_raster(path):
        inventory = read_inventory(path, grid)
        polygons = inventory.polygons
        if polygons.empty:
            raise InputError(
                f"inventory={path}: none of its {inventory.features} features touches the scene: "
                "give one of this area, or correct its CRS"
            )
        ones = [1] * len(polygons)
        landslides = gpd.GeoDataFrame({"area_m2": polygons.area}, geometry=polygons)

        def rasterize(window: Window) -> NDArray[np.uint8]:
            return rasterize_window(polygons, ones, grid, window).astype(np.uint8)

        return Truth(rasterize, landslides, None)
    truth = MaskReader(path)
    if not truth.grid.matches(grid):
        raise InputError(
            f"inventory={path} lies on another grid ({truth.grid}) than the scene ({grid}): "
            "warp it (nearest neighbour) or give polygons"
        )

    def read(window: Window) -> NDArray[np.uint8]:
        mask: NDArray[np.uint8] = truth.read(window).numpy()
        return mask

    landslides, _ = outline_mask(path, grid)
    return Truth(read, landslides, path)


class Overlap:
    """Share of each landslide that lies in a mask, gathered block by block.

    Each landslide is counted with all of its pixels, even where others overlap it. One that
    contains no pixel centre, small or narrow, is counted by the pixel that it lies in. Memory
    grows with the landslides and their overlapping pairs.

    Args:
        landslides: Polygons with ``area_m2``.
        grid: Grid of the mask.
        regions: Mask raster whose regions the landslides are, if they are: they are labelled
            instead of burnt, which takes minutes for a ragged one.
    """

    def __init__(self, landslides: gpd.GeoDataFrame, grid: Grid, regions: Path | None) -> None:
        self.landslides = landslides
        self.pixels = np.zeros(len(landslides), dtype=np.int64)
        self.counts = np.zeros((2, len(landslides)), dtype=np.int64)  # pixels by mask value
        self._mask_at_points = np.full(len(landslides), UNKNOWN)
        self._points = np.full((2, len(landslides)), -1)
        if regions:
            self._numbers = _number_regions(landslides, grid, regions)
        else:
            self._numbers = _number_polygons(landslides, grid)
            points = landslides.geometry.representative_point()
            cols, rows = ~grid.transform * (points.x.to_numpy(), points.y.to_numpy())
            self._points = np.floor([rows, cols]).astype(int)

    def add(self, window: Window, mask: NDArray[np.uint8]) -> None:
        """Count the known pixels (0 or 1) of a window; call once for each strip of the grid."""
        length = len(self.landslides) + 1
        rows, cols = self._points - [[window.row], [window.col]]
        inside = (rows >= 0) & (rows < window.height) & (cols >= 0) & (cols < window.width)
        self._mask_at_points[inside] = mask[rows[inside], cols[inside]]
        for ids in self._numbers(window):
            self.pixels += np.bincount(ids.ravel(), minlength=length)[1:]
            for value in (0, 1):
                self.counts[value] += np.bincount(ids[mask == value], minlength=length)[1:]

    def by_size(self) -> list[dict[str, Any]]:
        """Count landslides by size class: all, touched by the mask, covered by half.

        Landslides without a known pixel are left out.
        """
        at_points = [self._mask_at_points == value for value in (0, 1)]
        outside, inside = np.where(self.pixels > 0, self.counts, at_points)
        known = inside + outside > 0
        share = inside / np.maximum(inside + outside, 1)
        return count_by_size(self.landslides.area_m2.to_numpy()[known], share[known])


def _number_regions(landslides: gpd.GeoDataFrame, grid: Grid, mask: Path) -> Numbers:
    regions = Regions(mask, grid, landslides.geometry.array)

    def read(strip: Window) -> Iterator[NDArray[np.int32]]:
        with rasterio.open(mask) as source:
            yield regions.read(source, strip)

    return read


def _number_polygons(landslides: gpd.GeoDataFrame, grid: Grid) -> Numbers:
    layer = assign_layers(landslides.geometry)
    layers = [np.flatnonzero(layer == number) for number in np.unique(layer)]

    def burn(window: Window) -> Iterator[NDArray[np.int32]]:
        for indices in layers:
            polygons = landslides.geometry.iloc[indices]
            yield rasterize_window(polygons, indices + 1, grid, window)

    return burn


class Thresholds:
    """Thresholds for average precision: the probabilities of landslide pixels.

    Where there are too many, an even selection of them is kept.

    Attributes:
        values: In increasing order; fewer than ``MAX_THRESHOLDS``.
    """

    def __init__(self) -> None:
        self.values = np.empty(0, dtype=np.float32)
        self._step = 1
        self._random = np.random.default_rng(0)

    def add(self, probability: NDArray[np.float32]) -> None:
        """Add landslide pixels; every second value is dropped when there are too many."""
        first = self._random.integers(self._step)
        selected = np.sort(probability, axis=None)[first :: self._step]
        self.values = np.sort(np.concatenate([self.values, selected]))
        while len(self.values) >= MAX_THRESHOLDS:
            self.values = self.values[1::2]
            self._step *= 2


class AveragePrecision:
    """Average precision of probabilities that arrive block by block.

    Pixels are counted between thresholds. With the probability of every landslide pixel among the
    thresholds the result is exact, whatever the share of landslides. K thresholds that divide the
    landslide pixels evenly change it by (1 + ln K) / K at most, 0.0007 at half of
    ``MAX_THRESHOLDS``: recall grows by 1 / K per interval, and within the k-th precision is known
    to 1 / k.

    Args:
        thresholds: Probabilities of landslide pixels, in any order.
    """

    def __init__(self, thresholds: NDArray[np.float32]) -> None:
        self.thresholds = np.unique(thresholds)
        self.counts = np.zeros((2, len(self.thresholds) + 1), dtype=np.int64)

    def add(self, probability: NDArray[np.float32], truth: NDArray[np.uint8]) -> None:
        """Count known, observed pixels by truth and by the number of thresholds they reach."""
        for value in (0, 1):
            known = probability[(truth == value) & np.isfinite(probability)]
            reached = np.searchsorted(self.thresholds, known, side="right")
            self.counts[value] += np.bincount(reached, minlength=self.counts.shape[1])

    def compute(self) -> float:
        """Sum of precision times the gain in recall, over falling thresholds."""
        negatives, positives = self.counts[:, ::-1].cumsum(axis=1)
        if not positives[-1]:
            return 0.0
        precision = positives / np.maximum(positives + negatives, 1)
        gain = np.diff(positives, prepend=0) / positives[-1]
        return float((precision * gain).sum())


def compare(folder: Path, truth: Truth, grid: Grid, threshold: float) -> dict[str, Any]:
    """Score a map against ground truth, and write ``outcome.tif``.

    Args:
        folder: Folder of the probability or score, and of ``landslides.tif``.
        truth: Ground truth.
        grid: Grid of the scene.
        threshold: Threshold of the mask, for the record.

    Returns:
        Counts and scores over all observed pixels with known truth. Precision, recall,
        F1 and IoU are those of the mask; average precision is that of the probability.
        ``objects`` counts by size which landslides of the inventory are ``hit`` by the map, and
        which of the map are ``real``.
    """
    counts = np.zeros(len(OUTCOMES), dtype=np.int64)
    thresholds = Thresholds()
    hit = Overlap(truth.landslides, grid, truth.regions)
    path = folder / "landslides.tif"
    real = Overlap(outline_mask(path, grid)[0], grid, path)
    profile = raster_profile(grid, "uint8", 1, UNKNOWN)
    with (
        rasterio.open(measure_of(folder)) as probabilities,
        rasterio.open(path) as masks,
        rasterio.open(folder / "outcome.tif", "w", **profile) as sink,
    ):
        sink.descriptions = ("outcome: " + ", ".join(f"{i} {n}" for i, n in enumerate(OUTCOMES)),)
        rgb = [tuple(int(color[i : i + 2], 16) for i in (1, 3, 5)) for color in COLORS]
        sink.write_colormap(1, {value: (*color, 255) for value, color in enumerate(rgb)})
        for block in grid.strips(TILE_SIZE):
            window = block.to_rasterio()
            mapped, actual = masks.read(1, window=window), truth.read(block)
            known = (mapped != UNKNOWN) & (actual != UNKNOWN)
            outcome = np.full(known.shape, UNKNOWN, dtype=np.uint8)
            outcome[known] = OUTCOME[actual[known], mapped[known]]
            sink.write(outcome, 1, window=window)
            counts += np.bincount(outcome[known], minlength=len(OUTCOMES))
            thresholds.add(probabilities.read(1, window=window)[known & (actual == 1)])
            hit.add(block, np.where(known, mapped, np.uint8(UNKNOWN)))
            real.add(block, np.where(known, actual, np.uint8(UNKNOWN)))
    tn, tp, fp, fn = counts.tolist()
    return {
        **{"tp": tp, "fp": fp, "fn": fn, "tn": tn},
        "precision": tp / max(tp + fp, 1),
        "recall": tp / max(tp + fn, 1),
        "f1": 2 * tp / max(2 * tp + fp + fn, 1),
        "iou": tp / max(tp + fp + fn, 1),
        "average_precision": _average_precision(folder, thresholds, grid),
        "threshold": threshold,
        "objects": {"hit": hit.by_size(), "real": real.by_size()},
    }


def _average_precision(folder: Path, thresholds: Thresholds, grid: Grid) -> float:
    """Read probability and outcome again, now that the thresholds are known."""
    truth = np.full(256, UNKNOWN, dtype=np.uint8)
    truth[OUTCOME] = [[0], [1]]
    precision = AveragePrecision(thresholds.values)
    with (
        rasterio.open(measure_of(folder)) as probabilities,
        rasterio.open(folder / "outcome.tif") as outcomes,
    ):
        for block in grid.blocks():
            window = block.to_rasterio()
            outcome = outcomes.read(1, window=window)
            precision.add(probabilities.read(1, window=window), truth[outcome])
    return precision.compute()

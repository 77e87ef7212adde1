"""Metrics that pool true and false positives over a whole split."""

from typing import Any

from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    BinaryAveragePrecision,
    BinaryF1Score,
    BinaryPrecision,
    BinaryRecall,
    BinaryStatScores,
)

from landslide.datasets import UNKNOWN

COUNTS = ("tp", "fp", "tn", "fn")


class Counts(BinaryStatScores):
    """Pixel counts of the confusion matrix, by name."""

    def compute(self) -> dict[str, Tensor]:  # type: ignore[override]
        """Return tp, fp, tn and fn."""
        return dict(zip(COUNTS, super().compute(), strict=False))


class IoU(BinaryStatScores):
    """Intersection over union of landslide pixels, from the counts the other metrics share."""

    def compute(self) -> Tensor:
        """Return TP / (TP + FP + FN), 0 where there is nothing."""
        tp, fp, _, fn, _ = super().compute()
        iou: Tensor = tp / (tp + fp + fn).clamp_min(1)
        return iou


def pixel_metrics(threshold: float, *, average_precision: bool = True) -> MetricCollection:
    """Precision, recall, F1, IoU, counts and average precision of known pixels.

    All take probabilities and a mask of the same shape.

    Args:
        threshold: Probability above which a pixel counts as landslide.
        average_precision: Whether to keep all probabilities for it.
    """
    settings: dict[str, Any] = {
        "threshold": threshold,
        "ignore_index": UNKNOWN,
        "validate_args": False,
    }
    metrics: dict[str, Metric | MetricCollection] = {
        "precision": BinaryPrecision(**settings),
        "recall": BinaryRecall(**settings),
        "f1": BinaryF1Score(**settings),
        "iou": IoU(**settings),
        "counts": Counts(**settings),
    }
    if average_precision:
        metrics["average_precision"] = BinaryAveragePrecision(
            ignore_index=UNKNOWN, validate_args=False
        )
    return MetricCollection(metrics)

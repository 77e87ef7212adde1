"""Metrics, and the loss, pooled over all pixels of a split."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    BinaryAveragePrecision,
    BinaryF1Score,
    BinaryPrecision,
    BinaryRecall,
    BinaryStatScores,
)
from torchmetrics.utilities import dim_zero_cat

from landslide.geo.rasters import UNKNOWN
from landslide.training.losses import PixelLoss

COUNTS = ("tp", "fp", "tn", "fn")

SCORES = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "iou": "IoU",
    "average_precision": "average precision",
}
"""The scores that are told, and what they are called."""

COUNTED_AT_ONCE = 2**22
"""Pixels that wait to be counted: counting batch by batch costs 2 percent of a training step."""


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


class PixelMetrics(MetricCollection):
    """Metrics of one confusion matrix, counted many batches at once."""

    def __init__(self, metrics: dict[str, Metric | MetricCollection]) -> None:
        super().__init__(metrics)
        self._waiting: list[tuple[Tensor, Tensor]] = []

    def update(self, probability: Tensor, mask: Tensor) -> None:  # type: ignore[override]
        """Add a batch of probabilities and its mask, of the same shape."""
        self._waiting.append((probability, mask))
        if sum(mask.numel() for _, mask in self._waiting) >= COUNTED_AT_ONCE:
            self._count()

    def compute(self) -> dict[str, Any]:
        """Return the metrics of all batches."""
        self._count()
        return super().compute()

    def reset(self) -> None:
        """Forget all batches."""
        self._waiting = []
        super().reset()

    def _count(self) -> None:
        if not self._waiting:
            return
        probabilities, masks = zip(*self._waiting, strict=True)
        self._waiting = []
        super().update(_flat(probabilities), _flat(masks))


def _flat(batches: Sequence[Tensor]) -> Tensor:
    return torch.cat([batch.flatten() for batch in batches])


def pixel_metrics(threshold: float, *, average_precision: bool = True) -> PixelMetrics:
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
    return PixelMetrics(metrics)


class PooledLoss(Metric):
    """The loss of all pixels of a split at once, over batches and processes.

    It is the same for every batch size, order and number of processes, unlike the mean over
    batches. A batch without landslides has a Dice loss near 1 if a single pixel of it is called
    landslide, so that such a mean tells more of how the patches were batched than of the network.

    Args:
        loss: Gives the sums of a batch, and the loss of sums.
    """

    full_state_update = False

    sums: list[Tensor]

    def __init__(self, loss: PixelLoss) -> None:
        super().__init__()
        self._value = loss.value
        self.add_state("sums", [], dist_reduce_fx="cat")

    def update(self, sums: Tensor) -> None:
        """Add the sums (K,) of a batch."""
        self.sums.append(sums.detach()[None])

    def compute(self) -> Tensor:
        """Return the loss of all batches, a float64 scalar."""
        return self._value(dim_zero_cat(self.sums).double().sum(dim=0))

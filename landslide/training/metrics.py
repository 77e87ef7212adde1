"""Metrics, and the loss, pooled over all pixels of a split."""

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
from torchmetrics.utilities import dim_zero_cat

from landslide.geo.rasters import UNKNOWN
from landslide.training.losses import PixelLoss
from landslide.training.scores import COUNTS


class Count(BinaryStatScores):
    """One count of the confusion matrix.

    It checks nothing: the library's checks take half of its time, and wait for a GPU at every step.

    Args:
        name: One of ``COUNTS``.
        settings: Those of ``BinaryStatScores``.
    """

    def __init__(self, name: str, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(**settings)
        self.position = COUNTS.index(name)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count a batch of probabilities and its mask, of the same shape."""
        known, truth = target != UNKNOWN, target == 1
        positive = (preds > self.threshold) & known
        pixels = {
            "tp": positive & truth,
            "fp": positive & ~truth,
            "tn": known & ~positive & ~truth,
            "fn": truth & ~positive,
        }
        for name, chosen in pixels.items():
            setattr(self, name, getattr(self, name) + chosen.sum())

    def compute(self) -> Tensor:
        """Return the number of pixels."""
        return super().compute()[self.position]


class IoU(BinaryStatScores):
    """Intersection over union of landslide pixels, from the counts that the other metrics share."""

    def compute(self) -> Tensor:
        """Return TP / (TP + FP + FN), 0 where there is nothing."""
        tp, fp, _, fn, _ = super().compute()
        iou: Tensor = tp / (tp + fp + fn).clamp_min(1)
        return iou


class PooledLoss(Metric):
    """The loss of all pixels of a split at once, over batches and processes.

    It is the same for every batch size, order and number of processes, unlike the mean over
    batches. A batch without landslides has a Dice loss near 1 if a single pixel of it is called
    landslide, so that such a mean says more about how patches were batched than about the network.

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
        """Return the loss of all batches, a scalar, added up in float64."""
        return self._value(dim_zero_cat(self.sums).double().sum(dim=0)).float()


def pixel_metrics(
    threshold: float,
    *,
    average_precision: bool = True,
    loss: PixelLoss | None = None,
    prefix: str | None = None,
) -> MetricCollection:
    """Precision, recall, F1, IoU, counts, average precision and loss of known pixels.

    Args:
        threshold: Probability above which a pixel counts as landslide.
        average_precision: Whether to keep all probabilities for it.
        loss: Also pool this loss.
        prefix: Put before the names.

    Returns:
        Metrics that are updated with ``preds``, probabilities, and ``target``, a mask of the
        same shape; and, where there is a loss, with ``sums``.
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
        **{name: Count(name, **settings) for name in COUNTS},
    }
    if average_precision:
        metrics["average_precision"] = BinaryAveragePrecision(
            ignore_index=UNKNOWN, validate_args=False
        )
    if loss is not None:
        metrics["loss"] = PooledLoss(loss)
    # The first of a group counts for all of it.
    groups = [[*COUNTS, "precision", "recall", "f1", "iou"]]
    return MetricCollection(metrics, prefix=prefix, compute_groups=groups)

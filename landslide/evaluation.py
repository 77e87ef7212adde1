"""Metrics of a checkpoint on the validation and test splits, and how they are told."""

from typing import Any

import numpy as np
import torch
from lightning import Trainer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torchmetrics.functional.classification import binary_precision_recall_curve

from landslide.datamodule import LandslideDataModule
from landslide.datasets import UNKNOWN
from landslide.metrics import COUNTS
from landslide.task import LandslideTask, Stage

Results = dict[str, dict[str, float]]
Curve = tuple[NDArray[np.float32], NDArray[np.float32]]

SCORES = ("precision", "recall", "f1", "iou", "average_precision")


def evaluate(
    trainer: Trainer, task: LandslideTask, datamodule: LandslideDataModule
) -> tuple[Results, Curve]:
    """Score a task on validation and test, every pixel of a split pooled.

    Args:
        trainer: A trainer of one process, so that no patch is scored twice.
        task: A loaded checkpoint.
        datamodule: Its ``val`` and ``test`` loaders are scored.

    Returns:
        The metrics of both splits, and the precision and recall of the test split at
        falling thresholds.
    """
    results: Results = {}
    trainer.validate(task, datamodule, verbose=False)
    results["val"] = _results(task, "val", len(datamodule.patches_of("val")))
    trainer.test(task, datamodule, verbose=False)
    results["test"] = _results(task, "test", len(datamodule.patches_of("test")))
    ranked = task.test_metrics["average_precision"]
    precision, recall, _ = binary_precision_recall_curve(
        _joined(ranked.preds), _joined(ranked.target), ignore_index=UNKNOWN
    )
    return results, (precision.cpu().numpy(), recall.cpu().numpy())


def best_threshold(trainer: Trainer, task: LandslideTask, datamodule: LandslideDataModule) -> float:
    """Threshold with the highest F1 on the validation split, every pixel pooled.

    Returns:
        The middle between the lowest probability that should count and the one below it.
    """
    trainer.validate(task, datamodule, verbose=False)
    ranked = task.val_metrics["average_precision"]
    precision, recall, thresholds = binary_precision_recall_curve(
        _joined(ranked.preds), _joined(ranked.target), ignore_index=UNKNOWN
    )
    f1 = 2 * precision * recall / (precision + recall).clamp_min(1e-12)
    best = int(f1[: len(thresholds)].argmax())
    below = thresholds[best - 1] if best else torch.zeros(())
    return float(thresholds[best].double() + below.double()) / 2


def _joined(state: Any) -> Any:  # noqa: ANN401
    """A list state of torchmetrics as one tensor."""
    return torch.cat(state) if isinstance(state, list) else state


def _results(task: LandslideTask, stage: Stage, patches: int) -> dict[str, float]:
    computed = {name: value.item() for name, value in task.metrics(stage).compute().items()}
    counts: dict[str, float] = {name: int(computed[name]) for name in COUNTS}
    scores = {name: computed[name] for name in SCORES}
    return counts | scores | {"threshold": task.threshold, "patches": patches}


def print_results(results: Results, title: str) -> None:
    """Print the scores of each split as a table, in percent."""
    table = Table(title=title)
    table.add_column("split")
    for heading in ("patches", "precision", "recall", "F1", "IoU", "average precision"):
        table.add_column(heading, justify="right")
    for split, values in results.items():
        scores = [f"{100 * values[name]:.2f}" for name in SCORES]
        table.add_row(split, str(values["patches"]), *scores)
    Console().print(table)

"""Metrics of a checkpoint on the validation and test splits, and how they are told."""

from typing import Any

import numpy as np
import torch
from lightning import Trainer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader
from torchmetrics import MetricCollection
from torchmetrics.functional.classification import binary_precision_recall_curve

from landslide.data.datamodule import LandslideDataModule, Split
from landslide.data.scene import Sample
from landslide.geo.rasters import UNKNOWN
from landslide.training.metrics import COUNTS, SCORES, pixel_metrics
from landslide.training.network import Network
from landslide.training.task import LandslideTask

Results = dict[str, dict[str, float | None]]
"""Counts and scores by split; scores are None where there is no landslide to be found."""

Curve = tuple[NDArray[np.float32], NDArray[np.float32]]


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
    results["val"] = _results(task.val_metrics, task.threshold, datamodule, "val")
    trainer.test(task, datamodule, verbose=False)
    results["test"] = _results(task.test_metrics, task.threshold, datamodule, "test")
    ranked = task.test_metrics["average_precision"]
    precision, recall, _ = binary_precision_recall_curve(
        _joined(ranked.preds), _joined(ranked.target), ignore_index=UNKNOWN
    )
    return results, (precision.cpu().numpy(), recall.cpu().numpy())


def score(network: Network, datamodule: LandslideDataModule, threshold: float) -> Results:
    """Score what maps are made with, an ensemble or flips too, on validation and test.

    Args:
        network: One or several checkpoints from measurements to probability.
        datamodule: Its ``val`` and ``test`` loaders are scored.
        threshold: Probability above which a pixel is landslide.

    Returns:
        The metrics of both splits, every pixel of a split pooled.
    """
    results: Results = {}
    loaders: dict[Split, DataLoader[Sample]] = {
        "val": datamodule.val_dataloader(),
        "test": datamodule.test_dataloader(),
    }
    for split, loader in loaders.items():
        metrics = pixel_metrics(threshold)
        for batch in loader:
            metrics.update(network(batch["image"])[:, 0], batch["mask"])
        results[split] = _results(metrics, threshold, datamodule, split)
    return results


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


def _results(
    metrics: MetricCollection, threshold: float, datamodule: LandslideDataModule, split: Split
) -> dict[str, float | None]:
    computed = {name: value.item() for name, value in metrics.compute().items()}
    counts: dict[str, float | None] = {name: int(computed[name]) for name in COUNTS}
    quiet = computed["tp"] + computed["fn"] == 0
    scores = {name: None if quiet else computed[name] for name in SCORES}
    return counts | scores | {"threshold": threshold, "patches": len(datamodule.patches_of(split))}


def print_results(results: Results, title: str) -> None:
    """Print the scores of each split as a table, in percent."""
    table = Table(title=title)
    table.add_column("split")
    for heading in ("patches", *SCORES.values()):
        table.add_column(heading, justify="right")
    for split, values in results.items():
        found = [values[name] for name in SCORES]
        scores = ["" if score is None else f"{100 * score:.2f}" for score in found]
        table.add_row(split, str(values["patches"]), *scores)
    Console().print(table)

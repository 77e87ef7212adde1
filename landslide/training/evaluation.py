"""Scores of a checkpoint or an ensemble on the validation and test splits."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from lightning import Trainer
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    binary_precision_recall_curve,
)

from landslide.data.datamodule import LandslideDataModule, Split
from landslide.data.samplers import grid_of
from landslide.data.scene import Sample
from landslide.geo.rasters import UNKNOWN
from landslide.training.cells import LANDSLIDE_SHARE, Places, cell_means
from landslide.training.metrics import pixel_metrics
from landslide.training.network import Network
from landslide.training.scores import COUNTS, RANKINGS, SCORES
from landslide.training.task import LandslideTask

Results = dict[str, dict[str, float | None]]
"""Counts and scores by split; scores are None if the split has no landslide."""


class Predictions(NamedTuple):
    """Probabilities of all patches of a split beside the truth.

    Attributes:
        probability: (N, H, W), in [0, 1].
        mask: (N, H, W): 0, 1, or 255 where it is unknown.
        places: Where the patches lie; None for arrays without coordinates.
    """

    probability: Tensor
    mask: Tensor
    places: Places | None = None

    @classmethod
    def join(
        cls, batches: Iterable[tuple[Tensor, Tensor]], places: Places | None = None
    ) -> "Predictions":
        """Join batches of probabilities and masks."""
        probabilities, masks = zip(*batches, strict=True)
        return cls(torch.cat(probabilities), torch.cat(masks), places)


def predict_splits(
    trainer: Trainer, task: LandslideTask, datamodule: LandslideDataModule
) -> dict[Split, Predictions]:
    """Apply a task to the validation and test patches.

    Args:
        trainer: A trainer of one process, so that no patch is scored twice.
        task: A loaded checkpoint.
        datamodule: Gives the patches.
    """
    datamodule.trainer = trainer  # which tells it how many processes share the patches
    return {
        split: Predictions.join(
            trainer.predict(task, loader) or [],  # type: ignore[arg-type]
            places_of(datamodule, split),
        )
        for split, loader in _loaders(datamodule)
    }


def evaluate_network(
    network: Network, datamodule: LandslideDataModule, threshold: float
) -> Results:
    """Score what maps are made with, an ensemble or flips too, on validation and test.

    Args:
        network: One or several checkpoints from measurements to probability.
        datamodule: Gives the patches.
        threshold: Probability above which a pixel is landslide.
    """
    predictions = {
        split: Predictions.join(
            ((network(b["image"])[:, 0], b["mask"]) for b in loader), places_of(datamodule, split)
        )
        for split, loader in _loaders(datamodule)
    }
    return evaluate(predictions, threshold)


def _loaders(datamodule: LandslideDataModule) -> list[tuple[Split, DataLoader[Sample]]]:
    return [("val", datamodule.val_dataloader()), ("test", datamodule.test_dataloader())]


def places_of(
    datamodule: LandslideDataModule, split: Split, context: int | None = None
) -> Places | None:
    """Where the patches of a split lie; None for arrays without coordinates.

    Args:
        datamodule: Gives the patches.
        split: Which of them.
        context: Pixels around a patch that its predictions have too; default: the data module's.
    """
    if context is None:
        context = (datamodule.window_size - datamodule.patch_size) // 2
    grids = [grid_of(scene) for scene in datamodule.scenes]
    if not all(grid.crs for grid in grids):
        return None
    patches = datamodule.patches_of(split)
    corners = patches[["scene", "row", "col"]].to_numpy(dtype=np.int64)
    corners[:, 1:] *= datamodule.patch_size
    corners[:, 1:] -= context
    # Several draws of a patch are as many scenes, whose cells are apart.
    draws = datamodule.draws(patches)
    corners = np.tile(corners, (draws, 1))
    corners[:, 0] += len(grids) * np.arange(draws).repeat(len(patches))
    return Places(corners, grids * draws)


def evaluate(predictions: Mapping[Split, Predictions], threshold: float) -> Results:
    """Score predictions, all pixels of a split pooled.

    Args:
        predictions: By split.
        threshold: Probability above which a pixel is landslide.
    """
    results: Results = {}
    for split, found in predictions.items():
        metrics = pixel_metrics(threshold, average_precision=False)
        metrics.update(found.probability, found.mask)
        values = {name: value.item() for name, value in metrics.compute().items()}
        values |= rankings(found)
        has_landslides = values["tp"] + values["fn"] > 0
        counts = {name: int(values[name]) for name in COUNTS}
        scores = {name: values[name] if has_landslides else None for name in SCORES}
        results[split] = counts | scores | {"threshold": threshold, "patches": len(found.mask)}
    return results


def rankings(predictions: Predictions) -> dict[str, float | None]:
    """Scores without a threshold, all pixels and cells of a split pooled; see ``RANKINGS``.

    Args:
        predictions: Probabilities, or scores on any scale.

    Returns:
        None where there is no landslide, or nothing else.
    """
    known = predictions.mask != UNKNOWN
    scores = _rank(predictions.probability[known], predictions.mask[known] == 1)
    if predictions.places is None:
        cells: tuple[float | None, ...] = (None, None)
    else:
        values, shares = cell_means(*predictions[:2], predictions.places)
        cells = _rank(values, shares > LANDSLIDE_SHARE)
    return dict(zip(RANKINGS, (*scores, *cells), strict=True))


def _rank(values: Tensor, truth: Tensor) -> tuple[float | None, float | None]:
    """Average precision, and area under the receiver operating characteristic."""
    if not truth.any() or truth.all():
        return None, None
    # The library takes values beyond [0, 1] for logits, whose probabilities may coincide.
    values = values.double()
    low, high = values.min(), values.max()
    values = (values - low) / (high - low).clamp_min(1e-300)
    return (
        binary_average_precision(values, truth.long(), validate_args=False).item(),
        binary_auroc(values, truth.long(), validate_args=False).item(),
    )


def best_threshold(predictions: Predictions) -> float:
    """Threshold with the highest F1, all pixels pooled.

    Returns:
        The middle between the lowest probability that should count and the one below it.
    """
    precision, recall, thresholds = binary_precision_recall_curve(
        *predictions[:2], ignore_index=UNKNOWN
    )
    f1 = 2 * precision * recall / (precision + recall).clamp_min(1e-12)
    best = int(f1[: len(thresholds)].argmax())
    below = thresholds[best - 1] if best else torch.zeros(())
    return float(thresholds[best].double() + below.double()) / 2


def quiet_threshold(quiet: Predictions, false_alarms: float) -> float:
    """Smallest threshold above which at most a share of quiet ground lies.

    Args:
        quiet: Probabilities of ground where nothing failed.
        false_alarms: The share, in [0, 1).
    """
    values = quiet.probability[quiet.mask != UNKNOWN]
    allowed = int(false_alarms * len(values))
    return float(values.topk(allowed + 1).values[-1]) if len(values) else 0.0


def mapped_share(quiet: Predictions, threshold: float) -> dict[str, float]:
    """Number of known pixels of quiet ground, and the share of them above a threshold."""
    values = quiet.probability[quiet.mask != UNKNOWN]
    return {"pixels": len(values), "mapped": float((values > threshold).double().mean())}


def print_results(results: Results, title: str) -> None:
    """Print the scores of each split as a table, in percent."""
    table = Table("score", title=title)
    for split in results:
        table.add_column(split, justify="right")
    for name, heading in SCORES.items():
        scores = [values[name] for values in results.values()]
        table.add_row(heading, *("" if score is None else f"{100 * score:.2f}" for score in scores))
    table.add_row("patches", *(str(values["patches"]) for values in results.values()))
    Console().print(table)

"""Figures of a training run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray
from torchmetrics.functional.classification import binary_precision_recall_curve

from landslide.data.datamodule import LandslideDataModule
from landslide.geo.cartography import (
    BLUE,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    GREY,
    ORANGE,
    TRUE_POSITIVE,
    VERMILION,
    save_figure,
)
from landslide.geo.rasters import UNKNOWN
from landslide.radar.bands import is_backscatter, is_quotient, polarisation_of
from landslide.training.evaluation import Predictions
from landslide.training.task import LandslideTask

OUTCOMES = {
    "true positive": TRUE_POSITIVE,
    "false positive": FALSE_POSITIVE,
    "false negative": FALSE_NEGATIVE,
    "unknown": GREY,
}


def training_curves(history: Path, path: Path, *, title: str) -> None:
    """Loss and F1 of training and validation over the epochs."""
    rows = pd.read_csv(history)
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    best = rows.epoch.to_numpy()[rows.val_loss.argmin()]
    for axis, name, label in zip(axes, ("loss", "f1"), ("Loss", "F1"), strict=True):
        axis.plot(rows.epoch, rows[f"train_{name}"], color=BLUE, label="training")
        axis.plot(rows.epoch, rows[f"val_{name}"], color=ORANGE, label="validation")
        axis.axvline(best, color=GREY, linestyle=":", label="best validation loss")
        axis.set(xlabel="Epoch", ylabel=label, ylim=(0, None))
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False)
    figure.suptitle(title, fontsize=9)
    save_figure(figure, path)


def precision_recall(
    predictions: Predictions, scores: Mapping[str, Any], path: Path, *, title: str
) -> None:
    """Precision over recall of a split; its scores at the working point are marked."""
    curve = binary_precision_recall_curve(*predictions[:2], ignore_index=UNKNOWN)
    points = torch.stack(curve[:2]).cpu().numpy()
    # A large split has a million points, most of which are the same pixel of the figure.
    moves = np.diff(points.round(3), axis=1).any(axis=0)
    precision, recall = points[:, np.append(moves, True)]
    figure, axis = plt.subplots(figsize=(4.2, 4), layout="constrained")
    axis.step(recall, precision, where="post", color=BLUE)
    label = f"threshold {scores['threshold']:.3g}"
    axis.plot(scores["recall"], scores["precision"], "o", color=VERMILION, label=label)
    axis.set(xlabel="Recall", ylabel="Precision", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axis.set_title(title, fontsize=9)
    axis.legend(frameon=False)
    axis.grid(alpha=0.3)
    save_figure(figure, path)


def samples(
    task: LandslideTask, datamodule: LandslideDataModule, path: Path, *, title: str, count: int = 6
) -> None:
    """Test patches with their bands, ground truth and prediction.

    The patches are evenly spaced in rank of landslide area, among those with a landslide.
    """
    patches = datamodule.patches_of("test").sort_values("landslide_pixels", ascending=False)
    if patches.landslide_pixels.any():
        patches = patches[patches.landslide_pixels > 0]
    ranks = np.unique(np.linspace(0, len(patches) - 1, count).round().astype(int))
    chosen = list(datamodule.samples(patches.iloc[ranks]))
    images = torch.stack([sample["image"] for sample in chosen])
    masks = torch.stack([sample["mask"] for sample in chosen]).numpy()
    with torch.inference_mode():
        probability = torch.sigmoid(task.eval()(images.to(task.device)))[:, 0].cpu().numpy()
    columns = len(task.bands) + 2
    figure, axes = plt.subplots(
        1, columns, figsize=(1.7 * columns, 1.75 * len(chosen) + 0.6), layout="constrained"
    )
    for axis, band, values in zip(axes, task.bands, images.numpy().swapaxes(0, 1), strict=False):
        _show_band(axis, band, values)
    _show(axes[-2], probability, "probability", cmap="viridis", vmin=0, vmax=1)
    _show_outcome(axes[-1], probability > task.threshold, masks)
    figure.suptitle(title, fontsize=9)
    figure.legend(
        handles=[Patch(color=color, label=name) for name, color in OUTCOMES.items()],
        loc="outside lower center",
        ncols=len(OUTCOMES),
        frameon=False,
        fontsize=8,
    )
    save_figure(figure, path)


def _show(axis: Axes, patches: NDArray[Any], heading: str, **colors: object) -> None:
    """Show framed patches (N, H, W) one below the other, as one image: N axes take longer."""
    N, H, W = patches.shape
    gap = H // 12
    column = np.full((N, H + gap, W), np.nan)
    column[:, :H] = patches
    axis.imshow(column.reshape(-1, W)[: N * (H + gap) - gap], interpolation="nearest", **colors)  # type: ignore[arg-type]
    for i in range(N):
        corner = (-0.5, i * (H + gap) - 0.5)
        axis.add_patch(Rectangle(corner, W, H, fill=False, linewidth=0.8, clip_on=False))
    axis.set_title(heading, fontsize=9)
    axis.set(xticks=[], yticks=[])  # hidden labels would still take space
    axis.set_axis_off()


def _show_band(axis: Axes, band: str, values: NDArray[np.float32]) -> None:
    if is_backscatter(band):
        with np.errstate(invalid="ignore", divide="ignore"):
            values = 10 * np.log10(values)
        if is_quotient(band):
            _show(axis, values, band, cmap="RdBu_r", vmin=-10, vmax=10)
        else:
            low, high = (-25, -9) if polarisation_of(band) in ("vh", "hv") else (-18, -2)
            _show(axis, values, band, cmap="gray", vmin=low, vmax=high)
    else:
        _show(axis, values, band, cmap="cividis")


def _show_outcome(axis: Axes, predicted: NDArray[np.bool_], mask: NDArray[np.uint8]) -> None:
    outcome = np.zeros(mask.shape, dtype=np.uint8)
    outcome[predicted & (mask == 1)] = 1
    outcome[predicted & (mask == 0)] = 2
    outcome[~predicted & (mask == 1)] = 3
    outcome[mask == UNKNOWN] = 4
    _show(
        axis, outcome, "outcome", cmap=ListedColormap(["white", *OUTCOMES.values()]), vmin=0, vmax=4
    )

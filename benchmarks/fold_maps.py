"""What models map on ground that they were not trained on, each beside the others.

``python benchmarks/fold_maps.py sweep folds.png "Title:dataset=stack_fused,model=log_ratio" …``

Every run of a sweep over ``split.fold`` maps the patches that it was tested on, at its own
threshold, so that the runs of one setting make up a map of the whole scene.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from numpy.typing import NDArray
from rich.progress import track

from landslide.data.memory import SceneMemory
from landslide.data.samplers import grid_of
from landslide.geo.cartography import (
    NOT_OBSERVED,
    draw_north_arrow,
    draw_scale_bar,
    save_figure,
    show_image,
)
from landslide.geo.grid import Grid
from landslide.geo.rasters import UNKNOWN
from landslide.products.comparison import COLORS, OUTCOMES
from landslide.study.ensembles import shared_data
from landslide.study.runs import read_runs
from landslide.training.evaluation import places_of
from landslide.training.network import Network
from landslide.training.task import load_task

Outcome = NDArray[np.uint8]
"""(H, W) index of ``OUTCOMES``; 255 where unknown or not tested."""


def map_folds(sweep: Path, runs: pd.DataFrame) -> tuple[Outcome, Grid]:
    """Outcome of the runs of one setting, each on the patches that it was tested on."""
    memory, outcome = SceneMemory(), None
    for run in track(list(runs.run), "Mapping folds", transient=True):
        data = shared_data([sweep / run], memory)
        task = load_task(sweep / run / "checkpoints" / "best.ckpt")
        network, places = Network([task], torch.device("cpu")), places_of(data, "test")
        assert places, run
        grid, size = grid_of(data.scenes[0]), data.patch_size
        if outcome is None:
            outcome = np.full((grid.height, grid.width), UNKNOWN, np.uint8)
        batches = [(network(b["image"])[:, 0], b["mask"]) for b in data.test_dataloader()]
        mapped = torch.cat([p > task.threshold for p, _ in batches]).numpy()
        truth = torch.cat([mask for _, mask in batches]).numpy()
        for (_, row, col), found, mask in zip(places.corners, mapped, truth, strict=True):
            # True positives and negatives are 1 and 0, false ones 2 and 3.
            values = np.where(found == mask, found, np.where(found, 2, 3))
            inside = outcome[row : row + size, col : col + size]
            known = np.where(mask <= 1, values, UNKNOWN)
            inside[:] = known[: inside.shape[0], : inside.shape[1]]
    if outcome is None:
        raise SystemExit(f"{sweep}: no finished run has these settings")
    return tested(outcome, grid)


def tested(outcome: Outcome, grid: Grid) -> tuple[Outcome, Grid]:
    """The part of a map that holds all patches."""
    height, width = (int(axis.max()) + 1 for axis in np.nonzero(outcome != UNKNOWN))
    return outcome[:height, :width], grid._replace(height=height, width=width)


def f1(outcome: Outcome) -> float:
    """F1 of all known pixels."""
    _, tp, fp, fn = np.bincount(outcome[outcome != UNKNOWN], minlength=4)[:4]
    return float(2 * tp / max(2 * tp + fp + fn, 1))


def select(runs: pd.DataFrame, settings: str) -> pd.DataFrame:
    """Finished runs that have ``name=value,name=value``."""
    for setting in settings.split(","):
        name, _, value = setting.partition("=")
        runs = runs[runs[name].astype(str) == value]
    runs = runs[runs.status == "finished"]
    if runs["split.fold"].duplicated().any():
        raise SystemExit(
            f"{settings}: several runs of a fold have these settings; name more of them"
        )
    return runs


def main() -> None:
    """Map, and draw one panel for each setting and each folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("panels", nargs="+", help="title:name=value,name=value of finished runs")
    options = parser.parse_args()
    runs = read_runs(options.sweep)
    titles = [panel.partition(":")[0] for panel in options.panels]
    chosen = [panel.partition(":")[2] for panel in options.panels]
    panels = [map_folds(options.sweep, select(runs, settings)) for settings in chosen]
    columns = 2 if len(panels) < 5 else 3
    rows = -(-len(panels) // columns)
    grid = panels[0][1]
    height = 4.6 * grid.height / grid.width + 0.35
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.6 * columns, height * rows), layout="constrained", squeeze=False
    )
    for axis in axes.ravel()[len(panels) :]:
        axis.axis("off")
    for axis, title, (outcome, extent) in zip(axes.ravel(), titles, panels, strict=False):
        colors = {"cmap": ListedColormap(COLORS), "vmin": -0.5, "vmax": 3.5}
        drawn = np.ma.masked_equal(outcome, UNKNOWN)
        show_image(axis, drawn, extent, interpolation="nearest", **colors)
        axis.set(xticks=[], yticks=[], facecolor=NOT_OBSERVED)
        axis.set_title(f"{title}: F1 {100 * f1(outcome):.0f}", fontsize=10)
    draw_scale_bar(axes[0, 0], grid.bounds[2] - grid.bounds[0])
    draw_north_arrow(axes[0, 0])
    handles = [Patch(facecolor=COLORS[i], edgecolor="0.6", label=OUTCOMES[i]) for i in (1, 2, 3, 0)]
    handles.append(Patch(facecolor=NOT_OBSERVED, label="not observed"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=9, frameon=False)
    save_figure(figure, options.picture)


if __name__ == "__main__":
    main()

"""Seams, cost and scores of the overlap of windows, and a picture of the paper's way.

    python benchmarks/seams.py outputs/run/checkpoints/best.ckpt data/demo seams.png

The checkpoint must be one that scales every patch by itself (normalization=patch_minmax). The
scene should be another than that of its training.
"""

import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from landslide.data.scene import Scene
from landslide.geo.cartography import save_figure
from landslide.geo.metadata import scene_info
from landslide.prediction.stream import choose_predictor
from landslide.products.comparison import AveragePrecision, Thresholds
from landslide.training.cpu import tune_cpu
from landslide.training.network import Network
from landslide.training.task import load_task

OVERLAPS = (0, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4)
DRAWN = {0: "the paper's tiles", 1 / 2: "half overlapping, blended"}

PANEL_SIZE = 384
"""Side of the part that is drawn, in pixels."""


def predict_probability(scene: Scene, network: Network, overlap: float) -> NDArray[np.float32]:
    """The whole scene's probability."""
    found = np.zeros((scene.grid.height, scene.grid.width), dtype=np.float32)
    window = {"size": None, "overlap": overlap, "halo": None}
    predictor = choose_predictor(network, scene.grid, window)
    for block in predictor.blocks:
        output = predictor(scene.read(predictor.source(block))["image"], block)[0]
        found[block.row : block.row + block.height, block.col : block.col + block.width] = output
    return found


def step_ratios(found: NDArray[np.float32], side: int, stride: int) -> tuple[float, float]:
    """Mean step between neighbouring pixels at the borders of windows over that elsewhere.

    The second ratio is that of the strips where two windows are blended; NaN where all is.
    """
    ratios = []
    for values in (found, found.T):
        steps = np.abs(np.diff(values, axis=1)).mean(axis=0)
        place = (np.arange(len(steps)) + 1) % stride
        borders = (place == 0) | (place == side % stride)
        blended = borders | (place < side - stride)
        both = (borders, blended) if stride > side / 2 else (borders, borders & False)
        ratios.append([_mean(steps[part]) / steps[~part].mean() for part in both])
    at_borders, in_strips = np.mean(ratios, axis=0)
    return float(at_borders), float(in_strips)


def _mean(values: NDArray[np.float32]) -> float:
    return float(values.mean()) if len(values) else np.nan


def score(found: NDArray[np.float32], truth: NDArray[np.uint8], threshold: float) -> list[float]:
    """F1 and average precision over known pixels, in percent."""
    thresholds = Thresholds()
    thresholds.add(found[truth == 1])
    precision = AveragePrecision(thresholds.values)
    precision.add(found, truth)
    hits, mapped = ((found > threshold) & (truth == 1)).sum(), (found > threshold) & (truth < 2)
    return [200 * hits / (mapped.sum() + (truth == 1).sum()), 100 * precision.compute()]


def main() -> None:
    checkpoint, root, output = (Path(word) for word in sys.argv[1:4])
    tune_cpu()
    task = load_task(checkpoint)
    scene = Scene.of(root, task.orbit, task.bands)
    truth = scene.read(scene.grid.full_window)["mask"].numpy()
    network = Network([task], torch.device("cpu"))
    table = Table("overlap", "passes a pixel", "CPU seconds", "at borders", "in strips", "F1", "AP")
    figure, axes = plt.subplots(1, 2, figsize=(10, 5.6), layout="constrained")
    center = [side // 2 // 64 * 64 for side in (scene.grid.height, scene.grid.width)]
    shown = tuple(slice(c - PANEL_SIZE // 2, c + PANEL_SIZE // 2) for c in center)
    predict_probability(scene, network, 0)  # the first pass warms up
    for overlap in OVERLAPS:
        start = time.process_time()
        found = predict_probability(scene, network, overlap)
        taken = time.process_time() - start
        ratios = step_ratios(found, task.patch_size, round(task.patch_size * (1 - overlap)))
        numbers = [1 / (1 - overlap) ** 2, taken, *ratios, *score(found, truth, task.threshold)]
        table.add_row(f"{overlap:g}", *(f"{number:.2f}" for number in numbers))
        if overlap in DRAWN:
            axis = axes[list(DRAWN).index(overlap)]
            image = axis.imshow(found[shown], vmin=0, vmax=1, cmap="magma")
            words = f"window.overlap={overlap:g}: {DRAWN[overlap]}"
            axis.set_title(f"{words}\nsteps at borders x {ratios[0]:.2f}")
            axis.set(xlabel="pixels", ylabel="pixels")
    Console().print(table)
    figure.colorbar(image, ax=axes, shrink=0.7, label="probability of landslide")
    if scene_info(root).get("simulated"):
        figure.suptitle("Simulated scene")
    save_figure(figure, output)


if __name__ == "__main__":
    main()

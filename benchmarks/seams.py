"""Seams of tiled windows, measured and drawn: the paper's way, and blended windows.

    python benchmarks/seams.py outputs/run/checkpoints/best.ckpt data/demo seams.png

The checkpoint must be one that scales every patch by itself (normalization=patch_minmax).
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from numpy.typing import NDArray

from landslide.data.scene import Scene
from landslide.geo.cartography import save_figure
from landslide.geo.metadata import scene_info
from landslide.prediction.stream import choose_predictor
from landslide.training.network import Network
from landslide.training.task import load_task

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


def border_step_ratio(found: NDArray[np.float32], side: int) -> float:
    """Mean step across the borders of windows over the mean step elsewhere."""
    at_border, elsewhere = [], []
    for values in (found, found.T):
        steps = np.abs(np.diff(values, axis=1)).mean(axis=0)
        borders = np.arange(len(steps)) % side == side - 1
        at_border.append(steps[borders].mean())
        elsewhere.append(steps[~borders].mean())
    return float(np.mean(at_border) / np.mean(elsewhere))


def main() -> None:
    checkpoint, root, output = (Path(word) for word in sys.argv[1:4])
    task = load_task(checkpoint)
    scene = Scene.of(root, task.orbit, task.bands, truth=False)
    network = Network([task], torch.device("cpu"))
    figure, axes = plt.subplots(1, 2, figsize=(10, 5.6), layout="constrained")
    center = [side // 2 // 64 * 64 for side in (scene.grid.height, scene.grid.width)]
    shown = tuple(slice(c - PANEL_SIZE // 2, c + PANEL_SIZE // 2) for c in center)
    for axis, overlap, words in zip(
        axes, (0.0, 0.5), ("the paper's tiles", "half overlapping, blended"), strict=True
    ):
        found = predict_probability(scene, network, overlap)
        ratio = border_step_ratio(found, task.patch_size)
        print(f"window.overlap={overlap:g}: step at borders {ratio:.2f} of that elsewhere")
        image = axis.imshow(found[shown], vmin=0, vmax=1, cmap="magma")
        axis.set_title(f"window.overlap={overlap:g}: {words}\nsteps at borders x {ratio:.2f}")
        axis.set(xlabel="pixels", ylabel="pixels")
    figure.colorbar(image, ax=axes, shrink=0.7, label="probability of landslide")
    if scene_info(root).get("simulated"):
        figure.suptitle("Simulated scene")
    save_figure(figure, output)


if __name__ == "__main__":
    main()

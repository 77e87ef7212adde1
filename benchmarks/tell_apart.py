"""A picture in which a person can try to tell implants from what really changed.

``python benchmarks/tell_apart.py tell_apart.png [--seed 0]``

Each panel is the change between real quiet dates (OPERA RTC-S1, ``opera_rtc_quiet`` in the folder
that LANDSLIDE_SHARED_DATA names). Half of the panels have one implanted landslide somewhere; the
program prints which.
"""

import argparse
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from tonight import MEAN_AREA, prepare

from landslide.data.implanted_scene import ImplantedScene
from landslide.geo.cartography import save_figure
from landslide.geo.grid import Window
from landslide.implant.past import Implants

PANELS, SIDE = 8, 48
"""Number of panels, and their side in pixels of 30 m."""

FEWEST, MOST = 12, 60
"""Pixels of the landslides, 1 to 5 ha."""

BANDS = ["vv_pre_mean", "vv_post_mean", "vh_pre_mean", "vh_post_mean"]


def main() -> None:
    """Draw windows with and without an implant, shuffle them, and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    burst = Path(os.environ["LANDSLIDE_SHARED_DATA"]) / "opera_rtc_quiet" / "T137-292323-IW2"
    root = prepare(burst, Path(tempfile.mkdtemp()) / "scene")
    implants = Implants(mean_area=MEAN_AREA, before=6, after=1)
    scene = ImplantedScene(root, "ascending", BANDS, implants, limit=2**30, balanced=True)
    rng = np.random.default_rng(options.seed)
    figure, axes = plt.subplots(2, PANELS, figsize=(2 * PANELS, 4.6), layout="constrained")
    answers = []
    for number, implanted in enumerate(rng.permutation(np.arange(PANELS) % 2 == 0)):
        image = _draw(scene, rng, implanted=bool(implanted))
        for row, name in enumerate(("VV", "VH")):
            before, after = 10 * np.log10(image[2 * row : 2 * row + 2])
            axis = axes[row, number]
            shown = axis.imshow(after - before, cmap="RdBu_r", vmin=-8, vmax=8)
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_ylabel(f"{name} change" if number == 0 else "")
        axes[0, number].set_title("ABCDEFGH"[number])
        if implanted:
            answers.append("ABCDEFGH"[number])
    figure.colorbar(shown, ax=axes, label="dB", shrink=0.8)
    save_figure(figure, options.picture)
    print("With an implant:", ", ".join(answers))


def _draw(scene: ImplantedScene, rng: np.random.Generator, *, implanted: bool) -> np.ndarray:
    """Image (4, SIDE, SIDE) of a window of the burst, quiet or with one landslide."""
    grid = scene.scene.grid
    while True:
        row, col = (int(rng.integers(size - SIDE)) for size in (grid.height, grid.width))
        window, seed = Window(row, col, SIDE, SIDE), [int(rng.integers(2**31))]
        if not implanted:
            return scene.draw(window, seed, "view", quiet=True)["image"].numpy()
        sample, _ = scene.draw_with_dates(window, seed, "view", scars=1)
        if FEWEST <= int((sample["mask"] == 1).sum()) <= MOST:
            return sample["image"].numpy()


if __name__ == "__main__":
    main()

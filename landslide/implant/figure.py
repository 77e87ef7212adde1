"""Figure of a scene of implants: before, after, change, and outlines."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from landslide.geo.cartography import label_kilometres, save_figure, show_image
from landslide.geo.grid import Grid
from landslide.geo.relief import Float

MAX_PIXELS = 900
"""Longer side of a panel; larger scenes are shown with every nth pixel."""

PAIRS = (("pre_mean", "post_mean"), ("pre", "post1"))
"""Bands before and after that are shown, the first pair that a scene has."""


def draw_implants(
    path: Path, image: Float, bands: Sequence[str], mask: NDArray[np.uint8], grid: Grid
) -> None:
    """Draw each polarisation before, after and its change, with the outlines of the implants.

    Args:
        path: PNG to write.
        image: (C, H, W) in linear power.
        bands: Names of the channels.
        mask: (H, W), 1 in implants.
        grid: Grid of the scene.
    """
    step = max(1, round(max(mask.shape) / MAX_PIXELS))
    shown = dict(zip(bands, image[:, ::step, ::step], strict=True))
    pairs = {
        p: next(pair for pair in PAIRS if f"{p}_{pair[0]}" in shown)
        for p in ("vv", "vh")
        if any(f"{p}_{pair[0]}" in shown and f"{p}_{pair[1]}" in shown for pair in PAIRS)
    }
    figure, axes = plt.subplots(
        len(pairs),
        3,
        figsize=(13, 1 + 4.2 * len(pairs) * mask.shape[0] / mask.shape[1]),
        layout="constrained",
        squeeze=False,
        sharex=True,
        sharey=True,
    )
    west, south, east, north = grid.bounds
    for row, (polarisation, pair) in zip(axes, pairs.items(), strict=True):
        before, after = (10 * np.log10(shown[f"{polarisation}_{name}"]) for name in pair)
        low, high = np.nanpercentile(before, [2, 98])
        for axis, title, values in ((row[0], "before", before), (row[1], "after", after)):
            show_image(axis, values, grid, cmap="gray", vmin=low - 1, vmax=high + 1)
            axis.set_title(
                f"{polarisation.upper()} {title}, {low:.0f} to {high:.0f} dB", fontsize=9
            )
        offset = float(np.nanmedian(after - before))
        style = {"cmap": "RdBu_r", "vmin": -8, "vmax": 8}
        change = show_image(row[2], after - before - offset, grid, **style)
        heading = f"{polarisation.upper()} change beside {offset:+.1f} dB of the whole date"
        row[2].set_title(heading, fontsize=9)
        row[2].contour(
            mask[::step, ::step] == 1,
            levels=[0.5],
            colors="black",
            linewidths=0.8,
            extent=(west, east, north, south),
        )
        figure.colorbar(change, ax=row[2], label="dB", shrink=0.8)
    for axis in axes.flat:
        label_kilometres(axis)
    figure.suptitle(
        "Implanted landslides, outlined, on quiet dates (nothing failed here): easting and "
        f"northing in km, {grid.crs}",
        fontsize=10,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, path)

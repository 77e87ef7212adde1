"""Overview figure of a simulated scene."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LightSource
from matplotlib.figure import Figure
from scipy import ndimage

from landslide.geo.cartography import show_image
from landslide.geo.grid import Grid
from landslide.geo.relief import Float
from landslide.simulate.inputs import SPACING
from landslide.simulate.simulation import SimulatedScene

MAX_PANEL_SIZE = 1100
"""Pixels of a panel's longer side; larger scenes are averaged in linear power."""


def draw_overview(scene: SimulatedScene, path: Path) -> None:
    """Draw before, after, change and false colour of each orbit, slope and landslides.

    Args:
        scene: Simulated scene.
        path: PNG to write.
    """
    step = max(1, round(max(scene.slope.shape) / MAX_PANEL_SIZE))
    height, width = scene.slope.shape
    figure = Figure(figsize=(15, 12 * height / width + 1.5), dpi=100)
    figure.set_layout_engine("constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, 3, sharex=True, sharey=True)
    for row, column, (name, images) in zip(axes, range(2), scene.backscatter.items(), strict=False):
        before, after = (_average_blocks(image, step) for image in images[:2])
        _draw_orbit(figure, row, name, before, after, scene.grid)
        power = np.stack([after, before, before], axis=-1)
        composite = np.nan_to_num(np.clip((_decibel(power) + 16) / 16, 0, 1), nan=1.0)
        show_image(axes[2, column], composite.astype(np.float32), scene.grid)
        axes[2, column].set_title(f"{name}: red brighter after, cyan darker")
    _draw_relief(figure, axes[2, 2], scene, step)
    for axis in axes.flat:
        axis.tick_params(labelsize=7)
        axis.ticklabel_format(style="plain", useOffset=False)
        axis.set(xlabel="", ylabel="")
    figure.suptitle(
        f"Simulated scene, {height} x {width} px of {SPACING:g} m "
        f"(easting and northing in m, {scene.grid.crs})"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def _draw_orbit(
    figure: Figure, row: list[Axes], name: str, before: Float, after: Float, grid: Grid
) -> None:
    """Draw before, after and change of one orbit."""
    for axis, title, image in ((row[0], "before", before), (row[1], "after", after)):
        panel = show_image(axis, _decibel(image), grid, cmap="gray", vmin=-17, vmax=0)
        axis.set_title(f"{name}, {title}")
    figure.colorbar(panel, ax=row[:2], label="VV gamma nought (dB)", shrink=0.8, aspect=30)
    first, second = (_decibel(ndimage.uniform_filter(image, 5)) for image in (before, after))
    panel = show_image(row[2], second - first, grid, cmap="RdBu_r", vmin=-6, vmax=6)
    row[2].set_title(f"{name}, change (mean of 5 x 5)")
    figure.colorbar(panel, ax=row[2], label="change (dB)", shrink=0.8, aspect=30)


def _draw_relief(figure: Figure, axis: Axes, scene: SimulatedScene, step: int) -> None:
    """Draw hill shading, slope and mapped landslides."""
    elevation, spacing = scene.elevation[::step, ::step], SPACING * step
    shade = LightSource(315, 45).hillshade(elevation, dx=spacing, dy=spacing)
    show_image(axis, shade, scene.grid, cmap="gray")
    slope = scene.slope[::step, ::step]
    panel = show_image(axis, slope, scene.grid, cmap="YlOrBr", vmin=0, vmax=45, alpha=0.4)
    if not scene.inventory.empty:
        scene.inventory.boundary.plot(ax=axis, color="crimson", linewidth=0.4)
    axis.set_title("slope and mapped landslides")
    figure.colorbar(panel, ax=axis, label="slope (degrees)", shrink=0.8, aspect=30)


def _average_blocks(image: Float, step: int) -> Float:
    """Mean of blocks of ``step`` pixels a side."""
    height, width = (size // step * step for size in image.shape)
    blocks = image[:height, :width].reshape(height // step, step, width // step, step)
    mean: Float = blocks.mean((1, 3))
    return mean


def _decibel(power: Float) -> Float:
    level: Float = 10 * np.log10(power)
    return level

"""Overview figure of a simulated scene."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LightSource
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from scipy import ndimage

from landslide.geo.grid import Grid
from landslide.geo.relief import Float
from landslide.simulate.simulation import SimulatedScene

MAX_PANEL_SIZE = 1100
"""Pixels of the longer side of a panel; larger scenes are averaged in linear power."""


def draw_overview(scene: SimulatedScene, path: Path) -> None:
    """Write a figure: per orbit before, after, change and false colour; slope; landslides.

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
        before, after = (_reduce(image, step) for image in images[:2])
        _orbit(figure, row, name, before, after, scene.grid)
        power = np.stack([after, before, before], axis=-1)
        composite = np.nan_to_num(np.clip((_decibel(power) + 16) / 16, 0, 1), nan=1.0)
        _show(axes[2, column], composite.astype(np.float32), scene.grid)
        axes[2, column].set_title(f"{name}: red brighter after, cyan darker")
    _relief(figure, axes[2, 2], scene, step)
    for axis in axes.flat:
        axis.tick_params(labelsize=7)
        axis.ticklabel_format(style="plain", useOffset=False)
        axis.set(xlabel="", ylabel="")
    figure.suptitle(
        f"Simulated scene, {height} x {width} px of 10 m "
        f"(easting and northing in m, {scene.grid.crs})"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def _orbit(
    figure: Figure, row: list[Axes], name: str, before: Float, after: Float, grid: Grid
) -> None:
    """Before, after and change of one orbit."""
    for axis, title, image in ((row[0], "before", before), (row[1], "after", after)):
        shown = _show(axis, _decibel(image), grid, cmap="gray", vmin=-17, vmax=0)
        axis.set_title(f"{name}, {title}")
    figure.colorbar(shown, ax=row[:2], label="VV gamma nought (dB)", shrink=0.8, aspect=30)
    smooth = [ndimage.uniform_filter(image, 5) for image in (before, after)]
    change = _decibel(smooth[1]) - _decibel(smooth[0])
    shown = _show(row[2], change, grid, cmap="RdBu_r", vmin=-6, vmax=6)
    row[2].set_title(f"{name}, change (mean of 5 x 5)")
    figure.colorbar(shown, ax=row[2], label="change (dB)", shrink=0.8, aspect=30)


def _relief(figure: Figure, axis: Axes, scene: SimulatedScene, step: int) -> None:
    """Hill shading, slope and mapped landslides."""
    elevation = scene.elevation[::step, ::step]
    shade = LightSource(315, 45).hillshade(elevation, dx=10 * step, dy=10 * step)
    _show(axis, shade, scene.grid, cmap="gray")
    slope = scene.slope[::step, ::step]
    shown = _show(axis, slope, scene.grid, cmap="YlOrBr", vmin=0, vmax=45, alpha=0.4)
    if not scene.inventory.empty:
        scene.inventory.boundary.plot(ax=axis, color="crimson", linewidth=0.4)
    axis.set_title("slope and mapped landslides")
    figure.colorbar(shown, ax=axis, label="slope (degrees)", shrink=0.8, aspect=30)


def _show(axis: Axes, image: Float, grid: Grid, **style: str | float) -> AxesImage:
    west, south, east, north = grid.bounds
    extent = (west, east, south, north)
    return axis.imshow(image, extent=extent, **style)  # type: ignore[arg-type]


def _reduce(image: Float, step: int) -> Float:
    """Mean of blocks of ``step`` pixels a side."""
    height, width = (size // step * step for size in image.shape)
    blocks = image[:height, :width].reshape(height // step, step, width // step, step)
    mean: Float = blocks.mean((1, 3))
    return mean


def _decibel(image: Float) -> Float:
    level: Float = 10 * np.log10(image)
    return level

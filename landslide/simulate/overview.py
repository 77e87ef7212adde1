"""Overview figure of a simulated scene."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LightSource
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage

from landslide.rasters import Grid
from landslide.simulate.noise import Float

if TYPE_CHECKING:
    from landslide.simulate.scene import Scene

LONGEST = 1100
"""Pixels of the longer side of a panel; larger scenes are averaged in linear power."""


def draw_overview(scene: "Scene", path: Path) -> None:
    """Write a figure: per orbit before, after, change; and slope with the landslides."""
    step = max(1, round(max(scene.slope.shape) / LONGEST))
    height, width = scene.slope.shape
    tall = 3.6 * height / width
    figure = Figure(figsize=(15, 2 * tall + 1.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 4, sharex=True, sharey=True)
    for row, (name, images) in zip(axes, scene.backscatter.items(), strict=True):
        before, after = (_reduce(image, step) for image in images[:2])
        for axis, title, image in ((row[0], "before", before), (row[1], "after", after)):
            shown = _show(axis, _decibel(image), scene.grid, cmap="gray", vmin=-18, vmax=-2)
            axis.set_title(f"{name}, {title}")
        figure.colorbar(shown, ax=row[1], label="VV gamma0 (dB)", shrink=0.8)
        change = _decibel(_smooth(after)) - _decibel(_smooth(before))
        shown = _show(row[2], change, scene.grid, cmap="RdBu_r", vmin=-5, vmax=5)
        row[2].set_title(f"{name}, change (3 x 3)")
        figure.colorbar(shown, ax=row[2], label="dB", shrink=0.8)
        rgb = np.stack([_decibel(after), _decibel(before), _decibel(before)], axis=-1)
        if name == "ascending":
            _show(row[3], np.nan_to_num(np.clip((rgb + 18) / 16, 0, 1)), scene.grid)
            row[3].set_title("ascending: red brighter, cyan darker")
        else:
            _slope(row[3], scene, step)
            row[3].set_title("slope and mapped landslides")
    for axis in axes.flat:
        axis.tick_params(labelsize=6)
        axis.ticklabel_format(style="plain", useOffset=False)
    title = f"Simulated scene, {height} x {width} px of 10 m, {scene.grid.crs}"
    figure.suptitle(f"{title}; easting and northing in m")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def _slope(axis: Axes, scene: "Scene", step: int) -> None:
    elevation = scene.elevation[::step, ::step]
    shade = LightSource(315, 45).hillshade(elevation, dx=10 * step, dy=10 * step)
    _show(axis, shade, scene.grid, cmap="gray")
    _show(axis, scene.slope[::step, ::step], scene.grid, cmap="YlOrBr", vmin=0, vmax=45, alpha=0.35)
    scene.inventory.boundary.plot(ax=axis, color="crimson", linewidth=0.4)


def _show(axis: Axes, image: Float, grid: Grid, **style: object) -> object:
    west, south, east, north = grid.bounds
    return axis.imshow(image, extent=(west, east, south, north), **style)  # type: ignore[arg-type]


def _reduce(image: Float, step: int) -> Float:
    """Mean of blocks of ``step`` pixels a side."""
    height, width = (size // step * step for size in image.shape)
    blocks = image[:height, :width].reshape(height // step, step, width // step, step)
    mean: Float = blocks.mean((1, 3))
    return mean


def _smooth(image: Float) -> Float:
    smooth: Float = ndimage.uniform_filter(image, 3)
    return smooth


def _decibel(image: Float) -> NDArray[np.float32]:
    level: NDArray[np.float32] = 10 * np.log10(image)
    return level

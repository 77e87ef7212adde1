"""Figures of a prepared scene, for a look before it is used."""

from collections.abc import Mapping
from pathlib import Path

import geopandas as gpd
import matplotlib.pyplot as plt
import numpy as np
import rasterio
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from rasterio.enums import Resampling
from scipy import ndimage

from landslide.geo.cartography import (
    BLUE,
    GREEN,
    GREY,
    NOT_OBSERVED,
    ORANGE,
    VERMILION,
    WHITE,
    draw_north_arrow,
    draw_scale_bar,
    label_kilometres,
    save_figure,
    show_image,
)
from landslide.geo.grid import Grid
from landslide.geo.rasters import read_reduced
from landslide.geo.relief import Float
from landslide.prepare.quality import Histogram
from landslide.prepare.sources import PASSES, Pass
from landslide.radar.bands import is_backscatter, polarisation_of

PANEL_PIXELS = 1000
"""Longer side of a panel; backscatter is averaged in linear power."""

CODES = ("layover_shadow", "aspect")
"""Bands whose values must not be averaged."""

STYLES: Mapping[str, tuple[str, float, float, str]] = {
    "slope": ("YlOrBr", 0, 45, "slope (degrees)"),
    "aspect": ("twilight_shifted", 0, 360, "aspect (degrees from north)"),
    "local_incidence_angle": ("viridis", 0, 90, "local incidence angle (degrees)"),
    "vv_pre_std": ("magma", 0, 5, "scatter before the event (dB)"),
    "vh_pre_std": ("magma", 0, 5, "scatter before the event (dB)"),
}
"""Colour map, limits and label of bands of terrain and of stacks."""


def draw_figures(
    folder: Path,
    grid: Grid,
    bands: Mapping[Pass, Mapping[str, Histogram]],
    dates: Mapping[Pass, Mapping[str, str]],
    outlines: gpd.GeoDataFrame | None,
    title: str,
) -> None:
    """Write ``figures/``: bands of each orbit, its change and false colour, and histograms.

    Without an image after the event there is no change to show.

    ``dates`` are the days of backscatter bands; ``outlines`` are in the grid's CRS.
    """
    figures = folder / "figures"
    for name in [n for n in PASSES if n in bands]:
        images = _read_reduced(folder / f"{name}.tif")
        labels = {b: f"{b} {dates[name].get(b, '')}".strip() for b in images}
        heading = f"{title}: {name}"
        _draw_bands(images, labels, grid, heading, figures / f"{name}_bands.png")
        if any(band.endswith("_post1") for band in images):
            _draw_change(images, labels, grid, outlines, heading, figures / f"{name}_change.png")
    _draw_histograms(bands, title, figures / "histograms.png")


def _read_reduced(path: Path) -> dict[str, Float]:
    """Bands at reduced resolution; of codes the nearest counts, measurements are averaged."""
    with rasterio.open(path) as source:
        return {
            band: read_reduced(
                source,
                index,
                PANEL_PIXELS,
                Resampling.nearest if band in CODES else Resampling.average,
            ).filled(np.nan)
            for index, band in enumerate(source.descriptions, 1)
        }


def _draw_bands(
    images: Mapping[str, Float], labels: Mapping[str, str], grid: Grid, title: str, path: Path
) -> None:
    columns = min(4, len(images))
    figure, axes = _panels(-(-len(images) // columns), columns, grid, title)
    for axis, (band, image) in zip(axes, images.items(), strict=False):
        axis.set_title(labels[band], fontsize=9)
        if is_backscatter(band):
            low, high = _limits(images, polarisation_of(band))
            panel = _show(axis, _decibel(image), grid, cmap="gray", vmin=low, vmax=high)
            figure.colorbar(panel, ax=axis, label="dB", shrink=0.7)
        elif band in STYLES:
            colors, low, high, label = STYLES[band]
            panel = _show(axis, image, grid, cmap=colors, vmin=low, vmax=high)
            figure.colorbar(panel, ax=axis, label=label, shrink=0.7)
        elif band == "layover_shadow":
            palette = ListedColormap([WHITE, ORANGE, BLUE, VERMILION])
            norm = BoundaryNorm(np.arange(-0.5, 4), 4)
            panel = _show(axis, image, grid, cmap=palette, norm=norm, interpolation="nearest")
            bar = figure.colorbar(panel, ax=axis, ticks=range(4), shrink=0.7)
            bar.ax.set_yticklabels(("clear", "layover", "shadow", "both"))
        else:
            panel = _show(axis, image, grid, cmap="viridis")
            figure.colorbar(panel, ax=axis, shrink=0.7)
    for axis in axes[len(images) :]:
        axis.set_visible(False)
    save_figure(figure, path)


def _draw_change(
    images: Mapping[str, Float],
    labels: Mapping[str, str],
    grid: Grid,
    outlines: gpd.GeoDataFrame | None,
    title: str,
    path: Path,
) -> None:
    """Before, after, change and false colour, with the inventory on top of the last two."""
    polarisation = polarisation_of(next(band for band in images if is_backscatter(band)))
    first, second = f"{polarisation}_pre", f"{polarisation}_post1"
    before, after = images[first], images[second]
    figure, axes = _panels(2, 2, grid, title)
    low, high = _limits(images, polarisation)
    for axis, band in zip(axes, (first, second), strict=False):
        panel = _show(axis, _decibel(images[band]), grid, cmap="gray", vmin=low, vmax=high)
        axis.set_title(labels[band], fontsize=9)
    figure.colorbar(panel, ax=axes[:2], label="backscatter (dB)", shrink=0.7)
    change = _decibel(_smooth(after)) - _decibel(_smooth(before))
    panel = _show(axes[2], change, grid, cmap="RdBu_r", vmin=-6, vmax=6)
    figure.colorbar(panel, ax=axes[2:], label="change (dB)", shrink=0.7)
    axes[2].set_title("change post1 / pre, mean of 5 x 5", fontsize=9)
    power = np.stack([after, before, before], axis=-1)
    color = ((_decibel(power) - low) / (high - low)).clip(0, 1)
    color[np.isnan(color).any(axis=-1)] = (0.94, 0.89, 0.26)
    _show(axes[3], color.astype(np.float32), grid)
    axes[3].set_title("false colour: red brighter after, cyan darker", fontsize=9)
    handles: list[Artist] = [Patch(facecolor=NOT_OBSERVED, label="not measured")]
    if outlines is not None:
        for axis in axes[2:]:
            outlines.boundary.plot(ax=axis, color="black", linewidth=0.5)
            axis.set(xlabel="", ylabel="")
        handles.append(Line2D([], [], color="black", linewidth=0.8, label="mapped landslide"))
    figure.legend(handles=handles, loc="outside lower left", frameon=False, fontsize=8, ncols=2)
    save_figure(figure, path)


def _draw_histograms(bands: Mapping[Pass, Mapping[str, Histogram]], title: str, path: Path) -> None:
    """Share of pixels over dB and, where it is known, over slope, one line per band."""
    slope = next(iter(bands.values())).get("slope")
    columns = len(bands) + (slope is not None)
    figure, panels = plt.subplots(1, columns, figsize=(4.2 * columns, 3.4), squeeze=False)
    axes = list(panels.flat)
    figure.set_layout_engine("constrained")
    for axis, (name, histograms) in zip(axes, bands.items(), strict=False):
        images = [band for band, histogram in histograms.items() if histogram.decibel]
        colors = (BLUE, ORANGE, VERMILION, GREEN, GREY, "black")
        for color, band in zip(colors, images, strict=False):
            _draw_shares(axis, histograms[band], 10, band, color)
        axis.set(title=name, xlabel="backscatter (dB)", ylabel="share per 0.5 dB", xlim=(-30, 10))
        axis.legend(frameon=False, fontsize=8)
    if slope:
        _draw_shares(axes[-1], slope, 20, "slope", BLUE)
        axes[-1].set(title="terrain", xlabel="slope (degrees)", xlim=(0, 70))
        axes[-1].set(ylabel="share per degree")
    figure.suptitle(title, fontsize=10)
    save_figure(figure, path)


def _draw_shares(axis: Axes, histogram: Histogram, bins: int, label: str, color: str) -> None:
    shares = histogram.counts.reshape(-1, bins).sum(axis=1) / max(histogram.valid, 1)
    middles = histogram.edges[:-1].reshape(-1, bins).mean(axis=1) + 0.025
    axis.plot(middles, shares, color=color, label=label, linewidth=1.2)
    axis.set_ylim(0, None)
    axis.grid(alpha=0.3)


def _panels(rows: int, columns: int, grid: Grid, title: str) -> tuple[Figure, list[Axes]]:
    ratio = min(max(grid.height / grid.width, 0.3), 2.5)
    width = min(4.4, 5.5 / ratio)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=((width + 0.8) * columns, width * ratio * rows + 1),
        layout="constrained",
        squeeze=False,
        sharex=True,
        sharey=True,
    )
    figure.suptitle(f"{title}; easting and northing in km, {grid.crs}", fontsize=10)
    return figure, list(axes.flat)


def _show(axis: Axes, image: Float, grid: Grid, **style: object) -> AxesImage:
    west, south, east, north = grid.bounds
    panel = show_image(axis, image, grid, **style)
    axis.set_facecolor(NOT_OBSERVED)
    axis.set(xlim=(west, east), ylim=(south, north), aspect="equal")
    label_kilometres(axis)
    draw_scale_bar(axis, east - west)
    draw_north_arrow(axis)
    return panel


def _limits(images: Mapping[str, Float], polarisation: str) -> tuple[float, float]:
    """Limits in dB for all dates of a polarisation."""
    levels = [
        _decibel(image)
        for band, image in images.items()
        if is_backscatter(band) and polarisation_of(band) == polarisation
    ]
    known = np.concatenate([level[np.isfinite(level)] for level in levels])
    if not len(known):
        return -18.0, 0.0
    low, high = np.percentile(known, (1, 99))
    return float(low), float(max(high, low + 1))


def _smooth(power: Float) -> Float:
    """Mean of 5 x 5 pixels, of those that are valid."""
    valid = np.isfinite(power)
    total = ndimage.uniform_filter(np.where(valid, power, 0), 5)
    weight = ndimage.uniform_filter(valid.astype(np.float32), 5)
    mean: Float = np.where(valid, total / np.maximum(weight, 1e-6), np.nan)
    return mean


def _decibel(power: Float) -> Float:
    with np.errstate(invalid="ignore", divide="ignore"):
        level: Float = 10 * np.log10(np.where(power > 0, power, np.nan))
    return level

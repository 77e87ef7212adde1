"""The map as a picture: polygons over backscatter, with what a map needs to be read."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import matplotlib.pyplot as plt
import numpy as np
import rasterio.warp
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray
from rasterio.enums import Resampling

from landslide.data.scene import Scene
from landslide.geo.cartography import (
    NOT_OBSERVED,
    VERMILION,
    label_kilometres,
    round_length,
    save_figure,
)
from landslide.geo.rasters import UNKNOWN, open_raster, read_reduced, reading
from landslide.products.comparison import COLORS, OUTCOMES
from landslide.radar.bands import (
    ORBIT_MARK,
    BandSource,
    is_backscatter,
    polarisation_of,
    source_bands,
)

PROBABILITY = LinearSegmentedColormap.from_list("probability", ["#fde3cf", VERMILION])
"""Orange stays lighter than the image beneath, in print and for colour-blind readers."""

MIN_PROBABILITY_SHOWN = 0.1
"""Probability below this is not drawn."""

CHARACTERS_PER_INCH = 13
"""Of the source line, per inch of the page's width."""

MAX_PICTURE_SIDE = 1600
"""Longer side in pixels of the picture under the polygons."""


class MapLabels(NamedTuple):
    """Words on a map."""

    title: str
    source: str
    dates: Mapping[str, str]
    """Date of each backscatter band, where known."""


def landslide_map(
    folder: Path, scene: Scene, polygons: gpd.GeoDataFrame, lines: MapLabels, path: Path
) -> None:
    """Polygons and probability over the orbit's last backscatter image.

    Over the scene's first band where there is no backscatter.

    Args:
        folder: Holds ``probability.tif`` and ``landslides.tif``, which says what was not observed.
        scene: The scene that was mapped.
        polygons: Landslides in the scene's CRS.
        lines: Title, source line and dates.
        path: Picture to write; its suffix chooses the format.
    """
    images = [source_bands(band)[0] for band in scene.bands if is_backscatter(band)]
    own = [image for image in images if ORBIT_MARK not in image]
    label = (own or images or scene.bands[:1])[-1]
    values = _band(scene, label)
    if images:
        values = 10 * np.log10(np.where((values > 0) & (values < np.inf), values, np.nan))
        polarisation = polarisation_of(label).upper()
        label = f"{polarisation} backscatter, {lines.dates.get(label, label)} (dB)"
    figure, axis = _page(scene)
    low, high = np.nanpercentile(values, (0.5, 99.5)) if np.isfinite(values).any() else (0, 1)
    image = axis.imshow(values, cmap="gray", vmin=low, vmax=high, extent=_extent(scene))
    unseen = _reduced(folder / "landslides.tif") == UNKNOWN
    axis.imshow(
        np.ma.masked_equal(unseen, False),
        cmap=ListedColormap([NOT_OBSERVED]),
        extent=_extent(scene),
        interpolation="nearest",
    )
    found = _reduced(folder / "probability.tif")
    probability = axis.imshow(
        np.ma.masked_where(~(found >= MIN_PROBABILITY_SHOWN), found),
        cmap=PROBABILITY,
        vmin=0,
        vmax=1,
        extent=_extent(scene),
        interpolation="nearest",
    )
    if len(polygons):
        # Outlines, so that the smallest are seen too.
        polygons.boundary.plot(ax=axis, color="black", linewidth=0.5)
    area = polygons.area_m2.sum() / 1e6
    landslides = f"landslide ({len(polygons):,} mapped, {area:,.2f} km²)"
    handles = [Patch(facecolor=VERMILION, edgecolor="black", label=landslides)]
    if unseen.any():
        handles.append(Patch(facecolor=NOT_OBSERVED, label="not observed"))
    for bottom, shown, words in ((0.52, probability, "probability"), (0.02, image, label)):
        place = axis.inset_axes((1.015, bottom, 0.018, 0.46))
        figure.colorbar(shown, cax=place).set_label(words, fontsize=8)
        place.tick_params(labelsize=8)
    _finish(figure, axis, scene, lines, handles)
    save_figure(figure, path)


def outcome_map(outcome: Path, scene: Scene, lines: MapLabels, path: Path) -> None:
    """True and false positives and negatives in four colours, as in the paper's Figure 5."""
    values = _reduced(outcome)
    figure, axis = _page(scene)
    shown = np.ma.masked_equal(values, UNKNOWN)
    colors = ListedColormap([COLORS[i] for i in range(len(OUTCOMES))])
    axis.imshow(
        shown, cmap=colors, vmin=-0.5, vmax=3.5, extent=_extent(scene), interpolation="nearest"
    )
    axis.set_facecolor(NOT_OBSERVED)
    handles = [Patch(facecolor=COLORS[i], edgecolor="0.6", label=OUTCOMES[i]) for i in (1, 2, 3, 0)]
    if np.ma.is_masked(shown):
        handles.append(Patch(facecolor=NOT_OBSERVED, label="not observed or unknown"))
    event = lines.title.partition("\n")[2]
    titled = lines._replace(title=f"Mapped landslides against the inventory\n{event}")
    _finish(figure, axis, scene, titled, handles)
    save_figure(figure, path)


def _band(scene: Scene, band: str) -> NDArray[np.float32]:
    """A band of a scene for a picture, averaged; NaN where nothing is measured."""
    file, name = BandSource.of(band, scene.path)
    with open_raster(file) as source, reading(file):
        number = source.descriptions.index(name) + 1
        values = read_reduced(source, number, MAX_PICTURE_SIDE, Resampling.average)
    averaged: NDArray[np.float32] = np.ma.filled(values.astype(np.float32), np.nan)
    return averaged


def _reduced(raster: Path) -> NDArray[Any]:
    """The first band of a product for a picture, every n-th pixel; nodata as it is declared."""
    with open_raster(raster) as source, reading(raster):
        return read_reduced(source, 1, MAX_PICTURE_SIDE, Resampling.nearest).filled()


def _page(scene: Scene) -> tuple[Figure, Axes]:
    ratio = max(scene.grid.height / scene.grid.width, 0.2)
    width = 10.0 if ratio <= 1 else 10 / min(ratio, 2)
    figure, axis = plt.subplots(figsize=(width, (width - 1.7) * ratio + 1.4), layout="constrained")
    return figure, axis


def _extent(scene: Scene) -> tuple[float, float, float, float]:
    west, south, east, north = scene.grid.bounds
    return west, east, south, north


def _finish(
    figure: Figure, axis: Axes, scene: Scene, lines: MapLabels, handles: Sequence[Patch]
) -> None:
    west, south, east, north = scene.grid.bounds
    axis.set(xlim=(west, east), ylim=(south, north), aspect="equal")
    label_kilometres(axis)
    axis.grid(color="white", alpha=0.5, linewidth=0.5)
    axis.set_xlabel(f"Easting (km), {_crs_name(scene)}; centre {_centre(scene)}", fontsize=8)
    axis.set_ylabel("Northing (km)", fontsize=8)
    axis.set_title(lines.title, fontsize=10, loc="left")
    _scale_and_north(axis)
    below = ScaledTranslation(0, -34 / 72, figure.dpi_scale_trans)  # the x axis and its label
    axis.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=axis.transAxes + below,
        ncols=5,
        frameon=False,
        fontsize=8,
    )
    # A longer line would squeeze the map beside it.
    width = int(CHARACTERS_PER_INCH * figure.get_figwidth())
    axis.annotate(
        textwrap.fill(lines.source, width, break_on_hyphens=False),
        (0.5, 0),
        (0, -62),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=6.5,
        color="0.35",
    )


def _scale_and_north(axis: Axes) -> None:
    """Scale bar and direction of north below the frame, where they hide nothing."""
    west, east = axis.get_xlim()
    length, label = round_length(east - west)
    drop = ScaledTranslation(0, -27 / 72, axis.figure.dpi_scale_trans)  # the line of the x label
    place = axis.get_xaxis_transform() + drop
    for start, width, color in ((0, 5, "black"), (length / 2, 3, "white")):
        ends = [west + start, west + length]
        bar = Line2D(ends, [0, 0], color=color, linewidth=width, solid_capstyle="butt")
        bar.set(transform=place, clip_on=False)
        axis.add_artist(bar)
    axis.text(west + 1.06 * length, 0, label, transform=place, va="center", fontsize=8)
    axis.text(east, 0, "↑ grid north", transform=place, va="center", ha="right", fontsize=8)


def _centre(scene: Scene) -> str:
    west, south, east, north = scene.grid.bounds
    x, y = [(west + east) / 2], [(south + north) / 2]
    (longitude,), (latitude,) = rasterio.warp.transform(scene.grid.crs, "EPSG:4326", x, y)
    return f"{abs(latitude):.3f}° {'NS'[latitude < 0]}, {abs(longitude):.3f}° {'EW'[longitude < 0]}"


def _crs_name(scene: Scene) -> str:
    epsg = scene.grid.crs.to_epsg()
    return f"EPSG:{epsg}" if epsg else "projected CRS"

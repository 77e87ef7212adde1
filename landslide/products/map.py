"""Pictures of a map: landslides over backscatter, and the outcome against an inventory."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import rasterio.warp
import shapely
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.path import Path as Outline
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
    show_image,
)
from landslide.geo.grid import Grid
from landslide.geo.rasters import UNKNOWN, open_raster, read_reduced, reading
from landslide.products.comparison import COLORS, OUTCOMES
from landslide.radar.bands import (
    ORBIT_MARK,
    BandSource,
    is_backscatter,
    polarisation_of,
    source_bands,
)

# Orange stays lighter than the backscatter, in print and for colour-blind readers.
PROBABILITY = LinearSegmentedColormap.from_list("probability", ["#fde3cf", VERMILION])

MAX_PICTURE_SIDE = 1600
"""Longer side in pixels of the rasters in a picture."""

PAGE_MARGIN = 1.7
"""Inches of a page beside and above the map, for labels and colour bars."""

SHORTEST_RING = 3
"""Corners of an outline that are drawn however small it is."""

PATH_CORNERS = 10_000
"""Corners of neighbouring outlines that are drawn as one path."""


class Shades(NamedTuple):
    """How a map's raster is drawn.

    Attributes:
        name: What it is, with its unit.
        least: Smaller values are not drawn.
        low: Value of the palest colour.
        high: Value of the strongest colour.
        threshold: Value above which a pixel is landslide.
    """

    name: str
    least: float
    low: float
    high: float
    threshold: float


class MapLayers(NamedTuple):
    """Rasters of a map at the size of a picture.

    Attributes:
        band: The last backscatter image of the scene's orbit; without one, its first band.
        image: (H, W) of that band, in dB if it is backscatter; NaN where nothing was measured.
        measure: (H, W) probability or score.
        unobserved: (H, W) whether nothing was observed. A raster that has overviews already
            averages its gaps away, so the mask tells.
    """

    band: str
    image: NDArray[np.float32]
    measure: NDArray[np.float32]
    unobserved: NDArray[np.bool_]


class MapLabels(NamedTuple):
    """Text on a map, and the scale of its colours.

    Attributes:
        title: Two lines: what is mapped, and the event.
        images: A line for each orbit: its days before and after the event.
        source: Images, model and notes, below the map.
        dates: Date of each backscatter band, where known.
        shades: How the probability or score is drawn.
    """

    title: str
    images: Sequence[str]
    source: str
    dates: Mapping[str, str]
    shades: Shades


def read_unobserved(mask: Path) -> NDArray[np.bool_]:
    """Where nothing was observed (H, W), at the size of a picture, from ``landslides.tif``."""
    return np.asarray(_read_product(mask) == UNKNOWN)


def read_layers(scene: Scene, raster: Path, unobserved: NDArray[np.bool_]) -> MapLayers:
    """Read what a map shows below its polygons.

    Args:
        scene: The mapped scene.
        raster: Probability or score.
        unobserved: See ``read_unobserved``.
    """
    images = [source_bands(band)[0] for band in scene.bands if is_backscatter(band)]
    same_orbit = [image for image in images if ORBIT_MARK not in image]
    band = (same_orbit or images or scene.bands[:1])[-1]
    values = _read_band(scene, band)
    if images:
        values = 10 * np.log10(np.where((values > 0) & (values < np.inf), values, np.nan))
    return MapLayers(band, values, _read_product(raster), unobserved)


def draw_map(
    layers: MapLayers, scene: Scene, polygons: gpd.GeoDataFrame, labels: MapLabels, path: Path
) -> None:
    """Draw polygons and probability or score over an image.

    Args:
        layers: What is shown below the polygons.
        scene: The mapped scene.
        polygons: Landslides in the scene's CRS.
        labels: Title, source line, dates and colours.
        path: Picture to write; its suffix chooses the format.
    """
    label, values, found, unobserved = layers
    if is_backscatter(label):
        polarisation = polarisation_of(label).upper()
        label = f"{polarisation} backscatter, {labels.dates.get(label, label)} (dB)"
    figure, axis = _page(scene)
    low, high = np.nanpercentile(values, (0.5, 99.5)) if np.isfinite(values).any() else (0, 1)
    image = show_image(axis, values, scene.grid, cmap="gray", vmin=low, vmax=high)
    nearest: dict[str, Any] = {"interpolation": "nearest"}
    yellow = ListedColormap([NOT_OBSERVED])
    show_image(axis, np.ma.masked_equal(unobserved, False), scene.grid, cmap=yellow, **nearest)
    shades = labels.shades
    drawn = np.ma.masked_where(~(found >= shades.least), found)
    ends: dict[str, Any] = {"vmin": shades.low, "vmax": shades.high}
    measure = show_image(axis, drawn, scene.grid, cmap=PROBABILITY, **ends, **nearest)
    if len(polygons):
        _draw_outlines(axis, polygons, scene.grid)
    area = polygons.area_m2.sum() / 1e6
    landslides = f"landslide ({len(polygons):,} mapped, {area:,.2f} km²)"
    handles = [Patch(facecolor=VERMILION, edgecolor="black", label=landslides)]
    if shades.least < shades.threshold:
        middle = (shades.least + shades.threshold) / 2
        pale = PROBABILITY((middle - shades.low) / (shades.high - shades.low))
        unmapped = f"{shades.name} {shades.least:g} to {shades.threshold:.3g}, not mapped"
        handles.append(Patch(facecolor=pale, label=unmapped))
    if unobserved.any():
        handles.append(Patch(facecolor=NOT_OBSERVED, label="not observed"))
    for bottom, layer, name in ((0.52, measure, shades.name), (0.02, image, label)):
        bar = axis.inset_axes((1.015, bottom, 0.018, 0.46))
        figure.colorbar(layer, cax=bar).set_label(name, fontsize=8)
        bar.tick_params(labelsize=8)
        if layer is measure and shades.low <= shades.threshold <= shades.high:
            bar.axhline(shades.threshold, color="black")
    _finish(figure, axis, scene, labels, handles)
    save_figure(figure, path)


def _draw_outlines(axis: Axes, polygons: gpd.GeoDataFrame, grid: Grid) -> None:
    """Draw outlines, which keep the smallest landslides visible, to a fraction of a pixel.

    Corners within the same half pixel of the picture are left out, and one path holds many rings:
    matplotlib takes 30 microseconds for each path.
    """
    west, south, east, north = grid.bounds
    half = max(east - west, north - south) / MAX_PICTURE_SIDE / 2
    rings = shapely.get_rings(polygons.geometry.array)
    corners, ring = shapely.get_coordinates(rings, return_index=True)
    cells = np.floor(corners / half)
    moved = np.any(np.diff(cells, axis=0, prepend=np.nan) != 0, axis=1)
    number = np.arange(len(ring)) - np.searchsorted(ring, ring)  # of a corner in its ring
    last = np.diff(ring, append=-1) != 0
    kept = moved | (number < SHORTEST_RING) | last
    corners, first = corners[kept], number[kept] == 0
    codes = np.where(first, Outline.MOVETO, Outline.LINETO)
    starts = np.flatnonzero(first)
    cuts = starts[np.diff(starts // PATH_CORNERS, prepend=0) > 0]
    paths = map(Outline, np.split(corners, cuts), np.split(codes, cuts))
    style: dict[str, Any] = {"facecolor": "none", "edgecolor": "black", "linewidth": 0.5}
    axis.add_collection(PathCollection(list(paths), **style), autolim=False)


def draw_outcome(outcome: Path, scene: Scene, labels: MapLabels, path: Path) -> None:
    """Draw true and false positives and negatives in four colours, as the paper's Figure 5."""
    figure, axis = _page(scene)
    values = np.ma.masked_equal(_read_product(outcome), UNKNOWN)
    style: dict[str, Any] = {"vmin": -0.5, "vmax": 3.5, "interpolation": "nearest"}
    show_image(axis, values, scene.grid, cmap=ListedColormap(COLORS), **style)
    axis.set_facecolor(NOT_OBSERVED)
    handles = [Patch(facecolor=COLORS[i], edgecolor="0.6", label=OUTCOMES[i]) for i in (1, 2, 3, 0)]
    if np.ma.is_masked(values):
        handles.append(Patch(facecolor=NOT_OBSERVED, label="not observed or unknown"))
    event = labels.title.partition("\n")[2]
    titled = labels._replace(title=f"Mapped landslides against the inventory\n{event}")
    _finish(figure, axis, scene, titled, handles)
    axis.grid(visible=False)  # white lines would cut landslides
    save_figure(figure, path)


def _read_band(scene: Scene, band: str) -> NDArray[np.float32]:
    """A band of a scene, averaged to picture size; NaN where nothing was measured."""
    file, name = BandSource.of(band, scene.path)
    with open_raster(file) as source, reading(file):
        number = source.descriptions.index(name) + 1
        values = read_reduced(source, number, MAX_PICTURE_SIDE, Resampling.average)
    averaged: NDArray[np.float32] = np.ma.filled(values.astype(np.float32), np.nan)
    return averaged


def _read_product(raster: Path) -> NDArray[Any]:
    """The first band of a product, every n-th pixel; nodata keeps its declared value."""
    with open_raster(raster) as source, reading(raster):
        return read_reduced(source, 1, MAX_PICTURE_SIDE, Resampling.nearest).filled()


def _page(scene: Scene) -> tuple[Figure, Axes]:
    """A page that is cropped when it is saved; matplotlib's own layout takes as long as drawing.

    It is drawn in a thread, so it is no figure of ``pyplot``, which may open a window.
    """
    ratio = max(scene.grid.height / scene.grid.width, 0.2)
    width = 10.0 if ratio <= 1 else 10 / min(ratio, 2)
    height = (width - PAGE_MARGIN) * ratio + PAGE_MARGIN
    figure = Figure(figsize=(width, height))
    across, along = PAGE_MARGIN / width, PAGE_MARGIN / height
    return figure, figure.add_axes((across / 2, along / 2, 1 - across, 1 - along))


def _finish(
    figure: Figure, axis: Axes, scene: Scene, labels: MapLabels, handles: Sequence[Patch]
) -> None:
    west, south, east, north = scene.grid.bounds
    axis.set(xlim=(west, east), ylim=(south, north), aspect="equal")
    label_kilometres(axis)
    axis.grid(color="white", alpha=0.5, linewidth=0.5)
    epsg = scene.grid.crs.to_epsg()
    crs = f"EPSG:{epsg}" if epsg else "projected CRS"
    axis.set_xlabel(f"Easting (km), {crs}; centre {_centre(scene)}", fontsize=8)
    axis.set_ylabel("Northing (km)", fontsize=8)
    axis.set_title("\n".join((labels.title, *labels.images)), fontsize=10, loc="left")
    _draw_scale_and_north(axis)
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
    letters = int(13 * figure.get_figwidth())  # a longer line would squeeze the map
    axis.annotate(
        textwrap.fill(labels.source, letters, break_on_hyphens=False),
        (0.5, 0),
        (0, -62),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=6.5,
        color="0.35",
    )


def _draw_scale_and_north(axis: Axes) -> None:
    """Draw a scale bar and grid north below the frame, where they hide nothing."""
    west, east = axis.get_xlim()
    length, label = round_length(east - west)
    below = ScaledTranslation(0, -27 / 72, axis.figure.dpi_scale_trans)  # beside the x label
    line = axis.get_xaxis_transform() + below
    for start, width, color in ((0, 5, "black"), (length / 2, 3, "white")):
        ends = [west + start, west + length]
        bar = Line2D(ends, [0, 0], color=color, linewidth=width, solid_capstyle="butt")
        bar.set(transform=line, clip_on=False)
        axis.add_artist(bar)
    axis.text(west + 1.06 * length, 0, label, transform=line, va="center", fontsize=8)
    axis.text(east, 0, "↑ grid north", transform=line, va="center", ha="right", fontsize=8)


def _centre(scene: Scene) -> str:
    west, south, east, north = scene.grid.bounds
    x, y = [(west + east) / 2], [(south + north) / 2]
    (longitude,), (latitude,) = rasterio.warp.transform(scene.grid.crs, "EPSG:4326", x, y)
    return f"{abs(latitude):.3f}° {'NS'[latitude < 0]}, {abs(longitude):.3f}° {'EW'[longitude < 0]}"

"""A picture of what a map of an event changes against the map before it."""

from pathlib import Path

import geopandas as gpd
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Patch
from rasterio.enums import Resampling

from landslide.geo.cartography import (
    BLUE,
    GREEN,
    ORANGE,
    VERMILION,
    YELLOW,
    draw_north_arrow,
    draw_scale_bar,
    label_kilometres,
    save_figure,
    show_image,
)
from landslide.geo.grid import Grid
from landslide.geo.rasters import open_raster, read_reduced, reading
from landslide.radar.bands import is_backscatter, polarisation_of
from landslide.respond.changes import count_changes

CHANGES_PICTURE = "changes.png"
"""File of a map's folder."""

STYLES = {
    "confirmed": (BLUE, BLUE),
    "new": (VERMILION, VERMILION),
    "newly_observed": (ORANGE, ORANGE),
    "withdrawn": ("none", YELLOW),
    "unobserved": ("none", GREEN),
}
"""Face and edge of the polygons of each status, in the order of drawing."""

PICTURE_SIDE = 1600
"""Longer side in pixels of the backscatter beneath."""


def draw_changes(changes: gpd.GeoDataFrame, image: Path, title: str, path: Path) -> None:
    """Draw the polygons of all statuses over the last backscatter after the event of an orbit.

    Args:
        changes: Polygons with ``status`` and ``area_m2``.
        image: Raster of an orbit of the mapped scene, linear power.
        title: What is compared, in words; what lies beneath is added.
        path: Picture to write.
    """
    with open_raster(image) as source, reading(image):
        grid = Grid.of(source)
        after = [band for band in source.descriptions if is_backscatter(band) and "post" in band]
        band = ([b for b in after if polarisation_of(b) == "vv"] or after)[-1]
        number = source.descriptions.index(band) + 1
        power = read_reduced(source, number, PICTURE_SIDE, Resampling.average).filled(np.nan)
    decibels = 10 * np.log10(np.where(power > 0, power, np.nan))
    known = np.isfinite(decibels).any()
    low, high = np.nanpercentile(decibels, (0.5, 99.5)) if known else (0, 1)
    ratio = min(max(grid.height / grid.width, 0.3), 2.0)
    figure, axis = plt.subplots(figsize=(9, 9 * ratio + 1), layout="constrained")
    show_image(axis, decibels, grid, cmap="gray", vmin=low, vmax=high)
    for status, (face, edge) in STYLES.items():
        chosen = changes[changes.status == status]
        if len(chosen):  # edges keep small ones visible
            chosen.plot(ax=axis, linewidth=1.2, facecolor=face, edgecolor=edge)
    west, south, east, north = grid.bounds
    axis.set(xlim=(west, east), ylim=(south, north), aspect="equal")
    axis.set(xlabel=f"easting (km, {grid.crs})", ylabel="northing (km)")
    axis.set_title(f"{title}, over {image.stem} {band}", fontsize=10)
    label_kilometres(axis)
    draw_scale_bar(axis, east - west)
    draw_north_arrow(axis)
    handles = []
    for status, count in count_changes(changes).items():
        face, edge = STYLES[status]
        label = (
            f"{status.replace('_', ' ')} ({count['polygons']:,}, {count['area_m2'] / 1e4:,.1f} ha)"
        )
        face = "0.4" if face == "none" else face
        handles.append(Patch(facecolor=face, edgecolor=edge, linewidth=1.5, label=label))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    save_figure(figure, path)

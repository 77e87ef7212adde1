"""Which track sees which slopes, before any image is fetched: from the DEM and the orbits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import shapely
from affine import Affine
from matplotlib.colors import BoundaryNorm, LightSource, ListedColormap, to_rgba
from matplotlib.patches import Patch
from numpy.typing import NDArray
from omegaconf import DictConfig
from rasterio.enums import Resampling
from rasterio.features import geometry_mask
from rasterio.vrt import WarpedVRT
from rich.table import Table
from shapely.geometry.base import BaseGeometry

from landslide.errors import InputError
from landslide.geo.cartography import (
    BLUE,
    GREEN,
    ORANGE,
    draw_north_arrow,
    draw_scale_bar,
    label_kilometres,
    save_figure,
    show_image,
)
from landslide.geo.extent import reproject_shape
from landslide.geo.grid import Grid, utm_crs
from landslide.geo.inventory import is_mask_raster, read_inventory
from landslide.geo.polygons import rasterize_window
from landslide.geo.rasters import open_raster, reading
from landslide.geo.relief import Float, fill_from_nearest, slope_degrees
from landslide.prepare.area import DEGREES, grid_center
from landslide.prepare.mosaic import Mosaic
from landslide.prepare.orbit import viewing_geometry
from landslide.prepare.sources import Dem, Event, Pass
from landslide.prepare.stac.acquire import acquire_dem, search_tracks
from landslide.prepare.stac.archive import Archive
from landslide.prepare.stac.overpasses import Track
from landslide.prepare.terrain import elevation_tiles, north_convergence
from landslide.radar.geometry import RadarGeometry, distortion
from landslide.respond.record import format_time

POSTING = 30.0
"""Metres between the heights that are used, about those of global DEMs."""

MARGIN = 100
"""Cells of terrain around the area that may cast shadow or layover on it."""

STEEP = 10.0
"""Degrees above which slopes count."""

SPARSE = 0.1
"""Share of the area up to which the ground that counts is drawn in full colours."""


@dataclass(frozen=True)
class View:
    """What a track sees of an area.

    Attributes:
        direction: Direction of flight.
        track: Number of the track.
        incidence: Incidence angle in degrees in the middle of the area.
        seen: (H, W) booleans, false in layover and shadow.
        due: The next pass after the event, and its satellite.
    """

    direction: Pass
    track: int
    incidence: float
    seen: NDArray[np.bool_]
    due: str

    @property
    def name(self) -> str:
        """Such as ``ascending 68``."""
        return f"{self.direction} {self.track}"


@dataclass(frozen=True)
class Hills:
    """Heights of an area and its margin, and the ground that counts.

    Attributes:
        grid: Grid of the area.
        elevation: (H + 2 m, W + 2 m) in metres, with a margin of m cells.
        chosen: (H, W) booleans, the ground that counts; None for slopes above 10 degrees.
        name: What counts, in words.
    """

    grid: Grid
    elevation: Float
    chosen: NDArray[np.bool_] | None = None
    name: str = f"slopes above {STEEP:g}°"

    @property
    def counted(self) -> NDArray[np.bool_]:
        """The ground (H, W) of the area that counts."""
        if self.chosen is not None:
            return self.chosen
        steep: NDArray[np.bool_] = self.inside(slope_degrees(self.elevation, POSTING) > STEEP)
        return steep

    def choose(self, path: Path) -> "Hills":
        """These hills, of which the ground of an inventory or of a mask counts.

        Args:
            path: Polygons, or a raster that is above 0 where the ground counts.

        Raises:
            InputError: The file cannot be read, or nothing of it lies in the area.
        """
        grid = self.grid
        if is_mask_raster(path, "slopes"):
            options = {"height": grid.height, "width": grid.width, "resampling": Resampling.nearest}
            with (
                open_raster(path) as source,
                reading(path),
                WarpedVRT(source, crs=grid.crs, transform=grid.transform, **options) as warped,
            ):
                chosen = warped.read(1, masked=True).filled(0) > 0  # false for NaN
        else:
            polygons = read_inventory(path, grid, key="slopes").polygons
            ones = [1] * len(polygons)
            window = grid.full_window
            chosen = rasterize_window(polygons, ones, grid, window, all_touched=True) > 0
        if not chosen.any():
            raise InputError(
                f"slopes={path}: nothing of it lies in the area: give one of this area, or leave "
                f"it out for slopes above {STEEP:g} degrees"
            )
        return replace(self, chosen=chosen, name=f"ground of {path.name}")

    def inside(self, image: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The part (H, W) of an image with margin that lies in the area."""
        return image[MARGIN:-MARGIN, MARGIN:-MARGIN]


def read_hills(dem: Dem, area: BaseGeometry) -> Hills:
    """Read the heights of an area, which is in EPSG:4326.

    Raises:
        InputError: The DEM has no height there.
    """
    crs = utm_crs(area.bounds)
    west, south, east, north = reproject_shape(area.segmentize(0.01), DEGREES, crs).bounds
    height, width = (int(np.ceil(side / POSTING)) for side in (north - south, east - west))
    grid = Grid(crs, Affine(POSTING, 0, west, 0, -POSTING, north), height, width)
    with Mosaic(elevation_tiles(dem), Resampling.cubic) as source:
        elevation = source.read(grid, grid.full_window.padded(MARGIN))
    if not np.isfinite(elevation).any():
        raise InputError("the DEM has no height in the area: name another with prepare=['dem=…']")
    return Hills(grid, fill_from_nearest(elevation))


def view_of(track: Track, hills: Hills, event: Event) -> View:
    """What a track sees of hills, within the footprints of its images."""
    number, direction = track.relative_orbit, track.direction
    geometry = viewing_geometry(number, direction, *grid_center(hills.grid))
    look = geometry.look_azimuth - north_convergence(hills.grid)
    radar = RadarGeometry((look - 90) % 360, geometry.incidence)
    hidden = distortion(hills.elevation, POSTING, radar, 0.0)
    due, platform = track.next_overpass(event)
    images = [item.footprint for overpass in track.complete(event) for item in overpass.slices]
    footprint = shapely.union_all([shapely.make_valid(image) for image in images])
    outside = geometry_mask(
        [reproject_shape(footprint, DEGREES, hills.grid.crs)],
        (hills.grid.height, hills.grid.width),
        hills.grid.transform,
    )
    seen = hills.inside(~(hidden.shadow | hidden.layover)) & ~outside
    return View(direction, number, geometry.incidence, seen, f"{format_time(due)} ({platform})")


def share_seen(views: Sequence[View], counted: NDArray[np.bool_]) -> float:
    """Share of the ground that at least one of the tracks sees, [0, 1]; 1 without any."""
    if not counted.any():
        return 1.0
    return float(np.logical_or.reduce([view.seen for view in views])[counted].mean())


def best_other(view: View, views: Sequence[View], counted: NDArray[np.bool_]) -> View | None:
    """The track that adds most to what a track sees; among equals the one that sees most itself."""

    def shares(other: View) -> tuple[float, float]:
        return share_seen([view, other], counted), share_seen([other], counted)

    return max((other for other in views if other is not view), key=shares, default=None)


def views_table(views: Sequence[View], hills: Hills) -> Table:
    """What each track sees, alone and with the best other one, and when it is flown next."""
    counted = hills.counted
    table = Table(
        title=f"{hills.name[0].upper()}{hills.name[1:]}: neither in layover nor in shadow",
        caption=f"{counted.mean():.2%} of the area; from the DEM at {POSTING:g} m",
    )
    for column in ("track", "incidence", "sees", "together", "with", "next pass"):
        right = column in ("incidence", "sees", "together")
        table.add_column(column, justify="right" if right else "left")
    for view in views:
        other = best_other(view, views, counted)
        together = f"{share_seen([view, other], counted):.1%}" if other else ""
        table.add_row(
            *(view.name, f"{view.incidence:.0f}°", f"{share_seen([view], counted):.1%}"),
            *(together, other.name if other else "", view.due),
        )
    return table


def draw_views(views: Sequence[View], hills: Hills, title: str, path: Path) -> None:
    """Draw what the best track sees, and what the best other one adds, over the relief."""
    counted, grid = hills.counted, hills.grid
    first = max(views, key=lambda view: share_seen([view], counted))
    second = best_other(first, views, counted)
    classes = np.zeros(counted.shape, np.uint8)
    added = second.seen if second else np.zeros_like(counted)
    classes[counted & first.seen & added] = 1
    classes[counted & first.seen & ~added] = 2
    classes[counted & ~first.seen & added] = 3
    classes[counted & ~first.seen & ~added] = 4
    names = ["both", f"{first.name} alone", f"{second.name} alone" if second else "", "neither"]
    # What both see is the rule: where it is much, it must not hide the rest.
    pale = 0.25 if counted.mean() > SPARSE else 0.9
    colors = [to_rgba(c, a) for c, a in ((GREEN, pale), (BLUE, 0.9), (ORANGE, 0.9), ("black", 1))]
    ratio = min(max(grid.height / grid.width, 0.4), 2.0)
    figure, axis = plt.subplots(figsize=(7, 7 * ratio + 1.2), layout="constrained")
    heights = hills.elevation[MARGIN:-MARGIN, MARGIN:-MARGIN]
    relief = LightSource(315, 45).hillshade(heights, dx=POSTING, dy=POSTING)
    show_image(axis, relief, grid, cmap="gray", vmin=-0.2, vmax=1.1)
    shown = np.ma.masked_equal(classes, 0)
    palette, norm = ListedColormap(colors), BoundaryNorm(np.arange(0.5, 5), 4)
    show_image(axis, shown, grid, cmap=palette, norm=norm, interpolation="nearest")
    label_kilometres(axis)
    west, _, east, _ = grid.bounds
    draw_scale_bar(axis, east - west)
    draw_north_arrow(axis)
    axis.set_title(f"{title}: {hills.name} that the radar sees", fontsize=10)
    axis.set(xlabel=f"easting (km, {grid.crs})", ylabel="northing (km)")
    shares = [float((classes[counted] == number).mean()) for number in range(1, 5)]
    handles = [
        Patch(facecolor=color, edgecolor="grey", label=f"{name} ({share:.1%})")
        for color, name, share in zip(colors, names, shares, strict=True)
        if name
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    save_figure(figure, path)


def show_views(
    config: DictConfig, event: Event, area: BaseGeometry, slopes: str | None, picture: Path
) -> Table:
    """Compare all tracks of the archive that cover the area, and draw the best pair.

    Args:
        config: Composed from ``conf/prepare.yaml``.
        event: The event.
        area: Its area, in EPSG:4326.
        slopes: Inventory or mask raster of the ground that counts; None for steep slopes.
        picture: Picture to write.

    Raises:
        InputError: There is no DEM, the inventory or mask is unsuitable, or the archive fails.
    """
    if slopes:
        is_mask_raster(Path(slopes), "slopes")  # raises before the archive is asked
    tracks, _ = search_tracks(config, Archive.of(config), event, area)
    dem = acquire_dem(config, area)
    if dem is None:
        raise InputError("dem=none: what the tracks see follows from a DEM: leave it out")
    hills = read_hills(dem, area)
    if slopes:
        hills = hills.choose(Path(slopes))
    views = [view_of(track, hills, event) for track in tracks]
    draw_views(views, hills, event.name, picture)
    return views_table(views, hills)

"""Which track sees which slopes: hills of which the answer is known."""

from dataclasses import replace
from pathlib import Path

import geopandas
import matplotlib.pyplot as plt
import numpy as np
import pytest
import shapely
from affine import Affine
from builders import write_image
from matplotlib.colors import to_rgb
from rasterio.crs import CRS
from rasterio.warp import transform_bounds
from shapely.geometry.base import BaseGeometry

from landslide.errors import InputError
from landslide.geo.cartography import GREEN
from landslide.geo.grid import Grid
from landslide.prepare.sources import Dem, Event, Pass, Tile
from landslide.prepare.stac.archive import ArchiveItem
from landslide.prepare.stac.overpasses import Track, group_tracks
from landslide.respond.views import Hills, best_other, draw_views, read_hills, share_seen, view_of

UTM = CRS.from_epsg(32654)
AREA = shapely.box(*transform_bounds(UTM, "EPSG:4326", 600_000, 4_730_000, 606_000, 4_735_000))
EVENT = Event.of("Test event", "2018-09-05T18:08Z")


def hills_of(folder: Path, slope: float, falls_to_east: bool) -> Dem:
    """A plane that falls to the east or west."""
    grid = Grid(UTM, Affine(30, 0, 596_000, 0, -30, 4_739_000), 470, 470)
    rise = np.arange(470, dtype=np.float32) * 30 * np.tan(np.radians(slope))
    heights = np.tile(rise[::-1] if falls_to_east else rise, (470, 1))
    return Dem((Tile(write_image(folder / "dem.tif", heights, grid)),))


SWATH = AREA.buffer(0.1)
"""Footprint of images that hold the area."""


def track(direction: Pass, number: int, footprint: BaseGeometry = SWATH) -> Track:
    properties = {
        "datetime": "2018-08-24T08:42:30Z",
        "platform": "sentinel-1a",
        "sat:orbit_state": direction,
        "sat:relative_orbit": number,
    }
    (found,) = group_tracks([ArchiveItem("x", footprint, {}, properties)], AREA)
    return found


def test_of_tracks_that_add_as_much_the_one_that_sees_most_is_named(tmp_path: Path) -> None:
    hills = read_hills(hills_of(tmp_path, 20, True), AREA)
    west, south, _, north = SWATH.bounds
    half = track("ascending", 39, shapely.box(west, south, AREA.centroid.x, north))
    tracks = [half, track("ascending", 68), track("descending", 46)]
    part, whole, other = (view_of(each, hills, EVENT) for each in tracks)
    assert best_other(whole, [part, whole, other], hills.counted) is other
    assert best_other(part, [part, whole, other], hills.counted) is whole


@pytest.mark.parametrize("falls_to_east", [False, True])
def test_a_slope_that_faces_the_radar_too_steeply_is_seen_from_the_other_side(
    falls_to_east: bool, tmp_path: Path
) -> None:
    # Looking east while ascending, the radar faces slopes that fall to the west; at 39 and 34
    # degrees of incidence those of 47 degrees fold over.
    tracks = [track("ascending", 68), track("descending", 46)]
    gentle = read_hills(hills_of(tmp_path, 20, falls_to_east), AREA)
    assert gentle.counted.mean() == 1
    assert all(share_seen([view_of(each, gentle, EVENT)], gentle.counted) == 1 for each in tracks)
    hills = read_hills(hills_of(tmp_path, 12, falls_to_east), AREA)
    steep = Hills(hills.grid, hills.elevation * 5)  # 47 degrees, no shadow on the far side
    views = [view_of(each, steep, EVENT) for each in tracks]
    shares = [share_seen([view], steep.counted) for view in views]
    assert shares == ([1, 0] if falls_to_east else [0, 1])
    assert share_seen(views, steep.counted) == 1
    assert best_other(views[0], views, steep.counted) is views[1]
    assert best_other(views[0], views[:1], steep.counted) is None
    assert views[0].due == "2018-09-17 08:42 UTC (S1A)"
    draw_views(views, steep, "Test", tmp_path / "views.png")
    draw_views(views[:1], steep, "Test", tmp_path / "one.png")
    assert (tmp_path / "views.png").exists()


def test_nothing_is_seen_beside_the_swath(tmp_path: Path) -> None:
    west, south, _, north = SWATH.bounds
    hills = read_hills(hills_of(tmp_path, 20, True), AREA)
    half = track("ascending", 68, shapely.box(west, south, AREA.centroid.x, north))
    assert share_seen([view_of(half, hills, EVENT)], hills.counted) == pytest.approx(0.5, abs=0.02)


def test_the_ground_of_an_inventory_or_of_a_mask_counts_instead(tmp_path: Path) -> None:
    hills = read_hills(hills_of(tmp_path, 20, True), AREA)
    west, south, _, north = SWATH.bounds
    half = view_of(
        track("ascending", 68, shapely.box(west, south, AREA.centroid.x, north)), hills, EVENT
    )
    seen = shapely.box(601_000, 4_731_000, 602_000, 4_732_000)
    unseen = shapely.box(604_000, 4_731_000, 604_500, 4_733_000)  # as large
    geopandas.GeoSeries([seen, unseen], crs=UTM).to_crs(4326).to_file(tmp_path / "slides.gpkg")
    outlines = hills.choose(tmp_path / "slides.gpkg")
    assert share_seen([half], outlines.counted) == pytest.approx(0.5, abs=0.03)
    # Susceptibility at 100 m, unknown in the south, high in the quarter of the area that is seen.
    susceptible = np.zeros((80, 80), np.float32)
    susceptible[:, :45] = 0.7
    susceptible[60:] = np.nan
    grid = Grid(UTM, Affine(100, 0, 598_000, 0, -100, 4_738_000), 80, 80)
    mask = hills.choose(write_image(tmp_path / "susceptible.tif", susceptible, grid))
    left, _, _, top = hills.grid.bounds
    high = (602_500 - left) * (top - 4_732_000) / 30**2
    assert mask.counted.sum() == pytest.approx(high, rel=0.02)
    assert share_seen([half], mask.counted) == 1
    draw_views([half], mask, "Test", tmp_path / "mask.png")
    far = geopandas.GeoSeries([shapely.box(10, 10, 11, 11)], crs=4326)
    far.to_file(tmp_path / "far.gpkg")
    with pytest.raises(InputError, match=r"slopes=.*far.gpkg: nothing of it lies in the area"):
        hills.choose(tmp_path / "far.gpkg")


@pytest.mark.usefixtures("figures")
def test_what_both_tracks_see_stands_out_where_it_is_little(tmp_path: Path) -> None:
    hills = read_hills(hills_of(tmp_path, 20, True), AREA)
    views = [view_of(track("ascending", number), hills, EVENT) for number in (39, 68)]
    few = np.zeros(hills.counted.shape, bool)
    few[60:100, 60:100] = True
    distance = {}
    for name, chosen in (("few", few), ("all", np.ones_like(few))):
        draw_views(views, replace(hills, chosen=chosen), "Test", tmp_path / f"{name}.png")
        picture = plt.imread(tmp_path / f"{name}.png")[..., :3]
        map_alone = picture[: int(0.8 * len(picture))]  # without the legend
        distance[name] = np.abs(map_alone - to_rgb(GREEN)).max(-1).min()
    assert distance["few"] < 0.1 < distance["all"]


def test_flat_ground_has_no_slopes_to_see(tmp_path: Path) -> None:
    hills = read_hills(hills_of(tmp_path, 2, False), AREA)
    view = view_of(track("ascending", 68), hills, EVENT)
    assert not hills.counted.any()
    assert share_seen([view], hills.counted) == 1
    assert 30 < view.incidence < 46

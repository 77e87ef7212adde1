"""What a map changes against the map before it, on masks of which the answer is known."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from builders import write_image
from rasterio.crs import CRS

from landslide.geo.grid import Grid
from landslide.geo.polygons import outline_mask, write_polygons
from landslide.respond.change_map import draw_changes
from landslide.respond.changes import compare_maps, count_changes

GRID = Grid(CRS.from_epsg(32654), Affine(10, 0, 600_000, 0, -10, 4_735_000), 60, 60)


def write_map(folder: Path, *landslides: tuple[slice, slice], unobserved: slice) -> Path:
    """A map of landslides, that observed nothing in some columns."""
    folder.mkdir()
    mask = np.zeros((60, 60), np.uint8)
    for landslide in landslides:
        mask[landslide] = 1
    mask[:, unobserved] = 255
    write_image(folder / "landslides.tif", mask, GRID, nodata=255)
    found, _ = outline_mask(folder / "landslides.tif", GRID)
    write_polygons(folder / "landslides.gpkg", found, "landslides")
    return folder


@pytest.fixture
def changes(tmp_path: Path) -> gpd.GeoDataFrame:
    both, first, hidden = np.s_[2:6, 2:6], np.s_[10:14, 2:6], np.s_[20:24, 40:44]
    second, revealed = np.s_[30:34, 2:6], np.s_[40:44, 50:54]
    large, rest = np.s_[46:58, 2:26], np.s_[50:52, 10:12]
    earlier = write_map(tmp_path / "1", both, first, hidden, large, unobserved=np.s_[48:])
    later = write_map(tmp_path / "2", both, second, revealed, rest, unobserved=np.s_[38:46])
    return compare_maps(earlier, later)


def test_what_a_map_did_not_observe_is_neither_withdrawn_nor_new(
    changes: gpd.GeoDataFrame,
) -> None:
    square = {"polygons": 1, "area_m2": 1600.0}
    # Of a large landslide a small rest is mapped again: the rest is confirmed, the large withdrawn.
    assert count_changes(changes) == {
        "new": square,
        "newly_observed": square,
        "confirmed": {"polygons": 2, "area_m2": 1600.0 + 400},
        "withdrawn": {"polygons": 2, "area_m2": 1600.0 + 12 * 24 * 100},
        "unobserved": square,
    }


def test_a_first_map_is_new_and_a_quiet_one_withdraws_all(tmp_path: Path) -> None:
    earlier = write_map(tmp_path / "1", np.s_[2:6, 2:6], unobserved=np.s_[50:])
    quiet = write_map(tmp_path / "2", unobserved=np.s_[50:])
    assert list(compare_maps(None, earlier).status) == ["new"]
    assert list(compare_maps(earlier, quiet).status) == ["withdrawn"]
    assert list(compare_maps(quiet, earlier).status) == ["new"]


def test_the_picture_shows_backscatter_and_changes(
    changes: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    power = np.random.default_rng(0).gamma(4, 0.025, (60, 60)).astype(np.float32)
    image = write_image(tmp_path / "ascending.tif", power, GRID)
    with rasterio.open(image, "r+") as raster:
        raster.set_band_description(1, "vv_post1")
    draw_changes(changes, image, "Map 2018-09-17", tmp_path / "changes.png")
    assert (tmp_path / "changes.png").exists()

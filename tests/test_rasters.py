from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from landslide.rasters import Grid, Window, replacing, write_raster


def grid(west: float = 600_000.0, north: float = 4_740_000.0) -> Grid:
    return Grid(CRS.from_epsg(32654), Affine(10, 0, west, 0, -10, north), 90, 130)


@pytest.mark.parametrize("origin", [(600_000.0, 4_740_000.0), (412_345.678, 4_733_333.333)])
def test_window_survives_the_way_through_map_coordinates(origin: tuple[float, float]) -> None:
    window = Window(row=17, col=64, height=33, width=5)
    assert grid(*origin).window(*grid(*origin).slices(window)) == window


def test_blocks_cover_every_pixel_once() -> None:
    covered = np.zeros((90, 130), dtype=int)
    for w in grid().blocks(64):
        covered[w.row : w.row + w.height, w.col : w.col + w.width] += 1
    assert (covered == 1).all()


def test_grids_a_thousandth_of_a_pixel_apart_match_and_a_pixel_apart_do_not() -> None:
    assert grid().matches(grid(600_000.001))
    assert not grid().matches(grid(600_010.0))
    wider = grid()._replace(transform=Affine(10.009, 0, 600_000, 0, -10, 4_740_000))
    assert not grid().matches(wider)
    assert not grid().matches(grid()._replace(crs=CRS.from_epsg(32653)))


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_raster_is_read_back_with_its_bands_and_nodata(tmp_path: Path) -> None:
    image = np.arange(2 * 90 * 130, dtype=np.float32).reshape(2, 90, 130)
    write_raster(tmp_path / "a.tif", image, grid(), ["vv_pre", "slope"], np.nan, EVENT="x")
    with rasterio.open(tmp_path / "a.tif") as source:
        assert source.descriptions == ("vv_pre", "slope")
        assert np.isnan(source.nodata)
        assert source.tags()["EVENT"] == "x"
        assert Grid.of(source).matches(grid())
        np.testing.assert_array_equal(source.read(), image)

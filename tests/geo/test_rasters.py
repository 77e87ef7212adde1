from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import Resampling

from landslide.geo.files import replacing
from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import read_reduced, to_cog, write_raster


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


@pytest.mark.parametrize("overviews", [True, False])
@pytest.mark.parametrize(("height", "width"), [(1024, 1536), (1000, 700)])
def test_a_picture_shows_the_mean_of_the_pixels_beneath(
    tmp_path: Path, height: int, width: int, overviews: bool
) -> None:
    rng = np.random.default_rng(0)
    image = rng.gamma(4, 0.05, (2, height, width)).astype(np.float32)
    image[1] += np.linspace(0, 1, width, dtype=np.float32)  # a shift would show
    image[1, :, :80] = np.nan
    place = grid()._replace(height=height, width=width)
    write_raster(tmp_path / "a.tif", image, place, ["vv_pre", "vv_post1"], np.nan)
    if overviews:
        to_cog(tmp_path / "a.tif", {})
    with rasterio.open(tmp_path / "a.tif") as source:
        assert bool(source.overviews(2)) is overviews
        found = read_reduced(source, 2, -(-max(height, width) // 4), Resampling.average)
    rows, cols = height // 4, width // 4
    blocks = image[1].reshape(rows, 4, cols, 4)
    assert found.shape == (rows, cols)
    np.testing.assert_array_equal(found.mask, np.isnan(blocks).all(axis=(1, 3)))
    np.testing.assert_allclose(found[:, 20:].data, blocks.mean(axis=(1, 3))[:, 20:], rtol=2e-4)


def test_a_picture_keeps_classes_as_they_are(tmp_path: Path) -> None:
    mask = np.zeros((900, 700), np.uint8)
    mask[:, 300:] = 1
    mask[:300] = 255
    place = grid()._replace(height=900, width=700)
    write_raster(tmp_path / "m.tif", mask, place, ["landslides"], 255)
    to_cog(tmp_path / "m.tif", {})
    with rasterio.open(tmp_path / "m.tif") as source:
        found = read_reduced(source, 1, 300, Resampling.nearest).filled()
    assert found.shape == (300, 234)
    expected = np.zeros((300, 234))
    expected[:, 100:] = 1
    expected[:100] = 255
    assert (found != expected).mean() < 0.005  # the column in which classes meet
    assert set(np.unique(found)) == {0, 1, 255}

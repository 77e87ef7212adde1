from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.crs import CRS
from scipy.ndimage import label
from scipy.stats import circmean

from landslide.errors import InputError
from landslide.geo.grid import Grid, Window
from landslide.geo.inventory import read_inventory
from landslide.geo.polygons import ZonalStatistics, outline_mask, rasterize_window
from landslide.geo.rasters import write_raster

GRID = Grid(CRS.from_epsg(32654), Affine(10, 0, 600_000, 0, -10, 4_740_000), 90, 130)


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.random((90, 130)) > 0.6).astype(np.uint8)


@pytest.fixture(scope="module")
def polygons(mask: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> gpd.GeoDataFrame:
    path = tmp_path_factory.mktemp("mask") / "mask.tif"
    write_raster(path, mask, GRID, ["landslides"], 255)
    return outline_mask(path, GRID)[0]


def test_polygons_are_the_connected_pixels(mask: np.ndarray, polygons: gpd.GeoDataFrame) -> None:
    labels, count = label(mask)
    assert len(polygons) == count
    areas = np.sort(np.bincount(labels.ravel())[1:])[::-1] * 100
    np.testing.assert_array_equal(polygons.area_m2, areas)
    assert polygons.is_valid.all()
    assert polygons.crs.to_epsg() == 32654


def test_burning_polygons_gives_the_mask_back(mask: np.ndarray, polygons: gpd.GeoDataFrame) -> None:
    burnt = np.zeros_like(mask)
    for w in GRID.blocks(64):
        part = rasterize_window(polygons.geometry, [1] * len(polygons), GRID, w)
        burnt[w.row : w.row + w.height, w.col : w.col + w.width] = part
    np.testing.assert_array_equal(burnt, mask)


def test_zonal_statistics_agree_with_a_loop_over_polygons(
    mask: np.ndarray, polygons: gpd.GeoDataFrame
) -> None:
    rng = np.random.default_rng(1)
    probability, slope = rng.random((2, 90, 130)).astype(np.float32)
    slope[mask == 0] = np.nan
    aspect = (340 + 40 * rng.random((90, 130)).astype(np.float32)) % 360  # about north
    whole = Window(0, 0, 90, 130)
    ids = rasterize_window(polygons.geometry, range(1, len(polygons) + 1), GRID, whole)
    statistics = ZonalStatistics(len(polygons), ["probability", "slope", "aspect"])
    for w in GRID.blocks(64):
        part = w.within(whole)
        statistics.add(ids[part], [probability[part], slope[part], aspect[part]])
    columns = dict(statistics.columns())
    for i in (0, 5, len(polygons) - 1):
        inside = ids == i + 1
        assert columns["mean_probability"][i] == pytest.approx(probability[inside].mean(), rel=1e-5)
        assert columns["max_probability"][i] == pytest.approx(probability[inside].max())
        assert columns["mean_slope"][i] == pytest.approx(slope[inside].mean(), rel=1e-5)
        turned = circmean(aspect[inside], high=360)
        assert columns["mean_aspect"][i] == pytest.approx(turned, abs=1e-3)


def test_an_inventory_arrives_in_the_scenes_crs(polygons: gpd.GeoDataFrame, tmp_path: Path) -> None:
    polygons.to_crs("EPSG:4326").to_file(tmp_path / "a.geojson")
    outlines = read_inventory(tmp_path / "a.geojson", GRID).polygons
    np.testing.assert_allclose(outlines.total_bounds, polygons.total_bounds, atol=0.1)


def test_an_unusable_inventory_is_refused(tmp_path: Path) -> None:
    lines = gpd.GeoDataFrame(geometry=[shapely.LineString([(0, 0), (1, 1)])], crs=GRID.crs)
    lines.to_file(tmp_path / "lines.gpkg")
    with pytest.raises(InputError, match="has no polygon"):
        read_inventory(tmp_path / "lines.gpkg", GRID)
    (tmp_path / "x.gpkg").write_text("no")
    with pytest.raises(InputError, match="cannot be read as polygons"):
        read_inventory(tmp_path / "x.gpkg", GRID)

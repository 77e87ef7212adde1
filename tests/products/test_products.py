"""Mask, polygons and layers agree with each other and open elsewhere."""

import sqlite3
from pathlib import Path
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from geopandas.testing import assert_geodataframe_equal
from rasterio.crs import CRS
from scipy.ndimage import gaussian_filter

from landslide.data.scene import Scene
from landslide.geo.grid import Grid
from landslide.geo.polygons import outline_mask
from landslide.geo.rasters import to_cog, write_raster
from landslide.products.images import describe_images, list_images
from landslide.products.map import MapLabels, Shades, read_unobserved
from landslide.products.mask import keep_landslides, outline_landslides, write_mask
from landslide.products.polygons import (
    TERRAIN,
    describe_polygons,
    simplify,
    write_geojson,
    write_geopackage,
)
from landslide.products.report import write_report

GRID = Grid(CRS.from_epsg(32654), Affine(10, 0, 600_000, 0, -10, 4_740_000), 120, 140)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ring with a hole of 4 px, one of 30 px, one with an unobserved pixel; a speck."""
    probability = np.full((120, 140), 0.1, dtype=np.float32)
    probability[10:40, 10:60] = 0.9
    probability[20:22, 20:22] = 0.2
    probability[25:30, 30:36] = 0.2
    probability[15:18, 50:53] = 0.2
    probability[16, 51] = np.nan
    probability[90:92, 90] = 0.8
    probability[100:, 100:] = np.nan
    write_raster(tmp_path / "probability.tif", probability, GRID, ["probability"], np.nan)
    return tmp_path


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as source:
        return source.read(1)  # type: ignore[no-any-return]


def test_the_mask_says_where_nothing_was_observed(folder: Path) -> None:
    observed = write_mask(folder, GRID, 0.5)
    mask, probability = read(folder / "landslides.tif"), read(folder / "probability.tif")
    assert observed == np.isfinite(probability).sum()
    np.testing.assert_array_equal(mask == 255, np.isnan(probability))
    np.testing.assert_array_equal(mask == 1, probability > 0.5)


@pytest.mark.parametrize(("limit", "filled"), [(0, 0), (399, 0), (400, 4), (3000, 34)])
def test_only_small_observed_holes_are_filled(folder: Path, limit: float, filled: int) -> None:
    write_mask(folder, GRID, 0.5)
    before = read(folder / "landslides.tif")
    polygons = outline_landslides(folder / "landslides.tif", GRID, min_area=0, fill_holes=limit)
    after = read(folder / "landslides.tif")
    assert (after == 1).sum() - (before == 1).sum() == filled
    np.testing.assert_array_equal(after == 255, before == 255)
    assert polygons.area_m2.sum() == 100 * (after == 1).sum()


def test_small_landslides_leave_mask_and_polygons(folder: Path) -> None:
    write_mask(folder, GRID, 0.5)
    path = folder / "landslides.tif"
    polygons = outline_landslides(path, GRID, min_area=201, fill_holes=0)
    assert len(polygons) == 1
    numbers = np.concatenate([part for part, _ in keep_landslides(path, GRID, polygons)])
    mask = read(path)
    np.testing.assert_array_equal(numbers, mask == 1)
    np.testing.assert_array_equal(mask == 255, np.isnan(read(folder / "probability.tif")))
    assert (mask[90:92, 90] == 0).all()
    assert polygons.area_m2.sum() == 100 * (mask == 1).sum()


def test_simplified_neighbours_still_share_their_edge() -> None:
    rng = np.random.default_rng(0)
    classes = (gaussian_filter(rng.normal(size=(120, 140)), 6) > 0).astype(int)
    shapes = [
        shapely.union_all([shapely.box(c, r, c + 1, r + 1) for r, c in np.argwhere(classes == k)])
        for k in (0, 1)
    ]
    frame = gpd.GeoDataFrame(geometry=shapes, crs=GRID.crs)
    simple = simplify(frame, 3)
    assert simple.count_coordinates().sum() < 0.5 * frame.count_coordinates().sum()
    assert simple.is_valid.all()
    assert shapely.coverage_is_valid(simple.geometry.array)
    assert simple.union_all().area == pytest.approx(frame.union_all().area)
    assert simplify(frame, 0) is frame


def described(folder: Path) -> gpd.GeoDataFrame:
    write_mask(folder, GRID, 0.5)
    polygons = outline_landslides(folder / "landslides.tif", GRID, min_area=0, fill_holes=0)
    slope = np.full((120, 140), 25, dtype=np.float32)
    aspect = np.where(np.arange(140) % 2, 350, 10) * np.ones((120, 1), dtype=np.float32)
    bands = np.stack([slope, aspect.astype(np.float32)])
    write_raster(folder / "scene.tif", bands, GRID, ["slope", "aspect"], np.nan)
    describe(polygons, folder)
    return polygons


def describe(polygons: gpd.GeoDataFrame, folder: Path) -> None:
    terrain = Scene(folder / "scene.tif", ["slope"]).open_bands(TERRAIN)
    rasters = [folder / name for name in ("landslides.tif", "probability.tif")]
    describe_polygons(polygons, *rasters, terrain, GRID)


def test_polygons_carry_terrain_and_probability(folder: Path) -> None:
    polygons = described(folder)
    assert list(polygons.id) == [1, 2]
    np.testing.assert_allclose(polygons.mean_probability, [0.9, 0.8], rtol=1e-6)
    np.testing.assert_allclose(polygons.mean_slope, 25)
    # Slopes to the east and to the west of north face north, not south.
    assert min(polygons.mean_aspect[0] % 360, -polygons.mean_aspect[0] % 360) < 1


def test_landslides_across_the_columns_of_a_strip_are_described_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = described(folder)
    for width in (7, 40):
        monkeypatch.setattr("landslide.products.polygons.BLOCK_SIZE", width)
        assert_geodataframe_equal(described(folder), whole)


def test_the_geopackage_has_style_and_rapid_mapping_layers(folder: Path) -> None:
    path = folder / "landslides.gpkg"
    bands = ["vv_pre", "vv_post1", "slope"]
    images = list_images(bands, {"dates": {"ascending": {"vv_pre": "2018-09-05"}}}, "ascending")
    write_geopackage(path, described(folder), GRID, images, simulated=True)
    layers = {str(name) for name, _ in pyogrio.list_layers(path)}
    assert {"landslides", "observedEventA", "imageFootprintA", "source"} <= layers
    event = gpd.read_file(path, layer="observedEventA")
    assert set(event.obj_desc) == {"Landslide"}
    assert event.crs == GRID.crs
    source = pyogrio.read_dataframe(path, layer="source")
    assert list(source.eventphase) == ["Pre-event", "Post-event"]
    assert source.src_date[0] == "05/09/2018"
    assert source.src_date.isna().tolist() == [False, True]
    assert source.source_nam.str.startswith("SIMULATED").all()
    assert set(gpd.read_file(path, layer="imageFootprintA").or_src_id) == set(source.src_id)
    with sqlite3.connect(path) as connection:
        styles = connection.execute(
            "SELECT f_table_name, f_geometry_column, styleQML, useAsDefault FROM layer_styles"
        ).fetchall()
        columns = connection.execute(
            "SELECT table_name, column_name FROM gpkg_geometry_columns"
        ).fetchall()
    for table, column, style, default in styles:
        assert (table, column) in columns
        assert ElementTree.fromstring(style).tag == "qgis"
        assert default == 1


def test_a_map_without_landslides_is_a_map(folder: Path) -> None:
    write_mask(folder, GRID, 0.95)
    polygons = outline_landslides(folder / "landslides.tif", GRID, min_area=0, fill_holes=100)
    write_raster(folder / "scene.tif", np.zeros((120, 140), np.float32), GRID, ["slope"], np.nan)
    describe(polygons, folder)
    images = list_images(["vv_pre"], {}, "ascending")
    write_geopackage(folder / "empty.gpkg", simplify(polygons, 5), GRID, images, simulated=False)
    write_geojson(polygons, folder / "empty.geojson")
    assert len(gpd.read_file(folder / "empty.gpkg", layer="landslides")) == 0
    assert len(gpd.read_file(folder / "empty.geojson")) == 0


def test_geojson_is_longitude_and_latitude(folder: Path) -> None:
    polygons = described(folder)
    write_geojson(polygons, folder / "landslides.geojson")
    found = gpd.read_file(folder / "landslides.geojson")
    assert found.crs.to_epsg() == 4326
    west, south, east, north = found.total_bounds
    assert 142 < west < east < 143
    assert 42 < south < north < 43
    assert found.to_crs(GRID.crs).area.sum() == pytest.approx(polygons.area.sum(), rel=1e-3)


@pytest.mark.parametrize("name", ["probability", "landslides"])
def test_rasters_are_valid_cogs(folder: Path, name: str) -> None:
    write_mask(folder, GRID, 0.5)
    path = folder / f"{name}.tif"
    before = read(path)
    to_cog(path, {"SOFTWARE": "landslide-sar"})
    np.testing.assert_array_equal(read(path), before)
    cogeo = pytest.importorskip("rio_cogeo.cogeo", reason="a validator")
    valid, errors, warnings = cogeo.cog_validate(path, strict=True)
    assert (valid, errors, warnings) == (True, [], [])
    with rasterio.open(path) as source:
        assert source.tags()["SOFTWARE"] == "landslide-sar"
        assert source.descriptions == (name,)


def test_outlines_know_what_was_not_observed(folder: Path) -> None:
    write_mask(folder, GRID, 0.5)
    _, unseen = outline_mask(folder / "landslides.tif", GRID)
    assert unseen.area_m2.sum() == 100 * (read(folder / "landslides.tif") == 255).sum()


def test_the_report_escapes_what_the_scene_says(folder: Path) -> None:
    (folder / "map.png").write_bytes(b"picture")
    summary = {
        **dict.fromkeys(("landslides", "landslide_area_m2", "largest_m2"), 0),
        **{"simulated": False, "observed_area_m2": 2.5e6, "observed_share": 0.5},
        **{"landslide_share": 0, "threshold": 0.5, "notes": ["a < b"]},
        "measure": "probability",
        "false_alarms": None,
        "not_observed_known_by": "nodata",
    }
    labels = MapLabels(
        title="Landslides\n<script>",
        images=["Sentinel-1 ascending: 2018-09-05 before"],
        source="images & model",
        dates={},
        shades=Shades("probability", 0.1, 0, 1, threshold=0.5),
    )
    write_report(folder, summary, None, None, labels)
    page = (folder / "report.html").read_text()
    assert "<script" not in page
    for words in (
        "Landslides. &lt;script&gt;",
        "ascending: 2018-09-05 before",
        "A &lt; b.",
        "images &amp; model",
        "2.5 km²",
    ):
        assert words in page
    assert "SIMULATED" not in page
    assert "Against the inventory" not in page


def test_a_map_says_from_which_days_its_images_are() -> None:
    entries = [
        {"date": day, "side": side}
        for day, side in (
            ("2018-08-12", "pre"),
            ("2018-08-24", "pre"),
            ("2018-09-05", "pre"),
            ("2018-09-17", "post"),
            ("2018-09-29", "post"),
        )
    ]
    info = {
        "stack": {"ascending": entries},
        "dates": {"descending": {"vv_pre": "2018-09-04"}},
    }
    bands = ["vv_pre_mean", "vh_post_mean", "vv_pre@descending", "vv_post1@descending", "slope"]
    assert describe_images(list_images(bands, info, "ascending")) == [
        "Sentinel-1 ascending: 2018-08-12 to 2018-09-05 (3 dates) before, "
        "2018-09-17 and 2018-09-29 after",
        "Sentinel-1 descending: 2018-09-04 before, undated after",
    ]
    assert describe_images(list_images(["slope"], info, "ascending")) == []


def test_a_picture_shows_the_gaps_that_overviews_average_away(tmp_path: Path) -> None:
    grid = GRID._replace(height=1700, width=1800)
    probability = np.full((1700, 1800), 0.1, dtype=np.float32)
    probability[np.random.default_rng(0).random(probability.shape) < 0.02] = np.nan
    raster = tmp_path / "probability.tif"
    write_raster(raster, probability, grid, ["probability"], np.nan)
    to_cog(raster, {})
    write_mask(tmp_path, grid, 0.5)
    assert read_unobserved(tmp_path / "landslides.tif").mean() == pytest.approx(0.02, abs=0.002)

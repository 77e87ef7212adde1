"""Maps as items of a SpatioTemporal Asset Catalog, and folders of maps as catalogues."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from builders import make_scene
from commands import map_with, run_here
from pyproj import Transformer
from rasterio.crs import CRS
from stac_schemas import pystac, validate_core, validate_extensions

from landslide.geo.grid import Grid
from landslide.geo.rasters import write_raster
from landslide.geo.stac import make_item, outline_in_degrees, time_range
from landslide.products.item import FILES, describe_projection, observed_outline
from landslide.products.mapping import PRODUCTS


@pytest.fixture(scope="module")
def mapped(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Maps of two scenes in one folder, the second without dates."""
    root = tmp_path_factory.mktemp("maps")
    for name, dates in (("first", {"vv_pre": "2018-09-05", "vv_post1": "2018-09-17"}), ("b", {})):
        scene = make_scene(root / ".scenes" / name, seed=len(name))
        info = {
            "event": {"name": "Test event", "time": "2018-09-05T18:07:59Z"},
            "simulated": True,
            "dates": {"ascending": dates | ({"vv_post2": "2018-09-29"} if dates else {})},
        }
        (scene / "scene.json").write_text(json.dumps(info))
        map_with(
            f"checkpoint={checkpoint}", f"scene={scene}", f"output={root / name}", "geojson=true"
        )
    return root


def test_a_map_is_a_valid_item(mapped: Path) -> None:
    validate_core(mapped / "first" / "item.json")


def test_a_map_is_valid_by_the_schemas_of_its_extensions(mapped: Path, tmp_path: Path) -> None:
    assert len(validate_extensions(mapped / "first" / "item.json")) == 5
    item = json.loads((mapped / "first" / "item.json").read_text())
    item["assets"]["landslides.tif"]["classification:classes"][0].pop("description")
    (tmp_path / "broken.json").write_text(json.dumps(item))
    with pytest.raises(pystac.STACValidationError):
        validate_extensions(tmp_path / "broken.json")


def test_an_item_names_every_product_with_its_checksum_and_size(mapped: Path) -> None:
    folder = mapped / "first"
    item = pystac.Item.from_file(str(folder / "item.json"))
    written = {path.name for path in folder.iterdir()}
    assert set(item.assets) == written - {"item.json"}
    for name, asset in item.assets.items():
        content = (folder / name).read_bytes()
        assert Path(asset.get_absolute_href()) == folder / name
        if name != "summary.json":
            # multihash: 0x12 is SHA-256, 0x20 its length
            expected = "1220" + hashlib.sha256(content).hexdigest()
            assert asset.extra_fields["file:checksum"] == expected
            assert asset.extra_fields["file:size"] == len(content)
    summary = json.loads((folder / "summary.json").read_text())
    recorded = summary["files"]["item.json"]["sha256"]
    assert recorded == hashlib.sha256((folder / "item.json").read_bytes()).hexdigest()


def test_every_product_has_a_title() -> None:
    assert set(FILES) == set(PRODUCTS) - {"item.json", "summary.json"}


def test_an_item_says_where_and_when(mapped: Path) -> None:
    item = json.loads((mapped / "first" / "item.json").read_text())
    properties = item["properties"]
    assert properties["start_datetime"] == "2018-09-05T00:00:00Z"
    assert properties["end_datetime"] == "2018-09-29T23:59:59Z"
    assert properties["title"] == (
        "Landslides mapped from radar: SIMULATED data: Test event, 2018-09-05 "
        "(ascending, 2018-09-29, AttentionUNet)"
    )
    with rasterio.open(mapped / "first" / "probability.tif") as source:
        assert properties["proj:code"] == str(source.crs)
        assert properties["proj:shape"] == list(source.shape)
        assert properties["proj:transform"] == list(source.transform)[:6]
        west, south, east, north = source.bounds
    # The north-west corner of the scene was not measured.
    corner = Transformer.from_crs(source.crs, 4326, always_xy=True).transform(west, north)
    middle = Transformer.from_crs(source.crs, 4326, always_xy=True).transform(
        (west + east) / 2, (south + north) / 2
    )
    footprint = shapely.geometry.shape(item["geometry"])
    assert footprint.contains(shapely.Point(middle))
    assert not footprint.contains(shapely.Point(corner))
    np.testing.assert_allclose(footprint.bounds, item["bbox"], atol=2e-6)


def test_without_dates_of_images_an_item_has_the_time_of_the_event(mapped: Path) -> None:
    properties = json.loads((mapped / "b" / "item.json").read_text())["properties"]
    assert properties["start_datetime"] == properties["end_datetime"] == "2018-09-05T18:07:59Z"


def test_a_folder_of_maps_is_a_catalogue(mapped: Path) -> None:
    run_here("catalog", f"maps={mapped}", "title=Test maps", cwd=mapped)
    validate_core(mapped / "catalog.json")
    catalog = pystac.Catalog.from_file(str(mapped / "catalog.json"))
    items = list(catalog.get_items())
    assert [Path(item.self_href).parent.name for item in items] == ["b", "first"]
    assert len({item.id for item in items}) == 2
    assert catalog.title == "Test maps"


def test_a_folder_without_maps_is_no_catalogue(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="none of its folders holds a map"):
        run_here("catalog", f"maps={tmp_path}", cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_outline_of_what_was_observed_is_its_convex_hull(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    mask = np.full((700, 90), 255, np.uint8)  # more rows than are read at once
    seen = [tuple(place) for place in rng.integers((20, 10), (680, 80), size=(30, 2))]
    for row, col in seen:
        mask[row, col] = 0
    grid = Grid(CRS.from_epsg(32654), Affine(10, 0, 600_000, 0, -10, 4_740_000), *mask.shape)
    write_raster(tmp_path / "landslides.tif", mask, grid, ["landslides"], 255)
    pixels = [
        shapely.box(600_000 + 10 * c, 4_739_990 - 10 * r, 600_010 + 10 * c, 4_740_000 - 10 * r)
        for r, c in seen
    ]
    expected = shapely.union_all(pixels).convex_hull
    found = observed_outline(tmp_path / "landslides.tif")
    assert found.symmetric_difference(expected).area < 1e-6 * expected.area


def test_a_projection_without_a_code_is_written_out() -> None:
    crs = CRS.from_proj4("+proj=laea +lat_0=43 +lon_0=142 +datum=WGS84 +units=m")
    found = describe_projection(Grid(crs, Affine(10, 0, 0, 0, -10, 0), 8, 9))
    assert found["proj:code"] is None
    assert found["proj:shape"] == [8, 9]
    assert found["proj:wkt2"].startswith("PROJCRS[")  # WKT1 begins with PROJCS
    assert CRS.from_wkt(found["proj:wkt2"]) == crs


def test_a_footprint_over_the_antimeridian_is_cut_there() -> None:
    # UTM zone 60 south ends at 180 degrees; Taveuni of Fiji lies on both sides.
    square = shapely.box(790_000, 8_120_000, 850_000, 8_180_000)
    outline = outline_in_degrees(square, CRS.from_epsg(32760))
    item = make_item("test", {}, {}, outline, [])
    west, _, east, _ = item["bbox"]
    assert -180 < east < 0 < west < 180
    shape = shapely.geometry.shape(item["geometry"])
    assert shape.geom_type == "MultiPolygon"
    assert shape.is_valid
    assert all(part.bounds[2] - part.bounds[0] < 1 for part in shape.geoms)
    assert all(ring.is_ccw for ring in (part.exterior for part in shape.geoms))  # RFC 7946


def test_days_last_from_begin_to_end_and_times_are_in_utc() -> None:
    days = ["2018-09-06T03:08:00+09:00", "2018-09-01", "no date"]
    assert time_range(days) == {
        "datetime": None,
        "start_datetime": "2018-09-01T00:00:00Z",
        "end_datetime": "2018-09-05T18:08:00Z",
    }
    assert time_range(["no date"]) == {}

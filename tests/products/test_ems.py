"""The package of Copernicus EMS Rapid Mapping, attribute by attribute.

Expected names, types and domains are typed from the service's manual (JRC121741, 2020), not taken
from the program.
"""

import json
import re
import zipfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
from builders import GRID, make_scene, read_band
from commands import map_with
from pyproj import Geod
from rasterio.features import rasterize

from landslide.geo.grid import Grid
from landslide.geo.rasters import open_raster
from landslide.products.images import Image, list_images
from landslide.products.rapid_mapping import source_table

PREFIX = "EMSR793_AOI02_DEL_PRODUCT_"

ATTRIBUTES = {
    "source": ["source_nam", "src_date", "source_tm", "sensor_gsd", "eventphase", "src_id"],
    "areaOfInterestA": ["emsr_id", "glide_no", "area_id", "locality", "map_type"],
    "imageFootprintA": ["obj_type", "or_src_id"],
    "notAnalysedA": ["obj_type", "or_src_id"],
    "observedEventA": [
        *("event_type", "obj_desc", "det_method", "notation", "dmg_src_id", "area"),
    ],
}

EVENT_TYPES = {"6-Mass Movement": {"Avalanche", "Landslide", "Subsidence", "Debris, rockfall"}}

METHODS = {
    "Photo-interpretation",
    "Semi-automatic extraction",
    "Automatic extraction",
    "Modelling",
}

INFO = {
    "event": {"name": "Iburi", "time": "2018-09-05T18:07:00Z"},
    "dates": {"ascending": {"vv_pre": "2018-09-05", "vv_post1": "2018-09-17"}},
    "images": {
        "ascending": {
            "pre": {"time": "2018-09-05T08:34:21Z"},
            "post1": {"time": "2018-09-17"},  # the day alone is known
        }
    },
}


@pytest.fixture(scope="module")
def mapped(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map with its package, of a scene whose images are described."""
    root = make_scene(tmp_path_factory.mktemp("ems") / "scene")
    (root / "scene.json").write_text(json.dumps(INFO))
    output = root.parent / "map"
    words = ("ems=true", "ems_activation=EMSR793", "ems_area=2", "threshold=0.45")
    map_with(f"checkpoint={checkpoint}", f"scene={root}", f"output={output}", *words)
    with zipfile.ZipFile(output / "copernicus_ems.zip") as package:
        package.extractall(output.parent / "package")
    return output


@pytest.fixture
def package(mapped: Path) -> Path:
    return mapped.parent / "package"


def read(package: Path, layer: str, suffix: str) -> gpd.GeoDataFrame:
    # GDAL would turn a time of day in GeoJSON, which is text, into an object.
    options = {"DATE_AS_STRING": "YES"} if suffix == "json" else {}
    return gpd.read_file(package / f"{PREFIX}{layer}_v1.{suffix}", **options)


def test_files_are_named_as_the_service_names_them(package: Path) -> None:
    names = {path.name for path in package.iterdir()}
    for layer in ATTRIBUTES:
        parts = ("dbf", "cpg") if layer == "source" else ("shp", "shx", "dbf", "prj", "cpg")
        expected = {f"{PREFIX}{layer}_v1.{suffix}" for suffix in (*parts, "json")}
        assert expected <= names
        names -= expected
    assert not names


@pytest.mark.parametrize("layer", ATTRIBUTES)
def test_shapefiles_and_geojson_have_the_attributes_of_the_manual(
    package: Path, layer: str
) -> None:
    suffix = "dbf" if layer == "source" else "shp"
    shapes, geojson = read(package, layer, suffix), read(package, layer, "json")
    for frame in (shapes, geojson):
        assert [name for name in frame.columns if name != "geometry"] == ATTRIBUTES[layer]
    for name in ATTRIBUTES[layer]:
        assert list(shapes[name].fillna("")) == list(geojson[name].fillna("")), name
    if layer != "source":
        for frame in (shapes, geojson):
            assert frame.crs == "EPSG:4326"
            assert set(frame.geom_type) == {"Polygon"}
    info = pyogrio.read_info(package / f"{PREFIX}{layer}_v1.{suffix}")
    types = dict(zip(info["fields"], info["dtypes"], strict=True))
    for name, found in types.items():
        numbers = {"src_id": "int", "or_src_id": "int", "dmg_src_id": "int", "area": "float"}
        assert found.startswith(numbers.get(name, "object")), name


def test_images_are_listed_with_dates_times_and_phases(package: Path) -> None:
    table = read(package, "source", "dbf")
    assert list(table.src_id) == [1, 2, 3]
    assert list(table.source_nam) == ["Sentinel-1"] * 3
    assert list(table.src_date.fillna("")) == ["05/09/2018", "17/09/2018", ""]
    assert list(table.source_tm.fillna("")) == ["T08:34:21Z", "", ""]
    assert list(table.eventphase) == ["Pre-event", "Post-event", "Post-event"]
    assert list(table.sensor_gsd) == ["10 m"] * 3


def test_values_are_of_the_domains(package: Path) -> None:
    (area,) = read(package, "areaOfInterestA", "shp").to_dict("records")
    assert (area["emsr_id"], area["area_id"]) == ("EMSR793", "02")
    assert area["locality"] == "Iburi"
    assert area["map_type"] == "Delineation"
    footprint = read(package, "imageFootprintA", "shp")
    assert set(footprint.obj_type) == {"Image Footprint"}
    assert list(footprint.or_src_id) == list(read(package, "source", "dbf").src_id)
    assert set(read(package, "notAnalysedA", "shp").obj_type) == {"Not Analysed"}
    event = read(package, "observedEventA", "shp")
    assert len(event)
    for row in event.itertuples():
        assert row.obj_desc in EVENT_TYPES[row.event_type]
        assert row.det_method in METHODS
        assert row.dmg_src_id == 2  # the last dated image after the event
    assert all(re.fullmatch(r"landslide-sar \d+\.\d+\.\d+", note) for note in event.notation)


def test_areas_are_hectares_and_lie_in_the_area_of_interest(mapped: Path, package: Path) -> None:
    event = read(package, "observedEventA", "shp")
    geodesic = [abs(Geod(ellps="WGS84").geometry_area_perimeter(g)[0]) for g in event.geometry]
    # UTM shrinks areas by 0.08 % in the middle of a zone, and by less than that beside it.
    np.testing.assert_allclose(event["area"], np.array(geodesic) / 1e4, rtol=2e-3)
    polygons = gpd.read_file(mapped / "landslides.gpkg", layer="landslides")
    assert event["area"].sum() == pytest.approx(polygons.area_m2.sum() / 1e4)
    inside = read(package, "areaOfInterestA", "shp").geometry.iloc[0].buffer(1e-6)
    assert event.within(inside).all()


def test_what_was_not_observed_is_not_analysed(mapped: Path, package: Path) -> None:
    with open_raster(mapped / "landslides.tif") as source:
        grid = Grid.of(source)
    gaps = read(package, "notAnalysedA", "shp").to_crs(grid.crs)
    size = (grid.height, grid.width)
    burnt = rasterize(gaps.geometry, size, transform=grid.transform)
    assert burnt.any()
    np.testing.assert_array_equal(burnt == 1, read_band(mapped / "landslides.tif") == 255)


def test_simulated_landslides_say_so(checkpoint: Path, scene_root: Path, tmp_path: Path) -> None:
    words = (f"checkpoint={checkpoint}", f"scene={scene_root}", f"output={tmp_path / 'map'}")
    map_with(*words, "ems=true")
    file = "EMSR000_AOI01_DEL_PRODUCT_observedEventA_v1.json"
    with zipfile.ZipFile(tmp_path / "map" / "copernicus_ems.zip") as package:
        features = json.loads(package.read(file))["features"]
    assert {feature["properties"]["notation"] for feature in features} == {"SIMULATED data"}


def test_every_date_of_a_stack_is_a_source() -> None:
    entries = [
        {"date": "2018-08-12", "time": "2018-08-12T08:34:19Z", "side": "pre"},
        {"date": "2018-08-24", "time": None, "side": "pre"},
        {"date": "2018-09-17", "side": "post"},
    ]
    bands = ["vv_pre_mean", "vv_post_mean", "vv_pre_std", "vh_pre_mean", "slope"]
    images = list_images(bands, {"stack": {"ascending": entries}}, "ascending")
    assert [(image.date, image.time, image.phase) for image in images] == [
        ("2018-08-12", "2018-08-12T08:34:19Z", "pre"),
        ("2018-08-24", None, "pre"),
        ("2018-09-17", None, "post"),
    ]


@pytest.mark.parametrize(
    ("time", "day", "of_day"),
    [
        ("2018-09-13T05:45:36+09:00", "12/09/2018", "T20:45:36Z"),
        ("2018-09-12T20:45:36.789Z", "12/09/2018", "T20:45:36Z"),
        ("2018-09-12T20:45:36", "12/09/2018", "T20:45:36Z"),
        ("2018-09-12T20:45Z", "12/09/2018", "T20:45:00Z"),
    ],
)
def test_times_and_days_of_sources_are_in_utc(time: str, day: str, of_day: str) -> None:
    image = Image("ascending", time[:10], time, "post", "Sentinel-1")
    (row,) = source_table([image], GRID, simulated=False).to_dict("records")
    assert (row["src_date"], row["source_tm"]) == (day, of_day)

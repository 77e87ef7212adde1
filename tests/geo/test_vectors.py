import json
import zipfile
from pathlib import Path

import geopandas as gpd
import pytest
import shapely
from affine import Affine
from omegaconf import OmegaConf
from rasterio.crs import CRS
from rasterio.warp import transform

from landslide.errors import InputError
from landslide.geo.grid import Grid
from landslide.geo.inventory import read_inventory
from landslide.geo.vectors import read_shapes
from landslide.prepare.area import choose_grid, read_area
from landslide.prepare.sources import Dem, Sources

X, Y = 560_000.0, 4_740_000.0
GRID = Grid(CRS.from_epsg(32654), Affine(10, 0, X, 0, -10, Y), 200, 200)
FIJI = Grid(CRS.from_epsg(32760), Affine(10, 0, 819_000, 0, -10, 8_140_000), 200, 200)


def box(x: float, y: float, size: float = 300) -> shapely.Polygon:
    return shapely.box(X + x, Y - y - size, X + x + size, Y - y)


def ring(shape: shapely.Polygon) -> list[list[float]]:
    xs, ys = transform("EPSG:32654", "EPSG:4326", *shape.exterior.xy)
    return [[x, y] for x, y in zip(xs, ys, strict=True)]


def placemark(shape: shapely.Polygon, *, labelled: bool = False) -> str:
    points = ring(shape)
    text = " ".join(f"{x},{y},350" for x, y in points)
    made = f"<outerBoundaryIs><LinearRing><coordinates>{text}</coordinates></LinearRing>"
    made = f"<Polygon>{made}</outerBoundaryIs></Polygon>"
    if labelled:
        label = f"<Point><coordinates>{points[0][0]},{points[0][1]}</coordinates></Point>"
        made = f"<MultiGeometry>{label}{made}</MultiGeometry>"
    return f"<Placemark>{made}</Placemark>"


def kml(path: Path, **folders: str) -> Path:
    text = "".join(f"<Folder><name>{n}</name>{marks}</Folder>" for n, marks in folders.items())
    head = '<?xml version="1.0" encoding="UTF-8"?><kml xmlns="http://www.opengis.net/kml/2.2">'
    path.write_text(f"{head}<Document>{text}</Document></kml>")
    return path


def geojson(path: Path, *rings: list[list[float]]) -> Path:
    features = [
        {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [r]}}
        for r in rings
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def area(path: Path, grid: Grid = GRID) -> float:
    return float(read_inventory(path, grid).polygons.union_all().area)


def test_folders_of_a_kml_are_asked_for_and_read_one_by_one_or_all(tmp_path: Path) -> None:
    south = placemark(box(1200, 1200)) + placemark(box(300, 1400))
    path = kml(tmp_path / "slides.kml", north=placemark(box(300, 300)), south=south)
    with pytest.raises(InputError, match=r"2 layers \('north', 'south'\).*slides.kml/\*'"):
        read_inventory(path, GRID)
    assert area(path / "north") == pytest.approx(90_000, rel=1e-3)
    assert area(path / "*") == pytest.approx(270_000, rel=1e-3)
    with pytest.raises(InputError, match="no layer 'west': choose from north, south"):
        read_inventory(path / "west", GRID)


def test_a_study_area_beside_landslides_is_never_taken_for_them(tmp_path: Path) -> None:
    path = tmp_path / "inventory.gpkg"
    for name, shape in (("study_area", box(-5000, -5000, 9000)), ("landslides", box(300, 300))):
        gpd.GeoDataFrame(geometry=[shape], crs=GRID.crs).to_file(path, layer=name)
    with pytest.raises(InputError, match="name the one that is meant"):
        read_inventory(path, GRID)
    assert area(path / "landslides") == pytest.approx(90_000)


def test_layers_without_outlines_are_no_question(tmp_path: Path) -> None:
    path = tmp_path / "inventory.gpkg"
    for name, shape in (("labels", box(9, 9).centroid), ("landslides", box(300, 300))):
        gpd.GeoDataFrame(geometry=[shape], crs=GRID.crs).to_file(path, layer=name)
    assert area(path) == pytest.approx(90_000)
    with pytest.raises(InputError, match="outlines or points in 2 layers"):
        read_inventory(path, GRID, radius=50)


def test_a_label_does_not_hide_the_outline_it_belongs_to(tmp_path: Path) -> None:
    marks = placemark(box(300, 300)) + placemark(box(1200, 1200), labelled=True)
    found = read_inventory(kml(tmp_path / "slides.kml", all=marks), GRID)
    assert found.polygons.area.sum() == pytest.approx(180_000, rel=1e-3)
    assert (found.features, found.left_out) == (2, 0)


@pytest.mark.parametrize(("points", "slides"), [(1, 1), (2, 1), (4, 2)])
def test_rings_are_closed_or_left_out_and_counted(points: int, slides: int, tmp_path: Path) -> None:
    path = geojson(tmp_path / "a.geojson", ring(box(300, 300)), ring(box(900, 900))[:points])
    found = read_inventory(path, GRID)
    assert found.polygons.area.sum() == pytest.approx(90_000 * slides, rel=1e-3)
    assert (found.left_out, found.repaired) == (2 - slides, 0)


def test_attributes_in_a_wrong_encoding_do_not_matter(tmp_path: Path) -> None:
    frame = gpd.GeoDataFrame({"lieu": ["Chenes"]}, geometry=[box(300, 300)], crs=GRID.crs)
    frame.to_file(tmp_path / "slides.shp", encoding="UTF-8")
    table = tmp_path / "slides.dbf"
    table.write_bytes(table.read_bytes().replace(b"Chenes", b"Ch\xeanes"))
    assert area(tmp_path / "slides.shp") == pytest.approx(90_000)


def test_a_shapefile_is_found_in_an_archives_subfolder(tmp_path: Path) -> None:
    for name, x in (("north", 300), ("south", 900)):
        frame = gpd.GeoDataFrame(geometry=[box(x, x)], crs=GRID.crs)
        frame.to_file(tmp_path / f"{name}.shp")
    one, both = tmp_path / "one.zip", tmp_path / "both.zip"
    for path, names in ((one, ["north"]), (both, ["north", "south"])):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("__MACOSX/data/._north.shp", b"junk")
            for file in [f for name in names for f in tmp_path.glob(f"{name}.*")]:
                archive.write(file, f"data/{file.name}")
    assert area(one) == pytest.approx(90_000)
    with pytest.raises(InputError, match=r"name one of .*both.zip/data/north.shp"):
        read_inventory(both, GRID)
    assert area(both / "data" / "south.shp") == pytest.approx(90_000)


def test_a_table_of_longitudes_and_latitudes_holds_points(tmp_path: Path) -> None:
    (x,), (y,) = transform("EPSG:32654", "EPSG:4326", [X + 500], [Y - 500])
    path = tmp_path / "coolr.csv"
    path.write_text(f"event_id,longitude,latitude\n1,{x:.8f},{y:.8f}\n")
    disc = read_inventory(path, GRID, radius=50).polygons[0]
    assert disc.centroid.distance(shapely.Point(X + 500, Y - 500)) < 0.01
    with pytest.raises(InputError, match="has no polygon but points"):
        read_inventory(path, GRID)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="columns named longitude and latitude"):
        read_shapes(path, "inventory")


def test_landslides_and_mapped_areas_over_the_180th_meridian(tmp_path: Path) -> None:
    slide = shapely.box(819_500, 8_139_000, 820_500, 8_139_200)
    frame = gpd.GeoDataFrame(geometry=[slide], crs=FIJI.crs)
    frame.to_file(tmp_path / "slides.gpkg")
    frame.to_crs(4326).to_file(tmp_path / "slides.geojson")
    for name in ("slides.gpkg", "slides.geojson"):
        assert area(tmp_path / name, FIJI) == pytest.approx(200_000, rel=1e-6)
    # The Earth as two polygons that meet at the meridian covers the scene once.
    halves = [[[w, -80], [w + 180, -80], [w + 180, 80], [w, 80], [w, -80]] for w in (-180, 0)]
    world = read_inventory(geojson(tmp_path / "world.geojson", *halves), FIJI).polygons
    scene = shapely.box(*FIJI.bounds)
    assert (world.union_all() & scene).area == pytest.approx(scene.area, rel=1e-6)
    assert (world[0] & world[1]).area < 1e-3 * scene.area


def fiji(area: object) -> Grid:
    options = OmegaConf.create({"like": None, "crs": None, "resolution": 10})
    shape = read_area(area)
    assert shape is not None
    return choose_grid(options, shape, Sources({}, Dem(())))


def test_an_area_over_the_180th_meridian_is_small_whichever_way_it_is_given(
    tmp_path: Path,
) -> None:
    west, east, south, north = 179.99, -179.98, -16.82, -16.80
    numbers = fiji([west, south, east, north])
    halves = [
        [[w, south], [e, south], [e, north], [w, north], [w, south]]
        for w, e in ((west, 180), (-180, east))
    ]
    for grid in (numbers, fiji(str(geojson(tmp_path / "halves.geojson", *halves)))):
        # 0.03 degrees of longitude and 0.02 of latitude, on a grid turned by 0.9 degrees.
        assert grid.crs.to_epsg() == 32701
        assert grid.width * 10 == pytest.approx(3197, abs=60)
        assert grid.height * 10 == pytest.approx(2213, abs=70)


def test_an_area_at_a_pole_is_refused() -> None:
    with pytest.raises(InputError, match="UTM is defined from -80 to 84 only"):
        fiji([10, 85, 11, 86])

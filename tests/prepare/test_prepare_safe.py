import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from zipfile import ZipFile

import numpy as np
import pytest
import rasterio
from affine import Affine
from commands import composed
from pyproj import Geod, Transformer, datadir
from rasterio.crs import CRS
from scipy.interpolate import CubicHermiteSpline, RegularGridInterpolator
from scipy.optimize import brentq

from landslide.errors import InputError
from landslide.geo.grid import Grid
from landslide.geo.rasters import write_raster
from landslide.prepare.prepare import Prepared, prepare_scene
from landslide.prepare.safe.geoid import MODEL, geoid_height
from landslide.prepare.sources import Dem, Tile

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

UTM = CRS.from_epsg(32633)
GEOID = 48.4
"""Metres from the ellipsoid to sea level in Rome (EGM96 has 48.4 at 42.0 N 12.5 E)."""
DN = 100
PIXEL = 10.0
LIGHT = 299_792_458.0


@pytest.fixture(autouse=True)
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out figures."""
    monkeypatch.setattr("landslide.prepare.prepare.draw_figures", lambda *_: None)


@pytest.fixture(scope="module")
def real_product(real_data: Path) -> Path:
    """The folder of a real product's metadata."""
    pytest.importorskip("sarsen", reason="the extra 'safe' is not installed")
    return real_data / "s1_grd_safe"


def product(
    real_product: Path, folder: Path, day: str, *rectangles: tuple[int, int, int, int, int]
) -> Path:
    """Write a product with a real one's metadata, of another day, and pixels of our own.

    Args:
        rectangles: First line, first sample, lines, samples, digital number. All else is 0.
    """
    original = next(real_product.glob("*.SAFE"))
    path = folder / original.name.replace("20211223", day)
    shutil.copytree(original, path, copy_function=shutil.copyfile)
    for place in [path, *path.rglob("*")]:
        place.chmod(0o755 if place.is_dir() else 0o644)
    replace(path / "manifest.safe", "Time>2021-12-23", f"Time>{day[:4]}-{day[4:6]}-{day[6:]}")
    image = measurement(path)
    with rasterio.open(image) as source:
        height, width = source.shape
    image.unlink()
    profile = {"height": height, "width": width, "count": 1, "dtype": "uint16", "driver": "GTiff"}
    options = {"tiled": True, "sparse_ok": True, "compress": "deflate"}
    with rasterio.open(image, "w", **profile, **options) as sink:
        for line, sample, lines, samples, number in rectangles:
            window = rasterio.windows.Window(sample, line, samples, lines)
            sink.write(np.full((lines, samples), number, np.uint16), 1, window=window)
    return path


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def measurement(path: Path) -> Path:
    return next((path / "measurement").glob("*.tiff"))


def annotation(path: Path) -> Path:
    return next((path / "annotation").glob("*.xml"))


def prepare(root: Path, *overrides: str) -> Prepared:
    given = [f"root={root}", f"cache={root.parent / 'cache'}", "sar.source=safe"]
    return prepare_scene(composed("event.date=2021-12-20", *given, *overrides, name="prepare"))


def bands(root: Path) -> dict[str, np.ndarray]:
    with rasterio.open(root / "descending.tif") as source:
        return dict(zip(source.descriptions, source.read(), strict=True))


# An independent radar ---------------------------------------------------------------------


class Point(NamedTuple):
    """A tie point of the annotation; height in metres above the ellipsoid, incidence in degrees."""

    line: float
    pixel: float
    latitude: float
    longitude: float
    height: float
    incidence: float


def tie_points(real_product: Path) -> list[Point]:
    root = ElementTree.parse(annotation(next(real_product.glob("*.SAFE")))).getroot()
    names = ("line", "pixel", "latitude", "longitude", "height", "incidenceAngle")
    return [
        Point(*(float(node.findtext(name, "")) for name in names))
        for node in root.iter("geolocationGridPoint")
    ]


def seconds(text: str) -> float:
    return (
        float((np.datetime64(text, "ns") - np.datetime64("2021-12-23T05:11", "ns")).astype(int))
        / 1e9
    )


def seen_at(
    real_product: Path, longitude: float, latitude: float, height: float
) -> tuple[float, float]:
    """Line and sample of a target, by an orbit through the state vectors' velocities (Hermite),
    a bracketed zero-Doppler time, and the polynomial from ground to slant range."""
    root = ElementTree.parse(annotation(next(real_product.glob("*.SAFE")))).getroot()
    vectors = root.findall(".//orbitList/orbit")
    times = [seconds(v.findtext("time", "")) for v in vectors]
    state = {
        part: [[float(v.findtext(f"{part}/{axis}", "")) for axis in "xyz"] for v in vectors]
        for part in ("position", "velocity")
    }
    orbit = CubicHermiteSpline(times, state["position"], state["velocity"])
    flight = orbit.derivative()
    target = np.array(
        Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True).transform(
            longitude, latitude, height
        )
    )
    time = brentq(lambda t: (target - orbit(t)) @ flight(t), times[0], times[-1])
    slant = float(np.linalg.norm(target - orbit(time)))
    conversions = root.findall(".//coordinateConversionList/coordinateConversion")
    nearest = min(conversions, key=lambda c: abs(seconds(c.findtext("azimuthTime", "")) - time))
    powers = [float(c) for c in nearest.findtext("grsrCoefficients", "").split()]
    ground = brentq(lambda g: np.polyval(powers[::-1], g) - slant, 0, 270_000)
    first = seconds(root.findtext(".//productFirstLineUtcTime", ""))
    interval = float(root.findtext(".//azimuthTimeInterval", ""))
    return (time - first) / interval, ground / float(root.findtext(".//rangePixelSpacing", ""))


def lut(real_product: Path, name: str, line: float, pixel: float) -> float:
    """A table of the calibration file, interpolated bilinearly."""
    path = next(real_product.glob("*.SAFE/annotation/calibration/calibration-*.xml"))
    rows = ElementTree.parse(path).getroot().findall(".//calibrationVector")
    lines = [int(row.findtext("line", "")) for row in rows]
    pixels = [int(p) for p in rows[0].findtext("pixel", "").split()]
    table = [[float(v) for v in row.findtext(name, "").split()] for row in rows]
    return float(RegularGridInterpolator((lines, pixels), table)([[line, pixel]])[0])


def around(longitude: float, latitude: float, half: int = 40) -> tuple[Grid, float, float]:
    """A grid around a place, and the place's own map coordinates."""
    x, y = Transformer.from_crs("EPSG:4326", UTM, always_xy=True).transform(longitude, latitude)
    west, north = PIXEL * round(x / PIXEL - half), PIXEL * round(y / PIXEL + half)
    return Grid(UTM, Affine(PIXEL, 0, west, 0, -PIXEL, north), 2 * half, 2 * half), x, y


def plane(path: Path, grid: Grid, height: float, east: float = 0, north: float = 0) -> Path:
    """A DEM, 1 km wider than a grid, that rises with the gradients; ``height`` in the middle."""
    wide = grid.height + 200
    place = Grid(grid.crs, grid.transform @ Affine.translation(-100, -100), wide, wide)
    steps = PIXEL * (np.arange(wide) - (wide - 1) / 2)
    z = height + east * steps[None] - north * steps[:, None]
    write_raster(path, z.astype(np.float32), place, ["height"], np.nan)
    return path


def like(path: Path, grid: Grid) -> str:
    """Write a raster of a grid; return the option that puts a scene on it."""
    empty = np.zeros((grid.height, grid.width), np.uint8)
    write_raster(path, empty, grid, ["grid"], 255)
    return f"grid.like={path}"


def centroid(power: np.ndarray, grid: Grid) -> tuple[float, float]:
    """Centre, in map coordinates, of the pixels brighter than a quarter of the brightest."""
    bright = np.where(power > np.nanmax(power) / 4, power, 0)
    rows, cols = np.indices(power.shape) + 0.5
    return grid.transform @ (
        (bright * cols).sum() / bright.sum(),
        (bright * rows).sum() / bright.sum(),
    )


# Position ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", [45, 94, 120, 186])
def test_a_target_at_a_tie_point_comes_out_at_its_coordinates(
    real_product: Path, tmp_path: Path, number: int
) -> None:
    point = tie_points(real_product)[number]
    line, pixel = round(point.line), round(point.pixel)
    background = (line - 200, max(pixel - 200, 0), 400, 400, 20)
    pre = product(real_product, tmp_path, "20211211", background, (line - 1, pixel - 1, 3, 3, 5000))
    post = product(real_product, tmp_path, "20211223", background)
    grid, x, y = around(point.longitude, point.latitude)
    dem = plane(tmp_path / "dem.tif", grid, point.height)
    prepare(
        tmp_path / "scene",
        f"dem={dem}",
        f"sar.descending=[{pre},{post}]",
        like(tmp_path / "grid.tif", grid),
        "terrain.geoid=0",
    )
    found = centroid(bands(tmp_path / "scene")["vv_pre"], grid)
    assert np.hypot(found[0] - x, found[1] - y) < PIXEL


@pytest.mark.slow
def test_a_target_on_a_mountain_comes_out_where_the_mountain_is(
    real_product: Path, tmp_path: Path
) -> None:
    point = tie_points(real_product)[94]
    height = point.height + 1800
    line, pixel = (round(n) for n in seen_at(real_product, point.longitude, point.latitude, height))
    assert pixel < point.pixel - 150  # it leans 1.5 km and more towards the radar
    background = (line - 200, pixel - 200, 400, 400, 20)
    pre = product(real_product, tmp_path, "20211211", background, (line - 1, pixel - 1, 3, 3, 5000))
    post = product(real_product, tmp_path, "20211223", background)
    grid, x, y = around(point.longitude, point.latitude)
    dem = plane(tmp_path / "dem.tif", grid, height)
    given = f"sar.descending=[{pre},{post}]", like(tmp_path / "grid.tif", grid)
    prepare(tmp_path / "scene", f"dem={dem}", *given, "terrain.geoid=0")
    found = centroid(bands(tmp_path / "scene")["vv_pre"], grid)
    assert np.hypot(found[0] - x, found[1] - y) < PIXEL


@pytest.mark.slow
def test_targets_in_real_terrain_come_out_where_they_stand(
    real_product: Path, tmp_path: Path
) -> None:
    elevation = real_product / "Rome-30m-DEM.tif"
    with rasterio.open(elevation) as source:
        z = source.read(1)[30:-30, 30:-30]
        low, high = (np.unravel_index(i, z.shape) for i in (z.argmin(), z.argmax()))
        points = [(source.xy(30 + r, 30 + c), float(z[r, c])) for r, c in (low, high)]
    assert points[1][1] - points[0][1] > 80
    for name, (place, height) in zip(("low", "high"), points, strict=True):
        line, pixel = seen_at(real_product, *place, height + GEOID)
        line, pixel = round(line), round(pixel)
        background = (line - 200, pixel - 200, 400, 400, 20)
        folder = tmp_path / name
        pre = product(
            real_product, folder, "20211211", background, (line - 1, pixel - 1, 3, 3, 5000)
        )
        post = product(real_product, folder, "20211223", background)
        grid, x, y = around(*place)
        given = [f"sar.descending=[{pre},{post}]", like(folder / "grid.tif", grid)]
        given.append(f"dem={elevation}")
        prepare(folder / "scene", *given, f"terrain.geoid={GEOID}")
        found = centroid(bands(folder / "scene")["vv_pre"], grid)
        assert np.hypot(found[0] - x, found[1] - y) < PIXEL
    # Sea level taken for the ellipsoid: 48 m / tan(43 degrees) away.
    prepare(folder / "wrong", *given, "terrain.geoid=0")
    found = centroid(bands(folder / "wrong")["vv_pre"], grid)
    assert 4 * PIXEL < np.hypot(found[0] - x, found[1] - y) < 6 * PIXEL


# Calibration ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", [66, 73, 80])
def test_flat_ground_is_calibrated_as_the_products_table_says(
    real_product: Path, tmp_path: Path, number: int
) -> None:
    point = tie_points(real_product)[number]
    line, pixel = round(point.line), round(point.pixel)
    square = (line - 300, pixel - 300, 600, 600, DN)
    paths = [product(real_product, tmp_path, day, square) for day in ("20211211", "20211223")]
    grid, *_ = around(point.longitude, point.latitude)
    dem = plane(tmp_path / "dem.tif", grid, point.height)
    prepared = prepare(
        tmp_path / "scene",
        f"dem={dem}",
        f"sar.descending=[{paths[0]},{paths[1]}]",
        like(tmp_path / "grid.tif", grid),
        "terrain.geoid=0",
    )
    power = bands(tmp_path / "scene")["vv_pre"]
    expected = (DN / lut(real_product, "gamma", line, pixel)) ** 2
    decibels = 10 * np.log10(power / expected)
    assert abs(decibels.mean()) < 0.05
    assert decibels.std() < 0.02
    geometry = prepared.info["geometry"]["descending"]
    assert geometry["incidence"] == pytest.approx(point.incidence, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("east", "north"), [(0.4, 0), (-0.4, 0), (0, 0.4), (0.2, -0.3)])
def test_slopes_are_flattened_by_the_closed_form_of_a_plane(
    real_product: Path, tmp_path: Path, east: float, north: float
) -> None:
    """Projected area over cell area is n·l / n·(l x v), with normal n, look l and flight v."""
    point = tie_points(real_product)[73]
    square = (round(point.line) - 500, round(point.pixel) - 500, 1000, 1000, DN)
    paths = [product(real_product, tmp_path, day, square) for day in ("20211211", "20211223")]
    grid, *_ = around(point.longitude, point.latitude)
    dem = plane(tmp_path / "dem.tif", grid, 1000, east, north)
    prepared = prepare(
        tmp_path / "scene",
        f"dem={dem}",
        f"sar.descending=[{paths[0]},{paths[1]}]",
        like(tmp_path / "grid.tif", grid),
        "terrain.geoid=0",
    )
    turn = np.radians(prepared.info["geometry"]["descending"]["look"])
    theta = np.radians(prepared.info["geometry"]["descending"]["incidence"])
    look = np.array([np.sin(theta) * np.sin(turn), np.sin(theta) * np.cos(turn), -np.cos(theta)])
    flight = np.array([-np.cos(turn), np.sin(turn), 0])
    normal = np.array([-east, -north, 1])
    ratio = (normal @ look) / (normal @ np.cross(look, flight))
    beta = (DN / lut(real_product, "betaNought", point.line, point.pixel)) ** 2
    decibels = 10 * np.log10(bands(tmp_path / "scene")["vv_pre"] / (beta / abs(ratio)))
    assert abs(decibels.mean()) < 0.1
    assert decibels.std() < 0.03


# One product in many forms ----------------------------------------------------------------


@pytest.fixture
def pair(real_product: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Products of two days with a gradient of bright squares around a tie point."""
    point = tie_points(real_product)[73]
    line, pixel = round(point.line), round(point.pixel)
    squares = [
        (line - 200 + 40 * row, pixel - 200 + 40 * col, 40, 40, 100 + 10 * row + 3 * col)
        for row in range(10)
        for col in range(10)
    ]
    early, late = (
        product(real_product, tmp_path, day, *squares) for day in ("20211211", "20211223")
    )
    return early, late


@pytest.fixture
def place(real_product: Path, tmp_path: Path) -> list[str]:
    """Options of a scene around that point, its DEM among them."""
    point = tie_points(real_product)[73]
    grid, *_ = around(point.longitude, point.latitude, half=32)
    dem = plane(tmp_path / "dem.tif", grid, point.height)
    return [f"dem={dem}", like(tmp_path / "grid.tif", grid), "terrain.geoid=0"]


def zipped(path: Path) -> Path:
    packed = path.with_suffix(".zip")
    with ZipFile(packed, "w") as archive:
        for file in sorted(path.rglob("*")):
            archive.write(file, file.relative_to(path.parent))
    return packed


@pytest.mark.slow
def test_a_zip_gives_the_same_pixels_and_is_not_geocoded_anew(
    pair: tuple[Path, Path], place: list[str], tmp_path: Path
) -> None:
    early, late = pair
    packed = [zipped(path) for path in pair]
    prepare(tmp_path / "folders", *place, f"sar.descending=[{early},{late}]")
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.tif")}
    other = f"cache={tmp_path / 'other'}"
    prepare(tmp_path / "zips", *place, f"sar.descending=[{packed[0]},{packed[1]}]", other)
    prepare(tmp_path / "again", *place, f"sar.descending=[{packed[0]},{packed[1]}]")
    expected = bands(tmp_path / "folders")
    for name in ("zips", "again"):
        for band, values in bands(tmp_path / name).items():
            np.testing.assert_array_equal(values, expected[band])
    assert len(made) == 2
    assert made == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.tif")}
    assert not [path for path in (tmp_path / "other").rglob("*") if path.name.startswith(".part")]


@pytest.mark.slow
def test_metadata_replace_options(
    real_product: Path, pair: tuple[Path, Path], place: list[str], tmp_path: Path
) -> None:
    prepared = prepare(tmp_path / "scene", *place, f"sar.descending=[{pair[0]},{pair[1]}]")
    images = prepared.info["images"]["descending"]
    assert [images[date]["time"] for date in ("pre", "post1")] == [
        "2021-12-11T05:11:22Z",
        "2021-12-23T05:11:22Z",
    ]
    assert images["pre"]["direction"] == "descending"
    assert images["pre"]["relative_orbit"] == 22
    assert images["pre"]["platform"] == "S1B"
    assert images["pre"]["items"] == [pair[0].name.removesuffix(".SAFE")]
    assert "terrain-flattened" in images["pre"]["product"]
    assert {"local_incidence_angle", "layover_shadow"} <= bands(tmp_path / "scene").keys()
    # Samples of a line lie one behind the other as the radar looks.
    before, after = tie_points(real_product)[72], tie_points(real_product)[74]
    away, back, _ = Geod(ellps="WGS84").inv(
        before.longitude, before.latitude, after.longitude, after.latitude
    )
    geometry = prepared.info["geometry"]["descending"]
    assert geometry["look"] == pytest.approx((away + back - 180) / 2 % 360, abs=0.2)
    assert not prepared.info["warnings"]


@pytest.mark.slow
def test_a_folder_of_products_is_a_stack(
    real_product: Path, pair: tuple[Path, Path], place: list[str], tmp_path: Path
) -> None:
    point = tie_points(real_product)[73]
    square = (round(point.line) - 200, round(point.pixel) - 200, 400, 400, DN)
    product(real_product, tmp_path, "20211129", square)
    given = (f"sar.descending={tmp_path}", "sar.before=2", "sar.after=1")
    prepared = prepare(tmp_path / "scene", *place, *given)
    dates = prepared.info["stack"]["descending"]
    assert [date["date"] for date in dates] == ["2021-11-29", "2021-12-11", "2021-12-23"]
    assert [date["side"] for date in dates] == ["pre", "pre", "post"]


@pytest.mark.slow
def test_a_coarse_grid_averages_the_image(real_product: Path, tmp_path: Path) -> None:
    point = tie_points(real_product)[73]
    line, pixel = round(point.line), round(point.pixel)
    # Every third line is bright, and the rest is dark.
    stripes = [(line - 400 + 3 * row, pixel - 400, 1, 800, 100) for row in range(266)]
    ground = (line - 400, pixel - 400, 800, 800, 1)
    early, late = (
        product(real_product, tmp_path, day, ground, *stripes) for day in ("20211211", "20211223")
    )
    grid, *_ = around(point.longitude, point.latitude, half=32)
    coarse = grid._replace(
        transform=Affine(30, 0, grid.bounds[0] - 640, 0, -30, grid.bounds[3] + 640)
    )
    dem = plane(tmp_path / "dem.tif", coarse, point.height)
    place = [f"dem={dem}", like(tmp_path / "grid.tif", coarse), "terrain.geoid=0"]
    prepare(tmp_path / "coarse", *place, f"sar.descending=[{early},{late}]")
    power = bands(tmp_path / "coarse")["vv_pre"]
    assert np.nanstd(power) / np.nanmean(power) < 0.02


@pytest.mark.slow
def test_frames_of_one_overpass_fill_each_others_gaps(
    real_product: Path, place: list[str], tmp_path: Path
) -> None:
    point = tie_points(real_product)[73]
    line, pixel = round(point.line), round(point.pixel)
    whole = (line - 200, pixel - 200, 400, 400, DN)
    north, south = (line - 200, pixel - 200, 200, 400, DN), (line, pixel - 200, 200, 400, DN)
    paths = {
        name: product(real_product, tmp_path / name, "20211211", part)
        for name, part in (("north", north), ("south", south))
    }
    late = product(real_product, tmp_path, "20211223", whole)
    given = f"sar.descending=[[{paths['north']},{paths['south']}],{late}]"
    prepare(tmp_path / "scene", *place, given)
    found = bands(tmp_path / "scene")
    assert np.isfinite(found["vv_post1"]).all()
    # Lines at which both frames end have no neighbour to interpolate with.
    missing = np.isnan(found["vv_pre"])
    assert missing.mean() < 0.03
    np.testing.assert_allclose(found["vv_pre"][~missing], found["vv_post1"][~missing], rtol=1e-5)


@pytest.mark.slow
def test_each_polarisation_has_its_own_pixels(
    real_product: Path, pair: tuple[Path, Path], place: list[str], tmp_path: Path
) -> None:
    point = tie_points(real_product)[73]
    square = (round(point.line) - 200, round(point.pixel) - 200, 400, 400, DN)
    for day, path in zip(("20211211", "20211223"), pair, strict=True):
        other = product(real_product, tmp_path / "other", day, square)
        for file in [*other.glob("annotation/**/*-vv-*.xml"), measurement(other)]:
            name = file.name.replace("-vv-", "-vh-").replace("-001.", "-002.")
            shutil.copyfile(file, path / file.parent.relative_to(other) / name)
    given = f"sar.descending=[{zipped(pair[0])},{pair[1]}]", "sar.polarisations=[vv,vh]"
    prepare(tmp_path / "scene", *place, *given)
    found = bands(tmp_path / "scene")
    expected = (DN / lut(real_product, "gamma", point.line, point.pixel)) ** 2
    for band in ("vh_pre", "vh_post1"):
        np.testing.assert_allclose(found[band], expected, rtol=0.03)
        assert found[band.replace("vh", "vv")].std() > 5 * found[band].std()


# What is wrong ----------------------------------------------------------------------------


Damage = Callable[[Path], Path | None]
"""Damages a product; returns another path where it makes one."""


def manifest(old: str, new: str) -> Damage:
    return lambda path: replace(path / "manifest.safe", old, new)


def cut(name: str, share: float) -> Damage:
    def damage(path: Path) -> None:
        file = next(path.glob(name))
        file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])

    return damage


def without(name: str) -> Damage:
    return lambda path: next(path.glob(name)).unlink()


def cut_zip(path: Path) -> Path:
    packed = zipped(path)
    packed.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
    return packed


def other_size(path: Path) -> None:
    write = {"driver": "GTiff", "height": 90, "width": 80, "count": 1, "dtype": "uint16"}
    rasterio.open(measurement(path), "w", **write).close()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without("manifest.safe"), "no SAFE folder nor a zip of one"),
        (cut("manifest.safe", 0.5), "manifest.safe is damaged"),
        (
            without("annotation/*.xml"),
            r"incomplete .*lacks annotation/s1b-iw-grd-vv-.*\): download it again",
        ),
        (without("annotation/calibration/calib*"), "lacks annotation/calibration/calibration-s1b"),
        (without("measurement/*"), "lacks measurement/s1b-iw-grd-vv-.*tiff"),
        (cut("annotation/*.xml", 0.7), "annotation/s1b.* is damaged"),
        (cut("annotation/calibration/calib*", 0.7), "calibration-s1b.* is damaged"),
        (cut("measurement/*", 0), r"tiff cannot be read as a raster\): download it again"),
        pytest.param(
            cut("measurement/*", 0.8), "tiff cannot be read|is damaged", marks=pytest.mark.slow
        ),
        (other_size, "is 80 x 90 px and 26102 x 16705 by its annotation"),
        (cut_zip, "no SAFE folder nor a zip of one"),
        (manifest("productType>GRD", "productType>SLC"), "is a Sentinel-1 IW SLC product"),
        (manifest("mode>IW", "mode>EW"), "is a Sentinel-1 EW GRD product.* takes IW GRD"),
    ],
)
def test_a_product_that_cannot_be_used_is_one_sentence_and_leaves_nothing(
    pair: tuple[Path, Path], place: list[str], tmp_path: Path, damage: Damage, message: str
) -> None:
    late = damage(pair[1]) or pair[1]
    with pytest.raises(InputError, match=message) as raised:
        prepare(tmp_path / "scene", *place, f"sar.descending=[{pair[0]},{late}]")
    assert str(late) in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert not (tmp_path / "scene").exists()
    left = [path.name for path in tmp_path.rglob("*") if path.name.startswith(".part")]
    assert not left


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("sar.polarisations=[vv,hh]", "has no HH, only VV, VH: leave it out of sar.polarisations"),
        ("sar.polarisations=[vv,vh]", "lacks annotation/s1b-iw-grd-vh"),
        ("sar.ascending=[{0},{1}] sar.descending=null", "is descending by its metadata"),
        ("sar.descending=[{1},{0}]", "post1 .2021-12-11. is not later than pre .2021-12-23."),
        ("sar.descending=[[{0},{1}],{1}]", "are not frames of one overpass"),
        ("grid.like=null", "needs an area"),
        ("grid.like=null aoi=[2.0,48.0,2.1,48.1]", "S1B_.*SAFE does not overlap with the area"),
        ("grid.like=null aoi=[14.0,42.0,14.1,42.1]", "dem.tif does not overlap with the area"),
        ("terrain.geoid=1000", "terrain.geoid=1000 is not metres from -120 to 100"),
        ("sar.source=files", "SAFE is no raster: add sar.source=safe"),
    ],
)
def test_options_that_do_not_fit_the_products_are_one_sentence(
    pair: tuple[Path, Path], place: list[str], tmp_path: Path, option: str, message: str
) -> None:
    given = [f"sar.descending=[{pair[0]},{pair[1]}]", *option.format(*pair).split()]
    with pytest.raises(InputError, match=message) as raised:
        prepare(tmp_path / "scene", *place, *given)
    assert len(str(raised.value).splitlines()) == 1
    assert not (tmp_path / "scene").exists()
    assert not (tmp_path / "cache").exists()


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "sarsen", None)
    with pytest.raises(InputError, match=r'needs sarsen: pip install -e "\.\[safe\]"$'):
        prepare(tmp_path / "scene", "sar.ascending=[a.SAFE,b.SAFE]", "dem=dem.tif")


# The datum of elevations ------------------------------------------------------------------


@pytest.fixture
def geoid_grid(tmp_path: Path) -> Iterator[None]:
    """Give PROJ a geoid of 40 m plus a metre per degree east of 12."""
    before = datadir.get_data_dir()
    columns = 40 + np.arange(9, dtype=np.float32) / 2
    profile = {"driver": "GTiff", "height": 9, "width": 9, "count": 1, "dtype": "float32"}
    corner = Affine(0.5, 0, 11.75, 0, -0.5, 44.25)
    with rasterio.open(tmp_path / MODEL, "w", **profile, crs="EPSG:4979", transform=corner) as sink:
        sink.write(np.broadcast_to(columns, (9, 9)), 1)
        sink.update_tags(TYPE="VERTICAL_OFFSET_GEOGRAPHIC_TO_VERTICAL", AREA_OR_POINT="Point")
        sink.descriptions = ("geoid_undulation",)
        sink.units = ("metre",)
    datadir.append_data_dir(str(tmp_path))
    yield
    datadir.set_data_dir(before)


def scene_and_dem(folder: Path, crs: str) -> tuple[Dem, Grid]:
    path = folder / "heights.tif"
    place = {"crs": crs, "transform": Affine(0.01, 0, 12, 0, -0.01, 43)}
    profile = {"driver": "GTiff", "height": 100, "width": 100, "count": 1, "dtype": "int16"}
    with rasterio.open(path, "w", **profile, **place) as sink:
        sink.write(np.full((100, 100), 300, np.int16), 1)
    return Dem((Tile(path),)), around(12.5, 42.5)[0]


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:9707"])
def test_elevations_are_above_sea_level(geoid_grid: None, tmp_path: Path, crs: str) -> None:
    dem, grid = scene_and_dem(tmp_path, crs)
    assert geoid_height(dem, grid, None) == pytest.approx(40.5, abs=0.05)
    assert geoid_height(dem, grid, 7.5) == 7.5


def test_elevations_in_an_ellipsoidal_crs_are_left_as_they_are(tmp_path: Path) -> None:
    assert geoid_height(*scene_and_dem(tmp_path, "EPSG:4979"), None) == 0


def test_an_unknown_geoid_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("landslide.prepare.safe.geoid.MODEL", "no_such_grid.tif")
    monkeypatch.setattr("pyproj.network.set_network_enabled", lambda *_: None)
    with pytest.raises(InputError, match=r"no_such_grid.tif.* give it as terrain.geoid="):
        geoid_height(*scene_and_dem(tmp_path, "EPSG:4326"), None)

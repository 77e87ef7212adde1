import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Geod, Transformer
from rasterio.crs import CRS
from rasterio.enums import Resampling
from scipy import ndimage

from landslide.errors import InputError
from landslide.geo.grid import Grid, Window
from landslide.prepare.orbit import radar_orbit, sentinel_heading
from landslide.prepare.sources import Acquisition, Dem, Tile
from landslide.prepare.terrain import (
    TerrainBands,
    dem_grid,
    dem_notes,
    north_convergence,
    require_dem_coverage,
    warn_zero_nodata,
    write_terrain,
)
from landslide.radar.geometry import RadarGeometry, distortion, local_incidence

GRID = Grid(CRS.from_epsg(32654), Affine(10, 0, 600_000, 0, -10, 4_740_000), 96, 128)
MIDDLE = (600_640.0, 4_739_520.0)
EAST = RadarGeometry(0, 36)

Surface = Callable[[np.ndarray, np.ndarray], np.ndarray]


def write_dem(
    path: Path,
    surface: Surface,
    *,
    crs: int = 32654,
    posting: float = 30.0,
    nodata: float | None = None,
    hole: tuple[slice, slice] | None = None,
    margin: float = 600.0,
) -> Dem:
    """A surface given in metres from the middle of GRID, sampled in any CRS."""
    to_crs = Transformer.from_crs(32654, crs, always_xy=True)
    west, south, east, north = GRID.bounds
    xs, ys = to_crs.transform(
        [west - margin, west - margin, east + margin, east + margin],
        [south - margin, north + margin, south - margin, north + margin],
    )
    step = posting / 111_000 if CRS.from_epsg(crs).is_geographic else posting
    width, height = int((max(xs) - min(xs)) / step), int((max(ys) - min(ys)) / step)
    transform = Affine(step, 0, min(xs), 0, -step, max(ys))
    cols, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    x, y = to_crs.transform(*(transform @ (cols, rows)), direction="INVERSE")
    z = surface(x - MIDDLE[0], y - MIDDLE[1]).astype(np.float32)
    if hole is not None:
        z[hole] = np.nan if nodata is None else nodata
    profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "nodata": nodata}
    profile |= {"crs": CRS.from_epsg(crs), "transform": transform}
    with rasterio.open(path, "w", height=height, width=width, **profile) as sink:
        sink.write(z, 1)
    return Dem((Tile(path),))


def bands_of(
    dem: Dem, folder: Path, orbit: RadarGeometry | None = None, voids: int = 0
) -> dict[str, np.ndarray]:
    orbits = {"ascending": orbit} if orbit else {}
    terrain = write_terrain(dem, GRID, orbits, voids, folder)
    geometry = TerrainBands(terrain, Resampling.cubic, Resampling.nearest)
    return geometry.read(GRID, Window(0, 0, GRID.height, GRID.width), "ascending")


def tilted(slope: float, aspect: float) -> Surface:
    """A plane that falls towards a grid azimuth."""
    tangent, azimuth = np.tan(np.radians(slope)), np.radians(aspect)
    return lambda x, y: 500 - tangent * (x * np.sin(azimuth) + y * np.cos(azimuth))


@pytest.mark.parametrize(("crs", "posting"), [(32654, 30), (32654, 3), (4326, 30), (3857, 40)])
@pytest.mark.parametrize(("slope", "aspect"), [(20, 0), (35, 110), (8, 250)])
def test_slope_and_aspect_of_a_plane_in_any_crs(
    crs: int, posting: float, slope: float, aspect: float, tmp_path: Path
) -> None:
    dem = write_dem(tmp_path / "dem.tif", tilted(slope, aspect), crs=crs, posting=posting)
    bands = bands_of(dem, tmp_path)
    np.testing.assert_allclose(bands["slope"], slope, atol=0.05)
    # The plane falls along the grid; aspect refers to true north.
    expected = aspect + north_convergence(GRID)
    turned = (bands["aspect"] - expected + 180) % 360 - 180
    np.testing.assert_allclose(turned, 0, atol=0.1)


def test_convergence_has_the_sign_of_the_closed_form() -> None:
    longitude, latitude = Transformer.from_crs(32654, 4326, always_xy=True).transform(*MIDDLE)
    expected = np.degrees(
        np.arctan(np.tan(np.radians(longitude - 141)) * np.sin(np.radians(latitude)))
    )
    assert expected > 0.5
    assert north_convergence(GRID) == pytest.approx(expected, abs=1e-3)
    # East of the central meridian, grid north lies clockwise of true north.
    north = Transformer.from_crs(32654, 4326, always_xy=True).transform(MIDDLE[0], MIDDLE[1] + 1000)
    assert Geod(ellps="WGS84").inv(longitude, latitude, *north)[0] == pytest.approx(
        expected, abs=1e-2
    )


def test_slope_of_a_cone_at_the_dems_own_resolution(tmp_path: Path) -> None:
    def cone(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 900 - np.tan(np.radians(28)) * np.hypot(x, y)

    bands = bands_of(write_dem(tmp_path / "dem.tif", cone), tmp_path)
    cols, rows = np.meshgrid(np.arange(128) * 10 + 5 - 640.0, 480.0 - np.arange(96) * 10 - 5)
    far = np.hypot(cols, rows) > 200
    np.testing.assert_allclose(bands["slope"][far], 28, atol=0.15)
    azimuth = np.degrees(np.arctan2(cols, rows)) + north_convergence(GRID)
    turned = (bands["aspect"] - azimuth + 180) % 360 - 180
    assert np.abs(turned[far]).max() < 2


def test_slope_is_horns_at_the_dems_posting_and_then_cubic(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hills = ndimage.gaussian_filter(rng.normal(size=(200, 200)), 2) * 200

    def surface(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return hills[: x.shape[0], : x.shape[1]]

    dem = write_dem(tmp_path / "dem.tif", surface)
    terrain = write_terrain(dem, GRID, {}, 0, tmp_path)
    with rasterio.open(tmp_path / "dem.tif") as source:
        z, t = source.read(1).astype(float), source.transform
    # Horn (1981), written out.
    east = (z[:-2, 2:] + 2 * z[1:-1, 2:] + z[2:, 2:]) - (
        z[:-2, :-2] + 2 * z[1:-1, :-2] + z[2:, :-2]
    )
    south = (z[2:, :-2] + 2 * z[2:, 1:-1] + z[2:, 2:]) - (
        z[:-2, :-2] + 2 * z[:-2, 1:-1] + z[:-2, 2:]
    )
    horn = np.degrees(np.arctan(np.hypot(east, south) / 240))
    row, col = (
        round((t.f - terrain.grid.transform.f) / 30),
        round((terrain.grid.transform.c - t.c) / 30),
    )
    expected = horn[row - 1 : row - 1 + terrain.grid.height, col - 1 : col - 1 + terrain.grid.width]
    with rasterio.open(terrain.path) as source:
        np.testing.assert_allclose(source.read(1), expected, atol=1e-3)


def test_flat_ground_has_aspect_zero(tmp_path: Path) -> None:
    bands = bands_of(write_dem(tmp_path / "dem.tif", lambda x, y: 100 + 0 * x), tmp_path)
    assert not bands["slope"].any()
    assert not bands["aspect"].any()


def test_voids_stay_invalid_or_are_filled(tmp_path: Path) -> None:
    hole = (slice(30, 32), slice(35, 37))
    dem = write_dem(tmp_path / "dem.tif", tilted(20, 90), nodata=-32768, hole=hole)
    left, filled = bands_of(dem, tmp_path), bands_of(dem, tmp_path, voids=5)
    assert np.isnan(left["slope"]).any()
    assert np.isnan(left["slope"]).mean() < 0.05
    np.testing.assert_allclose(left["slope"][np.isfinite(left["slope"])], 20, atol=0.05)
    np.testing.assert_allclose(filled["slope"], 20, atol=8)
    undeclared = write_dem(tmp_path / "other.tif", tilted(20, 90), hole=hole)
    with rasterio.open(tmp_path / "other.tif", "r+") as sink:
        z = sink.read(1)
        sink.write(np.where(np.isnan(z), -32768, z), 1)
    assert np.isnan(bands_of(undeclared, tmp_path)["slope"]).any()


@pytest.mark.parametrize(("tilt", "expected"), [(20, 16), (-20, 56), (0, 36)])
def test_local_incidence_of_planes_towards_and_away_from_the_radar(
    tilt: float, expected: float, tmp_path: Path
) -> None:
    # Looking east, ground that falls westwards faces the radar.
    dem = write_dem(tmp_path / "dem.tif", tilted(abs(tilt), 270 if tilt > 0 else 90))
    bands = bands_of(dem, tmp_path, EAST)
    # The incidence angle grows by 0.09 degrees over the 1.3 km.
    np.testing.assert_allclose(bands["local_incidence_angle"], expected, atol=0.08)
    assert not bands["layover_shadow"].any()


def test_incidence_grows_along_the_look_as_on_a_sphere() -> None:
    # Independent: the satellite 700 km above a point of a sphere, targets along an arc.
    earth, orbit = 6_371_000.0, RadarGeometry(0, 39)
    satellite = np.array([0, earth + 700_000.0])
    angles = np.linspace(2, 8, 400)  # at the Earth's centre, degrees
    targets = earth * np.stack([np.sin(np.radians(angles)), np.cos(np.radians(angles))], axis=1)
    sight = satellite - targets
    cosine = (sight * targets).sum(1) / np.linalg.norm(sight, axis=1) / earth
    incidence = np.degrees(np.arccos(cosine))
    middle = np.interp(39, incidence, angles)
    reach = np.array([-60_000.0, 0, 80_000.0])
    expected = np.interp(middle + np.degrees(reach / earth), angles, incidence)
    np.testing.assert_allclose(orbit.incidence_at(reach), expected, atol=1e-3)


def test_shadow_and_layover_have_the_lengths_of_the_closed_forms() -> None:
    cliff = np.zeros((64, 200), np.float32)
    cliff[:, 100:] = 200
    hidden = distortion(cliff, 10, EAST, ground_range=0.0)
    layover = np.flatnonzero(hidden.layover[32]) * 10
    assert layover.min() == pytest.approx(995 - 200 / np.tan(np.radians(36)), abs=20)
    hidden = distortion(cliff[:, ::-1].copy(), 10, EAST, ground_range=0.0)
    assert hidden.shadow[32].sum() * 10 == pytest.approx(200 * np.tan(np.radians(36)), abs=20)


def test_a_scene_in_blocks_hides_what_it_hides_in_one_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    hills = ndimage.gaussian_filter(rng.normal(size=(300, 300)), 4) * 500

    def surface(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return hills[: x.shape[0], : x.shape[1]]

    dem = write_dem(tmp_path / "dem.tif", surface, posting=10)
    orbit = RadarGeometry(348, 33)
    whole = bands_of(dem, tmp_path, orbit)
    blocks = Grid.blocks
    monkeypatch.setattr(Grid, "blocks", lambda self: blocks(self, 48))
    parts = bands_of(dem, tmp_path, orbit)
    assert 0.02 < (whole["layover_shadow"] > 0).mean() < 0.9
    assert {0, 1, 2} <= set(np.unique(whole["layover_shadow"]).astype(int))
    # The turned grids of blocks lie a fraction of a pixel apart: edges differ, areas do not.
    assert (parts["layover_shadow"] == whole["layover_shadow"]).mean() > 0.97
    np.testing.assert_allclose(
        parts["local_incidence_angle"], whole["local_incidence_angle"], atol=1e-3
    )
    np.testing.assert_array_equal(parts["slope"], whole["slope"])


def test_a_dem_that_leaves_out_part_of_the_area_is_refused_with_an_area_that_fits(
    tmp_path: Path,
) -> None:
    dem = write_dem(tmp_path / "dem.tif", tilted(10, 0), margin=-200)
    with pytest.raises(InputError, match=r"covers only .* aoi=\[142\.2"):
        require_dem_coverage(dem, GRID)
    far = GRID._replace(transform=Affine(10, 0, 700_000, 0, -10, 4_740_000))
    with pytest.raises(InputError, match="does not overlap"):
        require_dem_coverage(dem, far)


def test_a_metric_dem_keeps_its_own_pixels(tmp_path: Path) -> None:
    dem = write_dem(tmp_path / "dem.tif", tilted(10, 0))
    with rasterio.open(tmp_path / "dem.tif") as source:
        shift = ~source.transform @ dem_grid(dem, GRID).transform
    assert (shift.a, shift.e) == pytest.approx((1, 1))
    assert (shift.c % 1, shift.f % 1) == pytest.approx((0, 0), abs=1e-6)


def test_geometry_agrees_with_a_real_products_annotation(real_data: Path) -> None:
    path = next(real_data.glob("s1_grd_safe/*.SAFE/annotation/s1b*.xml"))
    root = ET.parse(path).getroot()
    heading = float(root.findtext(".//platformHeading", "nan")) % 360
    points = [
        tuple(
            float(point.findtext(key, "nan"))
            for key in ("line", "pixel", "latitude", "longitude", "incidenceAngle")
        )
        for point in root.iter("geolocationGridPoint")
    ]
    table = np.array(points)
    line = table[table[:, 0] == np.unique(table[:, 0])[5]]
    latitudes, longitudes, angles = line[:, 2:].T
    assert sentinel_heading("descending", latitudes[0]) == pytest.approx(heading, abs=0.5)

    # Incidence along a line of the image, from the one in its middle.
    middle = len(line) // 2
    geod = Geod(ellps="WGS84")
    start = (longitudes[middle], latitudes[middle])
    reach = np.array([geod.inv(*start, x, y)[2] for x, y in zip(*line[:, [3, 2]].T, strict=True)])
    reach[:middle] *= -1
    modelled = RadarGeometry(heading, angles[middle]).incidence_at(reach)
    assert np.abs(modelled - angles).max() < 0.15

    # The look at the target: along the line, from the point before to the one behind.
    look = geod.inv(
        longitudes[middle - 1], latitudes[middle - 1], longitudes[middle + 1], latitudes[middle + 1]
    )[0]
    zone = 32600 + int(start[0] // 6 + 31)
    x, y = Transformer.from_crs(4326, zone, always_xy=True).transform(*start)
    grid = Grid(CRS.from_epsg(zone), Affine(10, 0, x - 500, 0, -10, y + 500), 100, 100)
    acquisition = Acquisition(tiles={}, incidence=float(angles[middle]))
    orbit = radar_orbit("descending", {"pre": acquisition}, grid)
    assert orbit is not None
    true = orbit.look_azimuth + north_convergence(grid)
    assert (true - look + 180) % 360 - 180 == pytest.approx(0, abs=0.7)


def test_incidence_of_a_plane_wave_and_of_a_satellite_agree_in_the_middle() -> None:
    flat = np.zeros((3, 3), np.float32)
    assert local_incidence(flat, 10, EAST, ground_range=0.0)[1, 1] == pytest.approx(
        local_incidence(flat, 10, EAST)[1, 1], abs=1e-3
    )


def test_a_dem_in_feet_has_the_slope_of_its_metres_and_says_so(tmp_path: Path) -> None:
    for unit, metres in (("US survey foot", 1200 / 3937), ("foot", 0.3048)):
        dem = write_dem(tmp_path / "dem.tif", lambda x, y: tilted(20, 90)(x, y) / metres)  # noqa: B023
        with rasterio.open(tmp_path / "dem.tif", "r+") as sink:
            sink.units = [unit]
        np.testing.assert_allclose(bands_of(dem, tmp_path)["slope"], 20, atol=0.05)
        assert unit in dem_notes(dem)[0]


def test_a_dem_of_whole_decimetres_is_scaled(tmp_path: Path) -> None:
    dem = write_dem(tmp_path / "dem.tif", lambda x, y: 10 * tilted(20, 90)(x, y))
    with rasterio.open(tmp_path / "dem.tif", "r+") as sink:
        sink.scales = [0.1]
    np.testing.assert_allclose(bands_of(dem, tmp_path)["slope"], 20, atol=0.05)


def test_a_coast_that_is_void_since_zero_is_nodata_is_explained(tmp_path: Path) -> None:
    dem = write_dem(tmp_path / "dem.tif", lambda x, y: np.maximum(x, 0), nodata=0)
    share = float(np.isfinite(bands_of(dem, tmp_path)["slope"]).mean())
    assert share == pytest.approx(0.5, abs=0.05)
    assert "declares 0 as nodata" in warn_zero_nodata(dem, share)[0]
    assert not warn_zero_nodata(dem, 1.0)
    assert not warn_zero_nodata(write_dem(tmp_path / "b.tif", tilted(20, 90), nodata=-9999), share)

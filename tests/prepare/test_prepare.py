import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from builders import GRID, make_scene, write_image
from commands import compose_preparation, prepare, run_here
from pyproj import Transformer
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.warp import calculate_default_transform, reproject
from scipy import ndimage

from landslide.data.scene import Scene as ReadScene
from landslide.errors import InputError
from landslide.geo.grid import Grid
from landslide.prepare.calibration import calibrate, guess_units
from landslide.prepare.files import read_facts
from landslide.prepare.sources import Event, Tile
from landslide.simulate import SimulatedScene, simulate

NAN = float("nan")
Damage = Callable[[dict[str, Path], Path], dict[str, str]]


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    """Three ascending images in linear power, a DEM with a margin and one landslide."""
    rng = np.random.default_rng(0)
    power = 0.15 * rng.gamma(4.4, 1 / 4.4, (3, GRID.height, GRID.width)).astype(np.float32)
    files = {}
    for name, day, image in zip(
        ("pre", "post1", "post2"), ("20180905", "20180917", "20180929"), power, strict=True
    ):
        stem = f"S1A_IW_GRDH_1SDV_{day}T084300_{day}T084325_023590_02910F_ABCD_VV.tif"
        files[name] = write_image(tmp_path / name / stem, image, UNITS="power")
    wide = GRID._replace(
        transform=GRID.transform @ Affine.translation(-20, -20), height=120, width=140
    )
    rows, cols = np.indices((120, 140), dtype=np.float32)
    files["dem"] = write_image(tmp_path / "dem.tif", 3 * cols + 100 * np.sin(rows / 9), wide)
    slide = shapely.box(600_200, 4_739_500, 600_400, 4_739_800)
    frame = gpd.GeoDataFrame(geometry=[slide], crs=GRID.crs)
    files["inventory"] = tmp_path / "slides.gpkg"
    frame.to_file(files["inventory"])
    return files


def options(inputs: dict[str, Path], root: Path, **replaced: str) -> list[str]:
    given = {
        "root": str(root),
        "event.date": "2018-09-06",
        "sar.ascending": f"[{inputs['pre']},{inputs['post1']},{inputs['post2']}]",
        "dem": str(inputs["dem"]),
        "inventory.file": str(inputs["inventory"]),
    }
    return [f"{key}={value}" for key, value in (given | replaced).items()]


@pytest.fixture(autouse=True)
def without_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out figures unless a test asks for ``figures``."""
    if "figures" not in request.fixturenames:
        monkeypatch.setattr("landslide.prepare.prepare.draw_figures", lambda *_: None)


def read(path: Path) -> dict[str, np.ndarray]:
    with rasterio.open(path) as source:
        return dict(zip(source.descriptions, source.read(), strict=True))


# A scene from local files ------------------------------------------------------------------


def test_a_scene_has_the_bands_the_grid_and_the_provenance_it_promises(
    inputs: dict[str, Path], tmp_path: Path, figures: None
) -> None:
    root = tmp_path / "scene"
    prepared = prepare(*options(inputs, root))
    with rasterio.open(root / "ascending.tif") as source:
        assert source.descriptions == (
            *("vv_pre", "vv_post1", "vv_post2", "slope"),
            *("aspect", "local_incidence_angle", "layover_shadow"),
        )
        assert source.dtypes == ("float32",) * 7
        assert np.isnan(source.nodata)
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert Grid.of(source).matches(GRID)
    bands = read(root / "ascending.tif")
    for name in ("pre", "post1", "post2"):
        with rasterio.open(inputs[name]) as source:
            np.testing.assert_allclose(bands[f"vv_{name}"], source.read(1), rtol=1e-6)
    info = json.loads((root / "scene.json").read_text())
    assert info["dates"]["ascending"]["vv_post2"] == "2018-09-29"
    assert info["images"]["ascending"]["pre"]["relative_orbit"] == (23590 - 73) % 175 + 1
    assert info["simulated"] is False
    assert len(info["inputs"]["ascending pre"][0]["sha256"]) == 64
    assert info["options"]["resampling"]["slope"] == "cubic"
    with rasterio.open(root / "landslides.tif") as source:
        mask = source.read(1)
    assert (mask[20:50, 20:40] == 1).all()
    assert mask.sum() == 600
    assert info["landslides"]["polygon_area_m2"] == info["landslides"]["pixel_area_m2"] == 60_000
    assert sorted(p.name for p in (root / "figures").iterdir()) == [
        "ascending_bands.png",
        "ascending_change.png",
        "histograms.png",
    ]
    assert not prepared.info["warnings"]
    sample = ReadScene.of(root, "ascending", ["vv_pre", "slope"])
    assert sample.grid.matches(GRID)


@pytest.mark.slow
def test_a_scene_prepared_twice_is_the_same_to_the_byte(
    inputs: dict[str, Path], tmp_path: Path, figures: None
) -> None:
    extra = ("sar.incidence.ascending=36", "grid.resolution=9")
    for root in ("one", "two"):
        prepare(*options(inputs, tmp_path / root), *extra)
    one, two = (
        {p.relative_to(tmp_path / root): p.read_bytes() for p in (tmp_path / root).rglob("*.*")}
        for root in ("one", "two")
    )
    assert len(one) == 7
    assert one == two


def warp(image: np.ndarray, grid: Grid, crs: int, resolution: float) -> tuple[np.ndarray, Grid]:
    """Linear power as another provider would deliver it, finely resampled."""
    transform, width, height = calculate_default_transform(
        grid.crs, crs, grid.width, grid.height, *grid.bounds, resolution=resolution
    )
    out = np.full((height, width), np.nan, np.float32)
    grids = {"src_transform": grid.transform, "src_crs": grid.crs, "src_nodata": NAN}
    grids |= {"dst_transform": transform, "dst_crs": CRS.from_epsg(crs), "dst_nodata": NAN}
    reproject(image, out, resampling=Resampling.nearest, **grids)
    return out, Grid(CRS.from_epsg(crs), transform, height, width)


@pytest.fixture(scope="module")
def simulated() -> SimulatedScene:
    return simulate((160, 192), 2)


@pytest.mark.slow
def test_a_simulated_scene_survives_the_way_through_raw_files(
    simulated: SimulatedScene, tmp_path: Path
) -> None:
    """Ascending in dB and degrees; descending as scaled amplitude, next zone, two tiles."""
    dates, like = ("20180901", "20180913", "20180925"), tmp_path / "like.tif"
    write_image(like, simulated.slope, simulated.grid)
    ascending, descending = [], []
    for day, image in zip(dates, simulated.backscatter["ascending"], strict=True):
        raw, grid = warp(image, simulated.grid, 4326, 2e-5)
        path = tmp_path / f"a_{day}_db.tif"
        write_image(path, (10 * np.log10(raw)).astype(np.float32), grid, SIMULATED="yes")
        ascending.append(str(path))
    for day, image in zip(dates, simulated.backscatter["descending"], strict=True):
        raw, grid = warp(image, simulated.grid, 32653, 2)
        stored = np.nan_to_num(np.sqrt(raw) * 10_000).round().astype(np.uint16)
        tiles, half = [], grid.width // 2
        for number, (left, right) in enumerate(((0, half + 30), (half - 30, grid.width))):
            part = grid._replace(
                transform=grid.transform @ Affine.translation(left, 0), width=right - left
            )
            path = tmp_path / f"d_{day}_{number}.tif"
            write_image(path, stored[:, left:right], part, None, UNITS="amplitude", SIMULATED="yes")
            with rasterio.open(path, "r+") as sink:
                sink.scales = (1e-4,)
            tiles.append(str(path))
        descending.append("[" + ",".join(tiles) + "]")
    write_image(tmp_path / "dem.tif", simulated.elevation, simulated.grid)
    simulated.inventory.to_crs(4326).to_file(tmp_path / "slides.geojson")
    prepared = prepare(
        f"root={tmp_path / 'scene'}",
        "event.date=2018-09-06",
        f"sar.ascending=[{','.join(ascending)}]",
        f"sar.descending=[{','.join(descending)}]",
        f"dem={tmp_path / 'dem.tif'}",
        f"grid.like={like}",
        f"inventory.file={tmp_path / 'slides.geojson'}",
        "resampling.backscatter=average",
    )
    assert prepared.info["simulated"] is True
    for orbit in ("ascending", "descending"):
        bands = read(tmp_path / "scene" / f"{orbit}.tif")
        for band, truth in zip(bands, simulated.backscatter[orbit], strict=False):
            inner = np.s_[3:-3, 3:-3]
            decibels = np.abs(10 * np.log10(bands[band] / truth))[inner]
            # 2 m pixels straddle the edges of 10 m ones: a tenth of their area is misplaced.
            assert np.median(decibels) < 0.3
            assert np.corrcoef(bands[band][inner].ravel(), truth[inner].ravel())[0, 1] > 0.98
            assert bands[band][inner].mean() == pytest.approx(truth[inner].mean(), rel=0.002)
        inner = np.s_[1:-1, 1:-1]
        np.testing.assert_allclose(bands["slope"][inner], simulated.slope[inner], atol=1e-4)
    with rasterio.open(tmp_path / "scene" / "landslides.tif") as source:
        assert (source.read(1) == simulated.mask).mean() > 0.999


def test_backscatter_is_resampled_in_linear_power(inputs: dict[str, Path], tmp_path: Path) -> None:
    fine = GRID._replace(
        transform=GRID.transform @ Affine.scale(0.5), height=2 * GRID.height, width=2 * GRID.width
    )
    checker = np.where(np.indices((160, 200)).sum(0) % 2, -20.0, 0.5).astype(np.float32)
    for name, day in (("pre", "20180905"), ("post1", "20180917")):
        inputs[name] = write_image(tmp_path / f"{day}.tif", checker, fine)
    pair = f"[{inputs['pre']},{inputs['post1']}]"
    root = tmp_path / "scene"
    prepare(*options(inputs, root, **{"sar.ascending": pair}), "resampling.backscatter=average")
    mean = (10 ** (-2.0) + 10**0.05) / 2
    np.testing.assert_allclose(read(root / "ascending.tif")["vv_pre"], mean, rtol=1e-4)


def test_tiles_fill_each_others_gaps_and_zeros_are_no_measurement(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    image = np.full((80, 100), 0.1, np.float32)
    west, east = image.copy(), 2 * image
    west[:, 60:], east[:, :40] = 0, 0
    west[:10], east[:10] = 0, 0
    tiles = [
        write_image(tmp_path / f"{n}.tif", i, nodata=None) for n, i in (("w", west), ("e", east))
    ]
    pair = f"[[{tiles[0]},{tiles[1]}],{inputs['post1']}]"
    given = options(inputs, tmp_path / "scene", **{"sar.ascending": pair})
    prepared = prepare(*given, "sar.dates.ascending=[2018-09-05,2018-09-17]")
    band = read(tmp_path / "scene" / "ascending.tif")["vv_pre"]
    assert np.isnan(band[:10]).all()
    np.testing.assert_allclose(band[10:, :60], 0.1, rtol=1e-5)
    np.testing.assert_allclose(band[10:, 60:], 0.2, rtol=1e-5)
    assert any("zero" in note for note in prepared.info["notes"])


def test_the_grid_is_the_common_area_on_whole_tens_of_metres(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    shifted = GRID._replace(transform=GRID.transform @ Affine.translation(10.37, -0.42))
    with rasterio.open(inputs["post1"]) as source:
        image = source.read(1)
    inputs["post1"] = write_image(tmp_path / "20180917.tif", image, shifted)
    prepared = prepare(*options(inputs, tmp_path / "scene"))
    west, south, east, north = prepared.scene.inputs.grid.bounds
    assert (west, east, north) == (600_110, 601_000, 4_740_000)
    assert south == 4_739_210
    assert prepared.scene.inputs.grid.crs.to_epsg() == 32654


def test_an_area_in_degrees_is_covered_and_not_more(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    degrees = Transformer.from_crs(32654, 4326, always_xy=True)
    west, south = degrees.transform(600_100, 4_739_300)
    east, north = degrees.transform(600_890, 4_739_950)
    box = f"aoi=[{west:.7f},{south:.7f},{east:.7f},{north:.7f}]"
    grid = prepare(*options(inputs, tmp_path / "scene"), box).scene.inputs.grid
    assert np.abs(np.array(grid.bounds) - (600_090, 4_739_290, 600_895, 4_739_960)).max() < 15
    assert all(edge % 10 == 0 for edge in grid.bounds)


def test_several_polarisations_follow_the_paper_s_bands(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    pairs = []
    for name in ("pre", "post1"):
        with rasterio.open(inputs[name]) as source:
            vh = source.read(1) / 5
        path = inputs[name].parent / inputs[name].name.replace("_VV", "_VH")
        pairs.append(f"[{inputs[name]},{write_image(path, vh)}]")
    given = options(inputs, tmp_path / "s", **{"sar.ascending": f"[{','.join(pairs)}]"})
    prepare(*given, "sar.polarisations=[vv,vh]")
    bands = read(tmp_path / "s" / "ascending.tif")
    assert list(bands)[:5] == ["vv_pre", "vv_post1", "slope", "vh_pre", "vh_post1"]
    np.testing.assert_allclose(bands["vh_pre"] * 5, bands["vv_pre"], rtol=1e-4)


# Units and metadata ------------------------------------------------------------------------


@pytest.mark.parametrize("median", [0.04, 0.1, 0.2])
def test_units_are_guessed_from_values(median: float) -> None:
    power = median * np.random.default_rng(0).gamma(4.4, 1 / 4.4, 20_000)
    assert guess_units(power) == "power"
    assert guess_units(10 * np.log10(power)) == "db"
    if median >= 0.1:
        assert guess_units(np.sqrt(power)) == "amplitude"


@pytest.mark.parametrize(
    ("name", "tags", "expected"),
    [
        ("a_dB.tif", {}, "db"),
        ("a.tif", {"units": "amplitude"}, "amplitude"),
        ("b.tif", {}, "power"),
    ],
)
def test_units_of_names_and_tags_precede_guesses(
    name: str, tags: dict[str, str], expected: str, tmp_path: Path
) -> None:
    path = write_image(tmp_path / name, np.full((80, 100), 0.1, np.float32), **tags)
    assert calibrate(Tile(path), "vv").units == expected
    assert calibrate(Tile(path), "vv", "power").units == "power"


def test_undeclared_zeros_in_decibels_are_fill_and_declared_nodata_keeps_them(
    tmp_path: Path,
) -> None:
    image = np.full((80, 100), -10.0, np.float32)
    image[:40] = 0
    path = write_image(tmp_path / "a_db.tif", image, nodata=None)
    valid = np.ones(image.shape, bool)
    assert np.isnan(calibrate(Tile(path), "vv")(image, valid)[:40]).all()
    path = write_image(tmp_path / "b_db.tif", image, nodata=-99)
    np.testing.assert_allclose(calibrate(Tile(path), "vv")(image, valid)[:40], 1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "S1A_IW_GRDH_1SDV_20200607T010800_20200607T010825_032904_03CFBA_D457",
            {"platform": "S1A", "relative_orbit": 107, "time": "2020-06-07T01:08:00+00:00"},
        ),
        (
            "S1A_IW_GRDH_1SDV_20200903T131212_20200903T131237_034195_03F8F5_AC1C",
            {"relative_orbit": 173, "exact": True},
        ),
        (
            "S1A__IW___A_20150309T173017_VV_grd_mli_geo_norm_db",
            {"direction": "ascending", "time": "2015-03-09T17:30:17+00:00"},
        ),
        ("vv_2018-09-05", {"time": "2018-09-05T00:00:00+00:00", "exact": False}),
        ("tile_12345678", {}),
    ],
)
def test_dates_passes_and_tracks_are_read_from_names(
    name: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    # Relative orbits of the first two are those of the provider's own metadata.
    facts = read_facts(write_image(tmp_path / f"{name}.tif", np.ones((80, 100), np.float32)))
    facts |= {"time": facts["time"].isoformat()} if "time" in facts else {}
    assert {key: facts[key] for key in expected} == expected
    assert bool(expected) == ("time" in facts)


# Inventory ---------------------------------------------------------------------------------


def test_an_inventory_is_repaired_counted_and_limited_to_what_was_mapped(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    x, y = 600_200, 4_739_600
    bow = shapely.Polygon([(x, y), (x + 100, y + 100), (x + 100, y), (x, y + 100)])
    shapes = [bow, shapely.box(x + 200, y, x + 300, y + 100), shapely.box(0, 0, 9, 9)]
    frame = gpd.GeoDataFrame(geometry=shapes, crs=GRID.crs)
    frame.to_crs(4326).to_file(inputs["inventory"].with_suffix(".geojson"))
    mapped = gpd.GeoDataFrame(geometry=[shapely.box(x, y - 200, x + 250, y + 200)], crs=GRID.crs)
    mapped.to_file(tmp_path / "mapped.gpkg")
    prepared = prepare(
        f"inventory.mapped_area={tmp_path / 'mapped.gpkg'}",
        *options(
            inputs,
            tmp_path / "s",
            **{"inventory.file": str(inputs["inventory"].with_suffix(".geojson"))},
        ),
    )
    notes = " ".join(prepared.info["notes"])
    assert "1 of 3 outlines were invalid and were repaired" in notes
    assert "1 of 3 features lie outside" in notes
    with rasterio.open(tmp_path / "s" / "landslides.tif") as source:
        mask = source.read(1)
    assert (mask[:, :20] == 255).all()
    assert (mask[20:60, 45:] == 255).all()
    assert (mask[30:40, 40:45] == 1).all()
    # Half of the bow tie's square is inside of its lines.
    assert (mask[30:40, 20:30] == 1).sum() == pytest.approx(50, abs=10)


def test_all_touched_and_points_with_a_radius(inputs: dict[str, Path], tmp_path: Path) -> None:
    points = gpd.GeoDataFrame(geometry=[shapely.Point(600_505, 4_739_505)], crs=GRID.crs)
    points.to_crs(4326).to_file(tmp_path / "points.gpkg")
    counts = []
    for number, extra in enumerate(((), ("inventory.all_touched=true",))):
        root = tmp_path / f"s{number}"
        given = options(inputs, root, **{"inventory.file": str(tmp_path / "points.gpkg")})
        prepare(*given, "inventory.radius=100", *extra)
        with rasterio.open(root / "landslides.tif") as source:
            counts.append(int(source.read(1).sum()))
    assert counts[0] == pytest.approx(np.pi * 100, rel=0.03)
    assert counts[1] > 1.1 * counts[0]
    with pytest.raises(InputError, match=r"has no polygon but points: .* inventory.radius="):
        prepare(
            *options(inputs, tmp_path / "x", **{"inventory.file": str(tmp_path / "points.gpkg")})
        )


def test_a_mask_raster_is_warped_by_the_nearest_pixel(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    mask = np.zeros((80, 100), np.uint8)
    mask[10:30, 10:20] = 1
    mask[50:] = 255
    for nodata in (None, 0, 255):
        root = tmp_path / f"s{nodata}"
        path = write_image(tmp_path / "mask.tif", mask, nodata=nodata)
        prepare(*options(inputs, root, **{"inventory.file": str(path)}))
        with rasterio.open(root / "landslides.tif") as source:
            np.testing.assert_array_equal(source.read(1), mask)
    write_image(tmp_path / "mask.tif", 7 * mask, nodata=None)
    with pytest.raises(InputError, match="holds the value 7"):
        prepare(*options(inputs, tmp_path / "x", **{"inventory.file": str(tmp_path / "mask.tif")}))


# Warnings ----------------------------------------------------------------------------------


def test_dates_on_the_wrong_side_of_the_event_are_named(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    given = options(inputs, tmp_path / "s", **{"event.date": "2018-09-20"})
    text = " ".join(prepare(*given).info["warnings"])
    assert "post1 (2018-09-17) was acquired before the event" in text
    assert "post2" not in text


def test_the_time_of_day_decides_on_the_events_own_day(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    day = prepare(*options(inputs, tmp_path / "a", **{"event.date": "2018-09-05"}))
    assert "is of the event's own day" in " ".join(day.info["warnings"])
    exact_time = {"event.date": "2018-09-05T18:07:59Z"}
    assert not prepare(*options(inputs, tmp_path / "b", **exact_time)).info["warnings"]
    days = "sar.dates.ascending=[2018-09-05,2018-09-17,2018-09-29]"
    assert not prepare(*options(inputs, tmp_path / "d", **exact_time), days).info["warnings"]
    early = {"event.date": "2018-09-05T03:00:00Z"}
    warned = " ".join(prepare(*options(inputs, tmp_path / "c", **early)).info["warnings"])
    assert "pre (2018-09-05) was acquired after the event" in warned


def test_mixed_tracks_swapped_orbits_wrong_units_and_empty_bands_are_warned_of(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    stem = "S1A_IW_GRDH_1SDV_20180917T204300_20180917T204325_023600_02910F_ABCD_VV.tif"
    image = np.full((80, 100), NAN, np.float32)
    image[:20] = 50
    inputs["post1"] = write_image(tmp_path / stem, image)
    text = " ".join(prepare(*options(inputs, tmp_path / "s"), "sar.units=power").info["warnings"])
    assert "different relative orbits" in text
    assert "post1 was acquired at 6 h local solar time, when Sentinel-1 is descending" in text
    assert "vv_post1 is mostly invalid (25.0 % valid)" in text
    assert "median of vv_post1 is 17" in text


# Bad input ---------------------------------------------------------------------------------


def rotated(inputs: dict[str, Path], folder: Path) -> dict[str, str]:
    turned = GRID._replace(transform=GRID.transform @ Affine.rotation(5))
    path = write_image(folder / "20180905.tif", np.full((80, 100), 0.1, np.float32), turned)
    return {"sar.ascending": f"[{path},{inputs['post1']}]"}


def without_crs(inputs: dict[str, Path], folder: Path) -> dict[str, str]:
    nowhere = GRID._replace(crs=None)
    path = write_image(folder / "20180905.tif", np.full((80, 100), 0.1, np.float32), nowhere)
    return {"sar.ascending": f"[{path},{inputs['post1']}]"}


def elsewhere(inputs: dict[str, Path], folder: Path) -> dict[str, str]:
    far = GRID._replace(transform=Affine(10, 0, 500_000, 0, -10, 4_740_000))
    path = write_image(folder / "20180905.tif", np.full((80, 100), 0.1, np.float32), far)
    return {"sar.ascending": f"[{path},{inputs['post1']}]"}


def post_before_pre(inputs: dict[str, Path], folder: Path) -> dict[str, str]:
    return {"sar.ascending": f"[{inputs['post1']},{inputs['pre']}]"}


def other_pass(inputs: dict[str, Path], folder: Path) -> dict[str, str]:
    image = np.full((80, 100), 0.1, np.float32)
    path = write_image(folder / "20180905.tif", image, orbit_state="descending")
    return {"sar.ascending": f"[{path},{inputs['post1']}]"}


def digital_numbers(inputs: dict[str, Path], folder: Path) -> dict[str, str]:
    path = write_image(folder / "20180905.tif", np.full((80, 100), 812, np.uint16), nodata=None)
    return {"sar.ascending": f"[{path},{inputs['post1']}]"}


def lines(inputs: dict[str, Path], folder: Path) -> dict[str, str]:
    line = shapely.LineString([(600_200, 4_739_500), (600_400, 4_739_800)])
    gpd.GeoDataFrame(geometry=[line], crs=GRID.crs).to_file(folder / "lines.gpkg")
    return {"inventory.file": str(folder / "lines.gpkg")}


def empty(inputs: dict[str, Path], folder: Path) -> dict[str, str]:
    frame = gpd.GeoDataFrame(geometry=gpd.GeoSeries([], crs=GRID.crs))
    frame.to_file(folder / "empty.gpkg", geometry_type="Polygon")
    return {"inventory.file": str(folder / "empty.gpkg")}


def like_web_mercator(inputs: dict[str, Path], folder: Path) -> dict[str, str]:
    place = Affine(10, 0, 15_830_000, 0, -10, 5_280_000)
    like = GRID._replace(crs=CRS.from_epsg(3857), transform=place)
    image = np.ones((GRID.height, GRID.width), np.float32)
    return {"grid.like": str(write_image(folder / "like.tif", image, like))}


def far_inventory(inputs: dict[str, Path], folder: Path) -> dict[str, str]:
    frame = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 9, 9)], crs=GRID.crs)
    frame.to_file(folder / "far.gpkg")
    return {"inventory.file": str(folder / "far.gpkg")}


def small_dem(inputs: dict[str, Path], folder: Path) -> dict[str, str]:
    part = GRID._replace(height=40)
    return {"dem": str(write_image(folder / "small.tif", np.ones((40, 100), np.float32), part))}


def far_dem(inputs: dict[str, Path], folder: Path) -> dict[str, str]:
    far = GRID._replace(transform=Affine(10, 0, 500_000, 0, -10, 4_740_000))
    return {"dem": str(write_image(folder / "far.tif", np.ones((80, 100), np.float32), far))}


def dem_without_crs(inputs: dict[str, Path], folder: Path) -> dict[str, str]:
    nowhere = GRID._replace(crs=None)
    return {"dem": str(write_image(folder / "dem.tif", np.ones((80, 100), np.float32), nowhere))}


def inventory_without_crs(inputs: dict[str, Path], folder: Path) -> dict[str, str]:
    frame = gpd.GeoDataFrame(geometry=[shapely.box(600_200, 4_739_500, 600_400, 4_739_800)])
    frame.to_file(folder / "slides.gpkg")
    return {"inventory.file": str(folder / "slides.gpkg")}


def south_up(inputs: dict[str, Path], folder: Path) -> dict[str, str]:
    turned = GRID._replace(transform=Affine(10, 0, 600_000, 0, 10, 4_739_200))
    path = write_image(folder / "20180905.tif", np.full((80, 100), 0.1, np.float32), turned)
    return {"sar.ascending": f"[{path},{inputs['post1']}]"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (rotated, "is rotated: warp it"),
        (south_up, "has its first row in the south: warp it"),
        (far_dem, "far.tif does not overlap with the area"),
        (dem_without_crs, "dem.tif has no coordinate reference system"),
        (inventory_without_crs, "slides.gpkg has no coordinate reference system"),
        (without_crs, "has no coordinate reference system"),
        (elsewhere, "does not overlap with the ascending image pre"),
        (post_before_pre, "give them in order of time"),
        (other_pass, "is descending by its metadata, but given as ascending"),
        (digital_numbers, "whole numbers up to 812 and no scale"),
        (lines, "has no polygon but LineString"),
        (empty, "is empty"),
        (far_inventory, "has no landslide within the area"),
        (small_dem, r"covers only .* smaller area, aoi=\["),
        (lambda *_: {"sar.ascending": "[one.tif]"}, "needs two or three dates"),
        (lambda *_: {"sar.ascending": "[no.tif,no.tif]"}, "there is no file no.tif"),
        (lambda *_: {"event.date": "yesterday"}, "event.date=yesterday is not a date"),
        (lambda *_: {"aoi": "[1,2,3]"}, r"is not \[west,south,east,north\]"),
        (lambda *_: {"aoi": "[141,42,140,43]"}, "is no area"),
        (lambda *_: {"resampling.slope": "magic"}, "resampling.slope=magic is unknown"),
        (lambda *_: {"sar.source": "ftp"}, "sar.source=ftp is not one of files, stac, safe"),
        (lambda *_: {"sar.units": "volts"}, "sar.units=volts is unknown"),
        (lambda *_: {"grid.crs": "EPSG:4326"}, "is not a projected CRS in metres"),
        (lambda *_: {"grid.crs": "EPSG:3857"}, "grid.crs=EPSG:3857 is in .* off by up to 36 %"),
        (like_web_mercator, r"like.tif is in EPSG:3857, where lengths are off by up to 36 %"),
        (lambda *_: {"plan": "true"}, "add sar.source=stac"),
        (lambda *_: {"sar.polarisations": "[vh]"}, "has no band VH"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    damage: Damage, message: str, inputs: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    damaged = damage(inputs, folder)
    with pytest.raises(InputError, match=message) as caught:
        prepare(*options(inputs, tmp_path / "out" / "scene", **damaged))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_taken_folder_is_refused_unless_overwriting(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    root = make_scene(tmp_path / "scene", (64, 64))
    with pytest.raises(InputError, match="already holds a scene"):
        prepare(*options(inputs, root))
    assert ReadScene.of(root, "descending", ["vv_pre"]).grid.height == 64
    prepare(*options(inputs, root), "overwrite=true")
    assert not (root / "descending.tif").exists()


# Command line ------------------------------------------------------------------------------


def test_the_command_prints_bands_landslides_and_files(
    inputs: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    command = ("prepare", *options(inputs, tmp_path / "scene"))
    run_here(*command, "inventory.all_touched=true", cwd=tmp_path)
    printed = capsys.readouterr().out
    for text in ("vv_post2", "2018-09-29", "of 1 polygons", "scene.json", "100.0 %"):
        assert text in printed
    assert "follows from track 68" in printed
    with pytest.raises(SystemExit, match="already holds a scene"):
        run_here(*command, cwd=tmp_path)


def test_the_papers_event_is_a_ready_configuration() -> None:
    config = compose_preparation("event=iburi_2018", "root=data/iburi_2018")
    event = Event.of(config.event.name, config.event.date)
    assert event.time.isoformat() == "2018-09-05T18:07:59+00:00"
    assert list(config.sar.dates.ascending) == ["2018-09-05", "2018-09-17", "2018-09-29"]
    assert list(config.sar.dates.descending) == ["2018-09-01", "2018-09-13", "2018-09-25"]
    west, south, east, north = config.aoi
    assert west < 141.97 < east
    assert south < 42.76 < north
    other = compose_preparation(
        "event=iburi_2018", "root=x", "event.date=2020-01-01", "aoi=[1,2,3,4]"
    )
    assert (other.event.date, list(other.aoi)) == ("2020-01-01", [1, 2, 3, 4])


def test_a_file_for_a_group_of_options_names_its_key(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"write inventory\.file=a\.gpkg"):
        prepare(f"root={tmp_path}/s", "event.date=2018-09-06", "inventory=a.gpkg")


# Real data ---------------------------------------------------------------------------------


def test_a_real_chip_in_decibels_and_its_dem(real_data: Path, tmp_path: Path) -> None:
    chips = real_data / "s1rtc_dem_chips"
    image, dem = (chips / kind / "433D_629L_3_1.tif" for kind in ("S1RTC", "DEM"))
    prepared = prepare(
        f"root={tmp_path / 's'}",
        "event.date=2020-04-12",
        f"sar.ascending=[{image},{image}]",
        "sar.bands.vv=1",
        "sar.dates.ascending=[2020-04-11,2020-04-23]",
        f"grid.like={image}",
        f"dem={dem}",
    )
    bands = read(tmp_path / "s" / "ascending.tif")
    with rasterio.open(image) as source:
        np.testing.assert_allclose(10 * np.log10(bands["vv_pre"]), source.read(1), atol=1e-4)
    with rasterio.open(dem) as source:
        z = source.read(1).astype(float)
    south, east = (ndimage.sobel(z, axis) / 80 for axis in (0, 1))
    slope = np.degrees(np.arctan(np.hypot(south, east)))
    np.testing.assert_allclose(bands["slope"][1:-1, 1:-1], slope[1:-1, 1:-1], atol=1e-3)
    ((_, calibration),) = prepared.scene.inputs.calibrations["ascending"]["vv_pre"]
    assert calibration.known_by == "values"


@pytest.mark.slow
def test_slope_of_a_real_dem_in_degrees_is_horns_with_metres_per_degree(
    real_data: Path, tmp_path: Path
) -> None:
    folder = real_data / "hokkaido_iburi_terrain"
    dem = folder / "original" / "Japan_data" / "dem" / "download.DSM.tif"
    with rasterio.open(folder / "derived" / "dsm_slope.tif") as source:
        grid = Grid.of(source)
    with rasterio.open(dem) as source:
        z, crs, transform = source.read(1).astype(float), source.crs, source.transform
    # Horn on the degrees themselves, with their lengths in metres at this latitude.
    x, y = transform.a * 111_320 * np.cos(np.radians(42.72)), transform.a * 111_100
    steep = np.hypot(ndimage.sobel(z, 1) / (8 * x), ndimage.sobel(z, 0) / (8 * y))
    reference = np.full((grid.height, grid.width), np.nan, np.float32)
    reproject(
        np.degrees(np.arctan(steep)).astype(np.float32),
        reference,
        src_transform=transform,
        src_crs=crs,
        dst_transform=grid.transform,
        dst_crs=grid.crs,
        resampling=Resampling.cubic,
    )
    image = np.full((grid.height, grid.width), 0.1, np.float32)
    for day in ("20180905", "20180917"):
        write_image(tmp_path / f"{day}.tif", image, grid)
    prepared = prepare(
        f"root={tmp_path / 's'}",
        "event=iburi_2018",
        "aoi=null",
        "sar.dates.ascending=null",
        f"sar.ascending=[{tmp_path / '20180905.tif'},{tmp_path / '20180917.tif'}]",
        f"dem={dem}",
        f"inventory.file={folder / 'derived' / 'landslide_cnn.tif'}",
    )
    slope = read(tmp_path / "s" / "ascending.tif")["slope"]
    inner = np.s_[10:-10, 10:-10]
    assert np.corrcoef(slope[inner].ravel(), reference[inner].ravel())[0, 1] > 0.98
    assert np.mean(slope[inner]) == pytest.approx(reference[inner].mean(), abs=0.1)
    with rasterio.open(folder / "derived" / "landslide_cnn.tif") as source:
        assert prepared.scene.mask_pixels[1] == int(source.read(1).sum())

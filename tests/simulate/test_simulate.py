import json
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from commands import REPOSITORY, run_here
from omegaconf import OmegaConf
from rasterio.crs import CRS
from rich.console import Console
from scipy import ndimage

from landslide.errors import InputError
from landslide.geo.grid import Grid
from landslide.geo.rasters import write_raster
from landslide.geo.relief import slope_degrees
from landslide.radar.geometry import RadarGeometry, distortion, local_incidence, projected_area
from landslide.simulate import SimulatedScene, default_options, simulate, simulate_scene
from landslide.simulate.backscatter import RadarGrid, look_weights, speckle
from landslide.simulate.drainage import drainage_area, route
from landslide.simulate.options import Dates
from landslide.simulate.scattering import draw_date_shifts
from landslide.simulate.simulation import FLIGHT_HEADINGS
from landslide.simulate.slides import landslide_areas
from landslide.simulate.summary import print_summary

SMALL = (128, 160)
PINNED = {
    ("ascending", 0): 0.030194,
    ("ascending", 1): 0.0384754,
    ("ascending", 2): 0.0205779,
    ("descending", 0): 0.0842435,
    ("descending", 1): 0.0386725,
    ("descending", 2): 0.0630132,
}
"""VV of seed 0 at 384 x 512 px, row 100, column 200, by orbit and date."""
DEFAULTS = default_options()
STILL = replace(DEFAULTS, changes=replace(DEFAULTS.changes, whole_date=0.0))
"""No date moves as a whole."""
EAST, ASCENDING, DESCENDING = RadarGeometry(0, 36), RadarGeometry(348, 36), RadarGeometry(192, 36)


@pytest.fixture(scope="module")
def scene() -> SimulatedScene:
    return simulate((448, 512), seed=5, options=STILL)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes") / "a"
    simulate_scene(root, size=SMALL, seed=3)
    return root


@pytest.fixture(autouse=True)
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only ``written``, which is made before, has a figure, since it takes longest."""
    monkeypatch.setattr("landslide.simulate.output.draw_overview", lambda *_: None)


def plane(east: float, south: float = 0.0, shape: tuple[int, int] = (96, 128)) -> np.ndarray:
    rows, cols = np.indices(shape, dtype=np.float32) * 10
    return (east * cols + south * rows).astype(np.float32)


def decibel(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(power)


def smooth_change(images: np.ndarray, side: int = 5) -> np.ndarray:
    before, after = (ndimage.uniform_filter(image, side) for image in images[:2])
    return decibel(after / before)


# Terrain ----------------------------------------------------------------------------------


def test_slope_of_a_tilted_plane_is_its_tilt() -> None:
    slope = slope_degrees(plane(0.3, 0.4), 10)
    np.testing.assert_allclose(slope[1:-1, 1:-1], np.degrees(np.arctan(0.5)), atol=1e-3)


def test_slope_of_a_cone_is_constant_on_its_flanks() -> None:
    rows, cols = np.indices((201, 201)) - 100
    radius = np.hypot(rows, cols)
    slope = slope_degrees(500 - 10 * radius * np.tan(np.radians(30)), 10)
    np.testing.assert_allclose(slope[(radius > 20) & (radius < 95)], 30, atol=0.05)


def test_a_void_in_the_dem_has_no_slope() -> None:
    elevation = plane(0.1)
    elevation[20, 30] = np.nan
    slope = slope_degrees(elevation, 10)
    assert np.isnan(slope[[19, 21], 30]).all()
    assert np.isnan(slope[20, [29, 31]]).all()
    assert np.isfinite(slope[23:, 33:]).all()


def test_flow_leaves_a_depression_over_its_lowest_sill() -> None:
    surface = np.array([[9, 9, 9, 9, 9], [9, 1, 9, 5, 0], [9, 9, 9, 9, 9]], float)
    surface[1, 2] = 6  # sill between the pit (1) and the outlet (0)
    outlets = np.zeros_like(surface, bool)
    outlets[1, 4] = True
    drainage = route(surface, outlets)
    area = np.empty(surface.size)
    area[drainage.order] = drainage_area(drainage)
    assert area.reshape(surface.shape)[1, 4] == surface.size
    assert area.reshape(surface.shape)[1, 2] > area.reshape(surface.shape)[1, 1]


def test_terrain_is_as_steep_as_the_epicentral_area_with_flat_floors(scene: SimulatedScene) -> None:
    assert scene.slope.mean() == pytest.approx(14.5, abs=0.3)
    assert 0.1 < (scene.slope < 4).mean() < 0.45
    assert np.percentile(scene.slope, 99) < 48


# Geometry ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("tilt", "expected"), [(20, 16), (-20, 56), (0, 36), (50, 14)])
def test_local_incidence_of_planes_towards_and_away_from_the_radar(
    tilt: float, expected: float
) -> None:
    # Looking east, ground that rises eastwards faces the radar.
    theta = local_incidence(plane(np.tan(np.radians(tilt))), 10, EAST)
    np.testing.assert_allclose(theta[1:-1, 1:-1], expected, atol=0.01)


def test_local_incidence_of_a_plane_along_track() -> None:
    theta = local_incidence(plane(0, np.tan(np.radians(30))), 10, EAST)
    expected = np.degrees(np.arccos(np.cos(np.radians(36)) * np.cos(np.radians(30))))
    np.testing.assert_allclose(theta[1:-1, 1:-1], expected, atol=0.01)


def test_ascending_lights_west_facing_slopes_and_descending_east_facing_ones() -> None:
    west_facing = plane(np.tan(np.radians(20)))
    ascending = local_incidence(west_facing, 10, ASCENDING)[40, 60]
    descending = local_incidence(west_facing, 10, DESCENDING)[40, 60]
    assert ASCENDING.look_azimuth == 78
    assert DESCENDING.look_azimuth == 282
    assert ascending < 20 < 50 < descending


def step_up(height: float) -> np.ndarray:
    surface = np.zeros((64, 200), np.float32)
    surface[:, 100:] = height
    return surface


def test_shadow_behind_a_drop_is_height_times_tangent() -> None:
    surface = step_up(200)[:, ::-1]  # plateau first, then down: looking east, shadow follows
    hidden = distortion(surface, 10, EAST)
    length = hidden.shadow[32].sum() * 10
    assert length == pytest.approx(200 * np.tan(np.radians(36)), abs=11)
    assert hidden.shadow[32, 101:110].all()


def test_layover_of_a_cliff_reaches_height_over_tangent_to_both_sides() -> None:
    surface = step_up(200)
    hidden = distortion(surface, 10, EAST)
    columns = np.flatnonzero(hidden.layover[32]) * 10
    length = 200 / np.tan(np.radians(36))
    assert columns.min() == pytest.approx(995 - length, abs=16)
    assert columns.max() == pytest.approx(995 + length, abs=16)
    assert not hidden.shadow.any()


def test_gentle_hills_have_neither_shadow_nor_layover(scene: SimulatedScene) -> None:
    gentle = (scene.elevation * 0.3).astype(np.float32)
    hidden = distortion(gentle, 10, ASCENDING)
    assert not hidden.shadow.any()
    assert not hidden.layover.any()


# Images -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tilt", [-20, 0, 15])
def test_canopy_on_a_slope_is_brighter_by_the_ratio_of_tangents(tilt: float) -> None:
    # Hoekman & Reiche (2015): gamma0 on the ellipsoid of a volume is tan(i) / tan(i - tilt).
    elevation = plane(np.tan(np.radians(tilt)), shape=(160, 160))
    grid = RadarGrid(elevation, 10, EAST)
    image = grid.geocode(grid.image(projected_area(elevation, 10, EAST)), np.zeros(2))
    expected = np.tan(np.radians(36)) / np.tan(np.radians(36 - tilt))
    # Away from the border, where mirrored terrain turns the slope round.
    assert image[60:100, 60:100].mean() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("looks", [1.0, 1.5, 4.4, 5.0])
def test_speckle_has_the_wanted_number_of_looks_and_mean(looks: float) -> None:
    weights = np.array(look_weights(looks))
    assert weights.sum() ** 2 / (weights**2).sum() == pytest.approx(looks)
    power = np.full((700, 700), 0.2, np.float32)
    image = speckle(power, replace(DEFAULTS.radar, looks=looks), 10, np.random.default_rng(0))
    assert image.min() > 0
    assert image.mean() == pytest.approx(0.2, rel=0.01)
    assert image.mean() ** 2 / image.var() == pytest.approx(looks, rel=0.06)


def test_speckle_is_correlated_as_its_resolution_says() -> None:
    image = speckle(
        np.ones((700, 700), np.float32),
        replace(DEFAULTS.radar, resolution=20),
        10,
        np.random.default_rng(1),
    )
    # The response exp(-x²/s²) that halves at 10 m correlates as exp(-x²/2s²): at 10 m, 2^-½.
    neighbour = np.corrcoef(image[:, 1:].ravel(), image[:, :-1].ravel())[0, 1]
    assert neighbour == pytest.approx(2**-0.5, abs=0.02)
    far = np.corrcoef(image[:, 6:].ravel(), image[:, :-6].ravel())[0, 1]
    assert abs(far) < 0.02


@pytest.mark.parametrize("orbit", ["ascending", "descending"])
def test_repeat_pass_differences_are_those_of_real_slopes(
    scene: SimulatedScene, orbit: str
) -> None:
    images = scene.backscatter[orbit]
    change = np.abs(decibel(images[1] / images[0]))
    untouched = ndimage.distance_transform_edt(scene.slid_share == 0) > 5
    quiet = change[untouched & (scene.slope > 10)].mean()
    slid = change[scene.mask == 1].mean()
    assert 2.0 < quiet < 2.6
    assert 2.6 < slid < 4.1
    assert slid > quiet + 0.4
    before = decibel(images[0])[scene.slope > 10]
    assert before.mean() == pytest.approx(-8.5, abs=1.5)
    assert before.std() == pytest.approx(3.6, abs=0.5)


def test_scars_darken_where_they_face_away_from_the_radar(scene: SimulatedScene) -> None:
    _, east = np.gradient(ndimage.gaussian_filter(scene.elevation, 2), 10)
    slid = scene.slid_share > 0.9
    faces_east, faces_west = slid & (east < -0.25), slid & (east > 0.25)
    assert min(faces_east.sum(), faces_west.sum()) > 200
    ascending, descending = (smooth_change(scene.backscatter[o]) for o in scene.backscatter)
    assert ascending[faces_east].mean() < ascending[faces_west].mean() - 1.5
    assert descending[faces_west].mean() < descending[faces_east].mean() - 1.5


def test_shadow_receives_noise_only() -> None:
    noise = replace(DEFAULTS.radar, noise=-22.0)
    elevation = step_up(400)[:, ::-1].copy()
    hidden = distortion(elevation, 10, EAST)
    grid = RadarGrid(elevation, 10, EAST)
    power = grid.image(np.where(hidden.shadow, 0, projected_area(elevation, 10, EAST)) * 0.15)
    image = grid.geocode(
        speckle(power + 10**-2.2, noise, 10, np.random.default_rng(0)), np.zeros(2)
    )
    core = ndimage.binary_erosion(hidden.shadow, np.ones((9, 9)))
    assert core.any()
    assert decibel(image[core].mean()) == pytest.approx(-22, abs=1.5)


# Landslides -------------------------------------------------------------------------------


def test_landslide_areas_have_a_heavy_tail() -> None:
    areas = landslide_areas(200_000, 6000, 300, np.random.default_rng(0))
    assert areas.min() >= 300
    assert areas.mean() == pytest.approx(6000, rel=0.02)
    low, high = 20_000, 100_000
    tail = areas[(areas > low) & (areas < high)]
    # Maximum likelihood exponent of a power law between the two bounds.
    logs, ratio = np.log(tail / low).mean(), np.log(high / low)
    exponents = np.linspace(0.5, 3, 2501)
    expected = 1 / exponents - ratio / np.expm1(exponents * ratio)
    exponent = exponents[np.argmin(np.abs(expected - logs))]
    assert exponent == pytest.approx(1.4, abs=0.2)


def test_landslides_cover_their_share_on_steep_slopes(scene: SimulatedScene) -> None:
    assert (scene.mask == 1).mean() == pytest.approx(0.068, abs=0.008)
    slopes = scene.slope[scene.mask == 1]
    assert slopes.mean() > scene.slope.mean() + 3
    assert 17 < slopes.mean() < 25
    assert scene.inventory.area_m2.min() >= 300
    assert scene.inventory.area_m2.max() > 10 * scene.inventory.area_m2.median()


def test_the_inventory_is_close_to_the_truth_but_not_it(scene: SimulatedScene) -> None:
    truth, mapped = scene.slid_share >= 0.5, scene.mask == 1
    overlap = (truth & mapped).sum() / (truth | mapped).sum()
    assert 0.6 < overlap < 0.95


def test_an_unreachable_share_is_refused() -> None:
    options = replace(
        DEFAULTS, slides=replace(DEFAULTS.slides, share=0.3, slope=60, slope_spread=1)
    )
    with pytest.raises(InputError, match=r"slides.share=0.3 cannot be reached"):
        simulate((96, 96), 0, options=options)


# Whole dates -----------------------------------------------------------------------------


@pytest.mark.slow
def test_whole_dates_move_all_the_ground_by_what_the_scene_says() -> None:
    quiet = replace(DEFAULTS.radar, noise=-45)  # noise does not move with the ground
    still, moved = (
        simulate((128, 160), 2, options=replace(options, radar=quiet), polarisations=["vv", "vh"])
        for options in (STILL, DEFAULTS)
    )
    np.testing.assert_array_equal(moved.mask, still.mask)
    for orbit, images in moved.backscatter.items():
        change = decibel(images / still.backscatter[orbit])
        expected = moved.date_shifts[orbit].T.ravel()  # VV's dates, then VH's
        assert not still.date_shifts[orbit].any()
        np.testing.assert_allclose(np.median(change, axis=(1, 2)), expected, atol=0.01, rtol=0.01)


def test_whole_dates_scatter_as_on_real_quiet_hills() -> None:
    drawn = draw_date_shifts(1.3, 20_000, np.random.default_rng(0))
    # Medians of 21 real dates over each of four bursts: 1.29 and 1.70 dB, correlation 0.96.
    np.testing.assert_allclose(drawn.std(axis=0), [1.29, 1.70], rtol=0.03)
    assert np.corrcoef(drawn.T)[0, 1] == pytest.approx(0.956, abs=0.01)


# Polarisations ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def polarised() -> SimulatedScene:
    return simulate((384, 512), seed=0, options=STILL, polarisations=["vv", "vh"])


@pytest.mark.slow
def test_vv_is_the_same_with_vh_as_without(polarised: SimulatedScene) -> None:
    plain = simulate((384, 512), seed=0, options=STILL)
    for orbit, images in plain.backscatter.items():
        assert images.shape == (3, 384, 512)
        assert polarised.backscatter[orbit].shape == (6, 384, 512)
        np.testing.assert_array_equal(polarised.backscatter[orbit][:3], images)
    np.testing.assert_array_equal(polarised.mask, plain.mask)
    # Values from before VH and shifts of whole dates were simulated.
    pixels = [plain.backscatter[orbit][date, 100, 200] for orbit, date in PINNED]
    np.testing.assert_allclose(pixels, list(PINNED.values()), rtol=1e-4)


@pytest.mark.slow
def test_vh_lies_below_vv_as_on_real_ground(polarised: SimulatedScene) -> None:
    untouched = ndimage.distance_transform_edt(polarised.slid_share == 0) > 5
    hills, fields = untouched & (polarised.slope > 12), untouched & (polarised.slope < 2)
    for images in polarised.backscatter.values():
        difference = decibel(images[3]) - decibel(images[0])
        assert -6.7 < difference[hills].mean() < -5.5  # trees of the real chips: -6.2 to -5.2
        assert -7.5 < difference[fields].mean() < -5.3  # their crops: -7.0 to -5.6
        assert difference[hills].std() == pytest.approx(2.6, abs=0.5)


@pytest.mark.slow
def test_vh_shows_scars_whichever_way_they_face(polarised: SimulatedScene) -> None:
    _, east = np.gradient(ndimage.gaussian_filter(polarised.elevation, 2), 10)
    slid = polarised.slid_share > 0.9
    for images, side in zip(polarised.backscatter.values(), (1, -1), strict=True):
        towards, away = slid & (side * east > 0.2), slid & (side * east < -0.2)
        assert min(towards.sum(), away.sum()) > 1000
        vv, vh = smooth_change(images[:3]), smooth_change(images[3:])
        assert vv[towards].mean() > vv[away].mean() + 2
        assert abs(vh[towards].mean() - vh[away].mean()) < 0.7
        assert vh[towards].mean() < min(vv[towards].mean() - 1, -1.5)


@pytest.mark.slow
def test_speckle_of_the_polarisations_is_independent(polarised: SimulatedScene) -> None:
    forest = polarised.slope > 15
    for images in polarised.backscatter.values():
        vv, vh = (image / ndimage.uniform_filter(image, 7) for image in (images[0], images[3]))
        assert abs(np.corrcoef(vv[forest], vh[forest])[0, 1]) < 0.1
        again = images[4] / ndimage.uniform_filter(images[4], 7)
        assert abs(np.corrcoef(again[forest], vh[forest])[0, 1]) < 0.1


def test_a_scene_of_both_polarisations_on_disk(tmp_path: Path) -> None:
    simulate_scene(tmp_path / "s", size=(64, 96), polarisations=["vv", "vh"])
    with rasterio.open(tmp_path / "s" / "descending.tif") as source:
        assert source.descriptions == (
            *("vv_pre", "vv_post1", "vv_post2", "slope", "aspect", "layover_shadow"),
            *("vh_pre", "vh_post1", "vh_post2"),
        )
        assert (source.read() >= 0).all()
    text = json.loads((tmp_path / "s" / "scene.json").read_text())
    assert text["dates"]["ascending"]["vh_post1"] == text["dates"]["ascending"]["vv_post1"]
    assert text["options"]["polarisations"] == ["vv", "vh"]
    with pytest.raises(InputError, match=r"polarisations=\['vh'\] is not simulated"):
        simulate((64, 96), polarisations=["vh"])


def test_a_steep_scene_says_what_the_radar_does_not_see() -> None:
    scene = simulate(
        (96, 128),
        options=replace(DEFAULTS, terrain=replace(DEFAULTS.terrain, mean_slope=32, valley_share=0)),
    )
    for orbit, heading in FLIGHT_HEADINGS.items():
        hidden = distortion(scene.elevation, 10, RadarGeometry(heading, 36))
        np.testing.assert_array_equal(scene.layover_shadow[orbit] % 2 == 1, hidden.layover)
        np.testing.assert_array_equal(scene.layover_shadow[orbit] >= 2, hidden.shadow)
        assert hidden.layover.any()
    # Where the ground falls to, from the tilt of a plane through each pixel's neighbours.
    south, east = np.gradient(scene.elevation, 10)
    falls = np.degrees(np.arctan2(-east, south)) % 360
    off = np.abs((scene.aspect - falls + 180) % 360 - 180)
    assert np.median(off[2:-2, 2:-2]) < 3


def test_the_report_has_a_number_for_every_band(scene: SimulatedScene, tmp_path: Path) -> None:
    console = Console(record=True, width=120)
    print_summary(scene, tmp_path, console)
    text = console.export_text()
    assert "nan" not in text
    assert "inf" not in text
    assert text.count("vv_post1") == 2


# Scenes on disk ---------------------------------------------------------------------------


def test_a_scene_says_what_it_is(written: Path) -> None:
    for name in ("ascending", "descending"):
        with rasterio.open(written / f"{name}.tif") as source:
            assert source.descriptions[:4] == ("vv_pre", "vv_post1", "vv_post2", "slope")
            assert source.descriptions[4:] == ("aspect", "layover_shadow")
            assert source.dtypes == ("float32",) * 6
            assert np.isnan(source.nodata)
            assert source.shape == SMALL
            assert source.crs.to_epsg() == 32654
            assert source.tags()["simulated"] == "true"
            bands = source.read()
            grid = Grid.of(source)
        assert (bands[:3] > 0).all()
        assert bands[3].min() >= 0
    with rasterio.open(written / "landslides.tif") as source:
        assert Grid.of(source).matches(grid)
        assert source.nodata == 255
        assert source.tags()["simulated"] == "true"
        mask = source.read(1)
    polygons = gpd.read_file(written / "landslides.gpkg", layer="simulated_landslides")
    assert polygons.simulated.all()
    np.testing.assert_allclose(polygons.area_m2, polygons.area, atol=0.1)
    assert polygons.area.sum() == pytest.approx((mask == 1).sum() * 100, rel=0.05)
    text = json.loads((written / "scene.json").read_text())
    assert text["simulated"] is True
    assert text["options"]["seed"] == 3
    assert text["dates"]["ascending"]["vv_pre"] == "2018-09-05"
    assert text["dates"]["descending"]["vv_post2"] == "2018-09-25"
    moved = text["whole_dates_moved_db"]
    assert list(moved["ascending"]) == ["vv_pre", "vv_post1", "vv_post2"]
    assert len({value for dates in moved.values() for value in dates.values()}) == 6
    assert (written / "figures" / "scene.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_scene(
    written: Path, tmp_path: Path
) -> None:
    simulate_scene(tmp_path / "again", size=SMALL, seed=3)
    simulate_scene(tmp_path / "other", size=SMALL, seed=4)
    for name in ("ascending.tif", "descending.tif", "landslides.tif", "landslides.gpkg"):
        first = (written / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == first
        assert (tmp_path / "other" / name).read_bytes() != first


@pytest.mark.slow
def test_an_option_changes_only_what_it_governs() -> None:
    base = simulate((64, 96), 1)
    slides = replace(DEFAULTS.slides, boundary_error=15.0)
    mapped = simulate((64, 96), 1, options=replace(DEFAULTS, slides=slides))
    np.testing.assert_array_equal(mapped.backscatter["ascending"], base.backscatter["ascending"])
    assert (mapped.mask != base.mask).any()
    radar = simulate(
        (64, 96), 1, options=replace(DEFAULTS, radar=replace(DEFAULTS.radar, looks=20))
    )
    np.testing.assert_array_equal(radar.mask, base.mask)
    np.testing.assert_array_equal(radar.elevation, base.elevation)


@pytest.mark.slow
def test_a_taken_folder_is_refused_unless_overwriting_a_scene(
    written: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="already holds a scene; choose another root or add"):
        simulate_scene(written, size=SMALL)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="is not a scene; choose another root"):
        simulate_scene(other, size=SMALL, overwrite=True)
    assert (other / "thesis.txt").read_text() == "precious"
    root = tmp_path / "scene"
    simulate_scene(root, size=(64, 64), seed=0, dates=Dates(before=2))
    assert (root / "dates").is_dir()
    simulate_scene(root, size=(64, 96), seed=0, overwrite=True)
    assert not (root / "dates").exists()
    assert json.loads((root / "scene.json").read_text())["options"]["size"] == [64, 96]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "scene"]


def test_nothing_is_left_behind_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("landslide.simulate.output.draw_overview", fail)
    with pytest.raises(OSError, match="disk full"):
        simulate_scene(tmp_path / "scene", size=(64, 64))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"size": (32, 320)}, r"size=\[32, 320\] is not usable; give \[rows,cols\]"),
        ({"size": (100,)}, r"size=\[100\] is not usable"),
        ({"size": None}, "size is missing"),
        ({"seed": -1}, "seed=-1 is not a whole number from 0"),
        ({"dem": "nowhere.tif"}, "nowhere.tif cannot be read as a raster"),
        ({"landslides": "mask.tif"}, "landslides= needs the terrain"),
        (
            {"options": replace(DEFAULTS, radar=replace(DEFAULTS.radar, incidence=80))},
            "radar.incidence=80 is not a number from 15 to 60",
        ),
    ],
)
def test_bad_input_is_refused_in_one_sentence(
    given: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=sentence):
        simulate_scene(tmp_path / "scene", **{"size": SMALL, **given})  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


# Given terrain and landslides -------------------------------------------------------------


@cache
def hills() -> SimulatedScene:
    return simulate((192, 224), 2)


def dem_file(path: Path, crs: str = "EPSG:32654", void: bool = False) -> Path:
    scene = hills()
    elevation = scene.elevation.copy()
    if void:
        elevation[60:80, 90:120] = np.nan
    grid = Grid(CRS.from_user_input(crs), scene.grid.transform, 192, 224)
    write_raster(path, elevation, grid, ["DSM"], float("nan"))
    return path


@pytest.mark.slow
def test_voids_of_a_dem_stay_unknown(tmp_path: Path) -> None:
    scene = simulate(None, 0, dem=dem_file(tmp_path / "dem.tif", void=True))
    assert scene.slope.shape == (192, 224)
    for images in scene.backscatter.values():
        assert np.isnan(images[:, 60:80, 90:120]).all()
        assert np.isfinite(images).mean() > 0.97
    assert (scene.mask[60:80, 90:120] == 255).all()
    assert ((scene.mask == 255) == np.isnan(scene.slope)).all()


def test_a_dem_without_crs_and_a_mask_elsewhere_are_refused(tmp_path: Path) -> None:
    bare = tmp_path / "bare.tif"
    profile = {"driver": "GTiff", "height": 9, "width": 9, "count": 1, "dtype": "int16"}
    with rasterio.open(bare, "w", transform=Affine(10, 0, 0, 0, -10, 0), **profile) as sink:
        sink.write(np.ones((1, 9, 9), np.int16))
    with pytest.raises(InputError, match=r"bare.tif has no CRS"):
        simulate(None, 0, dem=bare)
    dem = dem_file(tmp_path / "dem.tif")
    far = gpd.GeoDataFrame(geometry=gpd.points_from_xy([0], [0]).buffer(0.1), crs="EPSG:4326")
    far.to_file(tmp_path / "far.gpkg")
    with pytest.raises(InputError, match="has no landslide within the scene"):
        simulate(None, 0, dem=dem, landslides=tmp_path / "far.gpkg")
    with pytest.raises(InputError, match="is larger than"):
        simulate((5000, 64), 0, dem=dem)


def test_given_polygons_are_the_landslides(tmp_path: Path) -> None:
    dem = dem_file(tmp_path / "dem.tif")
    base = simulate(None, 0, dem=dem)
    base.inventory.to_crs("EPSG:4326").to_file(tmp_path / "slides.geojson")
    given = simulate(None, 0, dem=dem, landslides=tmp_path / "slides.geojson")
    assert ((given.mask == 1) == (base.mask == 1)).mean() > 0.995


@pytest.mark.slow
def test_the_real_epicentral_terrain_and_landslide_map(real_data: Path) -> None:
    folder = real_data / "hokkaido_iburi_terrain" / "derived"
    scene = simulate(None, 0, dem=folder / "dsm_slope.tif", landslides=folder / "landslide_cnn.tif")
    with rasterio.open(folder / "landslide_cnn.tif") as source:
        assert Grid.of(source).matches(scene.grid)
        np.testing.assert_array_equal(scene.mask == 1, source.read(1) == 1)
    with rasterio.open(folder / "dsm_slope.tif") as source:
        slope = source.read(2)
    inner = np.s_[2:-2, 2:-2]
    assert np.nanmean(np.abs(scene.slope - slope)[inner]) < 0.5
    assert np.isfinite(scene.backscatter["ascending"]).mean() > 0.99


def test_a_steep_real_dem_of_another_zone(real_data: Path) -> None:
    scene = simulate(SMALL, 0, dem=real_data / "srtm_hilly" / "bigtujunga.tif")
    assert scene.grid.crs.to_epsg() == 32611
    assert scene.slope.shape == SMALL
    assert np.nanmean(scene.slope) > 20
    assert scene.elevation.max() < 2400


# Command line -----------------------------------------------------------------------------


def test_the_command_writes_a_scene_and_refuses_to_replace_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("simulate", "root=scene", "size=[64,96]")
    run_here(*command, cwd=tmp_path)
    printed = capsys.readouterr().out
    assert "mapped landslides" in printed
    assert "vv_post2" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["scene"]
    refusal = "scene already holds a scene; choose another root or add overwrite=true"
    with pytest.raises(SystemExit, match=refusal):
        run_here(*command, cwd=tmp_path)
    with pytest.raises(SystemExit, match=r"radar\.looks=many is not a number"):
        run_here(*command, "overwrite=true", "radar.looks=many", cwd=tmp_path)
    for group in ("radar=3", "dates=8"):
        with pytest.raises(SystemExit, match=rf"{group} is a group of options"):
            run_here(*command, "overwrite=true", group, cwd=tmp_path)


def test_the_configuration_holds_the_defaults_of_the_code() -> None:
    config = OmegaConf.load(REPOSITORY / "conf" / "simulate.yaml")
    for group, values in asdict(DEFAULTS).items():
        assert OmegaConf.to_object(config[group]) == values

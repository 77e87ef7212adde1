"""Stacks of dates, made by ``landslide prepare``."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from builders import write_image
from commands import prepare, run_here
from rasterio.crs import CRS
from rasterio.warp import Resampling, reproject, transform_bounds

from landslide.errors import InputError
from landslide.geo.grid import Grid
from landslide.prepare.progress import Advance
from landslide.radar.despeckling import temporal_filter, total_variation
from landslide.radar.stack import stack_bands

GRID = Grid(CRS.from_epsg(32610), Affine(30, 0, 755_010, 0, -30, 3_800_010), 90, 110)
"""Where bursts lie, near the eastern border of their UTM zone."""

DAYS = ["0706", "0718", "0730", "0811", "0823", "0904", "0916", "0928", "1010"]
"""Days of 2018; the event is on the 6th of September."""

EVENT = "event.date=2018-09-06T12:00:00Z"


def opera(day: str, polarisation: str, burst: str = "T137-292321-IW2", satellite: str = "A") -> str:
    seconds = 14 if burst.startswith("T137-292321") else 17
    return (
        f"{burst}/OPERA_L2_RTC-S1_{burst}_2018{day}T0159{seconds}Z_20240101T000000Z_"
        f"S1{satellite}_30_v1.0_{polarisation}.tif"
    )


def power(day: str, polarisation: str) -> np.ndarray:
    rng = np.random.default_rng([int(day), len(polarisation), polarisation == "VH"])
    mean = 0.1 if polarisation == "VV" else 0.02
    return (mean * rng.gamma(4, 1 / 4, (GRID.height, GRID.width))).astype(np.float32)


@pytest.fixture(scope="module")
def bursts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine dates of a burst, VV and VH. S1B saw only the western half of the third."""
    folder = tmp_path_factory.mktemp("bursts")
    for day in DAYS:
        for polarisation in ("VV", "VH"):
            image = power(day, polarisation)
            if day == "0730":
                image[:, 55:] = np.nan
            name = opera(day, polarisation, satellite="B" if day == "0730" else "A")
            write_image(folder / name, image, GRID)
    return folder


@pytest.fixture(autouse=True)
def without_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out figures unless a test asks for ``figures``."""
    if "figures" not in request.fixturenames:
        monkeypatch.setattr("landslide.prepare.prepare.draw_figures", lambda *_: None)


def options(root: Path, images: object, *more: str) -> list[str]:
    return [
        *(f"root={root}", EVENT, f"sar.ascending={images}", "dem=none", "grid.resolution=30"),
        *("sar.polarisations=[vv,vh]", *more),
    ]


def read(path: Path) -> dict[str, np.ndarray]:
    with rasterio.open(path) as source:
        return dict(zip(source.descriptions, source.read(), strict=True))


def test_a_stack_keeps_every_date_and_its_bands_are_numpys(
    bursts: Path, tmp_path: Path, figures: None
) -> None:
    root = tmp_path / "scene"
    prepared = prepare(*options(root, bursts, "sar.before=5", "sar.after=3"))
    dates = read(root / "dates" / "ascending.tif")
    days = DAYS[1:]
    assert list(dates) == [f"{p}_2018{day}" for day in days for p in ("vv", "vh")]
    for day in days:
        for polarisation in ("VV", "VH"):
            with rasterio.open(
                bursts / opera(day, polarisation, "T137-292321-IW2", "B" if day == "0730" else "A")
            ) as source:
                image = source.read(1)
            np.testing.assert_array_equal(dates[f"{polarisation.lower()}_2018{day}"], image)
    scene = read(root / "ascending.tif")
    assert list(scene)[-8:] == stack_bands(["vv", "vh"])
    assert list(scene)[:-8] == [f"{p}_{d}" for p in ("vv", "vh") for d in ("pre", "post1", "post2")]
    for band, day in (("pre", "0904"), ("post1", "0916"), ("post2", "0928")):
        np.testing.assert_array_equal(scene[f"vh_{band}"], dates[f"vh_2018{day}"])
    before = np.stack([dates[f"vh_2018{day}"] for day in days[:5]])
    after = np.stack([dates[f"vh_2018{day}"] for day in days[5:]])
    every = np.isfinite(before).all(0)  # elsewhere whole dates are evened out
    np.testing.assert_allclose(scene["vh_pre_mean"][every], before.mean(0)[every], rtol=1e-5)
    np.testing.assert_allclose(scene["vh_pre_mean"], np.nanmean(before, 0), rtol=0.05)
    np.testing.assert_allclose(scene["vh_post_mean"], after.mean(0), rtol=1e-5)
    np.testing.assert_array_equal(scene["pre_count"], np.isfinite(before).sum(0))
    assert set(np.unique(scene["pre_count"])) == {4, 5}
    assert (scene["post_count"] == 3).all()
    entries = prepared.info["stack"]["ascending"]
    assert [entry["date"][5:].replace("-", "") for entry in entries] == days
    assert [entry["side"] for entry in entries] == ["pre"] * 5 + ["post"] * 3
    assert [entry["platform"] for entry in entries] == ["S1A", "S1B", *["S1A"] * 6]
    assert [entry["coverage"] for entry in entries] == [1, 0.5, *[1] * 6]
    assert entries[0]["time"] == "2018-07-18T01:59:14Z"
    assert json.loads((root / "scene.json").read_text())["stack"]["ascending"] == entries
    with rasterio.open(root / "dates" / "ascending.tif") as source:
        assert source.tags()["SIMULATED"] == "no"


def test_progress_counts_the_dates_of_a_stack(
    bursts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals, stages = [], []

    @contextmanager
    def record(_: object, name: str, total: int) -> Iterator[Advance]:
        totals.append(total)
        yield lambda steps=1, stage=None: stages.append(stage)

    monkeypatch.setattr("landslide.prepare.prepare.progress_bar", record)
    prepare(*options(tmp_path, bursts, "sar.before=3", "sar.after=1"))
    assert [stage for stage in stages if "2018" in stage] == [
        f"ascending, 2018-{day}" for day in ("08-11", "08-23", "09-04", "09-16")
    ]
    assert totals == [len(stages)]


def test_the_papers_dates_of_a_stack_are_those_of_a_scene_without_one(
    bursts: Path, tmp_path: Path
) -> None:
    prepare(*options(tmp_path / "plain", bursts))
    prepare(*options(tmp_path / "stack", bursts, "sar.before=3"))
    plain, stack = (read(tmp_path / name / "ascending.tif") for name in ("plain", "stack"))
    assert list(plain) == [f"{p}_{d}" for p in ("vv", "vh") for d in ("pre", "post1", "post2")]
    assert not (tmp_path / "plain" / "dates").exists()
    assert "stack" not in json.loads((tmp_path / "plain" / "scene.json").read_text())
    for name, band in plain.items():
        np.testing.assert_array_equal(stack[name], band)


def test_a_scene_that_loses_its_stack_loses_the_dates(bursts: Path, tmp_path: Path) -> None:
    prepare(*options(tmp_path, bursts, "sar.before=3"))
    prepare(*options(tmp_path, bursts, "overwrite=true"))
    assert not (tmp_path / "dates").exists()


def test_a_list_in_any_order_is_a_stack_by_the_events_date(bursts: Path, tmp_path: Path) -> None:
    images = [bursts / opera(day, "VV") for day in ("0823", "0916", "0706", "0904")]
    given = f"[{','.join(map(str, images))}]"
    prepared = prepare(*options(tmp_path / "s", given, "sar.polarisations=[vv]"))
    entries = prepared.info["stack"]["ascending"]
    assert [entry["date"] for entry in entries] == [
        *("2018-07-06", "2018-08-23", "2018-09-04", "2018-09-16")
    ]
    assert [entry["side"] for entry in entries] == ["pre"] * 3 + ["post"]
    assert prepared.info["dates"]["ascending"] == {"vv_pre": "2018-09-04", "vv_post1": "2018-09-16"}


@pytest.mark.slow
def test_bursts_of_a_date_are_joined_over_two_utm_zones(bursts: Path, tmp_path: Path) -> None:
    # The second burst lies east of the first one, on the grid of the next zone.
    west, south, _, north = GRID.bounds
    box = transform_bounds(GRID.crs, "EPSG:32611", west + 3000, south, west + 6000, north)
    corner = Affine(30, 0, box[0] // 30 * 30, 0, -30, box[3] // 30 * 30 + 30)
    east = Grid(CRS.from_epsg(32611), corner, 110, 110)
    folders = [bursts / "T137-292321-IW2", tmp_path / "T137-292322-IW2"]
    for day in DAYS[3:7]:
        for polarisation in ("VV", "VH"):
            name = opera(day, polarisation, "T137-292322-IW2")
            write_image(tmp_path / name, np.full((110, 110), 0.3, np.float32), east)
    root = tmp_path / "scene"
    area = transform_bounds(GRID.crs, "EPSG:4326", west + 90, south + 300, west + 5800, north - 300)
    outline = f"aoi=[{','.join(f'{edge:.5f}' for edge in area)}]"
    given = f"[{','.join(map(str, folders))}]"
    prepare(*options(root, given, outline, "sar.before=3", "sar.after=1", "grid.crs=EPSG:32610"))
    dates = read(root / "dates" / "ascending.tif")
    with rasterio.open(root / "ascending.tif") as source:
        grid = Grid.of(source)
    image, expected = power("0823", "VV"), np.full((grid.height, grid.width), np.nan, np.float32)
    reproject(
        image,
        expected,
        src_transform=GRID.transform,
        src_crs=GRID.crs,
        dst_transform=grid.transform,
        dst_crs=grid.crs,
        resampling=Resampling.nearest,
        dst_nodata=np.nan,
    )
    own = np.isfinite(expected)
    assert 0.2 < own.mean() < 0.8
    np.testing.assert_allclose(dates["vv_20180823"][own], expected[own], rtol=1e-5)
    assert np.isfinite(dates["vv_20180823"]).mean() > 0.95
    np.testing.assert_allclose(dates["vv_20180823"][:, -5:], 0.3, rtol=1e-4)


@pytest.mark.parametrize(
    "name",
    [
        "S1A_IW_2018{day}T084300_DVP_RTC30_G_gpuned_ABCD_{polarisation}.tif",
        "S1A_IW_GRDH_1SDV_2018{day}T084300_2018{day}T084325_023590_02910F_rtc/measurement/"
        "iw-{polarisation}.rtc.tiff",
        "S1A_IW_GRDH_1SDV_2018{day}T084300_2018{day}T084325_023590_02910F_rtc_{polarisation}.tif",
    ],
)
def test_names_of_archives_tell_dates_and_polarisations(name: str, tmp_path: Path) -> None:
    for day in DAYS[3:8]:
        for polarisation in ("VV", "VH"):
            case = polarisation.lower() if "rtc" in name else polarisation
            path = tmp_path / "images" / name.format(day=day, polarisation=case)
            write_image(path, power(day, polarisation), GRID, UNITS="power")
    write_image(
        tmp_path / "images" / "S1A_IW_20180811T084300_ls_map.tif", power("0811", "VV"), GRID
    )
    prepared = prepare(*options(tmp_path / "scene", tmp_path / "images", "sar.before=3"))
    entries = prepared.info["stack"]["ascending"]
    assert [entry["time"][5:16] for entry in entries] == [
        f"{day[:2]}-{day[2:]}T08:43" for day in DAYS[3:8]
    ]
    assert {entry["platform"] for entry in entries} == {"S1A"}


@pytest.mark.slow
def test_fewer_dates_than_asked_for_are_one_warning(
    bursts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = options(tmp_path / "s", bursts, "sar.before=12", "sar.after=3", "grid.resolution=15")
    run_here("prepare", *command, cwd=tmp_path)
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.count("asks for were found") == 1
    assert "ascending: 6 of the 12 dates that sar.before asks for were found before" in printed
    assert "have pixels of 30 m and the scene of 15 m" in printed
    assert "2018-07-30 │ pre │ S1B │ 50.0%" in printed


def test_before_the_first_image_after_the_event_a_stack_holds_its_past(
    bursts: Path, tmp_path: Path
) -> None:
    past = f"['{bursts}/**/*_20180[678]*.tif','{bursts}/**/*_20180904*.tif']"
    command = options(tmp_path / "s", past, "sar.before=8", "overwrite=true")
    early = prepare(*command)
    assert set(read(tmp_path / "s" / "ascending.tif")) == {
        *(f"{p}_{name}" for p in ("vv", "vh") for name in ("pre", "pre_mean", "pre_std")),
        "pre_count",
    }
    assert {date["side"] for date in early.info["stack"]["ascending"]} == {"pre"}
    assert sum("no image after the event is there yet" in n for n in early.info["notes"]) == 1
    assert not any("dates that sar.after asks for" in w for w in early.info["warnings"])
    before = read(tmp_path / "s" / "ascending.tif")
    command[2] = f"sar.ascending={bursts}"
    prepare(*command)
    after = read(tmp_path / "s" / "ascending.tif")
    assert {"vv_post1", "vh_post_mean", "post_count"} <= set(after)
    for band, image in before.items():
        np.testing.assert_array_equal(image, after[band])


def test_without_a_stack_an_image_after_the_event_is_needed(bursts: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of the .* images that can be used is after the"):
        prepare(*options(tmp_path / "s", f"'{bursts}/**/*_20180[678]*.tif'", "sar.before=1"))


def test_a_polarisation_that_no_image_has_is_named(bursts: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"have vh, vv, and none has hh: choose among those"):
        prepare(*options(tmp_path / "s", bursts, "sar.polarisations=[hh]"))


@pytest.mark.slow
def test_a_scene_without_a_dem_has_no_terrain_and_says_so(
    bursts: Path, tmp_path: Path, figures: None
) -> None:
    prepared = prepare(*options(tmp_path / "s", bursts))
    assert any("without a DEM slope, aspect" in note for note in prepared.info["notes"])
    assert prepared.info["dem"] is None
    assert (tmp_path / "s" / "figures" / "histograms.png").exists()


def other_track(bursts: Path, folder: Path) -> str:
    write_image(folder / opera("0719", "VV", "T064-292321-IW2"), power("0718", "VV"), GRID)
    return f"[{bursts},{folder}]"


def undated(bursts: Path, folder: Path) -> str:
    write_image(folder / "before_VV.tif", power("0718", "VV"), GRID)
    return f"[{bursts},{folder}]"


def far_date(bursts: Path, folder: Path) -> str:
    far = GRID._replace(transform=GRID.transform @ Affine.translation(500, 0))
    write_image(folder / "a" / opera("0729", "VV"), power("0718", "VV"), far)
    return f"[{bursts},{folder}]"


def two_overpasses(bursts: Path, folder: Path) -> str:
    name = opera("0718", "VV").replace("T0159", "T1359")
    write_image(folder / name, power("0718", "VV"), GRID)
    return f"[{bursts},{folder}]"


def neighbouring_track(bursts: Path, folder: Path) -> str:
    """HyP3's names hold no track; the next one passes 24 h / 175 = 8.2 minutes later."""
    for day, time in (("0811", "084300"), ("0823", "084400"), ("0828", "085113"), ("0916", "0843")):
        name = f"S1A_IW_2018{day}T{time:0<6}_DVP_RTC30_G_gpuned_ABCD_VV.tif"
        write_image(folder / name, power(day, "VV"), GRID)
    return str(folder)


def unmeasured(bursts: Path, folder: Path) -> str:
    image = np.full((GRID.height, GRID.width), np.nan, np.float32)
    write_image(folder / opera("0729", "VV"), image, GRID)
    return f"[{bursts},{folder}]"


def listed(*days: str) -> Callable[[Path, Path], str]:
    def name(bursts: Path, _: Path) -> str:
        return f"[{','.join(str(bursts / opera(day, 'VV')) for day in days)}]"

    return name


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (other_track, "images of tracks 64 and 137: a stack is of one"),
        (undated, "neither name nor tags of .*before_VV.tif show its date"),
        (far_date, "does not overlap with the area"),
        (two_overpasses, "are both of 2018-07-18, but of two overpasses"),
        (neighbouring_track, r"0843.*08:43 UTC.*0851.*08:51 UTC.*two tracks.*'\*T0843\*'"),
        (unmeasured, "of 2018-07-29 measured no pixel of the scene"),
        (listed("0706", "0718", "0718", "0916"), "are both of 2018-07-18: give each date"),
        (listed("0706", "0916", "0928", "1010"), "one date before the event, and the scatter"),
        (listed("0916", "0928", "1010"), "none of the 3 dates of sar.ascending is before"),
        (lambda bursts, _: f"{bursts}/*.png", "there is no file .*png, which|holds no image"),
    ],
)
def test_a_stack_that_cannot_be_made_is_one_sentence(
    damage: Callable[[Path, Path], str], message: str, bursts: Path, tmp_path: Path
) -> None:
    given = damage(bursts, tmp_path / "other")
    root = tmp_path / "out" / "scene"
    command = options(root, given, "sar.polarisations=[vv]", "sar.before=8")
    with pytest.raises(InputError, match=message) as caught:
        prepare(*command)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "out").rglob("*"))


@pytest.mark.slow
def test_real_bursts_become_a_stack(real_data: Path, tmp_path: Path) -> None:
    bursts = real_data / "opera_rtc_quiet"
    prepared = prepare(
        *(f"root={tmp_path / 's'}", "event.date=2023-12-10", "dem=none", "grid.resolution=30"),
        f"sar.ascending={bursts}/T137-292321-IW2",
        *("sar.before=8", "sar.after=2", "sar.polarisations=[vv,vh]"),
        "sar.relative_orbit.ascending=137",
    )
    entries = prepared.info["stack"]["ascending"]
    assert [e["date"] for e in entries][-3:] == ["2023-12-03", "2023-12-15", "2023-12-27"]
    assert len(entries) == 10
    assert not prepared.info["warnings"]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["total_variation", "temporal"])
def test_despeckled_dates_are_those_of_the_whole_image(
    method: str, bursts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(*options(tmp_path / "raw", bursts, "sar.before=4"))
    monkeypatch.setattr("landslide.prepare.despeckle.MAX_PIXELS", 1)
    monkeypatch.setattr("landslide.prepare.despeckle.TILE_SIZE", 48)
    prepared = prepare(*options(tmp_path / "s", bursts, "sar.before=4", f"despeckle={method}"))
    raw, found = (read(tmp_path / name / "dates" / "ascending.tif") for name in ("raw", "s"))
    assert list(raw) == list(found)
    for polarisation in ("vv", "vh"):
        bands = [name for name in raw if name.startswith(polarisation)]
        images = [raw[name] for name in bands]
        if method == "temporal":
            expected = temporal_filter(images)
        else:
            expected = [total_variation(image) for image in images]
        for name, image in zip(bands, expected, strict=True):
            difference = 10 * np.log10(found[name] / image)
            assert np.nanmax(np.abs(difference)) < 0.1
            assert np.nanstd(difference) < 0.005
            np.testing.assert_array_equal(np.isnan(found[name]), np.isnan(image))
    scene = read(tmp_path / "s" / "ascending.tif")
    np.testing.assert_array_equal(scene["vh_pre"], found["vh_20180904"])
    before = np.stack([found[f"vv_2018{day}"] for day in DAYS[2:6]])
    every = np.isfinite(before).all(0)  # elsewhere whole dates are evened out
    np.testing.assert_allclose(scene["vv_pre_mean"][every], before.mean(0)[every], rtol=1e-5)
    assert any("were despeckled" in note for note in prepared.info["notes"])
    with pytest.raises(InputError, match="is for the dates of a stack"):
        prepare(*options(tmp_path / "plain", bursts, f"despeckle={method}"))

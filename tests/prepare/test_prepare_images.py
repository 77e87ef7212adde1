"""Metadata of providers' files: units, radiometry, polarisations, dates, tracks."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio
from builders import GRID, write_image
from commands import compose_preparation, prepare

from landslide.errors import InputError
from landslide.prepare.calibration import calibrate_orbit, texts_on_units
from landslide.prepare.files import acquire_from_files, read_acquisition, read_facts
from landslide.prepare.names import (
    Radiometry,
    facts_from_name,
    units_from_name,
    units_from_texts,
)
from landslide.prepare.orbit import track_number
from landslide.prepare.quality import check_dates, check_radiometry
from landslide.prepare.sources import Acquisition, Dem, Event, Sources, Tile, apply_options

SHAPE = (GRID.height, GRID.width)
NUMBERS: dict[str, int | None] = {"vv": None, "vh": None}
HYP3 = "S1A_IW_{}T084300_DVP_RTC10_G_{}_1A20_{}.tif"
OPERA = "OPERA_L2_RTC-S1_T068-097523-IW2_{}T084300Z_20250101T000000Z_S1A_30_v1.0_{}.tif"
DAYS = ("20180905", "20180917", "20180929")


def speckle(mean: float, seed: int = 0) -> np.ndarray:
    """Power of 4.4 looks with a mean."""
    rng = np.random.default_rng(seed)
    return (mean * rng.gamma(4.4, 1 / 4.4, SHAPE)).astype(np.float32)


def acquisitions(
    *dates: Sequence[Path], polarisations: Sequence[str] = ("vv",)
) -> dict[str, Acquisition]:
    names = ("pre", "post1", "post2")
    return {
        name: read_acquisition(paths, polarisations, NUMBERS)
        for name, paths in zip(names, dates, strict=False)
    }


def power_of(dates: dict[str, Acquisition], band: str) -> np.ndarray:
    """Linear power of a band's first tile."""
    tile, calibration = calibrate_orbit(dates)[band][0]
    with rasterio.open(tile.path) as source:
        values = source.read(tile.band).astype(np.float32)
        values = values * source.scales[tile.band - 1] + source.offsets[tile.band - 1]
    return calibration(values, np.ones(values.shape, bool))


def stack(path: Path, names: Sequence[str], means: Sequence[float]) -> Path:
    profile = {"driver": "GTiff", "crs": GRID.crs, "transform": GRID.transform, "dtype": "float32"}
    with rasterio.open(
        path, "w", count=len(names), height=SHAPE[0], width=SHAPE[1], **profile
    ) as sink:
        for index, mean in enumerate(means, 1):
            sink.write(speckle(mean), index)
        sink.descriptions = tuple(names)
        sink.update_tags(units="power")
    return path


# One unit per orbit --------------------------------------------------------------------------


def test_images_that_seem_to_be_of_different_units_are_refused_and_both_named(
    tmp_path: Path,
) -> None:
    """A median of 0.25 is likely power, one of 0.32 amplitude: a pair of them is neither."""
    pre, post = (
        write_image(tmp_path / f"{day}.tif", speckle(mean))
        for day, mean in zip(DAYS, (0.27, 0.36), strict=False)
    )
    with pytest.raises(InputError, match=r"20180905.tif is in power .*20180917.tif.*sar.units="):
        calibrate_orbit(acquisitions([pre], [post]))


def test_a_tile_that_differs_from_what_the_other_declares_is_refused(tmp_path: Path) -> None:
    pre = write_image(tmp_path / "a_db_20180905.tif", 10 * np.log10(speckle(0.1)))
    post = write_image(tmp_path / "20180917.tif", speckle(0.1))
    with pytest.raises(InputError, match=r"is in db by its metadata, but .* power by its values"):
        calibrate_orbit(acquisitions([pre], [post]))


def test_units_that_only_the_values_tell_are_warned_of(tmp_path: Path) -> None:
    files = [write_image(tmp_path / f"{day}.tif", speckle(0.1)) for day in DAYS[:2]]
    dem = write_image(tmp_path / "dem.tif", np.zeros(SHAPE, np.float32))
    given = [
        f"root={tmp_path / 'scene'}",
        "event.date=2018-09-06",
        f"sar.ascending=[{files[0]},{files[1]}]",
        f"dem={dem}",
    ]
    warnings = " ".join(prepare(*given).info["warnings"])
    assert "their values show the units of 2 of 2 bands" in warnings
    assert "set sar.units=power if that is right" in warnings
    declared = prepare(*given, "sar.units=power", "overwrite=true")
    assert not declared.info["warnings"]
    units = declared.info["images"]["ascending"]["pre"]["units"]
    assert units == {"vv": {"units": "power", "known_by": "declaration"}}


def test_negative_values_are_no_power(tmp_path: Path) -> None:
    files = [
        write_image(tmp_path / f"{day}.tif", 10 * np.log10(speckle(0.1)), units="power")
        for day in DAYS[:2]
    ]
    with pytest.raises(InputError, match=r"most of its values are negative.* sar.units=db"):
        calibrate_orbit(acquisitions(*([path] for path in files)))


@pytest.mark.parametrize(
    ("letters", "store"),
    [
        ("gauned", np.sqrt),
        ("gpuned", np.asarray),
        ("sdufcm", lambda power: (10 * np.log10(power)).astype(np.float32)),
    ],
)
def test_the_letters_of_hyp3_tell_the_units_of_every_polarisation(
    letters: str, store: np.ufunc, tmp_path: Path
) -> None:
    vv, vh = speckle(0.12), speckle(0.028, 1)
    pairs = [
        [
            write_image(tmp_path / HYP3.format(day, letters, name), store(power), nodata=-999)
            for name, power in (("VV", vv), ("VH", vh))
        ]
        for day in DAYS[:2]
    ]
    dates = acquisitions(*pairs, polarisations=("vv", "vh"))
    for band, power in (("vv_pre", vv), ("vh_post1", vh)):
        np.testing.assert_allclose(power_of(dates, band), power, rtol=1e-4)
    quantity = "gamma0" if letters.startswith("g") else "sigma0"
    assert dates["pre"].product == f"{quantity}, terrain-flattened, HyP3"


def test_cross_polarised_amplitude_is_recognised_by_its_own_level(tmp_path: Path) -> None:
    pair = [
        write_image(tmp_path / f"20180905_{name}.tif", np.sqrt(speckle(power)))
        for name, power in (("VV", 0.12), ("VH", 0.03))
    ]
    dates = acquisitions(pair, polarisations=("vv", "vh"))
    units = {each.units for images in calibrate_orbit(dates).values() for _, each in images}
    assert units == {"amplitude"}


def test_scale_offset_and_nodata_of_integers_are_applied(tmp_path: Path) -> None:
    """Hundredths of decibels from -40 dB, as an archive keeps them in 16 bits."""
    power = speckle(0.1)
    stored = np.round((10 * np.log10(power) + 40) * 100).astype(np.int16)
    stored[:10] = -32768
    path = write_image(tmp_path / "20180905_VV.tif", stored, nodata=-32768, units="decibel")
    with rasterio.open(path, "r+") as sink:
        sink.scales, sink.offsets = (0.01,), (-40.0,)
    dates = acquisitions([path])
    np.testing.assert_allclose(power_of(dates, "vv_pre")[10:], power[10:], rtol=2e-3)
    ((_, calibration),) = calibrate_orbit(dates)["vv_pre"]
    assert calibration.median == pytest.approx(10 * np.log10(np.median(power)), abs=0.02)


# One kind per orbit --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sigma0_VV_mst_05Sep2018", Radiometry("sigma0", None, None)),
        ("gamma0, terrain-flattened", Radiometry("gamma0", True, None)),
        ("S1A__IW___A_20180905T084300_VV_gamma0-elp", Radiometry("gamma0", False, "pyroSAR")),
        ("sigma nought, not terrain-flattened", Radiometry("sigma0", False, None)),
        ("20180905_VV_not-terrain-flattened", Radiometry(None, False, None)),
        ("non_terrain_flattened", Radiometry(None, False, None)),
        (OPERA.format(DAYS[0], "VV"), Radiometry("gamma0", True, "OPERA")),
        ("vv_2018", Radiometry()),
    ],
)
def test_names_tell_which_backscatter_an_image_is(text: str, expected: Radiometry) -> None:
    assert Radiometry.from_texts(text) == expected
    assert Radiometry.from_texts(str(expected)) == expected


def test_gamma_with_sigma_nought_and_flattened_with_unflattened_are_refused(tmp_path: Path) -> None:
    gamma = write_image(tmp_path / "gamma0_20180905.tif", speckle(0.1))
    sigma = write_image(tmp_path / "sigma0_20180917.tif", speckle(0.1))
    other = write_image(tmp_path / "20180929.tif", speckle(0.1))
    for pair in (
        [gamma, sigma],
        [write_image(tmp_path / HYP3.format(DAYS[0], "gpuned", "VV"), speckle(0.1)), sigma],
    ):
        sources = Sources({"ascending": acquisitions(*([path] for path in pair))}, Dem(()))
        with pytest.raises(InputError, match=r"gamma0.*sigma0_20180917.tif is sigma0"):
            check_radiometry(sources)
    with pytest.raises(InputError, match=r"is gamma0 .* is sigma0"):
        acquisitions([gamma, write_image(tmp_path / "sigma0_20180905.tif", speckle(0.1))])
    # They are compared although the date between them has no such information.
    flat = write_image(tmp_path / "terrain-flattened_20180917.tif", speckle(0.1))
    last = write_image(tmp_path / "sigma0_20180929.tif", speckle(0.1))
    sources = Sources({"ascending": acquisitions([gamma], [flat], [last])}, Dem(()))
    with pytest.raises(InputError, match=r"gamma0_20180905.*sigma0_20180929.tif is sigma0"):
        check_radiometry(sources)
    same_day = [write_image(tmp_path / f"{k}_20180905.tif", speckle(0.1)) for k in ("a", "sigma0")]
    with pytest.raises(InputError, match=r"is gamma0 .* is sigma0"):
        acquisitions([same_day[0], gamma, same_day[1]])
    # The files of one date are merged before they are compared with the next date.
    raw = write_image(tmp_path / "not-terrain-flattened_20180917.tif", speckle(0.1))
    flat = write_image(tmp_path / "terrain-flattened_20180905.tif", speckle(0.1))
    sources = Sources({"ascending": acquisitions([gamma, flat], [raw])}, Dem(()))
    with pytest.raises(InputError, match=r"is gamma0, terrain-flattened and .* not terrain"):
        check_radiometry(sources)
    unknown = Sources({"ascending": acquisitions([gamma], [other])}, Dem(()))
    assert "nothing shows what post1 is" in check_radiometry(unknown)[0]


def test_images_of_different_producers_are_warned_of(tmp_path: Path) -> None:
    pre = write_image(tmp_path / HYP3.format(DAYS[0], "gpuned", "VV"), speckle(0.1))
    post = write_image(tmp_path / OPERA.format(DAYS[1], "VV"), speckle(0.1))
    sources = Sources({"ascending": acquisitions([pre], [post])}, Dem(()))
    assert "are of HyP3 and OPERA" in check_radiometry(sources)[0]


def test_one_image_given_for_two_dates_is_warned_of(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a_VV.tif", speckle(0.1))
    sources = Sources({"ascending": acquisitions([path], [path])}, Dem(()))
    assert (
        "pre and post1 are the same pixels" in check_dates(sources, Event.of("", "2018-09-06"))[0]
    )
    other = write_image(tmp_path / "b_VV.tif", speckle(0.1))
    sources = Sources({"ascending": acquisitions([path], [other], [path])}, Dem(()))
    warnings = check_dates(sources, Event.of("", "2018-09-06"))
    assert "pre and post2 are the same pixels" in warnings[0]


def test_a_day_of_an_option_that_is_not_the_files_own_is_noted(tmp_path: Path) -> None:
    files = [write_image(tmp_path / f"{day}_VV.tif", speckle(0.1)) for day in DAYS[:2]]
    given = ("root=x", "event.date=2018-09-06", "sar.dates.ascending=[2018-09-05,2018-09-29]")
    sources = Sources({"ascending": acquisitions(*([path] for path in files))}, Dem(()))
    dates = apply_options(sources, compose_preparation(*given).sar).orbits["ascending"]
    assert dates["pre"].notes == ()
    assert (
        "own day is 2018-09-17, but sar.dates.ascending says 2018-09-29" in dates["post1"].notes[0]
    )
    assert str(dates["post1"].day) == "2018-09-29"


# Which band is which -------------------------------------------------------------------------

SNAP = ("Sigma0_VV_mst_05Sep2018", "Sigma0_VV_slv1_17Sep2018", "Sigma0_VV_slv2_29Sep2018")


def test_bands_of_a_stack_are_chosen_by_day(tmp_path: Path) -> None:
    path = stack(tmp_path / "Stack_TC.tif", SNAP, (0.1, 0.2, 0.4))
    given = (
        "root=x",
        "event.date=2018-09-06",
        f"dem={path}",
        f"sar.ascending=[{path},{path},{path}]",
    )
    event = Event.of("", "2018-09-06")
    with pytest.raises(InputError, match=r"3 bands of VV .*\[2018-09-05,2018-09-17,2018-09-29\]"):
        acquire_from_files(compose_preparation(*given), event)
    days = "sar.dates.ascending=[2018-09-05,2018-09-17,2018-09-29]"
    dates = acquire_from_files(compose_preparation(*given, days), event).orbits["ascending"]
    assert [a.tiles["vv"][0].band for a in dates.values()] == [1, 2, 3]
    assert [str(a.day) for a in dates.values()] == ["2018-09-05", "2018-09-17", "2018-09-29"]
    with pytest.raises(InputError, match=r"3 bands of VV .* and none of 2018-09-06"):
        read_acquisition([path], ["vv"], NUMBERS, date(2018, 9, 6))


def test_several_bands_of_one_polarisation_without_days_are_asked_about(tmp_path: Path) -> None:
    path = stack(
        tmp_path / "20180905.tif", ("Intensity_VV", "Sigma0_VV", "VV_coherence"), (1, 2, 3)
    )
    with pytest.raises(
        InputError, match=r"2 bands of VV \(1 Intensity_VV, 2 Sigma0_VV\).*bands.vv"
    ):
        read_acquisition([path], ["vv"], NUMBERS)
    assert read_acquisition([path], ["vv"], {"vv": 2}).tiles["vv"][0].band == 2


def test_a_ratio_of_polarisations_is_neither(tmp_path: Path) -> None:
    path = stack(tmp_path / "20180905.tif", ("VV", "VH", "VV/VH"), (0.1, 0.02, 5))
    tiles = read_acquisition([path], ["vv", "vh"], NUMBERS).tiles
    assert [tile.band for found in tiles.values() for tile in found] == [1, 2]
    ratio = write_image(tmp_path / "VV_VH_20180905.tif", speckle(5))
    with pytest.raises(InputError, match="contains VH and VV"):
        read_acquisition([ratio], ["vv"], NUMBERS)


def test_a_file_that_names_no_polarisation_is_not_silently_vv(tmp_path: Path) -> None:
    path = write_image(tmp_path / "20180905.tif", speckle(0.1))
    assert read_acquisition([path], ["vv"], NUMBERS).notes == (
        "20180905.tif names no polarisation and is taken for vv",
    )
    with pytest.raises(InputError, match="does not say which polarisation"):
        read_acquisition([path], ["vv", "vh"], NUMBERS)
    named = write_image(tmp_path / "20180905_VV.tif", speckle(0.1))
    with pytest.raises(InputError, match=r"20180905.tif does not say which polarisation"):
        read_acquisition([named, path], ["vv"], NUMBERS)


@pytest.mark.parametrize(
    "name", ["mask", "ls_map", "inc_map", "inc_map_ell", "dem", "area", "rgb", "VV_coherence"]
)
def test_files_beside_the_backscatter_are_left_out(name: str, tmp_path: Path) -> None:
    stem = HYP3.format(DAYS[0], "gpuned", "{}")
    image = write_image(tmp_path / stem.format("VV"), speckle(0.1), nodata=0)
    other = write_image(tmp_path / stem.format(name), np.full(SHAPE, 2, np.uint8), nodata=None)
    found = read_acquisition([other, image], ["vv"], NUMBERS)
    assert [tile.path for tile in found.tiles["vv"]] == [image]
    assert name in found.notes[0]
    with pytest.raises(InputError, match="is no backscatter by its name"):
        read_acquisition([other], ["vv"], NUMBERS)


def test_files_of_one_date_are_of_one_overpass(tmp_path: Path) -> None:
    first, second, later = (
        write_image(
            tmp_path / f"S1A_IW_GRDH_1SDV_{start}_{start}_{orbit}_02910F_ABCD_VV.tif", speckle(0.1)
        )
        for start, orbit in (
            ("20180905T084300", "023590"),
            ("20180905T084325", "023590"),
            ("20180917T084300", "023765"),
        )
    )
    assert read_acquisition([second, first], ["vv"], NUMBERS).time.second == 0  # type: ignore[union-attr]
    with pytest.raises(InputError, match="are given for one date"):
        read_acquisition([first, later], ["vv"], NUMBERS)


def test_an_invalid_tag_for_the_pass_is_refused(tmp_path: Path) -> None:
    for state, expected in (("DESC", "descending"), ("Ascending", "ascending")):
        path = write_image(tmp_path / "a.tif", speckle(0.1), orbit_state=state)
        assert read_facts(path)["direction"] == expected
    path = write_image(tmp_path / "a.tif", speckle(0.1), orbit_state="north")
    with pytest.raises(InputError, match="the tag for the pass is 'north'"):
        read_facts(path)


# Tracks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "orbit", "day", "expected"),
    [
        # Published relations of products' absolute and relative orbits.
        ("S1A", 32904, date(2020, 6, 7), 107),
        ("S1B", 30148, date(2021, 12, 23), 22),
        ("S1C", 1681, date(2025, 4, 1), 110),
        ("S1C", 8018, date(2026, 6, 7), 147),
        ("S1C", 8125, date(2026, 7, 3), 152),
        ("S1C", 8100, date(2026, 6, 15), None),  # on its way to another place
        ("S1D", 2389, date(2026, 3, 13), 73),
        ("S1E", 100, date(2030, 1, 1), None),
    ],
)
def test_tracks_follow_from_satellite_orbit_and_day(
    platform: str, orbit: int, day: date, expected: int | None
) -> None:
    assert track_number(platform, orbit, day) == expected
    start = f"{day:%Y%m%d}T084300"
    facts = facts_from_name(f"{platform}_IW_GRDH_1SDV_{start}_{start}_{orbit:06d}_02910F_ABCD_VV")
    assert facts.get("relative_orbit") == expected
    assert facts["platform"] == platform


def test_operas_names_tell_track_time_satellite_and_units() -> None:
    facts = facts_from_name(OPERA.format(DAYS[0], "VV"))
    assert (facts["relative_orbit"], facts["platform"]) == (68, "S1A")
    assert facts["time"].isoformat() == "2018-09-05T08:43:00+00:00"
    assert units_from_texts(OPERA.format(DAYS[0], "VV")) == "power"


@pytest.mark.parametrize(
    ("name", "units"),
    [
        ("power_station_vv.tif", None),
        ("vv_interpolated-linear.tif", None),
        ("S1_20180905_VV_power.tif", "power"),
        ("S1_gamma0_linear_20180905.tif", "power"),
        ("S1_intensity_VH.tif", "power"),
        ("S1_20180905_VV_dB.tif", "db"),
        ("S1_20180905_amplitude_VV.tif", "amplitude"),
        ("vh_2018_amp_valley.tif", None),
        ("S1_20180905_VV_amp.tif", "amplitude"),
        ("S1A_VV_20180905_Orb_Cal_TC_dB.tif", "db"),
        (OPERA.format(DAYS[0], "VV"), "power"),
    ],
)
def test_a_files_name_tells_units_only_of_what_is_measured(name: str, units: str | None) -> None:
    assert units_from_name(name) == units


def test_a_tag_that_is_no_unit_tells_nothing_of_units(tmp_path: Path) -> None:
    path = write_image(tmp_path / "20180905_VV.tif", speckle(0.1))
    with rasterio.open(path, "r+") as file:
        file.update_tags(1, interpolation_method="linear")
        assert units_from_texts(*texts_on_units(file, Tile(path, 1))) is None
        file.update_tags(1, units="linear power")
        assert units_from_texts(*texts_on_units(file, Tile(path, 1))) == "power"

"""Simulated stacks: many dates of each orbit, and what is known of them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rich.console import Console

from landslide.errors import InputError
from landslide.radar.coregistration import measure_shift
from landslide.radar.stack import date_band, dates_path, read_dates, stack_bands
from landslide.simulate import default_options, simulate, simulate_scene
from landslide.simulate.options import Dates
from landslide.simulate.summary import print_summary

SIZE = (128, 160)
DEFAULTS = default_options()
UNCHANGED = replace(
    DEFAULTS,
    changes=replace(
        DEFAULTS.changes,
        **dict.fromkeys(("forest", "farmland", "moisture", "harvested", "flooded", "felled"), 0.0),
    ),
    radar=replace(DEFAULTS.radar, noise=-60.0, geolocation=0.0),
)
"""Only speckle, rain, geolocation and landslides change an image."""

WITHOUT_STACK = {
    "ascending": {"vv_pre": 0.0894034604, "vv_post2": 0.1745304588, "vh_post1": 0.0409180295},
    "descending": {"vv_pre": 0.1341684072, "vv_post2": 0.1384019928, "vh_post1": 0.0304023451},
}
"""Means of pixels times their number from 0 to 1, of seed 3, from before there were stacks."""


def read(path: Path) -> dict[str, np.ndarray]:
    with rasterio.open(path) as source:
        return dict(zip(source.descriptions, source.read(), strict=True))


def stack_info(root: Path, orbit: str = "ascending") -> list[dict[str, object]]:
    return json.loads((root / "scene.json").read_text())["stack"][orbit]  # type: ignore[no-any-return]


def decibels(images: Mapping[str, np.ndarray]) -> np.ndarray:
    return 10 * np.log10(np.stack(list(images.values())).astype(np.float64))


@pytest.fixture(scope="module", autouse=True)
def without_figures() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("landslide.simulate.output.draw_overview", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes") / "stack"
    simulate_scene(root, size=SIZE, seed=3, polarisations=["vv", "vh"], dates=Dates(4, 3))
    return root


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scene of ``stack`` without one."""
    root = tmp_path_factory.mktemp("scenes") / "plain"
    simulate_scene(root, size=SIZE, seed=3, polarisations=["vv", "vh"], dates=Dates(1, 2))
    return root


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen dates before the landslides on ground that rain alone changes."""
    root = tmp_path_factory.mktemp("scenes") / "unchanged"
    simulate_scene(root, size=SIZE, seed=1, options=UNCHANGED, dates=Dates(16, 2))
    return root


def test_a_scene_without_a_stack_is_what_it_was(plain: Path) -> None:
    assert not (plain / "dates").exists()
    text = json.loads((plain / "scene.json").read_text())
    assert "stack" not in text
    assert "dates" not in text["options"]
    place = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) / (SIZE[0] * SIZE[1])
    for orbit, pinned in WITHOUT_STACK.items():
        bands = read(plain / f"{orbit}.tif")
        assert len(bands) == 9
        found = {band: (bands[band] * place).mean() for band in pinned}
        assert found == pytest.approx(pinned, rel=1e-5)


@pytest.mark.slow
def test_further_dates_leave_the_others_as_they_are(
    plain: Path, stack: Path, tmp_path: Path
) -> None:
    simulate_scene(tmp_path, size=SIZE, seed=3, dates=Dates(2, 2))
    for orbit in ("ascending", "descending"):
        without, bands = (read(root / f"{orbit}.tif") for root in (plain, stack))
        assert [*without, *stack_bands(["vv", "vh"])] == list(bands)
        for band, image in without.items():
            np.testing.assert_array_equal(bands[band], image)
        fewer, more = (read(dates_path(root, orbit)) for root in (tmp_path, stack))
        assert set(fewer) < set(more)
        for band, image in fewer.items():
            np.testing.assert_array_equal(more[band], image)


@pytest.mark.parametrize("orbit", ["ascending", "descending"])
def test_the_file_of_dates_holds_every_date_on_the_grid_of_the_scene(
    stack: Path, orbit: str
) -> None:
    with (
        rasterio.open(dates_path(stack, orbit)) as dates,
        rasterio.open(stack / f"{orbit}.tif") as composite,
    ):
        assert (dates.crs, dates.transform) == (composite.crs, composite.transform)
        assert dates.tags()["simulated"] == "true"
        assert np.isnan(dates.nodata)
        days = list(read_dates(dates.descriptions))
    assert set(np.diff(days)) == {days[1] - days[0]}
    assert (days[1] - days[0]).days == 12
    images, bands = read(dates_path(stack, orbit)), read(stack / f"{orbit}.tif")
    assert list(images) == [date_band(p, day) for day in days for p in ("vv", "vh")]
    for polarisation in ("vv", "vh"):
        for name, index in (("pre", 3), ("post1", 4), ("post2", 5)):
            single = images[date_band(polarisation, days[index])]
            np.testing.assert_array_equal(bands[f"{polarisation}_{name}"], single)


@pytest.mark.parametrize("orbit", ["ascending", "descending"])
def test_bands_of_the_stack_are_those_of_its_dates(stack: Path, orbit: str) -> None:
    images, bands = read(dates_path(stack, orbit)), read(stack / f"{orbit}.tif")
    info = stack_info(stack, orbit)
    for polarisation in ("vv", "vh"):
        cube = np.stack([image for name, image in images.items() if name.startswith(polarisation)])
        cube = cube.astype(np.float64)
        offsets = np.array([date["offset_db"][polarisation] for date in info])  # type: ignore[index]
        scatter = (10 * np.log10(cube) - offsets[:, None, None])[:4].std(axis=0, ddof=1)
        for name, expected in (
            ("pre_mean", cube[:4].mean(axis=0)),
            ("post_mean", cube[4:].mean(axis=0)),
            ("pre_std", scatter),
        ):
            np.testing.assert_allclose(bands[f"{polarisation}_{name}"], expected, rtol=1e-4)
    assert (bands["pre_count"] == 4).all()
    assert (bands["post_count"] == 3).all()


def test_the_scene_says_what_is_true_of_each_date(stack: Path) -> None:
    info = stack_info(stack)
    assert [date["side"] for date in info] == ["pre"] * 4 + ["post"] * 3
    assert [date["date"] for date in info][2:5] == ["2018-08-24", "2018-09-05", "2018-09-17"]
    assert info[3]["time"] == "2018-09-05T17:45:36+09:00"
    assert info[3]["offset_db"] == {"vv": 0.0, "vh": 0.0}
    assert all(date["coverage"] == 1 for date in info)
    text = json.loads((stack / "scene.json").read_text())
    assert text["options"]["dates"] == {"before": 4, "after": 3}
    moved = text["whole_dates_moved_db"]["ascending"]
    between = moved["vh_post1"] - moved["vh_pre"]
    assert info[4]["offset_db"]["vh"] == pytest.approx(between, abs=0.0015)  # type: ignore[index]


@pytest.mark.slow
def test_offsets_are_those_of_the_images(unchanged: Path) -> None:
    for orbit in ("ascending", "descending"):
        levels = np.median(decibels(read(dates_path(unchanged, orbit))), axis=(1, 2))[:16]
        offsets = np.array([date["offset_db"]["vv"] for date in stack_info(unchanged, orbit)[:16]])  # type: ignore[index]
        assert offsets.std() > 0.8
        np.testing.assert_allclose(levels - levels.mean(), offsets - offsets.mean(), atol=0.2)


@pytest.mark.slow
def test_shifts_are_those_of_the_images(tmp_path: Path) -> None:
    # Ground that speckle hides less shows how far an image lies off.
    radar = replace(UNCHANGED.radar, geolocation=10.0, looks=10.0)
    options = replace(UNCHANGED, radar=radar)
    simulate_scene(tmp_path, size=(256, 256), seed=1, options=options, dates=Dates(before=3))
    for orbit in ("ascending", "descending"):
        images = list(read(dates_path(tmp_path, orbit)).values())[:3]
        east, north = np.array([date["shift"] for date in stack_info(tmp_path, orbit)[:3]]).T
        for index in (0, 1):
            found = measure_shift(images[index][None], images[2][None])
            assert found is not None
            assert 10 * found.cols == pytest.approx(east[index] - east[2], abs=2.5)
            assert -10 * found.rows == pytest.approx(north[index] - north[2], abs=2.5)


@pytest.mark.slow
def test_a_mean_of_eight_dates_scatters_less_by_the_root_of_eight(unchanged: Path) -> None:
    one, eight = [], []
    for orbit in ("ascending", "descending"):
        power = np.stack(list(read(dates_path(unchanged, orbit)).values())[:16])
        power /= np.median(power, axis=(1, 2), keepdims=True)  # without rain
        power /= power.mean(axis=0)
        one.append(power.var(axis=0, ddof=1).mean())
        eight.append(power.reshape(2, 8, *SIZE).mean(axis=1).var(axis=0, ddof=1).mean())
    assert np.sqrt(np.mean(one) / np.mean(eight)) == pytest.approx(np.sqrt(8), rel=0.04)
    # Neighbours correlate by 2^-½; bilinear resampling along an axis leaves (2 + 2^-½) / 3.
    looks = DEFAULTS.radar.looks / ((2 + 2**-0.5) / 3) ** 2
    assert np.sqrt(np.mean(one)) == pytest.approx(looks**-0.5, rel=0.04)


@pytest.mark.slow
def test_no_landslide_shows_before_the_earthquake() -> None:
    fewer = replace(UNCHANGED, slides=replace(UNCHANGED.slides, share=0.01))
    scene, other = (
        simulate(SIZE, 1, options=options, dates=Dates(2, 2)) for options in (UNCHANGED, fewer)
    )
    slid = (scene.slid_share > 0.9) & (other.slid_share == 0)
    assert slid.sum() > 500
    for orbit, stack in scene.stacks.items():
        for date, same in zip(stack, other.stacks[orbit], strict=True):
            change = np.abs(10 * np.log10(date.images["vv"] / same.images["vv"]))
            if date.side == "pre":
                assert not change.any()
            else:
                assert change[slid].mean() > 1


def test_the_report_names_the_dates_of_a_stack(tmp_path: Path) -> None:
    console = Console(record=True, width=120)
    print_summary(simulate((64, 64), dates=Dates(3, 2)), tmp_path, console)
    text = console.export_text()
    assert "ascending: a stack of 5 dates, 2018-08-12 to 2018-09-29" in text
    assert "descending: a stack of 5 dates, 2018-08-08 to 2018-09-25" in text


@pytest.mark.parametrize(("dates", "key"), [(Dates(0, 2), "before=0"), (Dates(8, 1), "after=1")])
def test_too_few_dates_are_refused(dates: Dates, key: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"dates\.{key} is not a whole number from"):
        simulate_scene(tmp_path / "scene", dates=dates)
    assert list(tmp_path.iterdir()) == []

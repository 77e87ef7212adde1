"""Dates of a stack that lie off the others, and dates that are brighter as a whole."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from builders import write_image
from commands import prepare, run_here
from rasterio.crs import CRS
from scipy.ndimage import gaussian_filter

from landslide.geo.grid import Grid
from landslide.prepare.prepare import Prepared
from landslide.radar.coregistration import measure_shift, shift_image

GRID = Grid(CRS.from_epsg(32610), Affine(20, 0, 500_000, 0, -20, 3_800_000), 128, 160)
DAYS = ["0730", "0811", "0823", "0904", "0916"]
EVENT = "event.date=2018-09-06T12:00:00Z"


@pytest.fixture(autouse=True)
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out figures."""
    monkeypatch.setattr("landslide.prepare.prepare.draw_figures", lambda *_: None)


def texture() -> np.ndarray:
    """Backscatter in dB of a landscape with details of some pixels, larger than the grid."""
    rng = np.random.default_rng(0)
    details = gaussian_filter(rng.normal(size=(GRID.height + 20, GRID.width + 20)), 1.2)
    return -10 + 3 * details / details.std()


def write_dates(
    folder: Path, shifts: dict[str, tuple[int, int]], offsets: dict[str, float]
) -> dict[str, np.ndarray]:
    """Write dates of a landscape that are shifted by whole pixels and brighter by decibels.

    Returns:
        Each date as it would be without its shift.
    """
    unshifted = {}
    for number, day in enumerate(DAYS):
        rng = np.random.default_rng(number + 1)
        power = 10 ** ((texture() + offsets.get(day, 0)) / 10) * rng.gamma(8, 1 / 8, (148, 180))
        rows, cols = shifts.get(day, (0, 0))
        image = power[10 - rows :, 10 - cols :][: GRID.height, : GRID.width]
        write_image(folder / f"S1A_2018{day}T084300_VV.tif", image.astype(np.float32), GRID)
        unshifted[day] = power[10:, 10:][: GRID.height, : GRID.width].astype(np.float32)
    return unshifted


def prepared_from(folder: Path, root: Path, *more: str) -> Prepared:
    return prepare(
        *(f"root={root}", EVENT, f"sar.ascending={folder}", "dem=none", "sar.units=power"),
        *("grid.resolution=20", "sar.before=4", "sar.after=1", *more),
    )


def read(path: Path) -> dict[str, np.ndarray]:
    with rasterio.open(path) as source:
        return dict(zip(source.descriptions, source.read(), strict=True))


@pytest.mark.slow
def test_a_shifted_date_is_found_in_metres_and_moved_back_on_request(tmp_path: Path) -> None:
    # 1 px northwards and 2 px eastwards.
    unshifted = write_dates(tmp_path / "images", {"0811": (-1, 2)}, {})
    measured = prepared_from(tmp_path / "images", tmp_path / "measured").info
    found = {date["date"]: date for date in measured["stack"]["ascending"]}
    assert found["2018-08-11"]["shift"] == pytest.approx([40, 20], abs=2)
    assert not found["2018-08-11"]["corrected"]
    others = [date["shift"] for day, date in found.items() if day != "2018-08-11"]
    assert np.hypot(*np.transpose(others)).max() < 2
    (warning,) = (text for text in measured["warnings"] if "sar.coregister=correct" in text)
    assert re.search(r"a date lies \(2018-08-11 by 4[45]\.\d m\) off the other dates", warning)

    option = "sar.coregister=correct"
    corrected = prepared_from(tmp_path / "images", tmp_path / "corrected", option).info
    assert [date["corrected"] for date in corrected["stack"]["ascending"]] == [
        day == "0811" for day in DAYS
    ]
    assert not any("sar.coregister" in text for text in corrected["warnings"])
    assert any("a date lies (2018-08-11 by 4" in note for note in corrected["notes"])
    dates = read(tmp_path / "corrected" / "dates" / "ascending.tif")
    inner = (slice(3, -3), slice(3, -3))
    change = 10 * np.log10(dates["vv_20180811"][inner] / unshifted["0811"][inner])
    assert np.abs(np.median(change)) < 0.1
    assert (
        np.corrcoef(dates["vv_20180811"][inner].ravel(), unshifted["0811"][inner].ravel())[0, 1]
        > 0.97
    )

    off = prepared_from(tmp_path / "images", tmp_path / "off", "sar.coregister=off").info
    assert {date["shift"] for date in off["stack"]["ascending"]} == {None}


def test_the_offset_of_a_date_is_found_beside_landslides(tmp_path: Path) -> None:
    # The last date is 2.5 dB brighter, and a sixth of the ground has become 6 dB darker.
    write_dates(tmp_path / "images", {}, {"0916": 2.5, "0811": -1.5})
    path = tmp_path / "images" / "S1A_20180916T084300_VV.tif"
    with rasterio.open(path, "r+") as image:
        power = image.read(1)
        power[20:48, 20:140] *= 10 ** (-6 / 10)
        image.write(power, 1)
    dates = prepared_from(tmp_path / "images", tmp_path / "scene").info["stack"]["ascending"]
    offsets = {date["date"]: date["offset_db"]["vv"] for date in dates}
    assert offsets["2018-09-04"] == 0
    assert offsets["2018-09-16"] == pytest.approx(2.5, abs=0.3)
    assert offsets["2018-08-11"] == pytest.approx(-1.5, abs=0.1)
    assert offsets["2018-07-30"] == pytest.approx(0, abs=0.1)
    # The scatter is that of the dates without their offsets.
    rasters = read(tmp_path / "scene" / "dates" / "ascending.tif")
    balanced = [
        10 * np.log10(rasters[f"vv_{date['date'].replace('-', '')}"]) - date["offset_db"]["vv"]
        for date in dates[:4]
    ]
    scatter = read(tmp_path / "scene" / "ascending.tif")["vv_pre_std"]
    np.testing.assert_allclose(scatter, np.std(balanced, axis=0, ddof=1), rtol=1e-4)


@pytest.mark.slow
def test_the_offset_of_a_rain_front_is_found_in_each_window_beside_landslides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Simulated: rain brightens the west by 3.5 dB, and a fifth of one window of 10 km failed."""
    grid = GRID._replace(height=1100, width=1650)
    x = np.linspace(-1, 1, grid.width)
    rain = 1.75 * (1 - np.tanh(3 * x)) * np.ones((grid.height, 1))
    rng = np.random.default_rng(0)
    hills = -10 + 3 * gaussian_filter(rng.normal(size=rain.shape), 3) / 0.1
    for day in DAYS[2:]:
        power = 10 ** (hills / 10) * rng.gamma(4, 1 / 4, rain.shape)
        if day == DAYS[-1]:
            power *= 10 ** (rain / 10)
            power[50:300, 50:500] *= 10 ** (-5 / 10)
        write_image(
            tmp_path / "images" / f"S1A_2018{day}T084300_VV.tif", power.astype(np.float32), grid
        )
    options = ["dem=none", "sar.units=power", "grid.resolution=20", "sar.before=2", "sar.after=1"]
    run_here(
        *("prepare", f"root={tmp_path / 'scene'}", EVENT, f"sar.ascending={tmp_path / 'images'}"),
        *("sar.coregister=off", *options),
        cwd=tmp_path,
    )
    info = json.loads((tmp_path / "scene" / "scene.json").read_text())
    tiles = [date["tile_offset_db"]["vv"] for date in info["stack"]["ascending"]]
    put_in = rain.reshape(2, 550, 3, 550).mean(axis=(1, 3))
    np.testing.assert_allclose(tiles[-1], put_in, atol=0.3)
    np.testing.assert_allclose(tiles[0], 0, atol=0.05)
    printed = capsys.readouterr().out
    shown = re.search(r"2018-09-16 .*\((\S+) to (\S+)\)", printed)
    assert shown
    assert [float(end) for end in shown.groups()] == pytest.approx(
        [put_in.min(), put_in.max()], abs=0.3
    )
    assert not re.search(r"2018-08-23 .* to ", printed)


def real_dates(bursts: Path, burst: str) -> list[Path]:
    """VV and VH of the ten dates from December 2022 to December 2023."""
    files = sorted((bursts / burst).glob("*.tif"), key=lambda path: path.name.split("_")[4])
    return [path for path in files if "202212" < path.name.split("_")[4] < "2024"][-20:]


def copy_shifted(path: Path, folder: Path, shift: tuple[float, float]) -> None:
    with rasterio.open(path) as source:
        image, grid = source.read(1), Grid.of(source)
    write_image(folder / path.name, shift_image(image, *shift) if any(shift) else image, grid)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("burst", "shift"),
    [
        ("T137-292321-IW2", (0.2, 0.0)),
        ("T137-292322-IW2", (-0.5, 0.7)),
        ("T137-292323-IW2", (1.0, -1.2)),
        ("T137-292324-IW2", (0.0, 2.0)),
    ],
)
def test_shifts_put_into_real_bursts_are_found_and_corrected(
    burst: str, shift: tuple[float, float], real_data: Path, tmp_path: Path
) -> None:
    files = real_dates(real_data / "opera_rtc_quiet", burst)
    day = files[6].name.split("_")[4][:8]
    for path in files:
        copy_shifted(path, tmp_path / "plain", (0, 0))
        copy_shifted(path, tmp_path / "moved", shift if f"_{day}T" in path.name else (0, 0))

    def shifts(folder: str, root: str, mode: str) -> dict[str, np.ndarray]:
        """Pixels southwards and eastwards of each date."""
        prepared = prepare(
            *(f"root={tmp_path / root}", "event.date=2023-12-10", "grid.resolution=30"),
            *(f"sar.ascending={tmp_path / folder}", "dem=none", f"sar.coregister={mode}"),
            *("sar.before=8", "sar.after=2", "sar.polarisations=[vv,vh]"),
        )
        return {
            date["date"].replace("-", ""): np.array([-date["shift"][1], date["shift"][0]]) / 30
            for date in prepared.info["stack"]["ascending"]
        }

    before = shifts("plain", "plain_scene", "measure")
    assert max(np.hypot(*found) for found in before.values()) < 0.12
    after = shifts("moved", "moved_scene", "correct")
    for date, found in after.items():
        put_in = np.array(shift if date == day else (0, 0))
        assert np.hypot(*(found - before[date] - put_in)) < 0.1
    dates = read(tmp_path / "moved_scene" / "dates" / "ascending.tif")
    moved = np.stack([dates.pop(f"{polarisation}_{day}") for polarisation in ("vv", "vh")])
    others = [
        np.exp(np.mean([np.log(image) for name, image in dates.items() if name[:2] == p], axis=0))
        for p in ("vv", "vh")
    ]
    remaining = measure_shift(moved, np.stack(others))
    assert remaining is not None
    assert remaining.distance < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("burst", ["T137-292323-IW2", "T137-292324-IW2"])
def test_rain_over_real_hills_is_an_offset(burst: str, real_data: Path, tmp_path: Path) -> None:
    prepared = prepare(
        *(f"root={tmp_path}", "event.date=2023-12-10", "grid.resolution=30", "dem=none"),
        f"sar.ascending={real_data / 'opera_rtc_quiet' / burst}",
        *("sar.before=8", "sar.after=2", "sar.polarisations=[vv,vh]"),
    )
    dates = prepared.info["stack"]["ascending"]
    rasters = read(tmp_path / "dates" / "ascending.tif")
    for polarisation in ("vv", "vh"):
        last, rainy = (rasters[f"{polarisation}_2023{day}"] for day in ("1203", "1227"))
        median = float(np.nanmedian(10 * np.log10(rainy / last)))
        assert dates[-1]["offset_db"][polarisation] == pytest.approx(median, abs=0.5)
        before = np.median([date["offset_db"][polarisation] for date in dates[:8]])
        assert 2.0 < dates[-1]["offset_db"][polarisation] - before < 3.2

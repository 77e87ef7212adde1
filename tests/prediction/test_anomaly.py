"""The anomaly of OPERA's network as a band and a detector; the network where it is installed."""

import json
import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from builders import make_stack
from commands import map_with, run_here

from landslide.geo.grid import Grid
from landslide.geo.rasters import write_raster
from landslide.prediction.anomaly import add_anomaly
from landslide.radar.stack import StackStatistics, date_band, dates_path


def expect_the_past(
    network: object, vv: list[np.ndarray], vh: list[np.ndarray], **_: object
) -> tuple[np.ndarray, np.ndarray]:
    """In place of the network: the mean of the dates before, with a deviation of 0.5."""
    mean = np.stack([np.mean(vv, axis=0), np.mean(vh, axis=0)])
    return mean, np.full_like(mean, 0.5)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = SimpleNamespace(
        load_transformer_model=lambda *_, **__: None, estimate_normal_params=expect_the_past
    )
    monkeypatch.setitem(sys.modules, "distmetrics", stand_in)


def read(path: Path) -> dict[str, np.ndarray]:
    with rasterio.open(path) as source:
        return dict(zip(source.descriptions, source.read(), strict=True))


@pytest.mark.slow
@pytest.mark.usefixtures("package")
def test_the_anomaly_is_a_band_beside_the_others_and_knows_no_rain(tmp_path: Path) -> None:
    root = make_stack(tmp_path / "scene", rain=[0, 0, 2, 0, 0, 0, 3, 3])
    before = read(root / "ascending.tif")
    for _ in range(2):  # the second replaces the band of the first
        run_here("anomaly", f"root={root}", "quiet=0", cwd=tmp_path)
    after = read(root / "ascending.tif")
    assert list(after) == [*before, "anomaly"]
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)
    truth = read(root / "landslides.tif")["landslides"]
    # 5 dB are ln(10^0.5) = 1.15 in logits of small powers, over a deviation of 0.5.
    assert np.median(after["anomaly"][truth == 1]) == pytest.approx(2.3, abs=0.4)
    assert np.median(after["anomaly"][truth == 0]) < 0.7


@pytest.mark.usefixtures("package")
def test_finer_grids_are_averaged_to_30_metres(tmp_path: Path) -> None:
    root = make_stack(tmp_path / "scene", size=(121, 200), res=10)
    add_anomaly(root)
    anomaly = read(root / "ascending.tif")["anomaly"]
    assert anomaly.shape == (121, 200)
    assert (anomaly[:120, :198].reshape(40, 3, 66, 3).std(axis=(1, 3)) < 1e-6).all()


@pytest.mark.slow
@pytest.mark.usefixtures("package")
def test_the_anomaly_maps_by_name_with_both_orbits(tmp_path: Path) -> None:
    root = make_stack(tmp_path / "scene")
    add_anomaly(root)
    summary = map_with(
        *("checkpoint=anomaly", "orbit=both", "percentile=95"),
        *(f"scene={root}", f"output={tmp_path / 'map'}"),
    )
    assert summary["bands"] == ["anomaly", "anomaly@descending", "slope"]
    metrics = json.loads((tmp_path / "map" / "metrics.json").read_text())
    assert metrics["average_precision"] > 0.9


@pytest.mark.slow
@pytest.mark.usefixtures("package")
def test_quiet_dates_are_those_of_a_scene_whose_event_came_earlier(tmp_path: Path) -> None:
    # Two events of two dates each that share none, against all earlier dates.
    root = make_stack(tmp_path / "scene", before=6, slides=0, size=(64, 80))
    run_here("anomaly", f"root={root}", cwd=tmp_path)
    quiet = read(root / "dates" / "ascending_anomaly.tif")
    assert list(quiet) == ["anomaly_20180625_20180707", "anomaly_20180719_20180731"]
    earlier = make_stack(tmp_path / "earlier", before=4, slides=0, size=(64, 80))
    add_anomaly(earlier)
    expected = read(earlier / "ascending.tif")["anomaly"]
    np.testing.assert_allclose(quiet["anomaly_20180719_20180731"], expected, rtol=1e-5)
    run_here("anomaly", f"root={root}", "quiet=0", cwd=tmp_path)
    assert not (root / "dates" / "ascending_anomaly.tif").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("package")
def test_the_threshold_of_the_anomaly_maps_the_false_alarms_asked_for(tmp_path: Path) -> None:
    root = make_stack(tmp_path / "scene", rain=[0, 2, 0, 0, 0, -1, 3, 3], slides=0)
    add_anomaly(root, quiet=2)
    summary = map_with(
        *("checkpoint=anomaly", "orbit=both", "false_alarms=0.02", "min_area=0"),
        *(f"scene={root}", f"output={tmp_path / 'map'}"),
    )
    score = read(tmp_path / "map" / "score.tif")["score"]
    assert 0.01 < np.mean(score[score > -20] > summary["threshold"]) < 0.04  # type: ignore[operator]
    alarms = summary["false_alarms"]
    assert list(alarms["by_date"]) == ["2018-06-25 2018-07-07", "2018-07-19 2018-07-31"]  # type: ignore[index]
    assert (alarms["dates_before"], alarms["dates_after"]) == (2, 2)  # type: ignore[index]


@pytest.mark.parametrize("words", [["quiet=1"], ["quiet=9"], ["quiet=2.5"]])
def test_quiet_dates_are_counted_in_whole_numbers(words: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"quiet=.*0 or a whole number from 2 to 8"):
        run_here("anomaly", f"root={tmp_path}", *words, cwd=tmp_path)


def test_without_the_package_one_sentence_names_the_next_best(
    stack_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distmetrics", None)
    with pytest.raises(SystemExit, match=r"Python 3\.12 or newer.*change_z"):
        run_here("anomaly", f"root={stack_root}", cwd=tmp_path)
    with pytest.raises(ValueError, match=r"needs the band anomaly.*change_z"):
        map_with("checkpoint=anomaly", f"scene={stack_root}", f"output={tmp_path / 'map'}")


@pytest.mark.usefixtures("package")
def test_a_scene_without_dates_is_one_sentence(scene_root: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"two dates before the event.*sar\.before=3"):
        run_here("anomaly", f"root={scene_root}", cwd=tmp_path)


@pytest.mark.slow
def test_rain_on_real_hills_is_no_anomaly(real_data: Path, tmp_path: Path) -> None:
    """Unbalanced, the network calls 72 % of this quiet burst changed."""
    pytest.importorskip("distmetrics", reason="an optional extra")
    images: dict[str, np.ndarray] = {}
    entries, stack = [], StackStatistics((100, 100), ["vv", "vh"])
    files = sorted((real_data / "opera_rtc_quiet" / "T137-292324-IW2").glob("*_VV.tif"))[12:20]
    for number, file in enumerate(files):
        day = datetime.strptime(file.name.split("_")[4][:8], "%Y%m%d").date()
        side = "post" if number == 7 else "pre"
        entries.append({"date": day.isoformat(), "side": side})
        for name in ("vv", "vh"):
            with rasterio.open(str(file).replace("_VV.tif", f"_{name.upper()}.tif")) as source:
                grid, images[date_band(name, day)] = Grid.of(source), source.read(1)
        stack.add(side, {name: images[date_band(name, day)] for name in ("vv", "vh")})
    for path, bands in (
        (dates_path(tmp_path, "ascending"), images),
        (tmp_path / "ascending.tif", stack.bands()),
    ):
        write_raster(path, np.stack(list(bands.values())), grid, list(bands), np.nan)
    (tmp_path / "scene.json").write_text(json.dumps({"stack": {"ascending": entries}}))
    add_anomaly(tmp_path)
    assert np.mean(read(tmp_path / "ascending.tif")["anomaly"] > 4.5) < 0.02

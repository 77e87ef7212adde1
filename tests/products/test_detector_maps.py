"""Maps by detectors, which need no checkpoint: their bands, their words, their thresholds."""

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from builders import make_scene, make_stack, read_band
from commands import map_with, run_here

from landslide.api import read_products
from landslide.errors import InputError
from landslide.models.detectors import MIN_SCORE


def test_a_detector_maps_at_once_what_changed(stack_root: Path, tmp_path: Path) -> None:
    output = tmp_path / "map"
    run_here(
        "predict", "checkpoint=log_ratio", f"scene={stack_root}", f"output={output}", cwd=tmp_path
    )
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["average_precision"] > 0.9
    assert metrics["f1"] > 0.6


@pytest.mark.slow
def test_what_a_detector_writes_is_called_a_score(stack_root: Path, tmp_path: Path) -> None:
    output = tmp_path / "map"
    summary = map_with("checkpoint=log_ratio", f"scene={stack_root}", f"output={output}")
    assert not (output / "probability.tif").exists()
    with rasterio.open(output / "score.tif") as source:
        assert source.descriptions == ("score",)
        assert source.tags()["MEASURE"] == "score (dB)"
    assert summary["measure"] == "score (dB)"
    assert any("no probability" in str(note) for note in summary["notes"])  # type: ignore[attr-defined]
    report = (output / "report.html").read_text()
    assert "threshold of score (dB)" in report
    assert "threshold of probability" not in report
    polygons = gpd.read_file(output / "landslides.gpkg", layer="landslides")
    assert {"mean_score", "max_score"} <= set(polygons.columns)
    assert (polygons.max_score > summary["threshold"]).all()
    assert read_products(output).probability.band.item() == "score"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("checkpoint", "orbit", "expected"),
    [
        ("slope", "null", ["slope"]),
        ("log_ratio", "descending", ["vv_pre_mean", "vv_post_mean", "vh_pre_mean", "vh_post_mean"]),
        ("change_z", "both", ["vv_pre_std", "vh_pre_std@descending", "post_count@descending"]),
    ],
)
def test_bands_are_those_that_the_scene_has(
    checkpoint: str, orbit: str, expected: list[str], stack_root: Path, tmp_path: Path
) -> None:
    summary = map_with(
        f"checkpoint={checkpoint}", f"scene={stack_root}", f"output={tmp_path}", f"orbit={orbit}"
    )
    assert set(expected) <= set(summary["bands"])  # type: ignore[call-overload]
    assert "slope" in summary["bands"]  # type: ignore[operator]


def test_single_dates_and_a_file_will_do(tmp_path: Path) -> None:
    root = make_scene(tmp_path / "scene")
    summary = map_with(
        "checkpoint=log_ratio", f"scene={root / 'descending.tif'}", f"output={tmp_path / 'map'}"
    )
    assert summary["bands"] == ["vv_pre", "vv_post1", "vv_post2", "slope"]
    score = read_band(tmp_path / "map" / "score.tif")
    share = np.mean(score[np.isfinite(score) & (score > -20)] > summary["threshold"])  # type: ignore[operator]
    assert share == pytest.approx(0.01, abs=0.001)
    assert "percentile 99 of the scene's own scores" in str(summary["threshold_origin"])


@pytest.mark.slow
@pytest.mark.parametrize("checkpoint", ["log_ratio", "change_z"])
def test_false_alarms_are_those_asked_for_also_after_rain(checkpoint: str, tmp_path: Path) -> None:
    rain = [0, 2, 0, 0, 0, -1, 3, 3]
    root = make_stack(tmp_path / "scene", rain=rain, slides=0.0, seed=3)
    options = (f"checkpoint={checkpoint}", f"scene={root}", f"output={tmp_path / 'map'}")
    summary = map_with(*options, "false_alarms=0.02", "min_area=0")
    score = read_band(tmp_path / "map" / "score.tif")
    share = np.mean(score[score > MIN_SCORE] > summary["threshold"])  # type: ignore[operator]
    assert 0.01 < share < 0.04
    alarms = summary["false_alarms"]
    assert alarms["asked"] == 0.02  # type: ignore[index]
    assert 0.01 < alarms["found"] < 0.04  # type: ignore[index]
    assert len(alarms["by_date"]) == 5  # type: ignore[index]
    assert (alarms["dates_before"], alarms["dates_after"]) == (4, 2)  # type: ignore[index]


@pytest.mark.slow
def test_quiet_dates_of_a_scene_without_a_dem_are_tried(tmp_path: Path) -> None:
    root = make_stack(tmp_path / "scene", size=(64, 96), slides=0)
    with rasterio.open(root / "ascending.tif", "r+") as composite:
        names = composite.descriptions
        composite.descriptions = ["height" if name == "slope" else name for name in names]
    summary = map_with("checkpoint=log_ratio", f"scene={root}", f"output={tmp_path / 'map'}")
    assert "slope" not in summary["bands"]  # type: ignore[operator]
    assert len(summary["false_alarms"]["by_date"]) == 5  # type: ignore[index]


@pytest.mark.slow
def test_orbits_of_unequal_depth_take_the_quiet_dates_nearest_to_the_event(tmp_path: Path) -> None:
    root = make_stack(tmp_path / "scene", slides=0)
    info = json.loads((root / "scene.json").read_text())
    del info["stack"]["descending"][:1]
    (root / "scene.json").write_text(json.dumps(info))
    summary = map_with(
        "checkpoint=log_ratio", "orbit=both", f"scene={root}", f"output={tmp_path / 'map'}"
    )
    tried = summary["false_alarms"]["by_date"]  # type: ignore[index]
    assert [days.split()[0] for days in tried] == [
        *("2018-06-13", "2018-06-25", "2018-07-07", "2018-07-19")
    ]


@pytest.mark.slow
def test_the_threshold_of_a_few_landslides_is_that_of_quiet_ground(tmp_path: Path) -> None:
    thresholds = []
    for slides in (0.0, 0.05):
        root = make_stack(tmp_path / f"{slides}", slides=slides)
        options = (f"scene={root}", f"output={tmp_path / 'map'}")
        thresholds.append(map_with("checkpoint=log_ratio", *options)["threshold"])
    assert thresholds[1] == pytest.approx(thresholds[0], rel=0.15)


def test_without_two_dates_before_the_percentile_says_so(tmp_path: Path) -> None:
    root = make_stack(tmp_path / "scene", before=1, after=2)
    summary = map_with("checkpoint=log_ratio", f"scene={root}", f"output={tmp_path / 'map'}")
    assert summary["bands"][:2] == ["vv_pre_mean", "vv_post_mean"]  # type: ignore[index]
    assert summary["false_alarms"] is None
    assert any("whether or not it failed" in str(note) for note in summary["notes"])  # type: ignore[attr-defined]


def test_a_percentile_is_the_scenes_own(stack_root: Path, tmp_path: Path) -> None:
    summary = map_with(
        "checkpoint=change_z", f"scene={stack_root}", f"output={tmp_path}", "percentile=95"
    )
    score = read_band(tmp_path / "score.tif")
    steep = score[np.isfinite(score) & (score > -20)]
    assert summary["threshold"] == pytest.approx(np.percentile(steep, 95), rel=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["checkpoint=change_z"], r"needs the scatter .* sar.before=3 or more, or take log_ratio"),
        (["checkpoint=attention_unet"], "a network, which needs training"),
        (["checkpoint=[log_ratio,slope]"], "maps by itself"),
        (["checkpoint=log_ratio", "threshold=3", "percentile=99"], "leave one out"),
        (["checkpoint=log_ratio", "false_alarms=2"], "a share between 0 and 1"),
        (["checkpoint=ratio"], "there is no checkpoint ratio"),
    ],
)
def test_what_cannot_be_mapped_is_one_sentence(
    options: list[str], message: str, scene_root: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        map_with(*options, f"scene={scene_root}", f"output={tmp_path / 'map'}")
    assert not (tmp_path / "map").exists()


def test_orbits_are_joined_only_where_both_exist(tmp_path: Path) -> None:
    root = make_scene(tmp_path / "scene")
    (root / "descending.tif").unlink()
    options = ("checkpoint=log_ratio", f"output={tmp_path / 'map'}", "orbit=both")
    with pytest.raises(InputError, match=r"no descending.tif"):
        map_with(*options, f"scene={root}")
    with pytest.raises(InputError, match="is a file"):
        map_with(*options, f"scene={root / 'ascending.tif'}")


def test_a_threshold_beyond_one_is_no_probability(
    checkpoint: Path, scene_root: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="threshold=3 is not a probability"):
        map_with(
            f"checkpoint={checkpoint}", f"scene={scene_root}", f"output={tmp_path}", "threshold=3"
        )

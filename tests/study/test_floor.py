"""The floor of a study: chance and detectors on the pixels of its networks."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from builders import make_scene
from scipy.stats import mannwhitneyu, rankdata
from test_ensembles import patches_of, write_run
from torchmetrics.functional.classification import binary_average_precision

from landslide.api import predict
from landslide.errors import InputError
from landslide.study.floor import CHANCE, measure_floor
from landslide.study.page import write_study
from landslide.study.runs import FLOOR, read_runs
from landslide.study.tables import comparable_runs
from landslide.training.named_detectors import make_detector
from landslide.training.network import Network

SIZE = 32


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scene(tmp_path_factory.mktemp("scene") / "scene", (96, 320))


@pytest.fixture(scope="module")
def sweep(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sweep = tmp_path_factory.mktemp("sweep") / "folds"
    for fold in (0, 1):
        for variant in ("baseline", "dice_bce"):
            path = write_run(sweep, root, variant, 0, "split.seed=0", f"split.fold={fold}")
            path.rename(sweep / f"{variant}-fold{fold}")
    return sweep


@pytest.fixture(scope="module")
def runs(sweep: Path) -> pd.DataFrame:
    return comparable_runs(read_runs(sweep), sweep, ["variant"], partial=False)


@pytest.fixture(scope="module")
def floor(runs: pd.DataFrame, sweep: Path) -> pd.DataFrame:
    return measure_floor(runs, sweep)


@pytest.mark.slow
def test_every_split_has_a_floor_on_the_pixels_of_its_networks(
    floor: pd.DataFrame, root: Path, sweep: Path
) -> None:
    assert list(floor[FLOOR]) == [CHANCE, "slope", "log_ratio"] * 2  # no stack for change_z
    for _, row in floor.iterrows():
        masks = [mask for _, mask in patches_of(root, sweep / row.run, "test")]
        known = np.concatenate([mask[mask != 255] for mask in masks])
        assert sum(row[f"test_{count}"] for count in ("tp", "fp", "fn", "tn")) == known.size
        if row[FLOOR] == CHANCE:
            assert row.test_average_precision == pytest.approx(known.mean())
            assert row.test_precision == pytest.approx(known.mean())
            assert row.test_roc_auc == pytest.approx(0.5)


@pytest.mark.slow
def test_the_floor_is_that_of_the_detectors_map(
    floor: pd.DataFrame, root: Path, sweep: Path
) -> None:
    network = Network([make_detector("log_ratio", str(root), "both")], torch.device("cpu"))
    assert sum("@descending" in band for band in network.members[0].bands) == 3
    score = predict(network, root)[0].to_numpy()
    row = floor[floor[FLOOR] == "log_ratio"].iloc[0]
    features = json.loads((sweep / row.run / "splits.geojson").read_text())["features"]
    places = [p for p in (f["properties"] for f in features) if p["split"] == "test"]
    found, truth = [], []
    for place, (_, mask) in zip(places, patches_of(root, sweep / row.run, "test"), strict=True):
        rows, cols = (
            slice(SIZE * place[axis], SIZE * place[axis] + SIZE) for axis in ("row", "col")
        )
        found.append(score[rows, cols][mask != 255])
        truth.append(mask[mask != 255])
    values, labels = np.concatenate(found), np.concatenate(truth)
    ranks = torch.from_numpy(rankdata(values) / (len(values) + 1))
    expected = binary_average_precision(ranks, torch.from_numpy(labels).long()).item()
    assert row.test_average_precision == pytest.approx(expected, abs=1e-4)
    share = mannwhitneyu(values[labels == 1], values[labels == 0]).statistic
    share /= (labels == 1).sum() * (labels == 0).sum()
    assert row.test_roc_auc == pytest.approx(share, abs=1e-4)


@pytest.mark.slow
def test_a_study_shows_its_floor(
    floor: pd.DataFrame, runs: pd.DataFrame, sweep: Path, tmp_path: Path
) -> None:
    table = write_study(runs, ["variant"], sweep, tmp_path, floor=floor)
    assert list(table.variant) == [
        *("baseline", "dice_bce", "floor: chance", "floor: slope", "floor: log_ratio")
    ]
    text = (tmp_path / "study.md").read_text()
    assert "| floor: log_ratio | 1 | 1 | 2 |" in text
    assert "A network is worth what it scores above them." in text
    pooled = floor[floor[FLOOR] == "log_ratio"][["test_tp", "test_fp", "test_fn"]].sum()
    f1 = 2 * pooled.test_tp / (2 * pooled.test_tp + pooled.test_fp + pooled.test_fn)
    assert float(table.f1.iloc[-1]) == pytest.approx(100 * f1)
    assert not any("nan" in line for line in text.splitlines() if "floor: " in line)


@pytest.mark.slow
def test_a_floor_is_measured_once(
    floor: pd.DataFrame, runs: pd.DataFrame, sweep: Path, root: Path, tmp_path: Path
) -> None:
    kept = shutil.move(root, tmp_path / "elsewhere")
    try:
        pd.testing.assert_frame_equal(measure_floor(runs, sweep), floor)
        (sweep / "floor.json").rename(tmp_path / "floor.json")
        with pytest.raises(InputError):
            measure_floor(runs, sweep)
    finally:
        shutil.move(kept, root)

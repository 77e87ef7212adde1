"""Training of detectors: two numbers make their score a probability."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from builders import read_band
from commands import composed, map_with
from scipy.optimize import approx_fprime

from landslide.errors import InputError
from landslide.models.detectors import MIN_SCORE, Detector
from landslide.training.logistic import fit_logistic
from landslide.training.run import train
from landslide.training.task import load_task


def test_the_fit_has_the_greatest_likelihood_and_finds_the_truth() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(3, 2, 200_000)
    landslide = rng.random(len(scores)) < 1 / (1 + np.exp(-(0.8 * scores - 5)))
    scale, offset = fit_logistic(scores, landslide)
    assert scale == pytest.approx(0.8, abs=0.02)
    assert offset == pytest.approx(-5, abs=0.1)

    def log_likelihood(parameters: np.ndarray) -> float:
        probability = 1 / (1 + np.exp(-(parameters[0] * scores + parameters[1])))
        return float(np.log(np.where(landslide, probability, 1 - probability)).mean())

    gradient = approx_fprime(np.array([scale, offset]), log_likelihood, 1e-5)
    assert np.abs(gradient).max() < 1e-4


def run(root: Path, output: Path, *overrides: str) -> None:
    train(
        composed(
            "model=log_ratio",
            "dataset=stack_ascending",
            f"dataset.root={root}",
            f"output_dir={output}",
            "trainer=cpu",
            "patch_size=32",
            *overrides,
        )
    )


@pytest.mark.slow
def test_a_training_on_a_machine_of_a_cluster_says_nothing_of_srun(
    stack_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
) -> None:
    (tmp_path / "srun").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    run(stack_root, tmp_path / "run")
    assert not [warning for warning in recwarn if "srun" in str(warning.message)]


@pytest.mark.slow
def test_a_trained_detector_is_a_calibrated_probability_that_maps(
    stack_root: Path, tmp_path: Path
) -> None:
    run(stack_root, tmp_path / "run")
    best = tmp_path / "run" / "checkpoints" / "best.ckpt"
    task = load_task(best)
    assert isinstance(task.model, Detector)
    assert task.measure == "probability"
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test"]["f1"] > 0.7
    assert metrics["val"]["threshold"] == task.threshold != 0.5
    assert len(pd.read_csv(tmp_path / "run" / "history.csv")) == 1
    summary = map_with(f"checkpoint={best}", f"scene={stack_root}", f"output={tmp_path / 'map'}")
    assert summary["measure"] == "probability"
    assert summary["threshold"] == task.threshold
    probability = read_band(tmp_path / "map" / "probability.tif")
    steep = probability > 1 / (1 + np.exp(-MIN_SCORE))
    truth = read_band(stack_root / "landslides.tif")
    # Calibrated: of the ground of a probability that share is landslide, over the whole range.
    for low, high in ((0, 0.1), (0.3, 0.7), (0.9, 1)):
        chosen = steep & (probability >= low) & (probability <= high)
        assert truth[chosen].mean() == pytest.approx(probability[chosen].mean(), abs=0.1)


def test_a_detector_that_scores_no_landslide_is_one_sentence(
    stack_root: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"scores no landslide.*model\.min_slope"):
        run(stack_root, tmp_path, "model.min_slope=89")
    assert not (tmp_path / "metrics.json").exists()


@pytest.mark.slow
def test_a_fit_does_not_depend_on_the_sampler_or_the_batch(
    stack_root: Path, tmp_path: Path
) -> None:
    weights = []
    for name, overrides in (("a", ["batch_size=2"]), ("b", ["batch_size=16", "sampler=balanced"])):
        run(stack_root, tmp_path / name, *overrides)
        weights.append(load_task(tmp_path / name / "checkpoints" / "best.ckpt").state_dict())
    for key in ("model.scale", "model.offset"):
        torch.testing.assert_close(weights[0][key], weights[1][key])

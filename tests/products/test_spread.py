"""Maps whose blocks are spread over processes."""

import json
from pathlib import Path

import numpy as np
import pytest
from builders import make_scene, perturbed_task, read_band, save_checkpoint
from commands import run_program


@pytest.mark.slow
def test_spread_blocks_make_the_map_of_one_process(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    scene = make_scene(tmp_path / "scene")
    checkpoint = save_checkpoint(perturbed_task(), tmp_path / "best.ckpt")
    words = [f"checkpoint={checkpoint}", f"scene={scene}", "window.size=32", "device=cpu"]
    maps = {"alone": [], "spread": ["launcher=joblib", "parts=3"]}
    for name, more in maps.items():
        output = f"output={tmp_path / name}"
        run = run_program("predict.py", *words, output, *more, cwd=tmp_path)
        assert run.returncode == 0, run.stderr
    spread = tmp_path / "spread"
    # Threads are shared out among the parts, and torch rounds by their number.
    alone, apart = (read_band(tmp_path / name / "probability.tif") for name in maps)
    np.testing.assert_allclose(apart, alone, atol=2e-6)
    mask, other = (read_band(tmp_path / name / "landslides.tif") for name in maps)
    summary = json.loads((spread / "summary.json").read_text())
    sure = ~(np.abs(alone - summary["threshold"]) <= 2e-6)
    np.testing.assert_array_equal(mask[sure], other[sure])
    assert not (spread / ".partial").exists()
    assert "parts" in summary["seconds"]


@pytest.mark.slow
def test_bad_input_of_a_spread_map_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    words = ["checkpoint=nowhere.ckpt", "scene=scene", "output=map", "launcher=joblib"]
    run = run_program("predict.py", *words, cwd=tmp_path)
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert "nowhere.ckpt" in run.stderr
    assert not (tmp_path / "map").exists()

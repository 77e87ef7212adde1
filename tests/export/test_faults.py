"""Exports that would be wrong for whoever runs them are refused or say so."""

from pathlib import Path

import pytest
import torch
from builders import make_task, read_band
from commands import composed, map_with

from landslide.errors import InputError
from landslide.export.export import export_model
from landslide.export.exported import Exported
from landslide.export.model_files import ONNX
from landslide.export.verification import expected_outputs, make_images, require_equal
from landslide.training.network import Network

pytest.importorskip("onnxruntime", reason="an optional extra")


def export_with(*overrides: str) -> Exported:
    return export_model(composed(*overrides, name="export"))


@pytest.mark.slow
def test_a_map_by_an_exported_detector_has_the_threshold_of_its_file(
    scene_root: Path, tmp_path: Path
) -> None:
    scene = f"scene={scene_root}"
    export_with("checkpoint=log_ratio", scene, f"output={tmp_path / 'm'}", "threshold=5")
    model = f"checkpoint={tmp_path / 'm' / ONNX}"
    summary = map_with(model, scene, f"output={tmp_path / 'map'}", "min_area=0")
    assert (summary["threshold"], summary["threshold_origin"]) == (5, "the exported model's")
    mask, score = (read_band(tmp_path / "map" / f"{n}.tif") for n in ("landslides", "score"))
    assert (mask == 1).sum() == (score > 5).sum() > 0
    asked = map_with(model, scene, f"output={tmp_path / 'rate'}", "false_alarms=0.02")
    assert asked["threshold"] != 5


def test_a_model_that_gives_nan_is_no_reference() -> None:
    task = make_task().eval()
    task.normalization.fit([torch.rand(1, 4, 64, 64)])
    network = Network([task], torch.device("cpu"))
    images = make_images(task.bands, (32, 32), None)
    expected_outputs(network, images)  # gaps alone are no fault
    with torch.no_grad():
        next(task.model.parameters()).fill_(torch.nan)
    with pytest.raises(InputError, match="not finite on random input"):
        expected_outputs(Network([task], torch.device("cpu")), images)


@pytest.mark.parametrize("rounding", [0.01, torch.inf, torch.nan])
def test_a_reference_that_rounds_too_much_is_none(rounding: float) -> None:
    with pytest.raises(InputError, match=r"predict.py rounds by .* on random input"):
        require_equal({ONNX: {"random": 0.0}}, {"random": rounding})

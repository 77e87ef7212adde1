"""Exports that would be wrong for whoever runs them are refused or say so."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders import make_scene, make_task, read_band, save_checkpoint
from commands import composed, map_with
from described_runs import export, make_described_scene, make_run

from landslide.errors import InputError
from landslide.export.card import write_card
from landslide.export.deepness import deepness_metadata
from landslide.export.export import export_model
from landslide.export.exported import Exported
from landslide.export.item import write_item
from landslide.export.metadata import describe, notes
from landslide.export.model_files import ONNX, ModelFiles
from landslide.export.origin import training_files
from landslide.export.verification import expected_outputs, make_images, require_equal
from landslide.training.network import Network

pytest.importorskip("onnxruntime", reason="an optional extra")


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_described_scene(tmp_path_factory.mktemp("described") / "scene")


def card_and_item(exported: Exported, folder: Path) -> tuple[str, dict[str, Any]]:
    """The card, and the properties of the item."""
    write_card(exported, folder)
    write_item(exported, folder)
    item = json.loads((folder / "item.json").read_text())
    return (folder / "MODEL_CARD.md").read_text(), item["properties"]


def notes_of(exported: Exported) -> str:
    return "; ".join(notes(exported))


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


def test_scores_are_said_to_be_of_their_own_thresholds(described: Path, tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / f"{value}", 0.615, scene=described, task={"threshold": value})
        for value in (0.5, 0.41)
    ]
    sentence = "The model was scored at a threshold of 0.41 and of 0.5, not the file's 0.97."
    exported = export(tmp_path / "m", *runs, threshold=0.97)
    card, item = card_and_item(exported, tmp_path / "m")
    assert sentence in card
    assert sentence in item["description"]
    assert [scores["threshold"] for scores in item["landslide:test_scores"]] == [0.5, 0.41]
    same = export(tmp_path / "m", runs[0], threshold=0.5)
    assert "was scored at" not in card_and_item(same, tmp_path / "m")[0]


@pytest.mark.parametrize(("threshold", "percent"), [(0.996, 0.99), (0.004, 0.01), (0.374, 0.37)])
def test_deepness_has_a_threshold_that_is_neither_everything_nor_nothing(
    described: Path, tmp_path: Path, threshold: float, percent: float
) -> None:
    run = make_run(tmp_path / "run", scene=described)
    metadata = deepness_metadata(("probability",), 4, 10.0, 512, 47, threshold)
    assert metadata["seg_thresh"] == percent
    sentence = f"from 1 to 99, maps at {percent} and not at {threshold}"
    assert sentence in notes_of(export(tmp_path / "m", run, threshold=threshold, size=512))
    assert "Deepness" not in notes_of(export(tmp_path / "m", run, threshold=threshold))


def test_a_last_checkpoint_of_implants_claims_no_landslides(
    described: Path, tmp_path: Path
) -> None:
    best = make_run(tmp_path / "run", scene=described, task={"implanted": True})
    last = best.rename(best.with_name("last.ckpt"))
    card, item = card_and_item(export(tmp_path / "m", last), tmp_path / "m")
    assert "from 2018-09-05 to 2018-09-05" in card  # not after the event
    assert "1,234 polygons" not in card
    assert item["end_datetime"] == "2018-09-05T23:59:59Z"


def test_an_ensemble_of_two_orbits_names_both(described: Path, tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / orbit, scene=described, task={"orbit": orbit})
        for orbit in ("descending", "ascending")
    ]
    card, _ = card_and_item(export(tmp_path / "m", *runs), tmp_path / "m")
    assert "From radar images of the ascending or descending orbit" in card
    assert "Images of another direction of flight than ascending and descending." in card


def test_members_of_balanced_and_of_other_dates_are_refused(tmp_path: Path) -> None:
    kind = "landslide.data.normalization.ZScore"
    paths = [
        save_checkpoint(
            make_task(normalization={"_target_": kind, "balance": balance}),
            tmp_path / f"{balance}.ckpt",
        )
        for balance in (True, False)
    ]
    with pytest.raises(InputError, match="some were not: export each kind by itself"):
        export_with(f"checkpoint=[{paths[0]},{paths[1]}]", f"output={tmp_path / 'm'}")


def test_the_scene_of_a_training_is_found_from_another_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_scene(tmp_path / "project" / "scene")
    monkeypatch.chdir(tmp_path / "project")
    run = make_run(tmp_path / "run", scene=scene.relative_to(tmp_path / "project"))
    hydra = {"hydra": {"runtime": {"cwd": str(tmp_path / "project")}}}
    (tmp_path / "run" / ".hydra" / "hydra.yaml").write_text(json.dumps(hydra))
    monkeypatch.chdir(tmp_path)
    assert training_files(run) == [scene / "ascending.tif", scene / "scene.json"]
    scene.rename(tmp_path / "gone")
    with pytest.raises(InputError, match="name one of the same resolution with scene="):
        export_with(f"checkpoint={run}", f"output={tmp_path / 'm'}", "size=512")


@pytest.mark.slow
def test_both_files_take_the_least_multiple(tmp_path: Path) -> None:
    task = make_task().eval()
    task.normalization.fit([torch.rand(1, 4, 64, 64)])
    exported = Exported([task], [], "none", 0.5, 94, 64, {})
    model = ModelFiles.of([task], exported.size_multiple, "none")
    assert exported.size_multiple == 16
    image = torch.rand(1, 4, 16, 48) + 0.01
    for run in model.opened().values():
        np.testing.assert_allclose(
            run(image)[0], Network([task], torch.device("cpu"))(image), atol=1e-6
        )
    model.write(tmp_path, describe(exported, model.outputs), {})
    kept = {"metadata.json": ""}
    torch.export.load(tmp_path / "model.pt2", extra_files=kept)
    found = json.loads(kept["metadata.json"])
    assert (found["size"], found["size_multiple"]) == (None, 16)
    assert "multiples of 16 px in `model.pt2`" in card_and_item(exported, tmp_path)[0]

"""The card of an exported model says what its run knows, and what is not known."""

import json
from pathlib import Path

import numpy as np
import pytest
from builders import make_task, save_checkpoint
from commands import SMALL, run_program
from described_runs import export, make_described_scene, make_run, sizes

from landslide.export.card import write_card
from landslide.training.named_detectors import make_detector


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_described_scene(tmp_path_factory.mktemp("described") / "scene")


def card_of(folder: Path, *checkpoints: Path, **changes: object) -> str:
    write_card(export(folder, *checkpoints, **changes), folder)
    return (folder / "MODEL_CARD.md").read_text()


def table_row(card: str, start: str) -> list[str]:
    line = next(line for line in card.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_card_has_the_data_protocol_and_scores_of_its_run(scene: Path, tmp_path: Path) -> None:
    bins = [
        {"probability": 0.05, "landslides": 0.01, "pixels": 5000},
        {"probability": 0.95, "landslides": 0.8, "pixels": 40},
    ]
    found = sizes([500, 2000, 3000, 50_000], [0.2, 0.7, 0.1, 0.9])
    run = make_run(tmp_path / "run", 0.615, scene=scene, calibration=bins, objects=found)
    card = card_of(tmp_path / "model", run)
    assert "Test event (2018-09-05T18:07:59Z)" in card
    assert "2 ascending dates from 2018-09-05 to 2018-09-17" in card
    assert "inventory of 1,234 polygons" in card
    assert "archive of tests" in card
    assert "Contains modified Copernicus Sentinel data 2018." in card
    assert "neighbours fall into different splits" in card
    assert "Seed 3" in card
    assert table_row(card, "test")[3] == "61.5"
    assert table_row(card, "1,000 to 10,000 m²") == ["1,000 to 10,000 m²", "2", "100.0", "50.0"]
    assert table_row(card, "95.0") == ["95.0", "80.0", "40"]
    assert "no landslide, 3.0 % is mapped" in card  # 30 of 1,000 pixels
    assert table_row(card, "`model.pt2`") == ["`model.pt2`", "random", "2.5e-08"]
    assert "`vv_pre` | linear power" in card
    assert "SIMULATED" not in card
    assert "IMPLANTED" not in card
    assert "not known" in card  # the spread of one run


def test_what_a_run_does_not_say_is_not_known(scene: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", scene=scene)
    card = card_of(tmp_path / "model", run)
    assert "Scores by size of landslide are not known." in card
    assert "How probabilities and frequencies of landslides agree is not known." in card


def test_a_checkpoint_without_its_run_has_a_card_that_says_so(tmp_path: Path) -> None:
    lonely = save_checkpoint(make_task(), tmp_path / "lonely.ckpt")
    card = card_of(tmp_path / "model", lonely)
    for sentence in (
        "The scenes that it was trained on are not known.",
        "How it was trained, selected and tested is not known.",
        "Scores are not known.",
        "How much of quiet terrain it maps is not known.",
    ):
        assert sentence in card


def test_scores_are_those_of_the_best_checkpoint_alone(scene: Path, tmp_path: Path) -> None:
    best = make_run(tmp_path / "run", scene=scene)
    last = best.rename(best.with_name("last.ckpt"))
    card = card_of(tmp_path / "model", last)
    assert "Scores are not known." in card
    assert "Test event" in card


def test_a_scene_that_has_changed_since_is_not_described(tmp_path: Path) -> None:
    scene = make_described_scene(tmp_path / "scene")
    run = make_run(tmp_path / "run", scene=scene)
    (scene / "scene.json").write_text(json.dumps({"event": {"name": "Another event"}}))
    card = card_of(tmp_path / "model", run)
    assert "has changed since" in card
    assert "Another event" not in card


def test_simulated_and_implanted_data_are_called_so(scene: Path, tmp_path: Path) -> None:
    quiet = {"pixels": 9999, "mapped": 0.0004}
    task = {"simulated": True, "implanted": True}
    run = make_run(tmp_path / "run", scene=scene, implanted=True, quiet=quiet, task=task)
    card = card_of(tmp_path / "model", run)
    assert "trained on SIMULATED images" in card
    assert "trained on IMPLANTED landslides" in card
    assert "every score below is one of implants" in card
    assert "Of ground where nothing failed, 0.040 % is mapped" in card
    assert "1 ascending dates from 2018-09-05 to 2018-09-05" in card  # it saw none after the event
    assert "1,234 polygons" not in card
    assert "Real events" in card


def test_an_ensemble_has_the_spread_of_its_members(scene: Path, tmp_path: Path) -> None:
    scores = [0.5, 0.6, 0.62]
    bins = [{"probability": 0.91, "landslides": 0.5, "pixels": 10}]
    more = [{"probability": 0.97, "landslides": 1.0, "pixels": 30}]
    runs = [
        make_run(tmp_path / f"run{i}", f1, scene=scene, calibration=more if i else bins)
        for i, f1 in enumerate(scores)
    ]
    card = card_of(tmp_path / "model", *runs)
    mean, spread = 100 * np.mean(scores), 100 * np.std(scores, ddof=1)
    assert table_row(card, "test")[3] == f"{mean:.1f} ± {spread:.1f}"
    assert table_row(card, "96.1") == ["96.1", "92.9", "70"]  # pooled over members
    assert "the ensemble itself was not scored" in card
    assert card.count("Test event") == 1


def test_an_ensemble_says_which_members_were_scored(scene: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", scene=scene)
    lonely = save_checkpoint(make_task(), tmp_path / "lonely.ckpt")
    card = card_of(tmp_path / "model", run, lonely)
    assert "Scores of 1 of the 2 members are known." in card


def test_a_detector_was_not_trained(scene: Path, tmp_path: Path) -> None:
    members = [make_detector("log_ratio", str(scene))]
    card = card_of(tmp_path / "model", members=members, threshold=2.0)
    assert "It is a detector and was not trained." in card
    assert "no probability" in card
    assert "Scores are not known." in card


@pytest.mark.slow
def test_a_run_of_the_program_leaves_nothing_unknown_but_its_spread(
    scene: Path, tmp_path: Path
) -> None:
    done = run_program(
        "train.py", *SMALL, f"dataset.root={scene}", f"hydra.run.dir={tmp_path}/run", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    card = card_of(tmp_path / "model", tmp_path / "run" / "checkpoints" / "best.ckpt")
    unknown = [line for line in card.splitlines() if "not known" in line]
    assert len(unknown) == 2, unknown
    assert "another seed" in unknown[0]
    assert "scenes where nothing failed" in unknown[1]

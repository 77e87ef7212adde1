"""Scores of maps beside each other."""

import json
import shutil
from pathlib import Path

import pytest
from builders import make_scene
from commands import map_with, run_here


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("maps")
    root = make_scene(work / "scene", size=(64, 96))
    for name in ("log_ratio", "slope"):
        map_with(f"checkpoint={name}", f"scene={root}", f"output={work / name}")
    return work


@pytest.mark.slow
def test_maps_are_one_row_each_with_the_scores_of_their_files(
    maps: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    run_here("compare", "maps=[log_ratio,slope]", cwd=maps)

    printed = capsys.readouterr().out
    assert "simulated" in printed
    assert "log_ratio, slope: landslides are" in printed  # of the same ground
    for name, model in (("log_ratio", "LogRatio"), ("slope", "Slope")):
        row = next(line for line in printed.splitlines() if f" {name} " in line)
        assert model in row
        metrics = json.loads((maps / name / "metrics.json").read_text())
        for score in ("average_precision", "f1", "precision", "recall"):
            assert f" {100 * metrics[score]:.1f} " in row


@pytest.mark.slow
def test_what_was_not_scored_is_not_compared(maps: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="maps: nowhere holds no finished map"):
        run_here("compare", "maps=[log_ratio,nowhere]", cwd=maps)
    shutil.copytree(maps / "slope", tmp_path / "unscored")
    (tmp_path / "unscored" / "metrics.json").unlink()
    with pytest.raises(SystemExit, match="unscored was mapped without ground truth"):
        run_here("compare", "maps=unscored", cwd=tmp_path)

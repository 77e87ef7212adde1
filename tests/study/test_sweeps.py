"""Sweeps that are killed, started again, spread, and reported."""

import json
import math
import os
import shutil
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pandas as pd
import pytest
import torch
from builders import make_scene, write_run
from commands import REPOSITORY, SMALL, Finished, composed, run_program, start_program
from hydra.core.utils import JobReturn, JobStatus
from lightning import Trainer
from omegaconf import OmegaConf

from landslide.study import leaderboard
from landslide.study.sweeps import SweepReport
from landslide.training.callbacks import LastCheckpoint
from landslide.training.run import train

pytestmark = pytest.mark.slow


def sweep(root: Path, folder: Path, *overrides: str, env: dict[str, str] | None = None) -> Finished:
    return run_program(*command(root, folder, *overrides), cwd=folder.parent, env=env)


def command(root: Path, folder: Path, *overrides: str) -> list[str]:
    options = [f"dataset.root={root}", f"hydra.sweep.dir={folder}", *overrides]
    return ["train.py", "-m", *SMALL, *options]


def results(folder: Path) -> dict[str, str]:
    """What every run of a sweep found, by the run's name."""
    return {path.parent.name: path.read_text() for path in folder.glob("*/metrics.json")}


def kill_when(process: ForkServerProcess, happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert process.is_alive(), "the sweep ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.join()


@pytest.fixture(scope="module")
def whole(scene_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "sweep"
    done = sweep(scene_root, folder, "batch_size=4,8", "trainer.max_epochs=4")
    assert done.returncode == 0, done.stderr
    return folder


def test_a_sweep_killed_twice_ends_where_an_unbroken_one_does(
    scene_root: Path, whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep"
    overrides = ["batch_size=4,8", "trainer.max_epochs=4"]
    for finished in (0, 1):  # in the first run, then in the second
        process = start_program(*command(scene_root, folder, *overrides), cwd=tmp_path)

        def in_the_middle(finished: int = finished) -> bool:
            last = list(folder.glob("*/checkpoints/last.ckpt"))
            return len(last) == finished + 1 and len(results(folder)) == finished

        kill_when(process, in_the_middle)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/metrics.json")}
    done = sweep(scene_root, folder, *overrides)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Finished before") == 1
    assert done.stdout.count("Goes on from") == 1
    for path, written in before.items():
        assert path.stat().st_mtime_ns == written
    assert results(folder) == results(whole)
    for unbroken in whole.glob("*/history.csv"):
        again = folder / unbroken.parent.name / "history.csv"
        first, second = (pd.read_csv(path).drop(columns="seconds") for path in (unbroken, again))
        pd.testing.assert_frame_equal(first, second)


def test_runs_are_added_to_a_sweep_in_any_order(
    scene_root: Path, whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep"
    shutil.copytree(whole, folder)
    done = sweep(scene_root, folder, "trainer.max_epochs=4", "batch_size=8,2", "loss=dice")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Finished before") == 1
    board = pd.read_csv(folder / "leaderboard.csv")
    assert sorted(board.batch_size) == [2, 4, 8]
    assert board.val_f1.is_monotonic_decreasing
    text = (folder / "leaderboard.md").read_text()
    assert "3 finished" in text
    assert f"{100 * board.val_f1[0]:.2f}" in text
    assert (folder / "leaderboard.png").stat().st_size > 5000


def test_a_failed_run_is_listed_and_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    roots = [make_scene(tmp_path / "good"), tmp_path / "bad"]
    overrides = [f"dataset.root={roots[1]},{roots[0]}"]
    done = sweep(roots[0], folder, *overrides)
    assert done.returncode != 0
    assert "there is no scene folder" in done.stderr
    assert len(results(folder)) == 1  # the other run finished
    board = pd.read_csv(folder / "leaderboard.csv")
    assert list(board.status) == ["finished", "failed"]
    assert "there is no scene folder" in board.error[1]
    make_scene(roots[1], seed=1)
    done = sweep(roots[0], folder, *overrides)
    assert done.returncode == 0, done.stderr
    assert list(pd.read_csv(folder / "leaderboard.csv").status) == ["finished", "finished"]


def test_a_checkpoint_cut_off_while_written_does_not_block_the_run(
    scene_root: Path, whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep"
    shutil.copytree(whole, folder)
    first, second = sorted(folder.glob("*/metrics.json"))
    for metrics in (first, second):
        metrics.unlink()
    cut = first.parent / "checkpoints" / "last.ckpt"
    cut.write_bytes(cut.read_bytes()[:5000])
    done = sweep(scene_root, folder, "batch_size=4,8", "trainer.max_epochs=4")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Goes on from") == 1  # the second, from a folder that was moved
    assert results(folder) == {name: results(whole)[name] for name in results(folder)}
    assert len(results(folder)) == 2


def test_runs_of_other_code_or_of_a_scene_that_changed_are_trained_anew(
    tmp_path: Path,
) -> None:
    root, folder = make_scene(tmp_path / "scene"), tmp_path / "sweep"
    overrides = ["batch_size=4,8", "trainer.max_epochs=1"]
    done = sweep(root, folder, *overrides)
    assert done.returncode == 0, done.stderr
    first, second = sorted(folder.glob("*/identity.json"))
    identity = json.loads(first.read_text())
    assert set(identity["data"]) == {
        str(root / name) for name in ("ascending.tif", "landslides.tif", "scene.json")
    }
    metrics = json.loads((first.parent / "metrics.json").read_text())
    assert {"code": metrics["code"], "data": metrics["data"]} == identity
    first.write_text(json.dumps(identity | {"code": "0.0.9+older"}))
    done = sweep(root, folder, *overrides)
    assert done.stdout.count("Finished before") == 1
    assert f"{first.parent.name} was trained by 0.0.9+older, which is not this" in done.stdout
    before = results(folder)
    make_scene(root, seed=1)
    (second.parent / "metrics.json").unlink()  # as if interrupted
    done = sweep(root, folder, *overrides)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"was trained on other data in {root / 'ascending.tif'}") == 2
    assert "Finished before" not in done.stdout
    assert "Goes on from" not in done.stdout
    assert all(results(folder)[name] != text for name, text in before.items())
    # A disk that is not there now costs no finished run.
    before = results(folder)
    root.rename(tmp_path / "away")
    done = sweep(root, folder, *overrides)
    assert done.returncode == 1
    assert "there is no scene folder" in done.stderr
    assert results(folder) == before
    assert len(list(folder.glob("*/checkpoints/best.ckpt"))) == 2


@pytest.mark.parametrize(
    ("overrides", "runs", "values"),
    [
        (["experiment=nava2022"], 200, "model.filters: 2, 4, 8, 16, 32"),
        (["experiment=nava2022", "model.filters=4"], 40, "model.filters: 4"),
        (["experiment=honest"], 40, "split.fold: 0, 1, 2, 3, 4"),
    ],
)
def test_a_sweep_without_m_is_announced_and_nothing_written(
    overrides: list[str], runs: int, values: str, tmp_path: Path
) -> None:
    done = run_program("train.py", *overrides, cwd=tmp_path)
    assert done.returncode == 1
    assert f"a sweep of {runs} runs into multirun/" in done.stderr
    assert f"  {values}\n" in done.stderr
    assert f"python train.py -m {' '.join(overrides)}" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_run_that_had_stopped_early_is_not_trained_further(
    scene_root: Path, tmp_path: Path
) -> None:
    def trained(*overrides: str) -> tuple[pd.DataFrame, str]:
        wild = ["learning_rate=0.3", "trainer.max_epochs=30", "callbacks.early_stopping.patience=2"]
        train(composed(f"dataset.root={scene_root}", *SMALL, *wild, *overrides))
        history = pd.read_csv(tmp_path / "history.csv")
        return history, (tmp_path / "metrics.json").read_text()

    whole = trained(f"output_dir={tmp_path}")
    assert len(whole[0]) < 30
    # As if killed after the last epoch, before the test.
    last = tmp_path / "checkpoints" / "last.ckpt"
    again = trained(f"output_dir={tmp_path}", f"ckpt_path={last}")
    pd.testing.assert_frame_equal(again[0], whole[0])
    assert again[1] == whole[1]


def test_a_run_after_others_finds_what_one_in_a_process_of_its_own_does(
    scene_root: Path, whole: Path, tmp_path: Path
) -> None:
    done = sweep(scene_root, tmp_path / "sweep", "batch_size=8", "trainer.max_epochs=4")
    assert done.returncode == 0, done.stderr
    ((name, alone),) = results(tmp_path / "sweep").items()
    assert json.loads((whole / name / "settings.json").read_text())["batch_size"] == 8
    assert results(whole)[name] == alone


def test_a_last_checkpoint_that_is_written_less_often_changes_nothing(
    scene_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    save = Trainer.save_checkpoint

    def record(trainer: Trainer, path: str, *arguments: object, **named: object) -> None:
        if Path(path).name == "last.ckpt":
            written.append(trainer.current_epoch)
        save(trainer, path, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "save_checkpoint", record)

    def trained(seconds: float, folder: Path) -> str:
        monkeypatch.setattr(LastCheckpoint, "seconds", seconds)
        wild = ["learning_rate=0.3", "trainer.max_epochs=8", f"output_dir={folder}"]
        train(composed(f"dataset.root={scene_root}", *SMALL, *wild))
        return (folder / "metrics.json").read_text()

    always = trained(0, tmp_path / "always")
    assert written == list(range(8))
    written.clear()
    assert trained(math.inf, tmp_path / "rarely") == always
    loss = pd.read_csv(tmp_path / "rarely" / "history.csv").val_loss
    improved = loss < loss.cummin().shift(fill_value=math.inf)
    assert written == [epoch for epoch in range(8) if improved[epoch] or epoch in (0, 7)]
    assert len(written) < 8
    last = torch.load(tmp_path / "rarely" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["epoch"] == 7


def test_a_leaderboard_is_drawn_now_and_then_and_complete_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    draw = leaderboard._figure

    def record(board: pd.DataFrame, settings: list[str], path: Path) -> None:
        drawn.append(len(board))
        draw(board, settings, path)

    monkeypatch.setattr(leaderboard, "_figure", record)
    report = SweepReport()
    report.on_multirun_start(OmegaConf.create())
    for number in range(4):
        run = write_run(tmp_path, f"run-{number}", number / 10, 0.5, batch_size=number)
        job = {"sweep": {"dir": str(tmp_path)}, "runtime": {"output_dir": str(run)}}
        config = OmegaConf.create({"hydra": job})
        report.on_job_end(config, JobReturn(status=JobStatus.COMPLETED))
        assert len(pd.read_csv(tmp_path / "leaderboard.csv")) == number + 1
        if number == 2:  # long after
            os.utime(tmp_path / "leaderboard.png", (0, 0))
    assert drawn == [1, 4]
    write_run(tmp_path, "run-of-another-process", 0.9, 0.5, batch_size=9)
    report.on_multirun_end(config)
    assert drawn == [1, 4, 5]
    assert list(pd.read_csv(tmp_path / "leaderboard.csv").batch_size) == [9, 3, 2, 1, 0]


@pytest.mark.parametrize("launcher", ["joblib", "submitit", "ray"])
def test_spread_runs_find_what_serial_ones_find(
    launcher: str, scene_root: Path, whole: Path, tmp_path: Path
) -> None:
    pytest.importorskip(f"hydra_plugins.hydra_{launcher}_launcher", reason="an optional extra")
    chosen = {
        "joblib": ["launcher=joblib"],
        # SLURM's launcher with its jobs run as processes here.
        "submitit": ["hydra/launcher=submitit_local"],
        "ray": ["launcher=ray"],
    }
    folder = tmp_path / "sweep"
    done = sweep(
        scene_root,
        folder,
        *chosen[launcher],
        "batch_size=4,8",
        "trainer.max_epochs=4",
        env={"PYTHONPATH": str(REPOSITORY)},
    )
    assert done.returncode == 0, done.stderr
    found, expected = results(folder), results(whole)
    assert len(found) == 2
    for name, text in found.items():
        assert json.loads(text) == json.loads(expected[name])
    assert (folder / "leaderboard.csv").exists()


def test_optuna_maximises_validation_f1_and_repeats_no_trial(
    scene_root: Path, tmp_path: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="an optional extra")
    folder = tmp_path / "sweep"
    tuned = ["hparams=optuna", "hydra.sweeper.n_trials=2", "model.filters=2"]
    done = sweep(scene_root, folder, *tuned)
    assert done.returncode == 0, done.stderr
    best = (folder / "optimization_results.yaml").read_text()
    board = pd.read_csv(folder / "leaderboard.csv")
    assert f"best_value: {board.val_f1.max()}"[:20] in best
    again = sweep(scene_root, folder, *tuned)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("Finished before") == 2
    assert (folder / "optimization_results.yaml").read_text() == best

"""Maps whose blocks are spread over processes."""

import json
import pickle
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from builders import make_scene, perturbed_task, read_band, save_checkpoint
from commands import map_with, run_program
from launching import LaunchHere

from landslide.geo.grid import Window
from landslide.parts import WORK
from landslide.prediction.stream import BlockFiles

LAUNCHERS = {
    "joblib": ("joblib", []),
    # What the smallest cluster has; its nodes must see pytest's temporary folder.
    "slurm": ("submitit", ["gpus_per_node=0", "cpus_per_task=1", "mem_gb=2"]),
}
"""Plugin of Hydra for each launcher, and options of it."""


def choose_launcher(name: str) -> list[str]:
    """Words that choose a launcher; the test is skipped where it cannot run."""
    plugin, options = LAUNCHERS[name]
    pytest.importorskip(f"hydra_plugins.hydra_{plugin}_launcher", reason="an optional extra")
    if name == "slurm":
        if shutil.which("sbatch") is None:
            pytest.skip("launcher=slurm needs sbatch, which is not installed")
        asked = ["sinfo", "--noheader", "--format=%t"]
        states = subprocess.run(asked, capture_output=True, check=False, text=True).stdout.split()
        if not {"idle", "mix", "alloc"} & set(states):
            pytest.skip("launcher=slurm needs a cluster: sinfo names no node that takes jobs")
    return [f"launcher={name}", *(f"hydra.launcher.{option}" for option in options)]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_spread_blocks_make_the_map_of_one_process(launcher: str, tmp_path: Path) -> None:
    chosen = choose_launcher(launcher)
    scene = make_scene(tmp_path / "scene")
    checkpoint = save_checkpoint(perturbed_task(), tmp_path / "best.ckpt")
    words = [f"checkpoint={checkpoint}", f"scene={scene}", "window.size=32", "device=cpu"]
    maps = {"alone": [], "spread": [*chosen, "parts=3"]}
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


def test_a_block_that_no_run_waits_for_is_not_written(tmp_path: Path) -> None:
    work, block = tmp_path / "work", np.ones((1, 4, 4), np.float32)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="killed"):
            BlockFiles(work, [0], 1).finish(0, Window(0, 0, 4, 4), block)
        assert not list(tmp_path.rglob("*.npy"))
        work.mkdir(exist_ok=True)  # as Hydra does for a part


class Killed:
    """A run that is killed while its parts compute: they live on, and its folder stays as it is.

    Args:
        output: Folder of the map.
        finished: Number of parts that are done by then.
    """

    def __init__(self, output: Path, finished: int) -> None:
        self.output, self.finished = output, finished
        self.orphans: list[Callable[[], None]] = []
        self.blocks_left = 0

    def __call__(self, work: Path) -> None:
        _, function, parts = pickle.loads((work / WORK).read_bytes())
        for part in parts[: self.finished]:
            function(part)
        self.orphans = [lambda part=part: function(part) for part in parts[self.finished :]]
        self._copy = shutil.copytree(self.output, self.output.with_name("killed"))
        raise InterruptedError

    def leave(self) -> None:
        """Leave the folder as the killed run does, which cleans nothing up."""
        shutil.rmtree(self.output, ignore_errors=True)
        self._copy.rename(self.output)

    def live_on(self, work: Path) -> None:
        """Let the parts of the killed run compute while the next run's do: they must end."""
        self.blocks_left = sum(map(len, pickle.loads((work / WORK).read_bytes())[2]))
        for orphan in self.orphans:
            with pytest.raises(RuntimeError, match="killed"):
                orphan()


def words(folder: Path, output: str) -> list[str]:
    window = ["window.size=16", "window.halo=16"]
    return [f"scene={folder / 'scene'}", f"output={folder / output}", "threshold=3", *window]


@pytest.mark.slow
@pytest.mark.parametrize(("second", "left"), [("slope", 12), ("log_ratio", 16)])
def test_parts_of_a_killed_run_write_nothing_to_the_next_map(
    second: str, left: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_scene(tmp_path / "scene", (64, 64))
    map_with(f"checkpoint={second}", *words(tmp_path, "alone"))
    launch = LaunchHere(monkeypatch)
    launch.meanwhile = killed = Killed(tmp_path / "map", finished=1)
    with pytest.raises(Exception, match="writing failed"):
        map_with("checkpoint=slope", *words(tmp_path, "map"))
    killed.leave()
    launch.meanwhile = killed.live_on
    map_with(f"checkpoint={second}", *words(tmp_path, "map"), "resume=true")
    assert len(killed.orphans) == 3
    assert killed.blocks_left == left
    maps = [read_band(tmp_path / name / "score.tif") for name in ("map", "alone")]
    np.testing.assert_array_equal(*maps)
    assert not (tmp_path / "map" / ".partial").exists()

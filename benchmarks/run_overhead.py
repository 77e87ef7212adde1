"""Seconds of a sweep's runs by part: the cost of a run outside of its training steps.

A sweep trains several runs in one process, as ``python train.py -m`` does, on a simulated scene.
Named functions are timed where they are called. An exclusive time leaves out the named functions
that the function calls; an inclusive time contains them.

    python benchmarks/run_overhead.py --runs 4 --epochs 30
    python benchmarks/run_overhead.py --before ../earlier-checkout

``--before`` alternates sweeps of another checkout with those of this one. On a machine with other
load, ``--busy`` gives the sweep one thread and reads its CPU clock.
"""

import argparse
import functools
import importlib
import json
import os
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]

# Functions of each part, by the names under which they are called.
EXCLUSIVE = {
    "Hydra: a job's folder, logging, copies": ["hydra.core.utils:run_job"],
    "rest": ["landslide.study.job:train"],
    "fit: start and end": ["lightning:Trainer.fit"],
    "training": [
        "lightning.pytorch.loops.fit_loop:_FitLoop.advance",
        "lightning.pytorch.loops.fit_loop:_FitLoop.on_advance_end",
    ],
    "patch table and splits": [
        "landslide.data.datamodule:LandslideDataModule.setup",
        "landslide.data.datamodule:write_splits",
    ],
}
INCLUSIVE = {
    "Hydra: composition": ["hydra._internal.config_loader_impl:ConfigLoaderImpl.load_sweep_config"],
    "Hydra: all runs composed beforehand": [
        "hydra.plugins.sweeper:Sweeper.validate_batch_is_legal"
    ],
    "scenes: opening": ["landslide.data.scene:Scene.__init__"],
    "scenes: reading": ["landslide.data.scene:Scene.load"],
    "halo": ["landslide.training.model:measure_halo"],
    "statistics of bands": ["landslide.data.normalization:ZScore.fit"],
    "network": ["landslide.training.run:LandslideTask.__init__"],
    "trainer": ["lightning:Trainer.__init__"],
    "validation": ["lightning.pytorch.loops.evaluation_loop:_EvaluationLoop.run"],
    "checkpoints: writing": ["lightning:Trainer.save_checkpoint"],
    "checkpoints: loading the best": ["landslide.training.run:load_task"],
    "scoring": ["landslide.training.run:predict_splits", "landslide.training.run:evaluate"],
    "figure: training": ["landslide.training.figures:training_curves"],
    "figure: samples": ["landslide.training.figures:samples"],
    "figure: precision and recall": ["landslide.training.figures:precision_recall"],
    "leaderboard, after every run": ["landslide.study.sweeps:SweepReport.on_job_end"],
    "leaderboard, at the end": ["landslide.study.sweeps:SweepReport.on_multirun_end"],
}
ONCE_PER_SWEEP = {"Hydra: all runs composed beforehand", "leaderboard, at the end"}
"""Parts that occur once per sweep."""

TRAINING_PARTS = {"training", "validation"}
"""Parts that are the training itself."""


class Clock:
    """Sum of the seconds of parts, run by run.

    Attributes:
        runs: Seconds by part of every run, then those of the sweep.
    """

    def __init__(self, read: Callable[[], float], runs: int) -> None:
        self.runs = [defaultdict[str, float](float) for _ in range(runs + 1)]
        self._read, self._stack, self._run = read, list[str](), 0
        self._last = read()

    def wrap(self, address: str, part: str) -> None:
        """Time a function, ``module:name`` or ``module:class.name``, from here on."""
        module, _, name = address.partition(":")
        *owners, name = name.split(".")
        owner = functools.reduce(getattr, owners, importlib.import_module(module))
        function = getattr(owner, name)

        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401
            if self._stack and self._stack[-1] in INCLUSIVE:
                return function(*arguments, **named)
            self._lap()
            self._stack.append(part)
            try:
                return function(*arguments, **named)
            finally:
                self._lap()
                self._stack.pop()
                self._run += name == "run_job"

        setattr(owner, name, timed)

    def _lap(self) -> None:
        """Add the time since the last call to the part that is running."""
        now = self._read()
        if self._stack:
            run = -1 if self._stack[-1] in ONCE_PER_SWEEP else self._run
            self.runs[run][self._stack[-1]] += now - self._last
        self._last = now


def run_timed_sweep(options: argparse.Namespace) -> None:
    """Run a sweep in this process, time its parts and write them."""
    read = time.process_time if options.busy else time.perf_counter
    start = read()
    importlib.import_module("hydra")
    importlib.import_module("landslide.study.job")
    imports = read() - start
    clock = Clock(read, options.runs)
    for part, addresses in (EXCLUSIVE | INCLUSIVE).items():
        for address in addresses:
            clock.wrap(address, part)
    sys.argv = ["train.py", "-m", *options.override]
    start = read()
    runpy.run_path(str(options.checkout / "train.py"), run_name="__main__")
    seconds = {"imports": imports, "sweep": read() - start, "runs": clock.runs}
    options.output.write_text(json.dumps(seconds))


def measure_sweep(checkout: Path, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run one sweep in a process of its own; return its seconds."""
    seeds = ",".join(map(str, range(options.runs)))
    overrides = [
        f"dataset.root={options.scene}",
        f"hydra.sweep.dir={folder / 'sweep'}",
        f"trainer.max_epochs={options.epochs}",
        "trainer=cpu",
        f"seed={seeds}",
        *options.override,
    ]
    command = [sys.executable, str(Path(__file__).resolve()), "--checkout", str(checkout)]
    command += ["--runs", str(options.runs), "--output", str(folder / "seconds.json")]
    command += [*(["--busy"] if options.busy else []), *(f"--override={o}" for o in overrides)]
    threads = {"OMP_NUM_THREADS": "1"} if options.busy else {}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **threads, "PYTHONPATH": str(checkout), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    seconds: dict[str, Any] = json.loads((folder / "seconds.json").read_text())
    return seconds


def overhead(run: dict[str, float]) -> float:
    """Seconds of a run outside of training and validation."""
    return sum(seconds for part, seconds in run.items() if part not in TRAINING_PARTS)


def seconds_per_run(
    rounds: Sequence[dict[str, Any]], of: Callable[[dict[str, float]], float]
) -> tuple[float, float]:
    """Seconds of the first run and of a later one, medians over the rounds.

    Parts that occur once per sweep are divided by its number of runs.
    """
    firsts, laters = [], []
    for measured in rounds:
        *runs, whole = measured["runs"]
        share = of(whole) / len(runs)
        firsts.append(share + of(runs[0]))
        laters.append(share + statistics.mean(of(run) for run in runs[1:]))
    return statistics.median(firsts), statistics.median(laters)


def table_rows(rounds: Sequence[dict[str, Any]]) -> list[tuple[str, float, float]]:
    """Part, seconds of the first run, seconds of a later one; the largest first."""
    parts = dict.fromkeys(part for round in rounds for run in round["runs"] for part in run)
    table = []
    for part in parts:

        def seconds(run: dict[str, float], part: str = part) -> float:
            return run.get(part, 0.0)

        table.append((part, *seconds_per_run(rounds, seconds)))
    table.sort(key=lambda row: (row[0] in TRAINING_PARTS, -row[2]))
    everything = seconds_per_run(rounds, lambda run: sum(run.values()))
    around = seconds_per_run(rounds, overhead)
    return [*table, ("outside of training and validation", *around), ("all", *everything)]


def print_table(name: str, rounds: Sequence[dict[str, Any]], clock: str) -> None:
    """Print the seconds of one checkout."""
    table = Table(title=f"{name}: {clock} of a run")
    for heading in ("", "first run", "later runs"):
        table.add_column(heading, justify="right" if heading else "left")
    for part, first, later in table_rows(rounds):
        table.add_row(part, f"{first:.3f}", f"{later:.3f}")
    imports = statistics.median(round["imports"] for round in rounds)
    table.add_row("imports, once a process", f"{imports:.3f}", "")
    Console().print(table)


def print_comparison(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> None:
    """Print the ratio of both checkouts' cost outside of training and validation."""
    for name, runs in (("first run", slice(0, 1)), ("later runs", slice(1, None))):
        ratios = [
            sum(map(overhead, new["runs"][:-1][runs])) / sum(map(overhead, old["runs"][:-1][runs]))
            for old, new in zip(before, after, strict=True)
        ]
        Console().print(
            f"Outside of training and validation, {name}: {statistics.median(ratios):.2f} of "
            f"before ({min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} rounds)"
        )


def measure(options: argparse.Namespace) -> None:
    """Let the checkouts take turns, and print and write the result."""
    checkouts = {"before": options.before.resolve()} if options.before else {}
    checkouts["now"] = ROOT
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in checkouts}
    with tempfile.TemporaryDirectory() as temporary:
        if options.scene is None:
            options.scene = Path(temporary) / "scene"
            simulate = ["-m", "landslide", "simulate", f"root={options.scene}"]
            size = ",".join(map(str, options.size))
            subprocess.run([sys.executable, *simulate, f"size=[{size}]"], cwd=ROOT, check=True)
        options.scene = options.scene.resolve()
        for number in range(options.rounds):
            for name, checkout in list(checkouts.items())[:: 1 if number % 2 else -1]:
                folder = Path(temporary) / f"{name}{number}"
                folder.mkdir()
                found[name].append(measure_sweep(checkout, options, folder))
    clock = "CPU seconds, one thread," if options.busy else "seconds"
    for name, rounds in found.items():
        print_table(name, rounds, clock)
    if options.before:
        print_comparison(found["before"], found["now"])
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=4, help="of a sweep; at least two")
    parser.add_argument("--epochs", type=int, default=30, help="of a run")
    parser.add_argument("--rounds", type=int, default=3, help="sweeps of each checkout")
    parser.add_argument("--size", type=int, nargs=2, default=[512, 704], help="rows and columns")
    parser.add_argument("--scene", type=Path, help="scene folder; default: simulate one")
    parser.add_argument("--before", type=Path, help="another checkout to compare with")
    parser.add_argument("--busy", action="store_true", help="one thread, CPU seconds")
    parser.add_argument("--override", action="append", default=[], help="of train.py's settings")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--checkout", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    options = parse_arguments()
    (run_timed_sweep if options.checkout else measure)(options)

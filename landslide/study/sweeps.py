"""Runs of a sweep: what each is, whether it is finished, and how they rank.

A run's folder is named by its settings, so that the same sweep started again finds the
runs it has: finished ones are left alone, an interrupted one goes on from its last
checkpoint. One that another version of the program trained, or on a scene that has changed
since, is trained anew. Runs may be added to a sweep, and its order may change.
"""

import hashlib
import json
import math
import shutil
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from landslide.config.checks import TRAIN, check, leaves
from landslide.data.datamodule import LandslideDataModule
from landslide.data.identity import IDENTITY, Identity
from landslide.errors import InputError
from landslide.geo.files import replacing, write_json
from landslide.study.leaderboard import print_leaderboard, write_leaderboard
from landslide.study.runs import ERROR, METRICS, SETTINGS, read_metrics
from landslide.training.run import train
from landslide.training.task import load_task

Settings = dict[str, Any]

ELSEWHERE = {
    "output_dir",
    "ckpt_path",
    "num_workers",
    "memory_mib",
    "logger",
    "callbacks.progress",
    "trainer.accelerator",
}
"""Settings that say where a run is computed and told, not what it is."""

UNNAMED = {"trainer", "callbacks", "logger", "experiment", "launcher", "hparams"}
"""Groups whose options are known by the values they set."""

REDRAWN = 30.0
"""Seconds after which the leaderboard's figure is drawn anew while a sweep goes on."""


def settings_of(config: DictConfig, choices: Mapping[str, str | None]) -> Settings:
    """What makes a run the run it is, flat.

    Args:
        config: Composed from ``conf/train.yaml``.
        choices: The option chosen of each config group, as Hydra knows them.

    Returns:
        The chosen options (``loss``: ``dice``) and the values (``model.filters``: 32).
        Values below the top level that are interpolated follow from others and are left out.
    """
    named = {
        group: choice
        for group, choice in choices.items()
        if choice is not None and not group.startswith("hydra/") and group not in UNNAMED
    }
    tree: Settings = OmegaConf.to_container(config)  # type: ignore[assignment]
    tops = {
        key: config[key] if _interpolated(value) else value
        for key, value in tree.items()
        if key != "hydra" and key not in ELSEWHERE
    }
    values = leaves(tops, skip=lambda name, value: name in ELSEWHERE or _interpolated(value))
    return named | dict(values) | named  # options first, and said by their names


def _interpolated(value: object) -> bool:
    return isinstance(value, str) and "${" in value


def run_name(*, _root_: DictConfig) -> str:
    """Name of a run's folder: the same for the same settings, on any machine."""
    settings = settings_of(_root_, _root_.hydra.runtime.choices)
    text = json.dumps(settings, sort_keys=True, default=str)
    name = settings.get("variant", settings["dataset.name"])
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


OmegaConf.register_new_resolver("run_name", run_name, replace=True)


def run(config: DictConfig) -> float:
    """Train; in a sweep, leave a finished run alone and take up an interrupted one.

    Args:
        config: Composed from ``conf/train.yaml`` by ``hydra.main``.

    Returns:
        F1 on the validation split.

    Raises:
        InputError: The data or the configuration cannot be used.
    """
    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN:
        return train(config)
    check(config, TRAIN)
    settings = settings_of(config, hydra.runtime.choices)  # before Hydra resolves what follows
    folder = Path(config.output_dir)
    console = Console(soft_wrap=True)
    data: LandslideDataModule = instantiate(config.datamodule)
    if reason := _why_stale(folder, data.identity):
        data.setup()  # a scene that cannot be used, or is not there now, costs no finished run
        console.print(f"Trained anew: {folder} {reason}", markup=False, highlight=False)
        _clear(folder, keep=hydra.output_subdir)
    if (folder / METRICS).exists():
        console.print(f"Finished before: {folder}")
        return float(read_metrics(folder)["val"]["f1"])
    (folder / ERROR).unlink(missing_ok=True)
    write_json(folder / SETTINGS, settings)
    last = folder / "checkpoints" / "last.ckpt"
    if config.ckpt_path is None and _readable(last):
        console.print(f"Goes on from {last}")
        config.ckpt_path = str(last)
    return train(config)


def _why_stale(folder: Path, now: Identity) -> str | None:
    """Why what an earlier run left would not come out again; None where it would, or is none."""
    if not (folder / METRICS).exists() and not (folder / "checkpoints").exists():
        return None
    before = Identity.read(folder)
    if before is None:
        return f"has no {IDENTITY} that tells by which code and from which data it was trained"
    changes = before.changes(now)
    return f"was trained {' and '.join(changes)}" if changes else None


def _clear(folder: Path, *, keep: str | None) -> None:
    """Remove a run's files but Hydra's of today: its metrics first, what tells its age last."""
    order = {METRICS: 0, IDENTITY: 2}
    for path in sorted(folder.iterdir(), key=lambda path: order.get(path.name, 1)):
        if path.name != keep:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _readable(checkpoint: Path) -> bool:
    """Whether a checkpoint is there and whole; one cut off while being written is not."""
    try:
        load_task(checkpoint)
    except InputError:
        return False
    return True


def _older(path: Path, other: Path) -> bool:
    """Whether two files are there and the first is the older."""
    return path.exists() and other.exists() and path.stat().st_mtime < other.stat().st_mtime


def _age(path: Path) -> float:
    """Seconds since a file was written; infinite where there is none."""
    return time.time() - path.stat().st_mtime if path.exists() else math.inf


def _announcement(config: DictConfig) -> str:
    """What a configured sweep would run, and how it is started."""
    params, typed = config.hydra.sweeper.params, list(config.hydra.overrides.task)
    # As Hydra's sweepers read them: what is typed comes later and wins.
    lines = [*(f"{key}={value}" for key, value in params.items()), *typed]
    values = {o.get_key_element(): o for o in OverridesParser.create().parse_overrides(lines)}
    planned = {key: _values(override) for key, override in values.items()}
    runs = config.hydra.sweeper.get("n_trials") or math.prod(map(len, planned.values()))
    return "\n".join(
        [
            f"This is a sweep of {runs} runs into {config.hydra.sweep.dir}:",
            *(f"  {key}: {', '.join(planned[key])}" for key in planned if key in params),
            f"Nothing was run. Start it with -m: python train.py -m {' '.join(typed)}",
        ]
    )


def _values(override: Override) -> list[str]:
    """The values that an override sets one after the other, or the range that it searches."""
    if override.is_discrete_sweep():
        return list(override.sweep_string_iterator())
    return [str(override.input_line).partition("=")[2]]


class SweepReport(Callback):
    """Rank the runs of a sweep as they finish, and name those that fail."""

    def __init__(self) -> None:
        self.sweeping = False

    def on_run_start(self, config: DictConfig, **kwargs: object) -> None:
        """Tell of a sweep that was not asked for with -m, before anything is written.

        Raises:
            SystemExit: The configuration describes a sweep. Hydra turns any other exception of a
                callback into a warning.
        """
        if config.hydra.sweeper.get("params"):
            raise SystemExit(_announcement(config))

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        """Report jobs from here on; a single run reports itself."""
        self.sweeping = True

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: object) -> None:
        """Write the leaderboard anew; of a failed job note the error, and say it."""
        if not self.sweeping:
            return
        if job_return.status == JobStatus.FAILED:
            self._note(config, job_return)
        sweep, run = Path(config.hydra.sweep.dir), Path(config.hydra.runtime.output_dir)
        # A run that was left alone is on the leaderboard already.
        if not _older(run / METRICS, sweep / "leaderboard.csv"):
            write_leaderboard(sweep, figure=_age(sweep / "leaderboard.png") > REDRAWN)

    def _note(self, config: DictConfig, job_return: JobReturn) -> None:
        """Keep a failed job's error in its folder: one sentence, or the traceback of a bug."""
        error = job_return._return_value
        known = isinstance(error, InputError)
        lines = [str(error)] if known else traceback.format_exception(error)
        with replacing(Path(config.hydra.runtime.output_dir) / ERROR) as temporary:
            temporary.write_text("".join(lines).rstrip() + "\n")
        job = " ".join(job_return.overrides or []) or "defaults"
        Console(stderr=True, soft_wrap=True).print(
            f"Job {config.hydra.job.num} ({job}) failed: {error}", markup=False, highlight=False
        )

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        """Write the leaderboard a last time, with the runs of all processes, and print it."""
        folder = Path(config.hydra.sweep.dir)
        write_leaderboard(folder)
        print_leaderboard(folder)

"""Runs of a sweep: their settings, names and failures, and the report as they finish.

A run's folder is named by its settings, so that a sweep that is started again finds the runs it
has, also after runs were added or their order was changed.
"""

import hashlib
import json
import math
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from landslide.config.checks import flatten
from landslide.errors import InputError, failures_as_input_errors
from landslide.geo.files import replacing, write_json

SETTINGS, METRICS, ERROR = "settings.json", "metrics.json", "error.txt"
"""Files of a run's folder: its settings, the scores of a finished run, why a run failed."""

Settings = dict[str, Any]

RUNTIME_SETTINGS = {
    "output_dir",
    "ckpt_path",
    "num_workers",
    "memory_mib",
    "logger",
    "callbacks.progress",
    "trainer.accelerator",
}
"""Settings that change where a run is computed and how it is reported, not its result."""

GROUPS_OF_VALUES = {"trainer", "callbacks", "logger", "experiment", "launcher", "hparams"}
"""Config groups of which only the values count as settings, not the name of the option."""

FIGURE_INTERVAL = 30.0
"""Seconds between two drawings of the leaderboard's figure while a sweep goes on."""


def settings_of(config: DictConfig, choices: Mapping[str, str | None]) -> Settings:
    """Return the settings that determine a run's result, flat.

    Args:
        config: Composed from ``conf/train.yaml``.
        choices: Chosen option of each config group, as Hydra's runtime lists them.

    Returns:
        The chosen options (``loss``: ``dice``) and the values (``model.filters``: 32).
        Interpolated values below the top level follow from others and are left out.
    """
    named = {
        group: choice
        for group, choice in choices.items()
        if choice is not None and not group.startswith("hydra/") and group not in GROUPS_OF_VALUES
    }
    tree: Settings = OmegaConf.to_container(config)  # type: ignore[assignment]
    resolved = {
        key: config[key] if _is_interpolated(value) else value
        for key, value in tree.items()
        if key != "hydra" and key not in RUNTIME_SETTINGS  # output_dir holds the run's own name
    }
    values = flatten(
        resolved, skip=lambda name, value: name in RUNTIME_SETTINGS or _is_interpolated(value)
    )
    return named | dict(values) | named  # options come first, and their names replace values


def _is_interpolated(value: object) -> bool:
    return isinstance(value, str) and "${" in value


def run_name(*, _root_: DictConfig) -> str:
    """Return the name of a run's folder: the same for the same settings, on any machine."""
    settings = settings_of(_root_, _root_.hydra.runtime.choices)
    text = json.dumps(settings, sort_keys=True, default=str)
    name = settings.get("variant", settings["dataset.name"])
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


OmegaConf.register_new_resolver("run_name", run_name, replace=True)


def _is_older(path: Path, other: Path) -> bool:
    """Whether two files exist and the first is the older."""
    return path.exists() and other.exists() and path.stat().st_mtime < other.stat().st_mtime


def _age(path: Path) -> float:
    """Seconds since a file was written; infinite if it does not exist."""
    return time.time() - path.stat().st_mtime if path.exists() else math.inf


def _describe_sweep(config: DictConfig) -> str:
    """Say what a configured sweep would run, and how to start it."""
    params, typed = config.hydra.sweeper.params, list(config.hydra.overrides.task)
    # Typed overrides come later and win, as in Hydra's sweepers.
    overrides = [*(f"{key}={value}" for key, value in params.items()), *typed]
    parsed = OverridesParser.create().parse_overrides(overrides)
    planned = {override.get_key_element(): _values(override) for override in parsed}
    runs = config.hydra.sweeper.get("n_trials") or math.prod(map(len, planned.values()))
    return "\n".join(
        [
            f"This is a sweep of {runs} runs into {config.hydra.sweep.dir}:",
            *(f"  {key}: {', '.join(planned[key])}" for key in planned if key in params),
            f"Nothing was run. Start it with -m: python train.py -m {' '.join(typed)}",
        ]
    )


def _values(override: Override) -> list[str]:
    """Values that an override sets one after the other, or the range that it searches."""
    if override.is_discrete_sweep():
        return list(override.sweep_string_iterator())
    return [str(override.input_line).partition("=")[2]]


@contextmanager
def noting_failures(config: DictConfig) -> Iterator[None]:
    """Write why a run of a sweep failed to its folder, and print it; other runs go on.

    The file holds one sentence, or the traceback of a bug.

    Args:
        config: Configuration of the run, composed from ``conf/train.yaml``.
    """
    try:
        with failures_as_input_errors():
            yield
    except Exception as error:
        hydra = HydraConfig.get()
        if hydra.mode == RunMode.MULTIRUN:
            expected = isinstance(error, InputError)
            lines = [str(error)] if expected else traceback.format_exception(error)
            folder = Path(hydra.runtime.output_dir)
            if not (folder / SETTINGS).exists():
                write_json(folder / SETTINGS, settings_of(config, hydra.runtime.choices))
            with replacing(folder / ERROR) as temporary:
                temporary.write_text("".join(lines).rstrip() + "\n")
            job = f"Job {hydra.job.num} ({' '.join(hydra.overrides.task) or 'defaults'})"
            console = Console(stderr=True, soft_wrap=True)
            console.print(f"{job} failed: {error}", markup=False, highlight=False)
        raise


class SweepReport(Callback):
    """Rank the runs of a sweep as they finish."""

    def __init__(self) -> None:
        self.sweeping = False

    def on_run_start(self, config: DictConfig, **kwargs: object) -> None:
        """Refuse to run a configured sweep without -m, before anything is written.

        Raises:
            SystemExit: The configuration describes a sweep. Hydra turns any other exception of a
                callback into a warning.
        """
        if config.hydra.sweeper.get("params"):
            raise SystemExit(_describe_sweep(config))

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        """Report jobs from now on; a single run reports itself."""
        self.sweeping = True

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: object) -> None:
        """Update the leaderboard."""
        if not self.sweeping:
            return
        sweep, run = Path(config.hydra.sweep.dir), Path(config.hydra.runtime.output_dir)
        # A run that had finished before is on the leaderboard already.
        if not _is_older(run / METRICS, sweep / "leaderboard.csv"):
            from landslide.study.leaderboard import write_leaderboard

            write_leaderboard(sweep, figure=_age(sweep / "leaderboard.png") > FIGURE_INTERVAL)

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        """Write the final leaderboard, with the runs of all processes, and print it."""
        from landslide.study.leaderboard import print_leaderboard, write_leaderboard

        folder = Path(config.hydra.sweep.dir)
        write_leaderboard(folder)
        print_leaderboard(folder)

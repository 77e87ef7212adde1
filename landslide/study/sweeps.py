"""Runs of a sweep: what each is, and how they rank.

A run's folder is named by its settings, so that the same sweep started again finds the
runs it has. Runs may be added to a sweep, and its order may change.
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

from landslide.config.checks import leaves
from landslide.errors import InputError, failures_as_input_errors
from landslide.geo.files import replacing, write_json

SETTINGS, METRICS, ERROR = "settings.json", "metrics.json", "error.txt"
"""Files of a run's folder: what it is, its scores once it is finished, why it failed."""

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


@contextmanager
def noting_failures(config: DictConfig) -> Iterator[None]:
    """Keep why a run of a sweep failed in its folder, and print it; other runs go on.

    The file holds one sentence, or the traceback of a bug.

    Args:
        config: The run's, composed from ``conf/train.yaml``.
    """
    try:
        with failures_as_input_errors():
            yield
    except Exception as error:
        hydra = HydraConfig.get()
        if hydra.mode == RunMode.MULTIRUN:
            known = isinstance(error, InputError)
            lines = [str(error)] if known else traceback.format_exception(error)
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
        """Write the leaderboard anew."""
        if not self.sweeping:
            return
        sweep, run = Path(config.hydra.sweep.dir), Path(config.hydra.runtime.output_dir)
        # A run that was left alone is on the leaderboard already.
        if not _older(run / METRICS, sweep / "leaderboard.csv"):
            from landslide.study.leaderboard import write_leaderboard

            write_leaderboard(sweep, figure=_age(sweep / "leaderboard.png") > REDRAWN)

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        """Write the leaderboard a last time, with the runs of all processes, and print it."""
        from landslide.study.leaderboard import print_leaderboard, write_leaderboard

        folder = Path(config.hydra.sweep.dir)
        write_leaderboard(folder)
        print_leaderboard(folder)

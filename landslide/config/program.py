"""How a program starts: it finds its configuration, and ends in one sentence on bad input."""

import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from landslide.config.checks import check_words
from landslide.errors import InputError, failures_as_input_errors

Task = Callable[[DictConfig], object]


def configuration_folder() -> Path:
    """Folder of the configuration: ``conf/`` of a checkout, else the one the wheel carries."""
    package = Path(__file__).parents[1]
    checkout = package.parent / "conf"
    return checkout if (checkout / "train.yaml").is_file() else package / "conf"


def run_program(config_name: str, task: Task) -> None:
    """Compose the configuration from the command line and run a program on it.

    Args:
        config_name: File of the configuration, without its suffix.
        task: What the program does; in a sweep, once for each combination of values.

    Raises:
        SystemExit: The input cannot be used; with one sentence and status 1. Under
            ``HYDRA_FULL_ERROR=1`` the error keeps its traceback.
    """
    check_words(sys.argv[1:])
    sys.argv[1:] = _flags_last(sys.argv[1:])
    folder = str(configuration_folder())
    start = hydra.main(config_path=folder, config_name=config_name, version_base="1.3")
    start(_in_one_sentence(task))()


def _flags_last(words: Sequence[str]) -> list[str]:
    """Put ``-m`` behind the options, which argparse wants on one side of it."""
    return sorted(words, key=lambda word: word in ("-m", "--multirun"))


def _in_one_sentence(task: Task) -> Task:
    """End a program on bad input with its sentence alone; Hydra would frame it with lines."""

    @wraps(task)
    def run(config: DictConfig) -> object:
        try:
            with failures_as_input_errors():
                return task(config)
        except InputError as error:
            # In a sweep Hydra must learn which job failed, and goes on with the others.
            sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
            if sweeping or os.environ.get("HYDRA_FULL_ERROR") == "1":
                raise
            raise SystemExit(str(error)) from error

    return run

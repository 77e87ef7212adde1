"""How a program starts: it reads the command line, and ends in one sentence on bad input."""

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import env_override
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from landslide.config.mistakes import check_words, describe_mistake
from landslide.config.paths import configuration_folder
from landslide.errors import InputError, failures_as_input_errors

Task = Callable[[DictConfig], object]

FULL_ERROR = "HYDRA_FULL_ERROR"
"""Environment variable under which Hydra lets errors pass instead of printing them."""

OPEN_GROUPS = ("layers.",)
"""Starts of keys that users name themselves; Hydra wants a plus before what it does not list."""


def run_program(config_name: str, task: Task, words: Sequence[str]) -> None:
    """Compose the configuration from the command line and run a program on it.

    Args:
        config_name: File of the configuration, without its suffix.
        task: What the program does; a sweep calls it once for each combination of values.
        words: The command line without the program's name.

    Raises:
        SystemExit: The input cannot be used; carries one sentence and exits with status 1. Under
            ``HYDRA_FULL_ERROR=1`` the error keeps its traceback.
    """
    check_words(words)
    logging.getLogger("hydra").addHandler(logging.NullHandler())  # it raises what it logs
    folder = str(configuration_folder())
    start = hydra.main(config_path=folder, config_name=config_name, version_base="1.3")
    with _command_line(words):
        if os.environ.get(FULL_ERROR) == "1":
            start(task)()
            return
        try:
            with env_override({FULL_ERROR: "1"}):
                start(_ending_in_one_sentence(task, config_name))()
        except (HydraException, OmegaConfBaseException, YAMLError) as error:
            sys.exit(describe_mistake(error, config_name))


@contextmanager
def _command_line(words: Sequence[str]) -> Iterator[None]:
    """Let ``hydra.main``, which takes no arguments, find words where it looks for them.

    Its parser wants all overrides on one side of ``-m``.
    """
    typed = sys.argv
    words = [f"+{word}" if word.startswith(OPEN_GROUPS) else word for word in words]
    sys.argv = [typed[0], *sorted(words, key=lambda word: word in ("-m", "--multirun"))]
    try:
        yield
    finally:
        sys.argv = typed


def _ending_in_one_sentence(task: Task, config_name: str) -> Task:
    """Exit on bad input before Hydra prints the overrides above the sentence."""

    @wraps(task)
    def run(config: DictConfig) -> object:
        try:
            with failures_as_input_errors():
                return task(config)
        except (InputError, InstantiationException) as error:
            # A sweep goes on with its other jobs, so Hydra must learn which one failed.
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            _remove_bare_run()
            raise SystemExit(describe_mistake(error, config_name)) from error

    return run


def _remove_bare_run() -> None:
    """Remove the folder of a run that wrote nothing, in which Hydra noted the configuration."""
    notes = HydraConfig.get().output_subdir
    folder = Path(HydraConfig.get().runtime.output_dir)
    if notes is None or [path.name for path in folder.iterdir()] != [notes]:
        return
    shutil.rmtree(folder / notes)
    while folder != Path.cwd() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent

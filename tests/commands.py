"""How tests run programs and compose their configurations."""

import multiprocessing
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf

from landslide.__main__ import main
from landslide.prepare.prepare import Prepared, prepare_scene
from landslide.products.mapping import map_scene

REPOSITORY = Path(__file__).parents[1]
CONF = REPOSITORY / "conf"

SMALL = ["model.filters=2", "trainer=cpu", "trainer.max_epochs=2", "patch_size=32"]
"""Options of a training that takes seconds."""

QUIET = ["hydra/job_logging=none", "hydra/hydra_logging=none"]
"""Options that leave the loggers of this process as they are."""


PROCESSES = multiprocessing.get_context("forkserver")
"""Processes forked from one that has imported what takes long, and has no threads."""

PROCESSES.set_forkserver_preload(
    [
        "landslide.export.export",
        "landslide.products.mapping",
        "landslide.programs.respond",
        "landslide.respond.response",
        "landslide.study.job",
        "landslide.study.page",
    ]
)


class Finished(NamedTuple):
    """A program that ended: its exit status, and what it printed."""

    returncode: int | None
    stdout: str
    stderr: str


def run_program(
    program: str, *words: str, cwd: Path, env: Mapping[str, str] | None = None
) -> Finished:
    """Run a program to its end, see ``start_program``."""
    with TemporaryDirectory() as folder:
        printed = Path(folder, "stdout"), Path(folder, "stderr")
        process = start_program(program, *words, cwd=cwd, env=env, printed=printed)
        process.join()
        stdout, stderr = (path.read_text() for path in printed)
        return Finished(process.exitcode, stdout, stderr)


def start_program(
    program: str,
    *words: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    printed: tuple[Path, Path] = (Path(os.devnull), Path(os.devnull)),
) -> ForkServerProcess:
    """Start a program as a process of its own that need not import what takes long.

    Args:
        program: Script, or name of a program.
        words: Its command line.
        cwd: Folder that it starts in.
        env: Environment variables besides those of this process.
        printed: Files of its standard output and standard error.
    """
    env = {**os.environ, "PYTHONWARNINGS": "ignore", **(env or {})}
    process = PROCESSES.Process(target=_be_program, args=(program, words, cwd, env, printed))
    process.start()
    return process


def _be_program(
    program: str,
    words: Sequence[str],
    cwd: Path,
    env: Mapping[str, str],
    printed: tuple[Path, Path],
) -> None:
    for number, path in enumerate(printed, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    warnings.simplefilter("ignore")
    sys.argv = [str(REPOSITORY / program), *words]  # what processes of its own are started by
    try:
        main([program.removesuffix(".py"), *words])
    finally:
        for child in multiprocessing.active_children():  # joblib's, which wait for further work
            child.terminate()


def run_here(*words: str, cwd: Path) -> None:
    """Run ``landslide <words>`` in this process, which is faster than to start another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        main([*words, *QUIET])


def composed(*overrides: str, name: str = "train", with_hydra: bool = False) -> DictConfig:
    """Compose a configuration; options of groups are chosen once, values are set on a copy."""
    if with_hydra:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose(name, list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(config)  # what ${hydra:…} reads
        return config
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    values = [word for word in parsed if _sets_value(word)]
    config = deepcopy(_choose(name, *(str(w.input_line) for w in parsed if w not in values)))
    for word in values:  # as Hydra does
        OmegaConf.update(config, word.key_or_group, word.value(), merge=True)
    return config


def _sets_value(word: Override) -> bool:
    is_group = word.package is not None or (CONF / word.key_or_group).is_dir()
    return word.type is OverrideType.CHANGE and not is_group


@cache
def _choose(name: str, *options: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(name, list(options))


def map_with(*overrides: str) -> dict[str, object]:
    return map_scene(composed(*overrides, name="predict"))


def compose_preparation(*overrides: str) -> DictConfig:
    return composed(*overrides, name="prepare")


def prepare(*overrides: str) -> Prepared:
    return prepare_scene(compose_preparation(*overrides))

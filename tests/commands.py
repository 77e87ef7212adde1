"""How tests run programs and compose their configurations."""

import os
import subprocess
import sys
from copy import deepcopy
from functools import cache
from pathlib import Path

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


def run_program(program: str, *overrides: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    script = program.endswith(".py")
    words = [str(REPOSITORY / program)] if script else ["-m", "landslide", program]
    command = [sys.executable, *words, *overrides]
    return subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )


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

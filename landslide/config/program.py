"""How a program starts: it reads the command line, and ends in one sentence on bad input."""

import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from itertools import pairwise
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import CompactHydraException, HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from landslide.errors import InputError, failures_as_input_errors

Task = Callable[[DictConfig], object]

FULL_ERROR = "HYDRA_FULL_ERROR"
"""Environment variable under which Hydra lets errors pass instead of printing them."""


def configuration_folder() -> Path:
    """Folder of the configuration: ``conf/`` of a checkout, or the one that the wheel carries."""
    package = Path(__file__).parents[1]
    checkout = package.parent / "conf"
    return checkout if (checkout / "train.yaml").is_file() else package / "conf"


def run_program(config_name: str, task: Task) -> None:
    """Compose the configuration from the command line and run a program on it.

    Args:
        config_name: File of the configuration, without its suffix.
        task: What the program does; a sweep calls it once for each combination of values.

    Raises:
        SystemExit: The input cannot be used; carries one sentence and exits with status 1. Under
            ``HYDRA_FULL_ERROR=1`` the error keeps its traceback.
    """
    check_overrides(sys.argv[1:])
    # Hydra parses sys.argv itself, by an argparse that wants all overrides on one side of -m.
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda word: word in ("-m", "--multirun"))
    folder = str(configuration_folder())
    start = hydra.main(config_path=folder, config_name=config_name, version_base="1.3")
    before = os.environ.get(FULL_ERROR, "0")
    os.environ[FULL_ERROR] = "1"
    try:
        start(task if before == "1" else _ending_in_one_sentence(task))()
    except CompactHydraException as error:
        if before == "1":
            raise
        raise SystemExit(str(error).strip()) from error
    finally:
        os.environ[FULL_ERROR] = before


def _ending_in_one_sentence(task: Task) -> Task:
    """Exit on bad input before Hydra prints the overrides above the sentence."""

    @wraps(task)
    def run(config: DictConfig) -> object:
        try:
            with failures_as_input_errors():
                return task(config)
        except InputError as error:
            # A sweep goes on with its other jobs, so Hydra must learn which one failed.
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            raise SystemExit(str(error)) from error

    return run


VALUE_FLAGS = ("-cp", "-cn", "-cd", "-p", "-i", "--config-path", "--config-name", "--config-dir")
"""Flags of Hydra that the next word belongs to."""


def check_overrides(words: Sequence[str]) -> None:
    """Exit with one sentence if Hydra cannot parse a word of the command line.

    Hydra's own message names neither the word nor the remedy, and such words are common: paths
    with ``=``, ``&``, ``(``, ``~`` or a letter beyond ASCII.

    Args:
        words: The command line without the program's name.
    """
    for flag, word in pairwise(["", *words]):
        if flag in VALUE_FLAGS or word.startswith("-") or "=" not in word or _can_parse(word):
            continue
        key, _, value = word.partition("=")
        quoted = f"{key}={_quoted(value)}"
        advice = f'write it in two pairs of quotes, "{quoted}"'
        if not _can_parse(quoted):
            advice = "options are written key=value"
        sys.exit(f"{word} cannot be read: {advice}")


def _can_parse(override: str) -> bool:
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True


def _quoted(value: str) -> str:
    """A value, or each value of a list, between single quotes."""
    if value.startswith("[") and value.endswith("]"):
        return f"[{','.join(_quoted(item.strip()) for item in value[1:-1].split(','))}]"
    bare = value.strip("'\"")
    bare = str(Path(bare).expanduser()) if bare.startswith("~") else bare
    return "'" + bare.replace("'", r"\'") + "'"

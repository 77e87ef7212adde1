"""What a user mistyped, in one sentence that says what was meant or what there is."""

import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, InstantiationException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError
from yaml import MarkedYAMLError

from landslide.config.checks import flatten
from landslide.config.paths import configuration_folder
from landslide.errors import InputError

VALUE_FLAGS = (
    *("-c", "-cp", "-cn", "-cd", "-p", "-i"),
    *("--cfg", "--config-path", "--config-name", "--config-dir", "--package", "--info"),
)
"""Flags of Hydra that the next word belongs to."""

FLAGS = (
    *("--help", "--hydra-help", "--run", "--multirun", "--resolve"),
    *("--shell-completion", "--experimental-rerun", *VALUE_FLAGS),
)
"""Flags of Hydra; each may be shortened."""


def describe_mistake(error: Exception, config_name: str) -> str:
    """Say in one sentence why a configuration could not be composed or used.

    Args:
        error: What Hydra, OmegaConf, PyYAML or a program raised.
        config_name: File of the program's configuration, without its suffix.
    """
    cause = None if isinstance(error, InputError) else error.__cause__
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, option = error.missing_cfg_file.rpartition("/")
        return f"{group}={option} does not exist: choose from {', '.join(error.options)}"
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.full_key:
        return _describe_key(cause.full_key, cause.parent_node or (), config_name)
    if isinstance(error, InstantiationException) and cause is not None:
        return _one_line(f"{str(error).partition(chr(10))[0]} {cause}")
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}"
        return f"{mark.name} is not valid YAML: {error.problem} in {place}"
    return _one_line(str(error))


def _describe_key(key: str, siblings: Iterable[object], config_name: str) -> str:
    """Say which option was meant by a key, or which there are.

    Args:
        key: Dotted name that no option has.
        siblings: Last parts of the names that do exist where the key was looked for.
        config_name: File of the program's configuration, without its suffix.
    """
    group, dot, last = key.rpartition(".")
    names = [name for name in map(str, siblings) if not name.startswith("_")]
    if near := get_close_matches(last, names, 1):
        return f"{key} is no option: did you mean {group}{dot}{near[0]}?"
    if near := get_close_matches(last, elsewhere := _options(config_name), 1, cutoff=0.8):
        return f"{key} is no option: did you mean {elsewhere[near[0]]}?"
    if group:
        return f"{group} has no option {last}: choose from {', '.join(names)}, or write +{key}=…"
    return f"{key} is no option: `landslide {config_name} --help` lists the options"


def _options(config_name: str) -> dict[str, str]:
    """Options of a program's default configuration: dotted names by their last part."""
    with initialize_config_dir(str(configuration_folder()), version_base="1.3"):
        defaults = OmegaConf.to_container(compose(config_name))
    names = [name for name, _ in flatten(defaults)]  # type: ignore[arg-type]
    return {name.rpartition(".")[2]: name for name in reversed(names)}


def _one_line(text: str) -> str:
    return " ".join(text.split())


def check_words(words: Sequence[str]) -> None:
    """Exit with one sentence if Hydra cannot use a word of the command line.

    Hydra's own message names neither the word nor the remedy, and such words are common: paths
    with ``=``, ``&``, ``(``, ``~`` or a letter beyond ASCII.

    Args:
        words: The command line without the program's name.
    """
    for flag, word in pairwise(["", *words]):
        name = word.partition("=")[0]
        if word.startswith("--") and not any(known.startswith(name) for known in FLAGS):
            key = name[2:].replace("-", "_")
            sys.exit(f"{name} is no flag: options are written without dashes, {key}=…")
        if flag in VALUE_FLAGS or word.startswith("-"):
            continue
        if override := _parse(word):
            group = configuration_folder() / override.key_or_group
            if "=" in word and override.value() is None and group.is_dir():
                options = ", ".join(sorted(path.stem for path in group.glob("*.yaml")))
                sys.exit(f"{word} names no option: leave it out, or choose from {options}")
            continue
        key, _, value = word.partition("=")
        quoted = f"{key}={_quoted(value)}"
        advice = f'write it in two pairs of quotes, "{quoted}"'
        if not value or not _parse(quoted):
            advice = "options are written key=value"
        sys.exit(f"{word} cannot be read: {advice}")


def _parse(word: str) -> Override | None:
    """The override that a word is, if Hydra can read it."""
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException:
        return None
    return override if override.key_or_group else None


def _quoted(value: str) -> str:
    """A value, or each value of a list, between single quotes."""
    if value.startswith("[") and value.endswith("]"):
        return f"[{','.join(_quoted(item.strip()) for item in value[1:-1].split(','))}]"
    bare = value.strip("'\"")
    bare = str(Path(bare).expanduser()) if bare.startswith("~") else bare
    return "'" + bare.replace("'", r"\'") + "'"

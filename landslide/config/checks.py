"""Options that cannot be right, found before anything is opened or written."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from landslide.errors import InputError


class Rule(NamedTuple):
    """What a value must be: a type, a condition, and both in words."""

    kind: type | tuple[type, ...]
    holds: Callable[..., bool]
    words: str


NUMBER = (int, float)
COUNT = Rule(int, lambda value: value >= 1, "a whole number from 1")
NATURAL = Rule(int, lambda value: value >= 0, "a whole number from 0")
POSITIVE = Rule(NUMBER, lambda value: value > 0, "a number above 0")
NOT_NEGATIVE = Rule(NUMBER, lambda value: value >= 0, "a number from 0")
SHARE = Rule(NUMBER, lambda value: 0 <= value <= 1, "a number from 0 to 1")
FRACTION = Rule(NUMBER, lambda value: 0 <= value < 1, "a number from 0 to below 1")

CALIBRATED = "calibrated"
"""Threshold that is chosen on the validation split."""

SWITCH = Rule(bool, lambda _: True, "true or false")

TRAIN: Mapping[str, Rule] = {
    "batch_size": COUNT,
    "learning_rate": POSITIVE,
    "patch_size": COUNT,
    "datamodule.window_size": COUNT,
    "seed": NATURAL,
    "num_workers": NATURAL,
    "memory_mib": NATURAL,
    "split.seed": NATURAL,
    "split.test_share": FRACTION,
    "split.val_share": FRACTION,
    "split.folds": Rule(int, lambda value: value >= 3, "a whole number from 3"),
    "split.fold": NATURAL,
    "split.period": COUNT,
    "sampler.landslide_share": SHARE,
    "threshold": Rule(
        (*NUMBER, str),
        lambda value: value == CALIBRATED if isinstance(value, str) else 0 <= value <= 1,
        f"a number from 0 to 1 or {CALIBRATED}",
    ),
}

PREDICT: Mapping[str, Rule] = {
    "threshold": SHARE,
    "min_area": NOT_NEGATIVE,
    "fill_holes": NOT_NEGATIVE,
    "simplify": NOT_NEGATIVE,
    "geojson": SWITCH,
    "pdf": SWITCH,
    "resume": SWITCH,
    "window.size": COUNT,
    "window.overlap": FRACTION,
    "window.halo": NATURAL,
}


def check(config: DictConfig, rules: Mapping[str, Rule]) -> None:
    """Check the options of a program.

    Raises:
        InputError: An option that has no default is not set, or a value breaks its rule.
    """
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise InputError(f"{missing[0]} is not set: give it as {missing[0]}=…")
    for key, rule in rules.items():
        value = OmegaConf.select(config, key)
        right = isinstance(value, rule.kind) and isinstance(value, bool) == (rule is SWITCH)
        if value is not None and not (right and rule.holds(value)):
            raise InputError(f"{key}={value} is not {rule.words}")


def leaves(
    tree: Mapping[str, Any],
    prefix: str = "",
    *,
    skip: Callable[[str, object], bool] = lambda name, value: False,
) -> Iterator[tuple[str, Any]]:
    """Nested settings, flat: ``model.filters``, 32.

    Args:
        tree: Plain values, lists and mappings.
        prefix: Of all names.
        skip: Whether a name with its value, which may be a mapping, is left out.
    """
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if skip(name, value):
            continue
        if isinstance(value, Mapping):
            yield from leaves(value, f"{name}.", skip=skip)
        else:
            yield name, value


def check_words(words: Sequence[str]) -> None:
    """Leave the program with one sentence where Hydra cannot read a word of the command line.

    Hydra's own message names neither the word nor the cure, and such words are common: paths
    with ``=``, ``&``, ``(``, ``~`` or a letter beyond ASCII.
    """
    parser = OverridesParser.create()
    for flag, word in pairwise(["", *words]):
        if flag.startswith("-") or word.startswith("-") or "=" not in word:
            continue
        if _reads(parser, word):
            continue
        key, _, value = word.partition("=")
        quoted = f"{key}={_quoted(value)}"
        cure = f'write it in two pairs of quotes, "{quoted}"'
        if not _reads(parser, quoted):
            cure = "options are written key=value"
        sys.exit(f"{word} cannot be read: {cure}")


def _reads(parser: OverridesParser, word: str) -> bool:
    try:
        parser.parse_override(word)
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

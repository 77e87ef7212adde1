"""Rules for options, checked before anything is opened or written."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from landslide.errors import InputError


class Rule(NamedTuple):
    """What a value must be: a type, a condition, and both in words.

    ``null`` passes every rule: it stands for a default that the program chooses.
    """

    types: type | tuple[type, ...]
    is_valid: Callable[..., bool]
    description: str


NUMBER = (int, float)
COUNT = Rule(int, lambda value: value >= 1, "a whole number from 1")
NATURAL = Rule(int, lambda value: value >= 0, "a whole number from 0")
POSITIVE = Rule(NUMBER, lambda value: value > 0, "a number above 0")
NOT_NEGATIVE = Rule(NUMBER, lambda value: value >= 0, "a number from 0")
SHARE = Rule(NUMBER, lambda value: 0 <= value <= 1, "a number from 0 to 1")
FRACTION = Rule(NUMBER, lambda value: 0 <= value < 1, "a number from 0 to below 1")

SWITCH = Rule(bool, lambda value: True, "true or false")

CALIBRATED = "calibrated"
"""As ``threshold``: the one with the best F1 on the validation split."""

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

    Args:
        config: Composed configuration of the program.
        rules: By key, such as ``window.size``.

    Raises:
        InputError: An option without a default is not set, refers to one that does not exist, or
            breaks its rule.
    """
    try:
        missing = sorted(OmegaConf.missing_keys(config))
    except OmegaConfBaseException as error:
        raise InputError(f"{error.full_key} has no value: {error.msg}") from error
    if missing:
        raise InputError(f"{missing[0]} is not set: give it as {missing[0]}=…")
    for key, rule in rules.items():
        value = OmegaConf.select(config, key)
        # In Python true and false are numbers as well.
        has_type = isinstance(value, rule.types) and isinstance(value, bool) == (rule is SWITCH)
        if value is not None and not (has_type and rule.is_valid(value)):
            raise InputError(f"{key}={value} is not {rule.description}")


def flatten(
    settings: Mapping[str, Any],
    prefix: str = "",
    *,
    skip: Callable[[str, object], bool] = lambda name, value: False,
) -> Iterator[tuple[str, Any]]:
    """Yield nested settings as pairs of a dotted name and a value: ``model.filters``, 32.

    Args:
        settings: Plain values, lists and mappings.
        prefix: Start of all names.
        skip: Whether to leave out a name with its value, which may be a mapping.
    """
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if skip(name, value):
            continue
        if isinstance(value, Mapping):
            yield from flatten(value, f"{name}.", skip=skip)
        else:
            yield name, value

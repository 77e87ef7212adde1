"""Options that cannot be right, found before anything is opened or written."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

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

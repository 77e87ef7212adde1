"""Rules for options, and their check before anything is opened or written."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from landslide.errors import InputError


class Rule(NamedTuple):
    """What a value must be: a type, a condition, and both in words."""

    types: type | tuple[type, ...]
    is_valid: Callable[..., bool]
    description: str
    optional: bool = False
    """Whether ``null`` is valid as well: a default that the program chooses."""


ABSENT = object()

NUMBER = (int, float)
ANY_NUMBER = Rule(NUMBER, lambda value: True, "a number")
COUNT = Rule(int, lambda value: value >= 1, "a whole number from 1")
NATURAL = Rule(int, lambda value: value >= 0, "a whole number from 0")
POSITIVE = Rule(NUMBER, lambda value: value > 0, "a number above 0")
NOT_NEGATIVE = Rule(NUMBER, lambda value: value >= 0, "a number from 0")
FRACTION = Rule(NUMBER, lambda value: 0 <= value < 1, "a number from 0 to below 1")

SWITCH = Rule(bool, lambda value: True, "true or false")


def between(low: float, high: float) -> Rule:
    """Return the rule for a number from ``low`` to ``high``, both included."""
    return Rule(NUMBER, lambda value: low <= value <= high, f"a number from {low:g} to {high:g}")


def choice(*names: str) -> Rule:
    """Return the rule for one of several names."""
    return Rule(str, lambda value: value in names, f"one of {', '.join(names)}")


def optional(rule: Rule) -> Rule:
    """Return the rule with ``null`` as a further valid value."""
    return rule._replace(optional=True)


def check(config: DictConfig, rules: Mapping[str, Rule]) -> None:
    """Check the options of a program.

    Args:
        config: Composed configuration of the program.
        rules: By key, such as ``window.size``. A key that the configuration lacks is not checked.

    Raises:
        InputError: An option without a default is not set, refers to one that does not exist, or
            breaks its rule.
    """
    try:
        missing = sorted(OmegaConf.missing_keys(config))
    except OmegaConfBaseException as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{error.full_key} cannot be resolved: {reason}") from error
    if missing:
        raise InputError(f"{missing[0]} is not set: give it as {missing[0]}=…")
    for key, rule in rules.items():
        if (value := OmegaConf.select(config, key, default=ABSENT)) is not ABSENT:
            check_value(key, value, rule)


def check_value(key: str, value: object, rule: Rule) -> None:
    """Check the value of one option.

    Raises:
        InputError: The value breaks the rule.
    """
    if value is None and rule.optional:
        return
    # In Python true and false are numbers as well.
    has_type = isinstance(value, rule.types) and isinstance(value, bool) == (rule is SWITCH)
    if not (has_type and rule.is_valid(value)):
        typed = "null" if value is None else value
        raise InputError(f"{key}={typed} is not {rule.description}")


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

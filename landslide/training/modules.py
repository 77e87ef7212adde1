"""Modules that a configuration or a checkpoint names."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from torch import nn

from landslide.errors import InputError

Config = dict[str, Any]
"""``_target_`` and arguments of a class."""


def make_module(config: Config, **arguments: object) -> nn.Module:
    """Instantiate ``_target_`` if it is an ``nn.Module``; a checkpoint may name no other class.

    Raises:
        InputError: There is no such class, or it cannot be made with these arguments.
    """
    target = config.get("_target_")
    if not target:
        raise InputError(f"{dict(config)} has no _target_: name the class, such as mine.Model")
    try:
        kind = get_class(target)
    except (ImportError, ValueError) as error:
        raise InputError(
            f"_target_: {target} cannot be imported: check the name, and put the folder of your "
            "own module on PYTHONPATH"
        ) from error
    if not issubclass(kind, nn.Module):
        raise InputError(f"_target_: {target} is not a torch.nn.Module: name a class that is one")
    if any("_target_" in value for value in _nested(config)):
        raise InputError(f"_target_: {target} has an argument with a _target_ of its own")
    try:
        module: nn.Module = instantiate(config, **arguments)
    except InstantiationException as error:
        weights = config.get("encoder_weights")
        reason = str(error.__cause__).splitlines()[0].rstrip(".")
        if weights is None or isinstance(error.__cause__, TypeError):
            raise InputError(
                f"_target_: {target} cannot be made with {_arguments(config)} ({reason}): check "
                "names and values of its settings"
            ) from error
        raise InputError(
            f"model.encoder_weights={weights}: these weights are not available ({reason}): choose "
            "others, or null to start from random ones"
        ) from error
    return module


def _arguments(config: Config) -> str:
    """The settings of a class as a user types them."""
    return ", ".join(f"{key}={value}" for key, value in config.items() if key != "_target_")


def _nested(value: object) -> Iterator[Mapping[str, object]]:
    """All mappings below the top level."""
    children = value.values() if isinstance(value, Mapping) else value
    if isinstance(children, Iterable) and not isinstance(children, str):
        for child in children:
            if isinstance(child, Mapping):
                yield child
            yield from _nested(child)

"""A training that starts from the weights of another."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from landslide.errors import InputError
from landslide.training.model import LandslideModel, load_model


def start_from(task: LandslideModel, path: Path) -> None:
    """Copy the weights of another checkpoint of the same model.

    The first convolution takes each band's weights from the band of the same name. A band that the
    other network did not have starts with weights of zero, and one that is not used any more is
    dropped. Statistics of the normalisation stay those of the new data.

    Args:
        task: Task whose model is changed.
        path: Checkpoint.

    Raises:
        InputError: The checkpoint is of another model, or shares no band.
    """
    other = load_model(path)
    given, own = other.model.state_dict(), task.model.state_dict()
    first = next(
        (name for name, part in task.model.named_modules() if isinstance(part, nn.Conv2d)), ""
    )
    weight = f"{first}.weight"
    fits = given.keys() == own.keys() and all(
        given[name].shape == own[name].shape for name in own if name != weight
    )
    if not fits:
        raise InputError(
            f"weights={path} is of another model, {_describe(other)}: train {_describe(other)}, or "
            "leave weights out"
        )
    if weight in own:
        given[weight] = _by_band(given[weight], other.bands, task.bands, path)
    task.model.load_state_dict(given)


def _by_band(weight: Tensor, before: Sequence[str], after: Sequence[str], path: Path) -> Tensor:
    """Weights (F, C, h, w) of the bands after, taken from those of the bands before."""
    if not set(before) & set(after):
        raise InputError(
            f"weights={path} was trained on {', '.join(before)}, and dataset.bands has none of "
            "them: choose a checkpoint of some of its bands"
        )
    zero = torch.zeros_like(weight[:, 0])
    columns = [weight[:, before.index(band)] if band in before else zero for band in after]
    return torch.stack(columns, dim=1)


def _describe(task: LandslideModel) -> str:
    settings = dict(task.model_settings)
    name = str(settings.pop("_target_")).rpartition(".")[2]
    return f"{name}({', '.join(f'{key}={value}' for key, value in settings.items())})"

"""Checkpoint files: read, checked, and written whole or not at all."""

import io
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from landslide.config.paths import require_checkpoints
from landslide.errors import InputError
from landslide.geo.files import replacing

FORMAT = "landslide_version"
"""Key of our checkpoints; holds the version of the program that wrote it."""

MOVED_MODULES = {
    "landslide.normalization": "landslide.data.normalization",
    "landslide.losses": "landslide.training.losses",
}
"""Modules whose classes older checkpoints name, and where these classes are now."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU: its ``state_dict``, its ``hyper_parameters`` and more.

    Raises:
        InputError: The file is missing, truncated, or was not written by this project.
    """
    require_checkpoints([str(path)])
    try:
        if not zipfile.is_zipfile(path):  # on other files torch fails in many ways
            raise pickle.UnpicklingError(f"{path} is not in torch's format")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise InputError(
            f"{path} is not a readable checkpoint (truncated, or of another program): name one "
            "that train.py wrote, such as checkpoints/best.ckpt of a run folder"
        ) from error
    if not isinstance(content, Mapping) or FORMAT not in content:
        raise InputError(
            f"{path} was not written by this program: weights of the authors' Keras program are "
            "converted with `landslide keras`"
        )
    with fitting(path):
        settings = content["hyper_parameters"]
        for part in ("loss", "normalization"):
            module, _, name = str(settings[part]["_target_"]).rpartition(".")
            settings[part]["_target_"] = f"{MOVED_MODULES.get(module, module)}.{name}"
    return dict(content)


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Turn a failure to make something of a checkpoint into an error that names it.

    Raises:
        InputError: The checkpoint is of another version, or names a class that is not there.
    """
    try:
        yield
    except (
        InputError,
        AttributeError,
        ImportError,
        KeyError,
        RuntimeError,
        TypeError,
    ) as error:
        raise InputError(
            f"{path} does not fit this version of the program, or its model's class is missing: "
            f"{str(error).splitlines()[0]}"
        ) from error


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint; an older one stays until the new one is complete.

    Raises:
        OSError: The disk is full, for example.
    """
    # On a full disk torch's own writer raises a RuntimeError that does not name the disk.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())

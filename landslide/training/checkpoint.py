"""Checkpoint files, written whole or not at all."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from landslide.geo.files import replacing


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


class WholeCheckpoints(TorchCheckpointIO):
    """Write Lightning's checkpoints whole or not at all.

    Lightning itself writes to the system's temporary folder and moves the file from there, which
    is a copy if the target is on another disk: a full disk truncates it.
    """

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any | None = None,  # noqa: ANN401
    ) -> None:
        """Write a checkpoint."""
        write_checkpoint(checkpoint, Path(path))

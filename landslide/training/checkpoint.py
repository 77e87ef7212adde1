"""Checkpoints on disk, whole or not at all."""

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
    """How Lightning writes checkpoints while training.

    Lightning's own way is to write to the system's temporary folder and to move the file from
    there, which to another disk is a copy: a full disk cuts it off.
    """

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any | None = None,  # noqa: ANN401
    ) -> None:
        """Write a checkpoint."""
        write_checkpoint(checkpoint, Path(path))

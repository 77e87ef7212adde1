"""One model in the formats that other programs read, in memory and as files."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch.export import ExportedProgram

from landslide.export.graph import Graph
from landslide.export.verification import Outputs
from landslide.training.member import SIZE
from landslide.training.model import LandslideModel
from landslide.training.network import TTA
from landslide.training.onnx import open_session, to_onnx, torchs_warnings_ignored, trace

ONNX, TORCH = "model.onnx", "model.pt2"

METADATA = "metadata.json"
"""Name of the metadata inside of ``model.pt2``."""


class ModelFiles(NamedTuple):
    """A model for onnxruntime and for torch.

    Attributes:
        outputs: Names of its outputs.
        onnx: ``onnx.ModelProto``.
        program: The same, traced by torch, for any size.
    """

    outputs: tuple[str, ...]
    onnx: Any
    program: ExportedProgram

    @classmethod
    def of(
        cls, members: Sequence[LandslideModel], multiple: int, tta: TTA, size: int | None = None
    ) -> Self:
        """Make a model of checkpoints.

        Args:
            members: Checkpoints of the same bands; several are an ensemble.
            multiple: What the image's sides are multiples of.
            tta: ``flips`` averages over the four flips.
            size: The only height and width that the ONNX model takes; None leaves them free.

        Raises:
            InputError: The model cannot be traced, or has an operation that ONNX lacks.
        """
        graph, channels = Graph(members, tta).eval(), len(members[0].bands)
        program = trace(graph, channels, multiple)
        static = program if size is None else trace(graph, channels, multiple, size)
        return cls(graph.outputs, to_onnx(static, graph.outputs), program)

    def opened(self) -> dict[str, Outputs]:
        """The models as other programs run them, by file."""
        written = io.BytesIO()
        with torchs_warnings_ignored():
            torch.export.save(self.program, written)
            written.seek(0)
            loaded = torch.export.load(written).module()
        return {ONNX: open_session(self.onnx, torch.device("cpu")), TORCH: loaded}

    def write(
        self, folder: Path, metadata: Mapping[str, Any], onnx_only: Mapping[str, Any]
    ) -> None:
        """Write both files.

        Args:
            folder: Folder that exists.
            metadata: Plain values by key, for both files; ``size`` is that of the ONNX model.
            onnx_only: Further ones for programs that run ONNX. Every value is written as JSON.
        """
        del self.onnx.metadata_props[:]
        for key, value in {**metadata, **onnx_only}.items():
            self.onnx.metadata_props.add(key=key, value=json.dumps(value))
        (folder / ONNX).write_bytes(self.onnx.SerializeToString())
        extra = {METADATA: json.dumps({**metadata, SIZE: None})}
        with torchs_warnings_ignored():
            torch.export.save(self.program, folder / TORCH, extra_files=extra)

"""Networks as ONNX: how torch traces them, and how onnxruntime runs them."""

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from landslide.errors import InputError

IR_VERSION = 9
"""Version of the file format: onnxruntime 1.17, which QGIS plugins ship, reads none above 9."""

MAX_BATCH, MAX_SIDE = 1024, 2**16
"""Largest batch and side in pixels of a traced network, far beyond what memory holds."""

ANY_SIZE = 32
"""What sides are multiples of in the trace of a network that takes any size: torch ties it to one
of the ways in which the network treats sides that are even and odd at its levels."""


LEAST_EXAMPLE = 128
"""Least side in pixels of the image that a network is traced with: SegFormer's attention sees it
32 times smaller, and torch takes a side of one pixel for a constant."""


def require_packages(*names: str) -> None:
    """Require packages of the extra ``onnx``.

    Raises:
        InputError: One is not installed.
    """
    for name in names:
        if find_spec(name) is None:
            raise InputError(f'ONNX needs the package {name}: pip install -e ".[onnx]"')


def torchs_warnings_ignored() -> AbstractContextManager[None]:
    """Ignore what torch warns itself of: its own deprecated calls."""
    return warnings.catch_warnings(action="ignore")


def traced_multiple(multiple: int) -> int:
    """What sides are multiples of in the trace of a network, given what it needs itself."""
    return multiple if multiple > 1 else ANY_SIZE


def trace(
    model: nn.Module, channels: int, multiple: int, size: int | None = None
) -> ExportedProgram:
    """Trace a module of images (B, C, H, W), B free.

    Args:
        model: In evaluation mode.
        channels: Input bands C.
        multiple: What H and W are multiples of, see ``traced_multiple``.
        size: The only H and W; None leaves them free.

    Raises:
        InputError: The module cannot be traced.
    """
    multiple = traced_multiple(multiple)
    side = size or multiple * max(4, -(-LEAST_EXAMPLE // multiple))
    # Sides must differ, or they would be taken for one.
    example = torch.rand(2, channels, side, side if size else 2 * side)
    sizes: dict[int, Any] = {0: Dim("batch", max=MAX_BATCH)}
    for axis, name in () if size else ((2, "rows"), (3, "columns")):
        sizes[axis] = multiple * Dim(name, max=MAX_SIDE // multiple)
    try:
        with torch.no_grad(), torchs_warnings_ignored():
            program = torch.export.export(
                model,
                (example,),
                dynamic_shapes=(sizes,),
                # Otherwise sizes that a network compares become fixed.
                prefer_deferred_runtime_asserts_over_guards=True,
            )
    except Exception as error:  # a network of a user or a library may fail in any way
        raise InputError(
            f"torch.export cannot trace the model: {str(error).strip().splitlines()[0]}"
        ) from error
    _drop_layout_assertions(program)
    return program


def _drop_layout_assertions(program: ExportedProgram) -> None:
    """Let a program take sizes that only differ in how torch lays their images out in memory.

    Of sizes, torch asserts equalities, such as that sides are multiples, without which results
    would be wrong, and inequalities, by which it told one layout of equal values from another.
    """
    for node in program.graph.find_nodes(
        op="call_function", target=torch.ops.aten._assert_scalar.default
    ):
        if "expression Eq(" not in str(node.args[1]):
            program.graph.erase_node(node)
    program.graph.eliminate_dead_code()
    program.graph_module.recompile()


def to_onnx(program: ExportedProgram, outputs: Sequence[str]) -> Any:  # noqa: ANN401
    """Convert a traced module to an ONNX model with the input ``measurements``.

    Args:
        program: See ``trace``.
        outputs: Names of the outputs.

    Returns:
        An ``onnx.ModelProto``.

    Raises:
        InputError: ONNX is not installed, or it lacks one of the module's operations.
    """
    require_packages("onnx", "onnxscript")
    try:
        with torchs_warnings_ignored():
            # The exporter that is not dynamo's is silently wrong for work in place on slices.
            converted = torch.onnx.export(
                program,
                dynamo=True,
                external_data=False,
                custom_translation_table=_translations(),
                verbose=False,
                input_names=["measurements"],
                output_names=list(outputs),
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise InputError(
            f"the model has an operation that ONNX lacks: {str(error).strip().splitlines()[0]}"
        ) from error
    assert converted is not None
    model = converted.model_proto
    model.ir_version = IR_VERSION
    _name_sizes(model)
    return model


def _translations() -> dict[Any, Any]:
    """Operations that are written as others than the exporter would take.

    Of ``Clip``, ONNX does not say what becomes of NaN: OpenVINO makes the bound of it. The exporter
    asks for these translations where bounds are floats only.
    """
    from onnxscript import opset18

    op: Any = opset18

    def clamp_min(values: Any, low: float) -> Any:  # noqa: ANN401
        bound = op.CastLike(low, values)
        return op.Where(op.Less(values, bound), bound, values)

    def clamp(values: Any, low: float | None = None, high: float | None = None) -> Any:  # noqa: ANN401
        if low is not None:
            values = clamp_min(values, low)
        if high is not None:
            bound = op.CastLike(high, values)
            values = op.Where(op.Greater(values, bound), bound, values)
        return values

    return {torch.ops.aten.clamp.default: clamp, torch.ops.aten.clamp_min.default: clamp_min}


def _name_sizes(model: Any) -> None:  # noqa: ANN401
    """Name the free sizes of inputs and outputs."""
    names = {0: "batch", 2: "height", 3: "width"}
    for value in (*model.graph.input, *model.graph.output):
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if size.dim_param:
                size.dim_param = names[axis]
    del model.graph.value_info[:]  # sizes in between have other names, and follow from these


class Session:
    """An ONNX model in onnxruntime.

    Args:
        session: ``onnxruntime.InferenceSession`` of one input.

    Attributes:
        metadata: The model's own metadata.
    """

    def __init__(self, session: Any) -> None:  # noqa: ANN401
        self._session = session
        self._input = session.get_inputs()[0].name
        self.metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map

    def __call__(self, image: Tensor) -> list[Tensor]:
        """Map an image (B, C, H, W) to the model's outputs, on the image's device."""
        feed = {self._input: image.detach().cpu().contiguous().numpy()}
        return [torch.from_numpy(out).to(image.device) for out in self._session.run(None, feed)]


def open_session(model: Any, device: torch.device) -> Session:  # noqa: ANN401
    """Open a model in onnxruntime.

    Args:
        model: File, or ``onnx.ModelProto``.
        device: ``cpu`` or ``cuda``.

    Raises:
        InputError: onnxruntime is missing, has no CUDA, or cannot read the file.
    """
    require_packages("onnxruntime")
    import onnxruntime

    providers: list[Any] = ["CPUExecutionProvider"]
    if device.type == "cuda":
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise InputError(
                "onnxruntime has no CUDA here: pip install onnxruntime-gpu in place of "
                "onnxruntime, or add device=cpu"
            )
        # Its default, TF32, changes probabilities by a thousandth.
        providers.insert(0, ("CUDAExecutionProvider", {"use_tf32": "0"}))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # errors are raised
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    try:
        return Session(onnxruntime.InferenceSession(source, options, providers=providers))
    except Exception as error:  # its errors have no public class in common
        if not isinstance(model, Path):
            raise
        raise InputError(
            f"{model} is not a readable ONNX model (truncated, or of another kind): export it "
            "again with `landslide export`"
        ) from error

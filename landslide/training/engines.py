"""Engines: programs that compute a network's logits for prediction."""

import os
import shutil
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from landslide.errors import InputError
from landslide.models.folding import Strips, fold, is_papers
from landslide.training.model import LandslideModel
from landslide.training.onnx import open_session, to_onnx, trace

Logits = Callable[[Tensor], Tensor]
"""A network's input (B, C, H, W) to its logits (B, 1, H, W)."""


def torch_engine(task: LandslideModel, device: torch.device, half: bool) -> Logits:
    """The folded network in torch; half precision is bfloat16 on a CPU, float16 on a GPU."""
    network = fold(task.model).to(device)
    if device.type == "cpu" and is_papers(network):
        network = Strips(network)
    return _torch_logits(network, device, half)


def compiled_engine(task: LandslideModel, device: torch.device, half: bool) -> Logits:
    """The folded network compiled by ``torch.compile``, for GPUs; compiling takes minutes.

    Raises:
        InputError: There is no C++ compiler.
    """
    compiler = os.environ.get("CXX", "c++")
    if shutil.which(compiler) is None:
        raise InputError(
            f"engine=compiled needs a C++ compiler and there is no {compiler}: install g++, or "
            "choose engine=torch"
        )
    network = fold(task.model).to(device)
    network.compile()
    return _torch_logits(network, device, half)


def _torch_logits(network: nn.Module, device: torch.device, half: bool) -> Logits:
    half_type = torch.bfloat16 if device.type == "cpu" else torch.float16
    dtype = half_type if half else torch.float32
    network = network.to(dtype)
    # Convolutions are fastest in the layout channels last.
    return lambda x: network(x.to(dtype, memory_format=torch.channels_last)).float()


def openvino_engine(task: LandslideModel, device: torch.device, half: bool) -> Logits:
    """The folded network in Intel's OpenVINO, in single precision or bfloat16 on the CPU.

    Raises:
        InputError: OpenVINO is not installed, or the device is not the CPU.
    """
    try:
        import openvino
        from openvino import opset13
        from openvino.frontend.pytorch import ConversionExtension
    except ImportError as error:
        raise InputError(
            'engine=openvino needs OpenVINO: pip install -e ".[openvino]", or choose engine=torch'
        ) from error
    if device.type != "cpu":
        raise InputError(f"engine=openvino runs on the CPU: leave out device={device.type}")
    example = torch.zeros(1, len(task.bands), task.patch_size, task.patch_size)

    # OpenVINO's own conversion is a transposition out of the convolutions' layout, which makes a
    # pass a twelfth longer.
    def pixel_shuffle(context: Any) -> Any:  # noqa: ANN401
        image, factor = context.get_input(0), context.get_values_from_const_input(1)
        return opset13.depth_to_space(image, "depth_first", factor).outputs()

    with warnings.catch_warnings():
        # The tracer warns that it is deprecated and that it checks a window's size only once.
        warnings.simplefilter("ignore")
        converted = openvino.convert_model(
            fold(task.model),
            example_input=example,
            extension=[ConversionExtension("aten::pixel_shuffle", pixel_shuffle)],
        )
    options = {
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = openvino.compile_model(converted, "CPU", options).create_infer_request()

    def logits(x: Tensor) -> Tensor:
        result = request.infer({0: x.contiguous().numpy()}, share_inputs=True)[0]
        return torch.from_numpy(result.copy())  # the next call overwrites the result

    return logits


def onnx_engine(task: LandslideModel, device: torch.device, half: bool) -> Logits:
    """The folded network in onnxruntime, in single precision.

    Raises:
        InputError: onnxruntime or ONNX is not installed, or half precision is asked for.
    """
    if half:
        raise InputError("engine=onnx computes in full precision: leave out precision=half")
    network = fold(task.model).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    program = trace(network, len(task.bands), task.size_multiple)
    session = open_session(to_onnx(program, ["logits"]), device)
    return lambda x: session(x)[0]


ENGINES: dict[str, Callable[[LandslideModel, torch.device, bool], Logits]] = {
    "torch": torch_engine,
    "compiled": compiled_engine,
    "openvino": openvino_engine,
    "onnx": onnx_engine,
}

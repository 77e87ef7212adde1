"""Checkpoints as one function from measurements to probability, and the engines that compute it.

Of a detector that was not fitted it is the score itself.
"""

import math
import os
import shutil
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from landslide.errors import InputError
from landslide.models.folding import Strips, fold, is_papers
from landslide.models.halo import Halo
from landslide.radar.bands import is_direction
from landslide.radar.directions import EAST_WEST, NORTH_SOUTH, mirror
from landslide.training.task import LandslideTask

TTA = Literal["none", "flips"]

FLIPS: dict[str, list[list[int]]] = {
    "none": [[]],
    "flips": [[], [NORTH_SOUTH], [EAST_WEST], [NORTH_SOUTH, EAST_WEST]],
}
"""Axes along which the image is mirrored before the network, and its output mirrored back."""

Logits = Callable[[Tensor], Tensor]


class Network:
    """One or several checkpoints that map measurements to probability.

    Args:
        tasks: Loaded checkpoints of the same bands; several are an ensemble.
        device: Device that torch computes on.
        tta: ``flips`` averages over the four flips.
        engine: A name in ``ENGINES``.
        precision: ``full``, or ``half`` for 16 bits, which are faster on a GPU and on a CPU with
            AMX and change the probability of few pixels.

    Raises:
        InputError: An option is unknown, or the checkpoints do not fit together.
    """

    def __init__(
        self,
        tasks: Sequence[LandslideTask],
        device: torch.device,
        tta: TTA = "none",
        engine: str = "torch",
        precision: str = "full",
    ) -> None:
        for option, value, choices in (
            ("tta", tta, FLIPS),
            ("engine", engine, ENGINES),
            ("precision", precision, ("full", "half")),
        ):
            if value not in choices:
                raise InputError(f"{option}={value} is unknown: choose from {', '.join(choices)}")
        for task in tasks[1:]:
            if task.bands != tasks[0].bands:
                raise InputError(
                    f"checkpoint: an ensemble shares its bands, but one member was trained on "
                    f"{', '.join(tasks[0].bands)} and another on {', '.join(task.bands)}"
                )
            if task.measure != tasks[0].measure:
                raise InputError(
                    "checkpoint: one member gives a probability and another, a detector that was "
                    "not fitted, a score: map with each by itself"
                )
        self.device = device
        self.tasks = tasks
        self.flips = FLIPS[tta]
        self.measure = tasks[0].measure
        self.bands = (self.measure, "spread") if len(tasks) > 1 else (self.measure,)
        self.per_window = any(task.normalization.per_window for task in tasks)
        self.patch_size = tasks[0].patch_size
        self.channels = len(tasks[0].bands)
        self.size_multiple = math.lcm(*(task.size_multiple for task in tasks))
        self.directions = [i for i, band in enumerate(tasks[0].bands) if is_direction(band)]
        self.members: list[tuple[nn.Module, Logits]] = [
            (task.normalization.to(device), ENGINES[engine](task, device, precision == "half"))
            for task in tasks
        ]

    def measure_halo(self) -> Halo | None:
        """Measure the halo that makes windows exact; None where they can only be blended."""
        if self.per_window:
            return None
        # A halo does not depend on weights, by which most members differ.
        models = [task.hparams["model"] for task in self.tasks]
        distinct = [task for i, task in enumerate(self.tasks) if models.index(models[i]) == i]
        halos = [task.measure_halo() for task in distinct]
        known = [halo for halo in halos if halo is not None]
        if len(known) < len(halos):
            return None
        grid = max(halo.grid for halo in known)  # grids are powers of two
        size = max(halo.size for halo in known)
        return Halo(grid, -(-size // grid) * grid)

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> Tensor:
        """Map measurements (B, C, H, W) to (B, K, H, W) on the CPU.

        Channel 0 is the probability or score, averaged over flips and members. Channel 1 of an
        ensemble is the standard deviation over its members.
        """
        image = image.to(self.device)
        members = torch.cat([self._member(*member, image) for member in self.members], dim=1)
        if len(self.members) == 1:
            return members.cpu()
        mean, spread = members.mean(dim=1), members.std(dim=1, correction=0)
        return torch.stack([mean, spread], dim=1).cpu()

    def _member(self, normalization: nn.Module, logits: Logits, image: Tensor) -> Tensor:
        """Mean over the flips, (B, 1, H, W)."""
        if len(self.flips) == 1:
            return self._measure(logits(normalization(image)))
        # Mirroring comes before the normalisation, since it changes directions in degrees.
        outputs = []
        for axes in self.flips:
            x = normalization(mirror(image, axes, self.directions))
            outputs.append(self._measure(logits(x)).flip(axes))
        return torch.stack(outputs).mean(dim=0)

    def _measure(self, logits: Tensor) -> Tensor:
        """Probability of logits; of a score the logit is the score."""
        return logits.sigmoid_() if self.measure == "probability" else logits


def torch_engine(task: LandslideTask, device: torch.device, half: bool) -> Logits:
    """The folded network in torch; half precision is bfloat16 on a CPU, float16 on a GPU."""
    network = fold(task.model).to(device)
    if device.type == "cpu" and is_papers(network):
        network = Strips(network)
    return _torch_logits(network, device, half)


def compiled_engine(task: LandslideTask, device: torch.device, half: bool) -> Logits:
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


def openvino_engine(task: LandslideTask, device: torch.device, half: bool) -> Logits:
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


ENGINES: dict[str, Callable[[LandslideTask, torch.device, bool], Logits]] = {
    "torch": torch_engine,
    "compiled": compiled_engine,
    "openvino": openvino_engine,
}


def choose_device(name: str) -> torch.device:
    """Resolve ``auto``, ``cpu`` or ``cuda``.

    Raises:
        InputError: The device is unknown or not available.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda") or (name == "cuda" and not torch.cuda.is_available()):
        raise InputError(f"device={name} is not available here: choose auto or cpu")
    return torch.device(name)

"""Checkpoints as one function from measurements to probability, as fast as the machine allows."""

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
    """One or several checkpoints from measurements to probability.

    Args:
        tasks: Loaded checkpoints of the same bands; several are an ensemble.
        device: Where torch runs.
        tta: ``flips`` averages over the four flips.
        engine: A name in ``ENGINES``.
        precision: ``half`` computes in 16 bits, which is faster on a GPU and on a CPU with
            AMX, and changes the probability of few pixels.

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
        if tta not in FLIPS:
            raise InputError(f"tta={tta} is unknown: choose from {', '.join(FLIPS)}")
        if engine not in ENGINES:
            raise InputError(f"engine={engine} is unknown: choose from {', '.join(ENGINES)}")
        if precision not in ("full", "half"):
            raise InputError(f"precision={precision} is unknown: choose from full, half")
        for task in tasks[1:]:
            if task.bands != tasks[0].bands:
                raise InputError(
                    f"checkpoint: an ensemble shares its bands, but one member was trained on "
                    f"{', '.join(tasks[0].bands)} and another on {', '.join(task.bands)}"
                )
        self.device = device
        self.tasks = tasks
        self.flips = FLIPS[tta]
        self.bands = ("probability", "spread") if len(tasks) > 1 else ("probability",)
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
        """What makes windows exact for all members; None where windows can only be blended."""
        if self.per_window:
            return None
        # Members mostly differ in their weights, which a halo does not depend on.
        models = [task.hparams["model"] for task in self.tasks]
        first_of_kind = [task for i, task in enumerate(self.tasks) if models.index(models[i]) == i]
        return _largest([task.measure_halo() for task in first_of_kind])

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> Tensor:
        """Map measurements (B, C, H, W) to (B, K, H, W) on the CPU.

        Channel 0 is the probability, averaged over flips and members. An ensemble has a
        second one, the standard deviation over its members.
        """
        image = image.to(self.device)
        members = torch.cat([self._probability(*member, image) for member in self.members], dim=1)
        if len(self.members) == 1:
            return members.cpu()
        mean, spread = members.mean(dim=1), members.std(dim=1, correction=0)
        return torch.stack([mean, spread], dim=1).cpu()

    def _probability(self, normalization: nn.Module, logits: Logits, image: Tensor) -> Tensor:
        """Mean over the flips, (B, 1, H, W)."""
        if len(self.flips) == 1:
            return logits(normalization(image)).sigmoid_()
        # Mirrored before the normalisation, since directions turn in degrees.
        views = []
        for axes in self.flips:
            x = normalization(mirror(image, axes, self.directions))
            views.append(logits(x).sigmoid_().flip(axes))
        return torch.stack(views).mean(dim=0)


def torch_engine(task: LandslideTask, device: torch.device, half: bool) -> Logits:
    """The folded network in torch; its half precision is bfloat16 on a CPU, float16 on a GPU."""
    network = fold(task.model).to(device)
    if device.type == "cpu" and is_papers(network):
        network = Strips(network)
    return _in_torch(network, device, half)


def compiled_engine(task: LandslideTask, device: torch.device, half: bool) -> Logits:
    """The folded network as ``torch.compile`` writes it, for GPUs; compiling takes minutes.

    Raises:
        InputError: There is no C++ compiler for it.
    """
    compiler = os.environ.get("CXX", "c++")
    if shutil.which(compiler) is None:
        raise InputError(
            f"engine=compiled needs a C++ compiler and there is no {compiler}: install g++, or "
            "choose engine=torch"
        )
    network = fold(task.model).to(device)
    network.compile()
    return _in_torch(network, device, half)


def _in_torch(network: nn.Module, device: torch.device, half: bool) -> Logits:
    half_kind = torch.bfloat16 if device.type == "cpu" else torch.float16
    kind = half_kind if half else torch.float32
    network = network.to(kind)
    # Channels last is the layout that convolutions are fastest in.
    return lambda x: network(x.to(kind, memory_format=torch.channels_last)).float()


def openvino_engine(task: LandslideTask, device: torch.device, half: bool) -> Logits:
    """The folded network in Intel's OpenVINO, in single precision or bfloat16 on the CPU.

    Raises:
        InputError: OpenVINO is not installed or another device is asked for.
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

    # By itself it becomes a transposition, in another layout than convolutions have: a twelfth
    # of a pass more.
    def pixel_shuffle(context: Any) -> Any:  # noqa: ANN401
        image, factor = context.get_input(0), context.get_values_from_const_input(1)
        return opset13.depth_to_space(image, "depth_first", factor).outputs()

    with warnings.catch_warnings():
        # The tracer's: it is deprecated, and checks a window's size once only.
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
        found = request.infer({0: x.contiguous().numpy()}, share_inputs=True)[0]
        return torch.from_numpy(found.copy())  # the next call writes into the same memory

    return logits


ENGINES: dict[str, Callable[[LandslideTask, torch.device, bool], Logits]] = {
    "torch": torch_engine,
    "compiled": compiled_engine,
    "openvino": openvino_engine,
}


def _largest(halos: Sequence[Halo | None]) -> Halo | None:
    """What makes windows exact for all of an ensemble; grids are powers of two."""
    known = [halo for halo in halos if halo is not None]
    if len(known) < len(halos):
        return None
    grid = max(halo.grid for halo in known)
    size = max(halo.size for halo in known)
    return Halo(grid, -(-size // grid) * grid)


def choose_device(name: str) -> torch.device:
    """Resolve ``auto``, ``cpu`` or ``cuda``.

    Raises:
        InputError: The device is unknown or not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda") or (name == "cuda" and not torch.cuda.is_available()):
        raise InputError(f"device={name} is not available here: choose auto or cpu")
    return torch.device(name)

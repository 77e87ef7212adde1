"""Checkpoints as one function from measurements to probability.

Of a detector that was not fitted it is the score itself.
"""

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn

from landslide.errors import InputError
from landslide.models.halo import Halo
from landslide.radar.bands import is_direction
from landslide.radar.directions import EAST_WEST, NORTH_SOUTH, mirror
from landslide.training.engines import ENGINES, Logits
from landslide.training.member import ExportedMember, Member
from landslide.training.model import LandslideModel, Measure
from landslide.training.onnx import open_session

TTA = Literal["none", "flips"]

FLIPS: dict[str, list[list[int]]] = {
    "none": [[]],
    "flips": [[], [NORTH_SOUTH], [EAST_WEST], [NORTH_SOUTH, EAST_WEST]],
}
"""Axes along which the image is mirrored before the network, and its output mirrored back."""


class Function:
    """Models as one function of measurements, in torch.

    Args:
        models: Normalisation and logits of each.
        tta: ``flips`` averages over the four flips.
        bands: Names of the input channels.
        measure: What the output is.
    """

    def __init__(
        self,
        models: Sequence[tuple[nn.Module, Logits]],
        tta: TTA,
        bands: Sequence[str],
        measure: Measure,
    ) -> None:
        self._models, self._flips, self._measure = models, FLIPS[tta], measure
        self._directions = [i for i, band in enumerate(bands) if is_direction(band)]

    def __call__(self, image: Tensor) -> Tensor:
        """Map measurements (B, C, H, W), NaN where invalid, to (B, K, H, W).

        Channel 0 is the probability or score, averaged over flips and models. Channel 1 of
        several models is the standard deviation over them.
        """
        outputs = torch.cat([self._model(*model, image) for model in self._models], dim=1)
        if len(self._models) == 1:
            return outputs
        return torch.stack([outputs.mean(dim=1), outputs.std(dim=1, correction=0)], dim=1)

    def _model(self, normalization: nn.Module, logits: Logits, image: Tensor) -> Tensor:
        """Mean over the flips, (B, 1, H, W)."""
        if len(self._flips) == 1:
            return self._output(logits(normalization(image)))
        # Mirroring comes before the normalisation, since it changes directions in degrees.
        outputs = []
        for axes in self._flips:
            x = normalization(mirror(image, axes, self._directions))
            outputs.append(self._output(logits(x)).flip(axes))
        return torch.stack(outputs).mean(dim=0)

    def _output(self, logits: Tensor) -> Tensor:
        """Probability of logits; of a score the logit is the score."""
        return logits.sigmoid_() if self._measure == "probability" else logits


class Network:
    """One or several checkpoints that map measurements to probability.

    Args:
        members: Loaded checkpoints of the same bands; several are an ensemble. Or the members of
            an exported model.
        device: Device to compute on.
        tta: ``flips`` averages over the four flips.
        engine: A name in ``ENGINES``; default: ``torch``, or ``onnx`` for an exported model.
        precision: ``full``, or ``half`` for 16 bits, which are faster on a GPU and on a CPU with
            AMX and change the probability of few pixels.

    Raises:
        InputError: An option is unknown, or the checkpoints do not fit together.
    """

    def __init__(
        self,
        members: Sequence[Member],
        device: torch.device,
        tta: TTA = "none",
        engine: str | None = None,
        precision: str = "full",
    ) -> None:
        for option, value, choices in (
            ("tta", tta, FLIPS),
            ("engine", engine or "torch", ENGINES),
            ("precision", precision, ("full", "half")),
        ):
            if value not in choices:
                raise InputError(f"{option}={value} is unknown: choose from {', '.join(choices)}")
        for member in members[1:]:
            if member.bands != members[0].bands:
                raise InputError(
                    f"checkpoint: an ensemble shares its bands, but one member was trained on "
                    f"{', '.join(members[0].bands)} and another on {', '.join(member.bands)}"
                )
            if member.measure != members[0].measure:
                raise InputError(
                    "checkpoint: one member gives a probability and another, a detector that was "
                    "not fitted, a score: map with each by itself"
                )
        self.device = device
        self.members = members
        self.measure = members[0].measure
        self.bands = (self.measure, "spread") if len(members) > 1 else (self.measure,)
        self.per_window = any(member.per_window for member in members)
        self.patch_size = members[0].patch_size
        self.channels = len(members[0].bands)
        self.size_multiple = math.lcm(*(member.size_multiple for member in members))
        self.function: Callable[[Tensor], Tensor]
        if isinstance(members[0], ExportedMember):
            self.function = _open_exported(members[0], device, tta, engine, precision)
        else:
            make_logits = ENGINES[engine or "torch"]
            models = [
                (member.normalization.to(device), make_logits(member, device, precision == "half"))
                for member in members
                if isinstance(member, LandslideModel)
            ]
            self.function = Function(models, tta, members[0].bands, self.measure)

    @cached_property
    def halo(self) -> Halo | None:
        """The halo that makes windows exact, measured once; None where they are blended."""
        if self.per_window:
            return None
        # A halo does not depend on weights, by which most members differ.
        models = [member.model_settings for member in self.members]
        distinct = [member for i, member in enumerate(self.members) if models.index(models[i]) == i]
        halos = [member.measure_halo() for member in distinct]
        known = [halo for halo in halos if halo is not None]
        if len(known) < len(halos):
            return None
        grid = max(halo.grid for halo in known)  # grids are powers of two
        size = max(halo.size for halo in known)
        return Halo(grid, -(-size // grid) * grid)

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> Tensor:
        """Map measurements (B, C, H, W) to (B, K, H, W) on the CPU, see ``Function``."""
        return self.function(image.to(self.device)).cpu()


def _open_exported(
    member: ExportedMember, device: torch.device, tta: TTA, engine: str | None, precision: str
) -> Callable[[Tensor], Tensor]:
    """An exported model in onnxruntime.

    Raises:
        InputError: An option is given that was settled when the model was exported, or the model
            takes images of one size only.
    """
    for option, given in (
        (f"engine={engine}", engine not in (None, "onnx")),
        (f"tta={tta}", tta != "none"),
        (f"precision={precision}", precision != "full"),
    ):
        if given:
            raise InputError(
                f"{option}: {member.file} runs in onnxruntime as it was exported: leave that out, "
                "or name the checkpoint that it was made of"
            )
    if member.size is not None:
        raise InputError(
            f"{member.file} takes images of {member.size} x {member.size} px only, for QGIS: "
            "export it without size= to map with it here"
        )
    session = open_session(member.file, device)
    return lambda image: torch.cat(session(image), dim=1)


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

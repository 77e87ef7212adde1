"""Normalisation and model as one module, which is all that a map needs of a checkpoint."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from landslide.data.normalization import Normalization
from landslide.errors import InputError
from landslide.models.detectors import Detector
from landslide.models.halo import Halo, measure_halo
from landslide.models.sizes import size_multiple
from landslide.training.checkpoint import fitting, read_checkpoint
from landslide.training.losses import at_least_float32
from landslide.training.modules import Config, make_module

Measure = Literal["probability", "score"]

TRAINING = ("loss", "optimizer", "scheduler")
"""Parts of a checkpoint that only a training needs."""


class LandslideModel(nn.Module):
    """Map measurements to logits.

    All settings are plain values, so that a checkpoint holds everything prediction needs and
    loads with ``weights_only=True``.

    Args:
        model: ``_target_`` and arguments of an ``nn.Module``: (B, C, H, W) to logits
            (B, 1, H, W).
        normalization: The same of a ``Normalization``, which is given ``bands``.
        bands: Names of the input channels.
        orbit: Orbit of the training scenes.
        patch_size: Side in pixels of a training window: a patch with its context.
        threshold: Probability above which a pixel counts as landslide.
        simulated: Whether it was trained on simulated images.
        implanted: Whether it was trained on implanted landslides.
        halo: ``[grid, size]`` in pixels that makes windows exact (see ``Halo``); empty for a
            network that has none; None to measure it before a scene is mapped.

    Raises:
        InputError: A class or its arguments are unsuitable.
    """

    model: nn.Module
    normalization: Normalization

    def __init__(
        self,
        *,
        model: Config,
        normalization: Config,
        bands: Sequence[str],
        orbit: str,
        patch_size: int,
        threshold: float = 0.5,
        simulated: bool = False,
        implanted: bool = False,
        halo: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.model_settings, self.normalization_settings = model, normalization
        self.bands, self.orbit = list(bands), orbit
        self.patch_size, self.threshold = patch_size, threshold
        self.simulated, self.implanted, self.halo = simulated, implanted, halo
        self.normalization = make_module(normalization, bands=self.bands)  # type: ignore[assignment]
        # Convolutions are fastest in this layout.
        self.model = make_module(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.size_multiple = size_multiple(self.model)
        self._require_size(patch_size, patch_size)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Make a model from the settings of a training, of which it takes its own."""
        return cls(**{name: settings[name] for name in settings if name not in TRAINING})

    @property
    def measure(self) -> Measure:
        """What the model's output is: the logit of a probability, or a detector's score."""
        unfitted = isinstance(self.model, Detector) and not self.model.fitted
        return "score" if unfitted else "probability"

    @property
    def unit(self) -> str | None:
        """Unit of a detector's score; None for other models."""
        return self.model.unit if isinstance(self.model, Detector) else None

    @property
    def balance(self) -> bool:
        """Whether it was trained on scenes whose dates are balanced."""
        return self.normalization.balance

    @property
    def per_window(self) -> bool:
        """Whether it scales each window by itself."""
        return self.normalization.per_window

    def measure_halo(self) -> Halo | None:
        """Return the halo that makes windows exact, or None; measure it if it is not known."""
        if self.halo is None:
            return measure_halo(self.model, len(self.bands))
        return Halo(*self.halo) if self.halo else None

    def forward(self, image: Tensor) -> Tensor:
        """Map measurements (B, C, H, W), NaN where invalid, to logits (B, 1, H, W).

        Raises:
            InputError: The model does not take patches of this size, or does not return one
                logit per pixel.
        """
        x = self.normalization(image).contiguous(memory_format=torch.channels_last)
        B, _, H, W = image.shape
        self._require_size(H, W)
        logits = at_least_float32(self.model(x))
        if logits.shape != (B, 1, H, W):
            cure = "one output channel" if logits.shape[-2:] == (H, W) else "padded convolutions"
            raise InputError(
                f"the model {self.model_settings['_target_']} returns {tuple(logits.shape)} "
                f"where logits of shape {(B, 1, H, W)} are needed: give it {cure}"
            )
        return logits

    def _require_size(self, height: int, width: int) -> None:
        multiple = self.size_multiple
        if height % multiple or width % multiple:
            raise InputError(
                f"{height} x {width} px is no multiple of {multiple} px, which "
                f"{self.model_settings['_target_']} needs: choose another patch_size, "
                "datamodule.window_size or window.size"
            )


def load_model(path: Path) -> LandslideModel:
    """Load what maps need of a checkpoint, on the CPU.

    Raises:
        InputError: The file is missing, truncated, or was not written by this project.
    """
    content = read_checkpoint(path)
    with fitting(path):
        model = LandslideModel.of(content["hyper_parameters"])
        state = content["state_dict"].items()
        model.load_state_dict({k: v for k, v in state if k.partition(".")[0] not in TRAINING})
    return model.eval()


def is_readable(path: Path) -> bool:
    """Whether a checkpoint exists and is complete."""
    try:
        load_model(path)
    except InputError:
        return False
    return True

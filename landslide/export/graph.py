"""Checkpoints as one torch module, from raw measurements to probability."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from landslide.models.detectors import MIN_SCORE
from landslide.models.folding import fold
from landslide.radar.bands import is_backscatter
from landslide.training.model import LandslideModel
from landslide.training.network import TTA, Function

SPREAD = "spread"


class ChannelsLast(nn.Module):
    """A network in the layout in which torch's convolutions are fastest; ONNX has only one."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to logits (B, 1, H, W)."""
        logits: Tensor = self.network(x.contiguous(memory_format=torch.channels_last))
        return logits


class Graph(nn.Module):
    """Checkpoints with their normalisation, flips and gaps, as ``predict.py`` applies them.

    Backscatter that is NaN, zero, negative or infinite was not measured, and other bands were not
    where they are not finite (see ``landslide.data.scene``). A pixel that any band did not measure
    gives probability 0, or the least score.

    Args:
        members: Checkpoints of the same bands; several are an ensemble.
        tta: ``flips`` averages over the four flips.

    Attributes:
        outputs: Names of the outputs, each (B, 1, H, W): probability or score, and of an ensemble
            ``spread``. They are not the channels of one output, of which QGIS would take the
            larger.
    """

    backscatter: Tensor

    def __init__(self, members: Sequence[LandslideModel], tta: TTA = "none") -> None:
        super().__init__()
        first = members[0]
        self.normalizations = nn.ModuleList(member.normalization for member in members)
        self.networks = nn.ModuleList(ChannelsLast(fold(member.model)) for member in members)
        models = list(zip(self.normalizations, self.networks, strict=True))
        self.function = Function(models, tta, first.bands, first.measure)
        self.outputs = (first.measure, SPREAD) if len(members) > 1 else (first.measure,)
        self.empty = 0.0 if first.measure == "probability" else MIN_SCORE
        flags = torch.tensor([is_backscatter(band) for band in first.bands])
        self.register_buffer("backscatter", flags[:, None, None])

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map measurements (B, C, H, W) to the outputs, each (B, 1, H, W)."""
        measured = image.isfinite() & ((image > 0) | ~self.backscatter)
        found = self.function(image.masked_fill(~measured, torch.nan))
        gaps = ~measured.all(dim=1, keepdim=True)
        empty = (self.empty, 0.0)  # the spread of nothing is none
        return tuple(
            found[:, i : i + 1].masked_fill(gaps, empty[i]) for i in range(len(self.outputs))
        )

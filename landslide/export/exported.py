"""What was exported, as the model's card and its catalogue item describe it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from landslide.export.deepness import deepness_threshold
from landslide.export.origin import Origin
from landslide.radar.bands import orbits_of
from landslide.training.model import LandslideModel
from landslide.training.network import TTA
from landslide.training.onnx import traced_multiple


@dataclass(frozen=True)
class Exported:
    """One model that was written as ``model.onnx`` and ``model.pt2``.

    Their input is (B, C, H, W) in the scene's units. Their output is (B, 1, H, W), the probability
    or score; an ensemble has a second output of the same shape, its spread.

    Attributes:
        members: The loaded checkpoints, or a detector; several are one model, an ensemble.
        checkpoints: Their files; empty for a detector that was named instead of a file.
        tta: ``none`` or ``flips``, which are inside of the model.
        threshold: Probability or score above which a pixel counts as landslide.
        halo: Pixels that the model sees on every side; None where it sees the whole image, or
            scales each window by itself.
        size: Height and width in pixels of the only input that the ONNX file takes; None where
            it takes any multiple of the model's.
        differences: Largest difference to ``predict.py``, by file (``model.onnx``) and kind of
            input (``random``, ``broken``, ``scene``).
    """

    members: Sequence[LandslideModel]
    checkpoints: Sequence[Path]
    tta: TTA
    threshold: float
    halo: int | None
    size: int | None
    differences: dict[str, dict[str, float]]

    @cached_property
    def origins(self) -> list[Origin]:
        """Where each checkpoint comes from; empty for a detector that was named."""
        pairs = zip(self.checkpoints, self.members, strict=False)
        return [Origin.of(path, implanted=member.implanted) for path, member in pairs]

    @property
    def orbits(self) -> list[str]:
        """Orbits of the images that it reads, or that its members were trained on."""
        first = self.members[0]
        return sorted({*(member.orbit for member in self.members), *orbits_of(first.bands)})

    @property
    def scored_at(self) -> list[float]:
        """Threshold that each member was scored at, of those whose scores are known."""
        pairs = zip(self.origins, self.members, strict=False)
        return [
            each.metrics["test"].get("threshold", member.threshold)
            for each, member in pairs
            if each.metrics
        ]

    @property
    def deepness_threshold(self) -> float | None:
        """The threshold in QGIS' plugin Deepness; None where the file is not for it."""
        return None if self.size is None else deepness_threshold(self.threshold)

    @property
    def size_multiple(self) -> int:
        """What height and width of an image are multiples of where they are free."""
        return traced_multiple(math.lcm(*(member.size_multiple for member in self.members)))

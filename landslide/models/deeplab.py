"""DeepLabV3+ that can train on a batch of one patch."""

from typing import Any

import segmentation_models_pytorch as smp
import torch.nn.functional as F
from segmentation_models_pytorch.decoders.deeplabv3.decoder import ASPPPooling
from torch import Tensor, nn


class DeepLabV3Plus(smp.DeepLabV3Plus):  # type: ignore[misc]
    """DeepLabV3+ (Chen et al. 2018) of segmentation_models_pytorch, with its arguments.

    It pools the whole patch to one value per channel. The batch normalisation of these values
    would fail in training when the last batch of an epoch holds a single patch.
    """

    def __init__(self, **arguments: Any) -> None:  # noqa: ANN401
        super().__init__(**arguments)
        for module in self.modules():
            if isinstance(module, ASPPPooling):
                module[2] = PooledNorm(module[2].num_features)


class PooledNorm(nn.BatchNorm2d):
    """Batch normalisation that uses running statistics for a single value per channel."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W)."""
        if x.numel() > x.shape[1]:
            return super().forward(x)
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )

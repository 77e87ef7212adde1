"""The paper's two other networks: a plain U-Net and a U-Net with dropout."""

import torch
from torch import Tensor, nn

from landslide.models.layers import PaperNetwork


class UNet(PaperNetwork):
    """The Attention U-Net's levels with plain skip connections.

    Args:
        in_channels: Input bands.
        filters: Filters f of the first layer.
        dropout: Share of activations dropped after each of the three deepest blocks.
    """

    def __init__(self, in_channels: int, filters: int = 32, dropout: float = 0.0) -> None:
        super().__init__(in_channels, filters)
        self.dropout = nn.Dropout(dropout)
        self.add_decoder(filters)

    def deep(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """All levels below full resolution: (B, f, H/2, W/2) to two of that shape."""
        conv2 = self.conv2(x)
        conv3 = self.dropout(self.conv3(self.pool(conv2)))  # H/4
        conv4 = self.dropout(self.conv4(self.pool(conv3)))  # H/8
        center = self.dropout(self.center(self.pool(conv4)))  # H/16

        up1 = torch.cat([self.up1(center), conv4], dim=1)
        up2 = torch.cat([self.up2(up1), conv3], dim=1)
        return self.up3(up2), conv2

"""The paper's two other networks: a plain U-Net and a U-Net with dropout."""

import torch
from torch import Tensor, nn

from landslide.models.layers import (
    DOWNSAMPLING,
    DoubleConv,
    Head,
    UpConv,
    check_size,
    init_glorot_normal,
)


class UNet(nn.Module):
    """The Attention U-Net's skeleton with plain skip connections.

    Args:
        in_channels: Input bands.
        filters: Filters f of the first layer.
        dropout: Share of activations dropped after each of the three deepest blocks.
    """

    size_multiple = DOWNSAMPLING

    def __init__(self, in_channels: int, filters: int = 32, dropout: float = 0.0) -> None:
        super().__init__()
        f = filters
        self.conv1 = DoubleConv(in_channels, f)
        self.conv2 = DoubleConv(f, f)
        self.conv3 = DoubleConv(f, 2 * f)
        self.conv4 = DoubleConv(2 * f, 2 * f)
        self.center = DoubleConv(2 * f, 4 * f)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout)
        self.up1 = UpConv(4 * f, f)
        self.up2 = UpConv(3 * f, 2 * f)
        self.up3 = UpConv(4 * f, f)
        self.up4 = UpConv(2 * f, f)
        self.head = Head(f)
        self.apply(init_glorot_normal)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W), H and W multiples of 16, to logits (B, 1, H, W).

        Raises:
            InputError: H or W is not a multiple of 16.
        """
        check_size(x)
        conv1 = self.conv1(x)
        up3 = torch.cat(self.deep(self.pool(conv1)), dim=1)  # 2f, H/2
        logits: Tensor = self.head(self.up4(up3), conv1)
        return logits

    def deep(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """All levels but that of full resolution: (B, f, H/2, W/2) to two of that shape."""
        conv2 = self.conv2(x)
        conv3 = self.dropout(self.conv3(self.pool(conv2)))  # H/4
        conv4 = self.dropout(self.conv4(self.pool(conv3)))  # H/8
        center = self.dropout(self.center(self.pool(conv4)))  # H/16

        up1 = torch.cat([self.up1(center), conv4], dim=1)
        up2 = torch.cat([self.up2(up1), conv3], dim=1)
        return self.up3(up2), conv2

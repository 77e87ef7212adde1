"""The Attention U-Net of Nava et al. 2022, after Abraham and Khan 2019."""

import torch
from torch import Tensor, nn

from landslide.models.layers import (
    BatchNorm,
    PaperNetwork,
    SameConvTranspose2d,
    init_glorot_uniform,
)


class Gate(nn.Sequential):
    """Gating signal, 1x1 convolution, batch normalisation, ReLU: (B, C, H, W) -> same."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 1), BatchNorm(channels), nn.ReLU(inplace=True)
        )


class Attention(nn.Module):
    """Additive attention on a skip connection (Oktay et al. 2018, after Abraham and Khan).

    Args:
        skip_channels: Channels C of the skip connection.
        gate_channels: Channels G of the gating signal.
        inter_channels: Channels to which both are mapped before they are added.
        gate_stride: Size of the halved skip over the size of the gate.
    """

    def __init__(
        self, skip_channels: int, gate_channels: int, inter_channels: int, gate_stride: int = 1
    ) -> None:
        super().__init__()
        self.theta = nn.Conv2d(skip_channels, inter_channels, 2, stride=2)
        self.phi = nn.Conv2d(gate_channels, inter_channels, 1)
        self.phi_up = SameConvTranspose2d(inter_channels, inter_channels, gate_stride)
        self.psi = nn.Conv2d(inter_channels, 1, 1)
        self.out = nn.Conv2d(skip_channels, skip_channels, 1)
        self.out_bn = BatchNorm(skip_channels)
        self.apply(init_glorot_uniform)

    def forward(self, skip: Tensor, gate: Tensor) -> Tensor:
        """Weigh the skip connection by the gating signal.

        Args:
            skip: (B, C, H, W).
            gate: (B, G, H / 2 / gate_stride, W / 2 / gate_stride).

        Returns:
            (B, C, H, W).
        """
        joint = torch.relu(self.theta(skip) + self.phi_up(self.phi(gate)))
        weight = torch.sigmoid(self.psi(joint))  # (B, 1, H/2, W/2)
        # Nearest upsampling by repetition has a deterministic backward pass on a GPU.
        weight = weight.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        weighted: Tensor = self.out_bn(self.out(skip * weight))
        return weighted


class AttentionUNet(PaperNetwork):
    """The paper's network, layer by layer as in the authors' program.

    It has 822 f² + 210 f + 9 c f + 4 parameters, of which 70 f are statistics of
    batch normalisation. An output pixel depends on inputs up to 104 px away.

    Args:
        in_channels: Input bands c.
        filters: Filters f of the first layer.
    """

    def __init__(self, in_channels: int, filters: int = 32) -> None:
        super().__init__(in_channels, filters)
        f = filters
        self.gate1, self.gate2, self.gate3 = Gate(4 * f), Gate(3 * f), Gate(3 * f)
        self.add_decoder(f)
        self.attention1 = Attention(2 * f, 4 * f, inter_channels=4 * f)
        self.attention2 = Attention(2 * f, 3 * f, inter_channels=2 * f)
        self.attention3 = Attention(f, 3 * f, inter_channels=f, gate_stride=2)

    def deep(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """All levels below full resolution: (B, f, H/2, W/2) to two of that shape."""
        conv2 = self.conv2(x)
        conv3 = self.conv3(self.pool(conv2))  # H/4
        conv4 = self.conv4(self.pool(conv3))  # H/8
        center = self.center(self.pool(conv4))  # H/16

        attention1 = self.attention1(conv4, self.gate1(center))
        up1 = torch.cat([self.up1(center), attention1], dim=1)  # 3f, H/8
        attention2 = self.attention2(conv3, self.gate2(up1))
        up2 = torch.cat([self.up2(up1), attention2], dim=1)  # 4f, H/4
        # The authors gate conv2 by up1 as well, not by up2.
        attention3 = self.attention3(conv2, self.gate3(up1))
        return self.up3(up2), attention3

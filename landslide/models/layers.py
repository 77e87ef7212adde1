"""Building blocks of the paper's networks.

The layers compute the same as Keras' layers of the same settings, so that weights can be
exchanged; only the order of their axes differs.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from landslide.errors import InputError

DOWNSAMPLING = 16
"""Input height and width must be multiples of this: four poolings by two."""

AVX2_FLOATS = 8
"""float32 values that an AVX2 register holds."""


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation with Keras' defaults (its momentum 0.99 is torch's 0.01)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same, in the same layout."""
        layout = torch.channels_last
        few = self.num_features < AVX2_FLOATS and x.device.type == "cpu"
        if few and x.is_contiguous(memory_format=layout):
            # In this layout torch's kernel is not vectorised for so few channels.
            return super().forward(x.contiguous()).contiguous(memory_format=layout)
        return super().forward(x)


class DoubleConv(nn.Sequential):
    """[3x3 convolution, batch normalisation, ReLU] twice: (B, C, H, W) -> (B, F, H, W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            BatchNorm(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            BatchNorm(out_channels),
            nn.ReLU(inplace=True),
        )


class SameConvTranspose2d(nn.ConvTranspose2d):
    """3x3 transposed convolution with Keras' ``same`` padding, stride 1 or 2.

    Input i reaches outputs 2i to 2i + 2 at stride 2, of which the last one falls off the edge.
    With a first row and column of zeros in its kernel it reaches 2i - 1 to 2i + 2, which torch's
    padding of 1 cuts at both ends: faster than to compute one pixel too many and to cut it off.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(in_channels, out_channels, 3, stride=stride)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Map (B, C, H, W) to (B, F, stride * H, stride * W)."""
        return F.conv_transpose2d(x, self.kernel(), self.bias, self.stride, padding=1)

    def kernel(self) -> Tensor:
        """Kernel of torch's transposed convolution with a padding of 1 that computes the same."""
        return self.weight if self.stride == (1, 1) else F.pad(self.weight, (1, 0, 1, 0))


class UpConv(nn.Sequential):
    """Transposed convolution of stride 2, then ReLU: (B, C, H, W) -> (B, F, 2H, 2W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            SameConvTranspose2d(in_channels, out_channels, stride=2), nn.ReLU(inplace=True)
        )


class Head(nn.Conv2d):
    """1x1 convolution of the last level, joined with its skip connection, to one logit."""

    def __init__(self, filters: int) -> None:
        super().__init__(2 * filters, 1, 1)

    def forward(self, up: Tensor, skip: Tensor) -> Tensor:  # type: ignore[override]
        """Map (B, F, H, W) twice to logits (B, 1, H, W)."""
        return super().forward(torch.cat([up, skip], dim=1))


class PaperNetwork(nn.Module):
    """Levels that the paper's networks have in common; a derived class joins the inner ones.

    Args:
        in_channels: Input bands.
        filters: Filters f of the first layer.
    """

    size_multiple = DOWNSAMPLING
    strip_width = 2 * DOWNSAMPLING  # see measure_halo

    def __init__(self, in_channels: int, filters: int) -> None:
        super().__init__()
        f = filters
        self.conv1 = DoubleConv(in_channels, f)
        self.conv2 = DoubleConv(f, f)  # the authors double at every second level only
        self.conv3 = DoubleConv(f, 2 * f)
        self.conv4 = DoubleConv(2 * f, 2 * f)
        self.center = DoubleConv(2 * f, 4 * f)
        self.pool = nn.MaxPool2d(2)

    def add_decoder(self, filters: int) -> None:
        """Add the way up and initialise all layers."""
        f = filters
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
        """All levels below full resolution: (B, f, H/2, W/2) to two of that shape."""
        raise NotImplementedError


def check_size(x: Tensor) -> None:
    """Raise unless height and width of (B, C, H, W) are multiples of 16.

    Raises:
        InputError: A side is not a multiple of 16.
    """
    H, W = x.shape[-2:]
    if H % DOWNSAMPLING or W % DOWNSAMPLING:
        raise InputError(
            f"the network pools four times and needs sides that are multiples of "
            f"{DOWNSAMPLING} px, not {H} x {W}: choose another patch_size or window.size"
        )


@torch.no_grad()
def init_glorot_normal(module: nn.Module) -> None:
    """Keras' ``glorot_normal``: truncated at two standard deviations, biases zero."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        taps = math.prod(module.kernel_size)
        std = math.sqrt(2 / (taps * (module.in_channels + module.out_channels)))
        std /= 0.87962566103423978  # standard deviation of a unit normal truncated at ±2
        nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
        assert module.bias is not None
        nn.init.zeros_(module.bias)


@torch.no_grad()
def init_glorot_uniform(module: nn.Module) -> None:
    """Keras' default ``glorot_uniform``, biases zero."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.xavier_uniform_(module.weight)
        assert module.bias is not None
        nn.init.zeros_(module.bias)

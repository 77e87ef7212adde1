"""Faster forms of trained networks, for prediction, with the same output up to rounding.

- Batch normalisation after a convolution becomes part of its weights.
- A transposed convolution's kernel is rearranged once, not in every pass.
- The paper's networks end in a pixel shuffle, a concatenation and a 1x1 convolution. The
  1x1 convolution is linear, so it is applied before the shuffle and to the skip connection
  separately: at full resolution one channel is moved instead of 2F.
- ``Strips`` computes the full resolution strip by strip.
"""

import copy
from collections.abc import Sequence
from typing import TypeGuard, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from landslide.models.attention_unet import Attention, AttentionUNet
from landslide.models.layers import (
    DOWNSAMPLING,
    BatchNorm,
    Head,
    PaperNetwork,
    SameConvTranspose2d,
    check_size,
)
from landslide.models.unet import UNet

Convolution = TypeVar("Convolution", nn.Conv2d, nn.ConvTranspose2d)


def is_papers(model: nn.Module) -> TypeGuard[PaperNetwork]:
    """Whether a network is exactly one of the paper's: a derived class may compute more."""
    return type(model) in (AttentionUNet, UNet)


def fold(model: nn.Module) -> nn.Module:
    """Return a copy for inference: (B, C, H, W) to the same logits (B, 1, H, W).

    Args:
        model: Any network; parts without a known faster form stay unchanged.
    """
    # Double precision, so that weights are rounded once
    folded = copy.deepcopy(model).eval().requires_grad_(False).double()
    if is_papers(folded):
        transposed = folded.up4[0]
        assert isinstance(transposed, SameConvTranspose2d)
        folded.up4 = nn.Sequential(*_subpixel(transposed), nn.ReLU(inplace=True))  # type: ignore[assignment]
        folded.head = SubpixelHead(folded.head)  # type: ignore[assignment]
    for module in list(folded.modules()):
        if isinstance(module, Attention):
            module.out = fuse_conv_bn_eval(module.out, module.out_bn)
            module.out_bn = nn.Identity()  # type: ignore[assignment]
        elif isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            _merge_norms(module)
        for name, child in module.named_children():
            if isinstance(child, SameConvTranspose2d):
                setattr(module, name, _with_fixed_kernel(child))
    return folded.float().to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


class SubpixelHead(nn.Module):
    """A network's head, applied before the last level's pixel shuffle.

    Args:
        head: Head of the joined channels at full resolution.
    """

    up: Tensor
    skip: Tensor
    bias: Tensor

    def __init__(self, head: Head) -> None:
        super().__init__()
        weight = head.weight.detach()
        filters = weight.shape[1] // 2
        # Channel 4c + p holds parity p of channel c: one logit for each parity.
        up = weight.new_zeros(4, 4 * filters, 1, 1)
        for parity in range(4):
            up[parity, parity::4] = weight[0, :filters]
        self.register_buffer("up", up)
        self.register_buffer("skip", weight[:, filters:].clone())
        assert head.bias is not None
        self.register_buffer("bias", head.bias.detach().clone())

    def forward(self, up: Tensor, skip: Tensor) -> Tensor:
        """Map (B, 4F, H/2, W/2) and (B, F, H, W) to logits (B, 1, H, W)."""
        return self.logits_of_up(up) + self.logits_of_skip(skip)

    def logits_of_up(self, up: Tensor) -> Tensor:
        """Contribution of the last level, (B, 4F, H/2, W/2), to the logits (B, 1, H, W)."""
        return F.pixel_shuffle(F.conv2d(up, self.up), 2)

    def logits_of_skip(self, skip: Tensor) -> Tensor:
        """Contribution of the skip connection, (B, F, H, W), to the logits (B, 1, H, W)."""
        return F.conv2d(skip, self.skip, self.bias)


class Strips(nn.Module):
    """One of the paper's networks, folded, with its full resolution computed strip by strip.

    Half of a pass is spent there, on 2F channels that are written to memory and read again. The
    channels of a strip stay in the processor's cache, and those of a whole window are never kept.
    Strips overlap by the reach of the convolutions, so that the output is the same.

    Args:
        network: Result of ``fold`` for one of the paper's networks.
        pixels: Approximate number of pixels of a strip.
    """

    def __init__(self, network: PaperNetwork, pixels: int = 2**17) -> None:
        super().__init__()
        self.network = network
        self.pixels = pixels

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W), H and W multiples of 16, to logits (B, 1, H, W)."""
        check_size(x)
        B, _, H, W = x.shape
        height = max(DOWNSAMPLING, self.pixels // (B * W) // 2 * 2)
        rows = [(top, min(top + height, H)) for top in range(0, H, height)]
        pooled, logits = zip(*(self._down(x, *strip) for strip in rows), strict=True)
        joined = self.network.deep(torch.cat(pooled, dim=2))
        for (top, bottom), strip in zip(rows, logits, strict=True):
            strip += self._up(joined, top // 2, bottom // 2)
        return torch.cat(logits, dim=2)

    def _down(self, x: Tensor, top: int, bottom: int) -> tuple[Tensor, Tensor]:
        """The first level of some rows, pooled, and its contribution to the logits."""
        first = max(top - 2, 0)  # two 3x3 convolutions
        conv1 = self.network.conv1(x[:, :, first : bottom + 2])
        conv1 = conv1[:, :, top - first : bottom - first]
        return self.network.pool(conv1), self._head.logits_of_skip(conv1)

    def _up(self, joined: Sequence[Tensor], top: int, bottom: int) -> Tensor:
        """Contribution of the last level to the logits of some rows, given at half resolution."""
        first = max(top - 1, 0)  # an output depends on the input above it
        up3 = torch.cat([part[:, :, first:bottom] for part in joined], dim=1)
        up4 = self.network.up4(up3)
        return self._head.logits_of_up(up4[:, :, top - first :])

    @property
    def _head(self) -> SubpixelHead:
        head = self.network.head
        assert isinstance(head, SubpixelHead)
        return head


def _merge_norms(sequence: nn.Sequential) -> None:
    """Merge every batch normalisation into the convolution before it, in place."""
    for i in range(len(sequence) - 1):
        convolution, norm = sequence[i], sequence[i + 1]
        # Exact types only: a subclass may compute more.
        if type(convolution) is nn.Conv2d and (
            type(norm) is nn.BatchNorm2d or type(norm) is BatchNorm
        ):
            sequence[i] = fuse_conv_bn_eval(convolution, norm)
            sequence[i + 1] = nn.Identity()


def _with_fixed_kernel(layer: SameConvTranspose2d) -> nn.ConvTranspose2d:
    """Transposed convolution of torch that computes the same as the layer."""
    kernel = layer.kernel()
    in_channels, out_channels, *size = kernel.shape
    fixed = nn.ConvTranspose2d(in_channels, out_channels, tuple(size), layer.stride, padding=1)  # type: ignore[arg-type]
    assert layer.bias is not None
    return _fix(fixed, kernel, layer.bias)


def _subpixel(layer: SameConvTranspose2d) -> list[nn.Module]:
    """Layers of stride 2 that give (B, C, H, W) to (B, 4F, H, W), before a pixel shuffle.

    Output 2i + a depends on inputs i - 1 and i only, so a 2x2 convolution computes the four
    outputs of every input as channels.
    """
    # Along one axis, inputs (i - 1, i) have weights (w2, w0) for even outputs and (0, w1) for
    # odd ones: the padded kernel read as (tap, parity), with taps reversed.
    C, F_ = layer.weight.shape[:2]
    w = F.pad(layer.weight, (0, 1, 0, 1)).reshape(C, F_, 2, 2, 2, 2).flip(2, 4)
    convolution = nn.Conv2d(C, 4 * F_, 2)
    weight = w.permute(1, 3, 5, 0, 2, 4).reshape(4 * F_, C, 2, 2)
    assert layer.bias is not None
    return [nn.ZeroPad2d((1, 0, 1, 0)), _fix(convolution, weight, layer.bias.repeat_interleave(4))]


def _fix(layer: Convolution, weight: Tensor, bias: Tensor) -> Convolution:
    """Give a convolution weights that stay."""
    layer.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    layer.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return layer

from collections.abc import Callable

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from landslide.models import AttentionUNet, UNet
from landslide.models.halo import Halo, measure_halo


class WholeImage(nn.Module):
    """A network whose every output depends on the whole image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + x.mean(dim=(1, 2, 3), keepdim=True)


@pytest.mark.parametrize("filters", [2, 8])
def test_the_papers_network_needs_96_px_on_a_16_px_grid(filters: int) -> None:
    assert measure_halo(AttentionUNet(4, filters).eval(), 4) == Halo(grid=16, size=96)


def test_a_single_convolution_needs_one_cell() -> None:
    assert measure_halo(nn.Conv2d(4, 1, 3, padding=1), 4) == Halo(grid=16, size=16)


def test_a_network_that_sees_the_whole_image_has_no_halo() -> None:
    assert measure_halo(WholeImage(), 4) is None


@pytest.mark.parametrize(
    "make_model",
    [
        lambda: UNet(4, 4),
        lambda: smp.Unet(
            "resnet18",
            encoder_depth=3,
            decoder_channels=(8, 8, 8),
            encoder_weights=None,
            in_channels=4,
        ),
    ],
)
def test_a_measured_halo_is_exact_and_no_larger_than_needed(
    make_model: Callable[[], nn.Module],
) -> None:
    torch.manual_seed(0)
    model = make_model().eval()
    halo = measure_halo(model, 4)
    assert halo is not None
    side = 2 * (halo.size + 2 * halo.grid) + halo.grid
    side = -(-side // 64) * 64
    x = torch.randn(1, 4, side, side)
    start = halo.size + 2 * halo.grid
    cell = slice(start, start + halo.grid)
    with torch.no_grad():
        whole = model(x)[..., cell, cell]
        differences = []
        for size in (halo.size, halo.size - halo.grid):
            part = slice(start - size, start + halo.grid + size)
            inner = slice(size, size + halo.grid)
            differences.append((model(x[..., part, part])[..., inner, inner] - whole).abs().max())
    assert differences[0] <= 1e-5 * whole.std()
    assert differences[1] > 0


class Shifted(nn.Module):
    """A network that looks at one distant pixel, down and to the right."""

    size_multiple = 2

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x, (20, 0, 20, 0))[:, :1, :-20, :-20] + x[:, :1]


class Context(nn.Module):
    """A network whose deepest level is padded by reflection."""

    size_multiple = 16

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 1, 5, padding=2, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        deep = self.conv(nn.functional.avg_pool2d(x, 16))
        return nn.functional.interpolate(deep, scale_factor=16)


@pytest.mark.parametrize(("model", "size"), [(Shifted(), 32), (Context(), 32)])
def test_the_halo_of_a_network_that_only_tells_its_multiple(model: nn.Module, size: int) -> None:
    model.conv = getattr(model, "conv", nn.Conv2d(4, 1, 1))  # its device is that of parameters
    assert measure_halo(model, 4) == Halo(16, size)


def test_windows_start_where_the_deepest_level_does_though_its_weights_hardly_count() -> None:
    torch.manual_seed(0)
    channels = (32, 16, 16, 8, 8)
    model = smp.Unet("mobilenet_v2", encoder_weights=None, in_channels=4, decoder_channels=channels)
    halo = measure_halo(model, 4)
    assert halo is not None
    assert halo.grid == model.encoder.output_stride == 32

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from landslide.training.losses import DiceBCELoss, DiceLoss, PixelLoss, PixelMean, TverskyLoss

LOSSES = [DiceLoss(), DiceBCELoss(), TverskyLoss(), TverskyLoss(gamma=0.75)]


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 1, 16, 16, generator=generator)
    mask = (torch.rand(4, 16, 16, generator=generator) > 0.8).to(torch.uint8)
    return logits.requires_grad_(), mask


def test_dice_is_the_papers_formula(batch: tuple[Tensor, Tensor]) -> None:
    logits, mask = batch
    p, g = torch.sigmoid(logits).flatten(), mask.flatten().float()
    expected = 1 - (2 * (p * g).sum() + 1) / (p.sum() + g.sum() + 1)
    torch.testing.assert_close(DiceLoss()(logits, mask), expected)


@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 0.5), (0.3, 0.7), (0.9, 0.1)])
@pytest.mark.parametrize("gamma", [1.0, 0.75])
def test_tversky_is_the_librarys_where_there_are_landslides(
    batch: tuple[Tensor, Tensor], alpha: float, beta: float, gamma: float
) -> None:
    logits, mask = batch
    mask[0, :4] = 255
    library = smp.losses.TverskyLoss(
        "binary", smooth=0.5, alpha=alpha, beta=beta, gamma=gamma, ignore_index=255
    )
    ours = TverskyLoss(alpha, beta, gamma)(logits, mask)
    torch.testing.assert_close(ours, library(logits, mask.long()), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_unknown_pixels_change_neither_loss_nor_gradient(
    loss: nn.Module, batch: tuple[Tensor, Tensor]
) -> None:
    logits, mask = batch
    mask[:, 5:9] = 255
    spoilt = logits.detach().clone()
    spoilt[:, :, 5:9] = torch.nan
    spoilt.requires_grad_()
    value = loss(spoilt, mask)
    value.backward()
    assert spoilt.grad is not None
    torch.testing.assert_close(value, loss(logits, mask))
    known = torch.cat([spoilt.grad[:, :, :5], spoilt.grad[:, :, 9:]], dim=2)
    assert known.isfinite().all()
    assert known.abs().sum() > 0


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_without_landslides_pushes_false_alarms_down(
    loss: nn.Module, batch: tuple[Tensor, Tensor]
) -> None:
    logits, mask = batch
    loss(logits, torch.zeros_like(mask)).backward()
    assert logits.grad is not None
    assert (logits.grad > 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_without_known_pixels_has_a_finite_gradient(
    loss: nn.Module, batch: tuple[Tensor, Tensor]
) -> None:
    logits, mask = batch
    loss(logits, torch.full_like(mask, 255)).backward()
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_the_truth_itself_costs_nothing(loss: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    _, mask = batch
    perfect = (mask[:, None].float() * 2 - 1) * 40
    assert loss(perfect, mask) < 1e-4


@pytest.mark.parametrize("loss", [*LOSSES, None])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_sums_over_many_pixels_are_exact_in_half_precision_too(
    loss: PixelLoss | None, kind: torch.dtype
) -> None:
    # 0.25 and 0.75 in every format; four batches against all at once, in double precision.
    generator = torch.Generator().manual_seed(0)
    mask = (torch.rand(32, 64, 64, generator=generator) < 0.05).to(torch.uint8)
    logits = torch.logit(torch.where(mask == 1, 0.75, 0.25))[:, None].to(kind)
    # A library's loss rounds its own mean to 16 bits.
    loss, tolerance = (loss, 1e-6) if loss else (PixelMean(Brightness()), 1e-3)
    parts = sum(
        loss.sums(*pair).double() for pair in zip(logits.split(8), mask.split(8), strict=True)
    )
    expected = loss(logits.double(), mask)
    assert loss.value(parts).isfinite()
    torch.testing.assert_close(loss.value(parts), expected.double(), atol=tolerance, rtol=0)


class Brightness(nn.Module):
    """A loss of a library that computes in the precision of its input."""

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        return (logits[:, 0] < 0).to(logits.dtype).mean()

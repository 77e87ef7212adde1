import pytest
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from landslide.losses import DiceBCELoss, DiceLoss, TverskyLoss

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

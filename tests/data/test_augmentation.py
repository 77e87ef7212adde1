import pytest
import torch
from kornia.augmentation import RandomHorizontalFlip, RandomVerticalFlip
from torch import nn

from landslide.data.augmentation import (
    PairedAugmentation,
    RandomFlips,
    RandomGain,
    RandomSpeckle,
)

AXES: list[list[int]] = [[], [2], [3], [2, 3]]

BANDS = ["vv_pre", "vh_pre", "vv_post1", "slope"]


@pytest.fixture
def image() -> torch.Tensor:
    image = torch.full((64, 4, 16, 16), 0.1)
    image[:, 0, 3, 3] = torch.nan
    return image


KORNIA = nn.ModuleList(map(PairedAugmentation, (RandomHorizontalFlip(), RandomVerticalFlip())))


@pytest.mark.parametrize("flips", [[RandomFlips(["vv"])], KORNIA], ids=["ours", "kornia"])
def test_flips_move_image_and_mask_together(flips: list[nn.Module]) -> None:
    torch.manual_seed(0)
    values = torch.arange(255.0).repeat(2)[:256].view(16, 16)
    values[2, 5] = torch.nan
    mask = values.nan_to_num(255.0).to(torch.uint8)
    image, moved = values.expand(400, 1, 16, 16), mask.expand(400, 1, 16, 16)
    for flip in flips:
        image, moved = flip(image, moved)
    assert moved.dtype == torch.uint8
    torch.testing.assert_close(image.nan_to_num(255.0), moved.float())
    counts = torch.stack(
        [(moved == mask.view(1, 1, 16, 16).flip(axes)).flatten(1).all(1).sum() for axes in AXES]
    )
    assert counts.sum() == 400  # nothing but the four flips
    assert ((counts > 70) & (counts < 130)).all()  # and each as often as the others


def test_a_flip_with_no_chance_does_not_happen() -> None:
    image = torch.rand(50, 2, 8, 8)
    flipped, _ = RandomFlips(["vv", "slope"], horizontal=0)(image, image[:, :1])
    same, turned = ((flipped == other).flatten(1).all(1) for other in (image, image.flip(2)))
    assert (same | turned).all()
    assert same.any()
    assert turned.any()


def test_gain_is_one_factor_per_date_and_leaves_slope_alone(image: torch.Tensor) -> None:
    torch.manual_seed(0)
    changed = RandomGain(BANDS, std_db=1.0, p=1.0)(image)
    factor = changed / image
    assert factor[:, 0, 3, 3].isnan().all()
    torch.testing.assert_close(factor[:, 0, 0, 0], factor[:, 1, 9, 9])  # both of the pre date
    assert not torch.allclose(factor[:, 0, 0, 0], factor[:, 2, 0, 0])
    decibels = 10 * factor[:, 2, 0, 0].log10()
    assert decibels.std().item() == pytest.approx(1.0, rel=0.3)
    torch.testing.assert_close(changed[:, 3], image[:, 3])


def test_speckle_has_unit_mean_and_the_looks_asked_for(image: torch.Tensor) -> None:
    torch.manual_seed(0)
    noise = RandomSpeckle(BANDS, looks=8, p=1.0)(image) / image
    values = noise[:, 2]
    assert values.mean().item() == pytest.approx(1, abs=0.02)
    assert values.var().item() == pytest.approx(1 / 8, rel=0.05)
    assert noise[:, 0, 3, 3].isnan().all()
    assert (noise[:, 3] == 1).all()

import pytest
import torch
from kornia.augmentation import AugmentationSequential, RandomHorizontalFlip, RandomVerticalFlip

from landslide.augmentation import RandomGain, RandomSpeckle

BANDS = ["vv_pre", "vh_pre", "vv_post1", "slope"]


@pytest.fixture
def image() -> torch.Tensor:
    image = torch.full((64, 4, 16, 16), 0.1)
    image[:, 0, 3, 3] = torch.nan
    return image


def test_flips_move_image_and_mask_together() -> None:
    torch.manual_seed(0)
    augment = AugmentationSequential(
        RandomHorizontalFlip(p=0.5), RandomVerticalFlip(p=0.5), data_keys=["input", "mask"]
    )
    values = torch.arange(255.0).repeat(2)[:256].view(16, 16)
    values[2, 5] = torch.nan
    mask = values.nan_to_num(255.0)
    image, moved = augment(values.expand(40, 1, 16, 16), mask.expand(40, 1, 16, 16))
    torch.testing.assert_close(image.nan_to_num(255.0), moved)
    assert len({tuple(m.flatten().tolist()) for m in moved}) == 4


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

"""Flipped images have the directions that flipped ground would have."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import BANDS, make_task
from kornia.augmentation import RandomHorizontalFlip, RandomRotation
from scipy.ndimage import gaussian_filter
from torch import nn

from landslide.data.augmentation import RandomFlips
from landslide.data.datamodule import LandslideDataModule
from landslide.data.samplers import PatchSampler
from landslide.data.splits import random_split
from landslide.errors import InputError
from landslide.geo.relief import aspect_degrees, gradient, slope_degrees
from landslide.training.network import Network

NAMES = ["vv_pre", "aspect", "slope", "dem_aspect@descending"]


def ground(z: np.ndarray) -> torch.Tensor:
    """The channels of ``NAMES`` over an elevation, (1, C, H, W)."""
    aspect = aspect_degrees(*gradient(z, 10))
    bands = [0.1 + z / 1000, aspect, slope_degrees(z, 10), aspect]
    return torch.from_numpy(np.stack(bands).astype(np.float32))[None]


@pytest.fixture
def elevation() -> np.ndarray:
    return 500 + 300 * gaussian_filter(np.random.default_rng(0).normal(size=(32, 48)), 3)


@pytest.mark.parametrize(("axis", "which"), [(1, "horizontal"), (0, "vertical")])
def test_aspect_turns_as_the_mirrored_ground_does(
    elevation: np.ndarray, axis: int, which: str
) -> None:
    flips = RandomFlips(NAMES, **{"horizontal": 0.0, "vertical": 0.0, which: 1.0})
    image = ground(elevation)
    image[0, 1, 5, 7] = torch.nan
    found, _ = flips(image, image[:, :1])
    expected = ground(np.flip(elevation, axis).copy())
    gap = found[0, 1].isnan()
    assert gap.sum() == 1
    difference = (found - expected).abs()
    difference[:, [1, 3]] = torch.minimum(difference, 360 - difference)[:, [1, 3]]
    assert difference[:, :, ~gap].max() < 1e-2
    assert found[:, [1, 3]].nan_to_num().min() >= 0
    assert found[:, [1, 3]].nan_to_num().max() < 360
    assert (image[0, 1] - ground(elevation)[0, 1]).nan_to_num().abs().max() == 0  # not in place


def test_half_of_the_patches_turn_by_their_own_chance() -> None:
    torch.manual_seed(0)
    image = torch.full((400, 2, 4, 4), 30.0)
    found, _ = RandomFlips(["slope", "aspect"])(image, image[:, :1])
    assert (found[:, 0] == 30).all()
    turned = [int((found[:, 1] == angle).all(dim=(1, 2)).sum()) for angle in (30, 330, 150, 210)]
    assert sum(turned) == 400
    assert min(turned) > 70


class Eastward(nn.Module):
    """A network that prefers ground falling to the east and also reads its eastern neighbour."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        east = x[:, 1:2].deg2rad().sin()
        logits = 3 * east
        logits[..., :-1] += 2 * east[..., 1:]
        return logits - 2


def test_flips_of_a_prediction_show_the_network_the_mirrored_ground(elevation: np.ndarray) -> None:
    bands = ["vv_pre", "aspect"]
    task = make_task(bands=bands, model={"_target_": "test_directions.Eastward"}, halo=[16, 16])
    image = ground(elevation)[:, :2]
    found = Network([task], torch.device("cpu"), tta="flips")(image)[0, 0]
    views = []
    for axes in ([], [0], [1], [0, 1]):
        mirrored = ground(np.flip(elevation, axes).copy())[:, :2]
        views.append(Eastward()(mirrored).sigmoid()[0, 0].flip(axes))
    expected = torch.stack(views).mean(dim=0)
    assert expected.std() > 0.05
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("module", [RandomRotation(90), RandomHorizontalFlip()])
def test_augmentation_that_does_not_turn_aspect_is_refused(module: nn.Module) -> None:
    build = partial(
        LandslideDataModule,
        root=Path("anywhere"),
        orbit="ascending",
        patch_size=32,
        batch_size=4,
        split=random_split,
        sampler=PatchSampler,
        augmentation={"turn": module},
    )
    build(bands=BANDS)
    with pytest.raises(InputError, match=r"augmentation\.turn: .* does not turn aspect"):
        build(bands=[*BANDS, "aspect"])

import numpy as np
import pytest
import torch

from landslide.data.normalization import Normalization, PatchMinMax, ZScore

BANDS = ["vv_pre", "slope"]


@pytest.fixture
def image() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(3, 2, 16, 16, generator=generator) * torch.tensor([0.3, 40.0])[:, None, None]
    image[0, 0, 2:5] = torch.nan
    image[1, 1] = torch.nan
    return image


def test_patch_minmax_is_the_papers_scaling_of_amplitude(image: torch.Tensor) -> None:
    scaled = PatchMinMax(BANDS)(image).numpy()
    amplitude = np.sqrt(image[2, 0].numpy())
    expected = (amplitude - amplitude.min()) / (amplitude.max() - amplitude.min())
    np.testing.assert_allclose(scaled[2, 0], expected, atol=1e-6)
    slope = image[2, 1].numpy()
    expected = (slope - slope.min()) / (slope.max() - slope.min())
    np.testing.assert_allclose(scaled[2, 1], expected, atol=1e-6)


def test_gaps_neither_move_the_minimum_nor_reach_the_network(image: torch.Tensor) -> None:
    scaled = PatchMinMax(BANDS)(image)
    assert scaled.isfinite().all()
    assert (scaled[0, 0, 2:5] == 0).all()
    assert (scaled[1, 1] == 0).all()
    valid = torch.cat([scaled[0, 0, :2], scaled[0, 0, 5:]])
    assert valid.min() == 0
    assert valid.max() == pytest.approx(1)


def test_zscore_is_in_decibels_over_valid_pixels_of_all_batches(image: torch.Tensor) -> None:
    module = ZScore(BANDS)
    module.fit([image[:1], image[1:]])
    decibels = 10 * np.log10(image[:, 0].numpy().astype(float))
    np.testing.assert_allclose(module.mean.flatten()[0], np.nanmean(decibels), rtol=1e-5)
    np.testing.assert_allclose(module.std.flatten()[0], np.nanstd(decibels), rtol=1e-5)
    np.testing.assert_allclose(module.mean.flatten()[1], np.nanmean(image[:, 1].numpy()), rtol=1e-5)
    scores = module(image)
    assert scores.isfinite().all()
    expected = (decibels - np.nanmean(decibels)) / np.nanstd(decibels)
    np.testing.assert_allclose(scores[2, 0], expected[2], atol=1e-4)


def test_statistics_travel_with_the_state(image: torch.Tensor) -> None:
    module, other = ZScore(BANDS), ZScore(BANDS)
    module.fit([image])
    other.load_state_dict(module.state_dict())
    torch.testing.assert_close(module(image), other(image))


def test_none_only_fills_gaps(image: torch.Tensor) -> None:
    values = Normalization(BANDS)(image)
    torch.testing.assert_close(values, image.nan_to_num(0.0))


def test_only_backscatter_changes_its_scale(image: torch.Tensor) -> None:
    values = Normalization(BANDS, scale="decibel")(image)
    assert (values[2, 0] < 0).all()
    torch.testing.assert_close(values[2, 1], image[2, 1])


def test_a_constant_band_becomes_zero() -> None:
    image = torch.rand(2, 4, 8, 8) + 0.01
    image[:, 3] = 39.3
    zscore = ZScore(["vv_pre", "vv_post1", "vv_post2", "slope"])
    zscore.fit([image])
    assert zscore(image)[:, 3].abs().max() < 1e-5

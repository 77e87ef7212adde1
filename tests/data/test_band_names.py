"""What a band is by its name, as training and its augmentations treat it."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from builders import BANDS, add_bands, make_scene, small_datamodule

from landslide.data.augmentation import RandomGain, RandomSpeckle
from landslide.data.normalization import PatchMinMax, ZScore
from landslide.data.scene import Scene
from landslide.errors import InputError
from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import write_raster
from landslide.radar.bands import is_backscatter, naming_notes

SIZE = (192, 256)
POWER = [
    *("vv", "VH", "vv_pre", "vv_post", "hh_post12", "VV_Pre1", "vv_pre_mean", "vh_post_mean"),
    *("vv_20180905", "gamma0_vv_pre", "sigma0_vv_pre", "beta0_hv", "vv_pre@descending"),
    *("vv_post1/vv_pre", "sigma0_vv_post1@descending/sigma0_vv_pre@descending"),
]
OTHERS = [
    *("vv_coherence", "vh_std", "vv_incidence", "vv_pre_std", "vv_ratio", "vv_count", "vv_db"),
    *("pre_count", "slope", "aspect", "coherence_vv", "vv_event", "vv_2018", "vv_pre_mean_std"),
    *("sigma0", "gamma0_vv_std", "vvx_pre", "vv_post1_coherence", "local_incidence_angle"),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_scene(tmp_path / "scene", SIZE)


@pytest.mark.parametrize("name", POWER)
def test_polarisation_and_date_are_linear_power(name: str) -> None:
    assert is_backscatter(name)
    assert naming_notes([name]) == []


@pytest.mark.parametrize("name", OTHERS)
def test_everything_else_is_used_as_it_is(name: str) -> None:
    assert not is_backscatter(name)
    # Root and decibels are for linear power only.
    image = torch.tensor([[[[-3.0, 0.0], [0.25, 40.0]], [[0.1, 0.2], [0.3, 0.4]]]])
    for scale in ("amplitude", "decibel"):
        module = ZScore([name, "vv_pre"], scale)
        torch.testing.assert_close(module.rescale(image)[:, 0], image[:, 0])
        assert not torch.allclose(module.rescale(image)[:, 1], image[:, 1])
    scaled = PatchMinMax([name, "vv_pre"])(image)
    torch.testing.assert_close(scaled[:, 0], (image[:, 0] + 3) / 43)


def test_training_reads_and_scales_other_bands_as_measured(root: Path) -> None:
    rng = np.random.default_rng(0)
    other_bands = {
        "vv_coherence": rng.uniform(0, 1, SIZE).round(1),  # has exact zeros
        "vh_std": rng.normal(-2, 1, SIZE),  # mostly negative, as decibels are
        "vv_incidence": rng.uniform(30, 45, SIZE),
    }
    add_bands(root, **other_bands, sigma0_vv_post1=np.zeros(SIZE) + 0.1)
    names = [*other_bands, "sigma0_vv_post1"]
    module = small_datamodule(root, names)
    # Nothing is missing in them, a coherence of 0 included.
    assert (Scene.of(root, "ascending", names).read(Window(0, 0, *SIZE))["image"]).isfinite().all()
    normalization = ZScore(names, "decibel")
    normalization.fit(module.training_images())
    patches = torch.cat(list(module.training_images())).double()
    mean, std = patches.mean(dim=(0, 2, 3)), patches.std(dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(
        normalization.mean.flatten()[:3].double(), mean[:3], rtol=1e-5, atol=0
    )
    torch.testing.assert_close(normalization.std.flatten()[:3].double(), std[:3], rtol=1e-5, atol=0)
    assert normalization.mean.flatten()[3].item() == pytest.approx(-10, abs=1e-5)


def test_decibels_are_found_under_every_name_of_backscatter(root: Path) -> None:
    with rasterio.open(root / "ascending.tif") as source:
        image, grid = source.read(), Grid.of(source)
    image[0] = 10 * np.log10(image[0])
    names = ["sigma0_vv_pre", *BANDS[1:]]
    write_raster(root / "ascending.tif", image, grid, names, np.nan)
    with pytest.raises(InputError, match="most of sigma0_vv_pre is negative"):
        Scene.of(root, "ascending", names)


def test_gain_and_speckle_touch_backscatter_only_and_know_its_acquisitions() -> None:
    names = [
        *("gamma0_vv_pre", "gamma0_vh_pre", "vv_post1", "vh_post1", "vv_coherence", "vh_std"),
        *("vv_pre@descending", "vv_pre_mean"),
    ]
    torch.manual_seed(0)
    image = torch.rand(32, len(names), 8, 8) + 0.5
    gain = RandomGain(names, std_db=2, p=1.0)(image) / image
    torch.testing.assert_close(gain[:, 0], gain[:, 1])
    torch.testing.assert_close(gain[:, 2], gain[:, 3])
    for other in (2, 6, 7):
        assert ((gain[:, 0] - gain[:, other]).abs() > 1e-3).any()
    noise = RandomSpeckle(names, looks=4, p=1.0)(image) / image
    for unchanged in (gain[:, 4:6], noise[:, 4:6]):
        assert (unchanged == 1).all()
    assert (noise[:, :4] != 1).float().mean() > 0.99

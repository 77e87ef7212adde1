"""Detectors against closed forms, and as models that train and map like any other."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import make_stack, read_band
from commands import composed, map_with
from omegaconf import OmegaConf
from scipy.ndimage import uniform_filter
from torch import Tensor

from landslide.data.levels import balance_dates
from landslide.data.scene import Scene
from landslide.errors import InputError
from landslide.geo.grid import Window
from landslide.models.channel_pairs import find_pairs
from landslide.models.detectors import MIN_SCORE, ChangeZ, LogRatio, SlopeDetector
from landslide.radar.balance import mean_levels
from landslide.training.task import LandslideTask, save_task

BANDS = ["vv_pre", "vv_post1", "vv_post2", "slope"]
STACK = ["vv_pre_mean", "vv_post_mean", "vv_pre_std", "pre_count", "post_count", "slope"]


def constant(*values: float) -> Tensor:
    """An image (1, C, 16, 16), each band with one value."""
    return torch.tensor(values)[None, :, None, None].expand(1, len(values), 16, 16).clone()


@pytest.mark.parametrize(
    ("direction", "expected"), [("both", 6.0206), ("darkening", 6.0206), ("brightening", -6.0206)]
)
def test_a_quarter_of_the_power_is_six_decibels(direction: str, expected: float) -> None:
    image = constant(0.2, 0.04, 0.06, 30)  # the mean of both dates after is 0.05
    logits = LogRatio(BANDS, direction)(image)  # type: ignore[arg-type]
    assert logits.shape == (1, 1, 16, 16)
    torch.testing.assert_close(logits, torch.full_like(logits, expected), atol=1e-4, rtol=0)


def test_pairs_of_both_polarisations_and_orbits_are_averaged() -> None:
    bands = ["vv_pre", "vv_post1", "vh_pre", "vh_post1", "vv_pre@descending", "vv_post1@descending"]
    assert len(find_pairs(bands)) == 3
    image = constant(0.1, 0.05, 0.1, 0.2, 0.1, 0.1)
    both, dark = (LogRatio(bands, way)(image)[0, 0, 8, 8].item() for way in ("both", "darkening"))
    assert both == pytest.approx(2 * 3.0103 / 3, abs=1e-4)
    assert dark == pytest.approx(0, abs=1e-4)


def test_bands_are_found_by_name_with_their_prefix_and_orbit() -> None:
    bands = [f"gamma0_VV_{name}@descending" for name in ("pre_mean", "post_mean", "pre_std")]
    (pair,) = find_pairs(["slope", *bands, "pre_count@descending", "post_count"])
    assert pair == (1, (2,), 3, 4, None)


def test_detectors_choose_the_best_bands_that_a_scene_has() -> None:
    single = ["vv_pre", "vv_post1", "vv_post2", "slope"]
    stack = ["vv_pre_mean", "vv_post_mean", "vv_pre_std"]
    other = ["vh_pre@descending", "vh_post1@descending"]
    assert LogRatio.choose_bands(single) == single
    assert LogRatio.choose_bands([*single, *stack, *other]) == [*stack[:2], *other, "slope"]
    assert ChangeZ.choose_bands([*single, *stack, *other, "pre_count", "elevation"]) == [
        *stack,
        "pre_count",
        "slope",
    ]
    assert SlopeDetector.choose_bands(single) == ["slope"]
    for detector, bands, remedy in (
        (ChangeZ, single, "prepare a scene with sar.before=3 or more, or take log_ratio"),
        (LogRatio, ["vv_pre", "slope"], "or take slope"),
        (SlopeDetector, stack, "or take log_ratio"),
    ):
        with pytest.raises(InputError, match=remedy):
            detector.choose_bands(bands)


def test_a_date_that_did_not_measure_a_pixel_is_left_out() -> None:
    image = constant(0.2, 0.1, 0.1, 30)
    image[:, 2, 4] = 0.0  # one of two dates after
    image[:, 0, 9] = 0.0  # the only date before
    logits = LogRatio(BANDS, window=1)(image)[0, 0]
    assert logits[4, 0].item() == pytest.approx(3.0103, abs=1e-4)
    assert (logits[9] == MIN_SCORE).all()


def test_flat_ground_is_no_landslide() -> None:
    image = constant(0.2, 0.1, 0.1, 30)
    image[:, 3, :, :8] = 4
    logits = LogRatio(BANDS, min_slope=10)(image)[0, 0]
    assert (logits[:, :8] == MIN_SCORE).all()
    assert (logits[:, 8:] > 0).all()


def test_smoothing_is_the_mean_of_power_over_the_window() -> None:
    rng = np.random.default_rng(0)
    power = rng.gamma(4, 0.05, size=(2, 32, 32)).astype(np.float32)
    image = torch.from_numpy(np.stack([power[0], power[1], power[1], np.full((32, 32), 30)]))
    logits = LogRatio(BANDS, "brightening", window=5)(image[None].float())[0, 0]
    smooth = [uniform_filter(p.astype(float), 5) for p in power]
    expected = 10 * np.log10(smooth[1] / smooth[0])
    np.testing.assert_allclose(logits[2:-2, 2:-2].detach(), expected[2:-2, 2:-2], atol=1e-4)


def test_deviations_count_dates_on_both_sides() -> None:
    image = constant(0.1, 0.2, 1.5, 8, 2, 30)
    z = ChangeZ(STACK)(image)[0, 0, 8, 8].item()
    assert z == pytest.approx(3.0103 / (1.5 * math.sqrt(1 / 8 + 1 / 2)), abs=1e-3)


def test_scatter_that_was_not_measured_is_left_out_of_its_surroundings() -> None:
    image = constant(0.1, 0.2, 1.5, 8, 2, 30)
    image[:, :3, :, 8:] = 0.0  # what the normalisation makes of NaN
    z = ChangeZ(STACK)(image)[0, 0, 4:12, :8]
    expected = 3.0103 / (1.5 * math.sqrt(1 / 8 + 1 / 2))
    torch.testing.assert_close(z, torch.full_like(z, expected), atol=1e-3, rtol=0)


def test_the_largest_polarisation_counts_and_orbits_are_averaged() -> None:
    one = ["vv_pre_mean", "vv_post_mean", "vv_pre_std", "vh_pre_mean", "vh_post_mean", "vh_pre_std"]
    bands = [*one, *(f"{band}@descending" for band in one)]
    image = constant(*(0.1, 0.2, 1, 0.1, 0.1, 1), *(0.1, 0.1, 1, 0.1, 0.1, 1))
    # One date on each side: 3.01 dB are 3.01 / sqrt(2) deviations, none in the other orbit.
    assert ChangeZ(bands)(image)[0, 0, 8, 8].item() == pytest.approx(
        3.0103 / math.sqrt(2) / 2, abs=1e-3
    )


@pytest.mark.parametrize(
    ("make", "bands", "expected"),
    [
        (SlopeDetector, ["vv_pre"], "needs the band slope"),
        (LogRatio, ["vv_pre", "slope"], "has no polarisation with a band before"),
        (ChangeZ, BANDS, r"needs the scatter .* take model=log_ratio"),
    ],
)
def test_bands_that_are_missing_are_one_sentence(
    make: type, bands: list[str], expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        make(bands)


@pytest.mark.parametrize("name", ["slope", "log_ratio", "change_z"])
def test_a_detector_is_composed_like_any_model(name: str) -> None:
    config = composed(f"model={name}", "dataset=stack_fused", "output_dir=x", "threshold=0.5")
    task = LandslideTask(**OmegaConf.to_container(config.task, resolve=True))  # type: ignore[arg-type]
    assert task.normalization.fitted
    assert task.normalization.balance == (name != "slope")
    assert sum(p.numel() for p in task.parameters()) == 2


@pytest.mark.parametrize("orbit", ["ascending", "descending", "fused"])
def test_stacks_are_datasets_in_which_detectors_find_landslides(
    orbit: str, stack_root: Path
) -> None:
    bands = composed(f"dataset=stack_{orbit}", "output_dir=x").dataset.bands
    own = "descending" if orbit == "descending" else "ascending"
    sample = Scene.of(stack_root, own, bands).read(Window(0, 0, 160, 256))
    change = ChangeZ(bands)(sample["image"][None])[0, 0]
    slides = (sample["mask"] == 1) & (change > MIN_SCORE)
    quiet = (sample["mask"] == 0) & (change > MIN_SCORE)
    assert change[slides].median() > change[quiet].quantile(0.99)


def test_means_of_stacks_are_balanced(tmp_path: Path) -> None:
    root = make_stack(tmp_path / "stack", rain=[0, 0, 0, 0, 0, 0, 3, 3], slides=0.1)
    bands = ["vv_pre_mean", "vv_post_mean", "vh_pre_mean", "vh_post_mean", "slope"]
    scene = Scene.of(root, "ascending", bands)
    levels = mean_levels(balance_dates(scene))
    for polarisation in ("vv", "vh"):
        rise = levels[f"{polarisation}_post_mean"] - levels[f"{polarisation}_pre_mean"]
        assert rise == pytest.approx(3, abs=0.3)
    sample = scene.read(Window(0, 0, 160, 256))
    change = LogRatio(bands, "brightening", window=7)(sample["image"][None])[0, 0]
    quiet = (sample["mask"] == 0) & (change > MIN_SCORE)
    assert abs(change[quiet].median().item()) < 0.3


def test_a_map_in_blocks_is_the_detector_on_the_whole_scene(
    scene_root: Path, tmp_path: Path
) -> None:
    task = LandslideTask(
        model={"_target_": "landslide.models.detectors.LogRatio", "bands": BANDS, "window": 5},
        loss={"_target_": "landslide.training.losses.DiceLoss"},
        normalization={"_target_": "landslide.data.normalization.Normalization"},
        optimizer={"_target_": "torch.optim.Adam", "lr": 1e-3},
        bands=BANDS,
        orbit="ascending",
        patch_size=32,
    )
    checkpoint, output = tmp_path / "log_ratio.ckpt", tmp_path / "map"
    save_task(task, checkpoint)
    map_with(
        f"checkpoint={checkpoint}", f"scene={scene_root}", f"output={output}", "window.size=48"
    )
    scene = Scene.of(scene_root, "ascending", BANDS)
    sample = scene.read(scene.grid.full_window)
    expected = task.eval()(sample["image"][None])[0, 0].detach().numpy()
    found = read_band(output / "score.tif")
    known = np.isfinite(found)
    assert known.sum() > 10_000
    np.testing.assert_allclose(found[known], expected[known], atol=1e-5)

"""Dates that are brighter or darker as a whole: measured, divided out, and reported."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from builders import make_task, perturb
from commands import composed, map_with
from hydra.utils import instantiate
from rasterio.crs import CRS
from scipy.ndimage import gaussian_filter

from landslide.data.datamodule import LandslideDataModule
from landslide.data.levels import balance_dates, measure_levels
from landslide.data.normalization import PatchMinMax
from landslide.data.scene import Scene
from landslide.errors import InputError
from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import write_raster
from landslide.radar.balance import describe_level_changes, reference_images
from landslide.training.task import save_task

UTM = CRS.from_epsg(32654)
BANDS = ["vv_pre", "vv_post1", "vv_post2", "slope"]
QUOTIENTS = ["vv_pre", "vv_post1/vv_pre", "vv_post2@descending/vv_pre@descending", "slope"]


def ground(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Three dates (3, H, W) of one ground: lasting texture of 2 dB, speckle of 4.4 looks."""
    rng = np.random.default_rng(seed)
    texture = -9 + 40 * gaussian_filter(rng.normal(size=size), 6)
    power: np.ndarray = 10 ** (texture / 10) * rng.gamma(4.4, 1 / 4.4, size=(3, *size))
    return power


def blobs(size: tuple[int, int], share: float, seed: int = 1) -> np.ndarray:
    """Landslides some 100 m across on a share of the scene."""
    field = gaussian_filter(np.random.default_rng(seed).normal(size=size), 5)
    covered: np.ndarray = field > np.quantile(field, 1 - share)
    return covered


def write(
    root: Path, power: np.ndarray, slope: np.ndarray | float = 20.0, res: float = 10.0
) -> Path:
    """Write a scene of both orbits, descending with its dates in reverse."""
    size = power.shape[1:]
    grid = Grid(UTM, Affine(res, 0, 600_000, 0, -res, 4_740_000), *size)
    for orbit, images in (("ascending", power), ("descending", power[::-1])):
        image = np.stack([*images, np.broadcast_to(slope, size)]).astype(np.float32)
        image[:, :8, :40] = np.nan
        write_raster(root / f"{orbit}.tif", image, grid, BANDS, np.nan)
    mask = blobs((size[0], size[1]), 0.05).astype(np.uint8)
    write_raster(root / "landslides.tif", mask, grid, ["landslides"], 255)
    (root / "scene.json").write_text(json.dumps({"simulated": True}))
    return root


def brighter(decibels: Sequence[float]) -> np.ndarray:
    gains: np.ndarray = 10 ** (np.array(decibels)[:, None, None] / 10)
    return gains


def changes(root: Path) -> tuple[float, float]:
    """By how many dB the dates after the event are measured to be brighter."""
    levels = measure_levels(Scene.of(root, "ascending", BANDS, truth=False))
    pre, post1, post2 = (float(levels[band].mean()) for band in BANDS[:3])
    return post1 - pre, post2 - pre


def test_a_date_is_brighter_by_what_it_was_multiplied_with(tmp_path: Path) -> None:
    root = write(tmp_path / "s", ground((300, 520)) * brighter([1, 4, -2]))
    assert changes(root) == pytest.approx((3, -3), abs=0.05)


@pytest.mark.parametrize("contrast", [-4, -6, 5])
def test_landslides_on_thirty_percent_of_the_ground_do_not_move_the_level(
    contrast: float, tmp_path: Path
) -> None:
    power = ground((512, 512))
    power[1:, blobs((512, 512), 0.3)] *= 10 ** (contrast / 10)
    root = write(tmp_path / "s", power * brighter([0, 3, 3]))
    assert changes(root) == pytest.approx((3, 3), abs=0.2)


def test_sea_and_fields_do_not_count_where_there_are_hills(tmp_path: Path) -> None:
    power, slope = ground((512, 512)), np.full((512, 512), 20.0)
    slope[:, 180:] = 0.5
    power[1, :, 180:] *= 10  # wind on the sea
    assert changes(write(tmp_path / "coast", power, slope)) == pytest.approx((0, 0), abs=0.1)
    # Without any hill, all counts.
    flat = write(tmp_path / "flat", ground((300, 300)) * brighter([0, 2, 0]), 0.0)
    assert changes(flat) == pytest.approx((2, 0), abs=0.1)


def test_rain_on_one_side_of_a_wide_scene_is_balanced_where_it_fell(tmp_path: Path) -> None:
    power = ground((400, 1200))
    rain = np.repeat([0.0, 3.0], 600)  # 50 m pixels: 30 km each, six tiles in all
    power[1] *= 10 ** (rain / 10)
    scene = Scene.of(write(tmp_path / "s", power, res=50), "ascending", BANDS, truth=False)
    balance_dates(scene)
    image = scene.read(Window(0, 0, 400, 1200))["image"]
    # Averaged over a kilometre, in the middle of the outer tiles and beyond: no rain is left.
    for columns in (slice(0, 100), slice(250, 350), slice(900, 1000), slice(1100, 1200)):
        pre, post = (image[i, 50:, columns].nanmean() for i in (0, 1))
        assert 10 * (post / pre).log10() == pytest.approx(0, abs=0.15)
    # A window is the same whether it is read alone or with the rest.
    part = scene.read(Window(130, 555, 64, 80))["image"]
    torch.testing.assert_close(part, image[:, 130:194, 555:635])


@pytest.mark.parametrize("bands", [BANDS, QUOTIENTS])
def test_what_the_network_sees_does_not_depend_on_whole_dates(
    bands: list[str], tmp_path: Path
) -> None:
    power = ground((200, 300))
    images = []
    for i, shift in enumerate([(0, 0, 0), (0, 3, 3), (0, -3, -3), (3, 0, 0), (2, 2, -5)]):
        root = write(tmp_path / f"s{i}", power * brighter(shift))
        scene = Scene.of(root, "ascending", bands)
        balance_dates(scene)
        images.append(scene.read(Window(-10, -10, 220, 320))["image"])
    for image in images[1:]:
        torch.testing.assert_close(image, images[0], rtol=1e-4, atol=0, equal_nan=True)
    torch.testing.assert_close(images[0][3, 30, 60], torch.tensor(20.0), rtol=0, atol=0)


def test_training_sees_balanced_dates_and_says_so_in_its_settings(tmp_path: Path) -> None:
    power = ground((256, 640))
    batches = []
    for name, shift in (("still", (0, 0, 0)), ("rain", (0, 4, 3))):
        root = write(tmp_path / name, power * brighter(shift))
        config = composed(f"dataset.root={root}", "normalization=zscore", "split=random")
        datamodule: LandslideDataModule = instantiate(config.datamodule)
        datamodule.setup()
        batches.append(next(iter(datamodule.val_dataloader()))["image"])
    torch.testing.assert_close(batches[1], batches[0], rtol=1e-4, atol=0, equal_nan=True)
    assert config.task.normalization.balance is True
    assert composed(f"dataset.root={root}").datamodule.balance is False  # the paper's scaling


def test_the_papers_scaling_needs_no_balance() -> None:
    power = torch.from_numpy(ground((64, 64))).float()[None]
    for scale in ("amplitude", "decibel", "power"):
        scaled = PatchMinMax(BANDS[:3], scale)  # type: ignore[arg-type]
        moved = scaled(power * torch.from_numpy(brighter([0, 3, -3])).float())
        torch.testing.assert_close(moved, scaled(power), rtol=0, atol=2e-6)


def checkpoint(path: Path, **normalization: object) -> Path:
    """A network of random weights with stored statistics that maps a part of the scene."""
    torch.manual_seed(0)
    task = make_task(
        model={"_target_": "landslide.models.AttentionUNet", "in_channels": 4, "filters": 4},
        normalization={
            "_target_": "landslide.data.normalization.ZScore",
            "scale": "decibel",
            **normalization,
        },
    )
    perturb(task)
    task.normalization.fit([torch.rand(1, 4, 64, 64) * 0.1 + 0.05])
    save_task(task, path)
    return path


@pytest.mark.slow
def test_a_map_does_not_change_with_whole_dates_and_says_what_was_taken_out(
    tmp_path: Path,
) -> None:
    model = checkpoint(tmp_path / "model.ckpt", balance=True)
    found = []
    for name, shift in (("still", (0, 0, 0)), ("bright", (0, 3, 3)), ("dark", (0, -3, -3))):
        scene = write(tmp_path / name, ground((160, 240)) * brighter(shift))
        output = tmp_path / f"map_{name}"
        # A single file and a folder are read alike.
        source = scene / "ascending.tif" if name == "dark" else scene
        summary = map_with(
            f"checkpoint={model}", f"scene={source}", f"output={output}", "min_area=0"
        )
        with rasterio.open(output / "probability.tif") as raster:
            found.append(raster.read(1))
        levels = summary["levels_db"]
        assert levels["vv_post1"] - levels["vv_pre"] == pytest.approx(shift[1], abs=0.1)  # type: ignore[index]
        notes = [note for note in summary["notes"] if "whole images differ" in note]  # type: ignore[attr-defined]
        assert len(notes) == (shift[1] != 0)
        if notes:
            assert re.search(
                rf"vv_post1 by \{'+' if shift[1] > 0 else '-'}(3\.\d|2\.9) dB", notes[0]
            )
            assert "taken out" in notes[0]
    assert np.nanstd(found[0]) > 0.01
    for probability in found[1:]:
        np.testing.assert_allclose(probability, found[0], atol=2e-3)


@pytest.mark.slow
def test_a_checkpoint_without_balance_maps_as_before_and_warns(tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "model.ckpt")
    scene = write(tmp_path / "s", ground((160, 240)) * brighter([0, 3, 3]))
    output = tmp_path / "map"
    summary = map_with(f"checkpoint={model}", f"scene={scene}", f"output={output}")
    assert any("does not balance dates" in note for note in summary["notes"])  # type: ignore[attr-defined]


def test_an_ensemble_agrees_on_whether_dates_are_balanced(tmp_path: Path) -> None:
    old, new = checkpoint(tmp_path / "a.ckpt"), checkpoint(tmp_path / "b.ckpt", balance=True)
    scene = write(tmp_path / "s", ground((96, 96)))
    with pytest.raises(InputError, match="map with each kind by itself"):
        map_with(f"checkpoint=[{old},{new}]", f"scene={scene}", f"output={tmp_path / 'map'}")


def test_a_scene_without_measurements_or_images_stays_as_it_is(tmp_path: Path) -> None:
    root = write(tmp_path / "s", np.full((3, 64, 64), np.nan))
    assert measure_levels(Scene.of(root, "ascending", BANDS)) == {}
    scene = Scene.of(root, "ascending", ["slope"])
    balance_dates(scene)
    assert scene.read(Window(10, 10, 8, 8))["image"].unique().tolist() == [20.0]


# Real dates ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("burst", "before", "after", "share"),
    [
        ("T137-292321-IW2", "20231203", "20231227", (0.24, 0.21)),
        ("T137-292323-IW2", "20231215", "20231227", (0.49, 0.21)),
        ("T137-292324-IW2", "20231215", "20231227", (0.59, 0.19)),
    ],
)
def test_real_rain_is_divided_out(
    burst: str, before: str, after: str, share: tuple[float, float], real_data: Path, tmp_path: Path
) -> None:
    images = []
    for date in (before, after):
        (path,) = (real_data / "opera_rtc_quiet" / burst).glob(f"*_{date}T*_VV.tif")
        with rasterio.open(path) as source:
            images.append(source.read(1))
            grid = Grid.of(source)
    write_raster(tmp_path / "dates.tif", np.stack(images), grid, ["vv_pre", "vv_post1"], np.nan)
    scene = Scene(tmp_path / "dates.tif", ["vv_pre", "vv_post1"])
    window = Window(0, 0, grid.height, grid.width)
    shares = []
    for balanced in (False, True):
        if balanced:
            balance_dates(scene)
        pre, post = scene.read(window)["image"]
        change = 10 * (post / pre).log10()
        shares.append(float((change[change.isfinite()].abs() > 3).float().mean()))
    # Quiet hills that "change" by more than 3 dB; the right values by NumPy's median.
    assert shares[0] >= share[0] - 0.05
    assert shares[1] <= share[1]
    offset = np.nanmedian(10 * np.log10(images[1] / images[0]))
    change = change[change.isfinite()].median()
    assert float(change) == pytest.approx(0, abs=0.3), offset


def test_landslides_hardly_move_the_level_of_real_dates(real_data: Path, tmp_path: Path) -> None:
    files = sorted((real_data / "opera_rtc_quiet" / "T137-292322-IW2").glob("*_VV.tif"))[:2]
    images = []
    for path in files:
        with rasterio.open(path) as source:
            images.append(source.read(1))
            grid = Grid.of(source)
    levels = []
    for cover in (0.0, 0.07, 0.3):
        pre, post = images[0], images[1].copy()
        post[blobs(post.shape, cover)] /= 2  # 3 dB
        path = tmp_path / f"{cover}.tif"
        write_raster(path, np.stack([pre, post]), grid, ["vv_pre", "vv_post1"], np.nan)
        measured = measure_levels(Scene(path, ["vv_pre", "vv_post1"]))
        levels.append(float((measured["vv_post1"] - measured["vv_pre"]).mean()))
    assert abs(levels[1] - levels[0]) < 0.17
    assert abs(levels[2] - levels[0]) < 0.7


def test_bands_that_name_their_quantity_have_a_date_before_the_event_too() -> None:
    images = ["gamma0_vh_post1", "gamma0_vv_post1", "gamma0_vv_pre", "VV_20180917", "VV_20180905"]
    assert reference_images(images) == {
        "gamma0_vh_post1": "gamma0_vh_post1",
        "gamma0_vv_post1": "gamma0_vv_pre",
        "gamma0_vv_pre": "gamma0_vv_pre",
        "VV_20180917": "gamma0_vv_pre",
        "VV_20180905": "gamma0_vv_pre",
    }


def test_stacks_and_days_are_compared_with_what_came_before() -> None:
    assert set(reference_images(["vv_post_mean", "vv_pre_mean"]).values()) == {"vv_pre_mean"}
    days = ["vh_20180917", "vh_20180905", "vh_20180929"]
    assert set(reference_images(days).values()) == {"vh_20180905"}
    assert set(reference_images(["vv_post2", "vv_post1"]).values()) == {"vv_post2"}
    levels = {"vv_post_mean": np.array([[-9.0]]), "vv_pre_mean": np.array([[-12.0]])}
    assert describe_level_changes(levels) == "vv_post_mean by +3.0 dB from vv_pre_mean"


@pytest.mark.parametrize("gap", ["tiles that are skipped", "slope"])
def test_levels_are_measured_wherever_pixels_are_valid(gap: str, tmp_path: Path) -> None:
    power, slope = ground((500, 1500)) * brighter([0, -3, -3]), np.full((500, 1500), 20.0)
    if gap == "slope":
        slope[:] = np.nan
    else:
        power[:, :260] = np.nan
    root = write(tmp_path / "s", power, slope)
    assert changes(root) == pytest.approx((-3, -3), abs=0.05)


def test_balancing_what_is_in_memory_already_is_refused(tmp_path: Path) -> None:
    scene = Scene.of(write(tmp_path / "s", ground((64, 64))), "ascending", BANDS)
    scene.load()
    with pytest.raises(RuntimeError, match="before it is loaded"):
        balance_dates(scene)

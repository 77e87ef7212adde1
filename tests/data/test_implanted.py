"""Training data from a scene's quiet past."""

from functools import partial
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import torch
from builders import make_stack

from landslide.data.implanted import ImplantedDataModule
from landslide.data.implanted_scene import ImplantedScene
from landslide.data.samplers import WindowSampler
from landslide.data.scene import Scene
from landslide.data.splits import block_split, shared_ground, split_digest
from landslide.errors import InputError
from landslide.geo.grid import Window
from landslide.implant.past import Implants, Track
from landslide.radar.stack import StackStatistics

BANDS = ["vv_pre_mean", "vv_post_mean", "vv_pre_std", "vh_pre", "vh_post2/vh_pre", "slope"]
BOTH = [*BANDS, "vv_pre_mean@descending", "vv_post1@descending"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_stack(tmp_path_factory.mktemp("stack"), before=12, rain=[0, 2, 0, -1, 0, 0, 3])


def scene(root: Path, bands: list[str] = BANDS, **implants: object) -> ImplantedScene:
    settings = Implants(**implants)  # type: ignore[arg-type]
    return ImplantedScene(root, "ascending", bands, settings, limit=2**30, balanced=False)


def module(root: Path | list[Path], **changes: object) -> ImplantedDataModule:
    options: dict[str, object] = {
        "root": root,
        "orbit": "ascending",
        "bands": BOTH,
        "patch_size": 32,
        "batch_size": 4,
        "split": shared_ground,
        "sampler": None,
        "windows": 24,
    }
    data = ImplantedDataModule(**options | changes)  # type: ignore[arg-type]
    data.setup()
    return data


def test_bands_are_those_that_the_event_will_have(root: Path) -> None:
    bands = ["vv_pre_mean", "vv_post_mean", "vv_pre_std", "vh_pre_mean", "vh_post_mean"]
    bands += ["vh_pre_std", "pre_count", "post_count", "vv_pre", "vh_post1", "vv_post2"]
    track = Track(root, "ascending", bands, Implants(), 2**30)
    before, after = np.array([1, 3, 6, 7]), np.array([9, 11])
    window = Window(10, 20, 30, 40)
    dates = track.dates
    first, second = dates.read(window, before), dates.read(window, after)
    first[1, :, 3, 4] = np.nan

    second[1, :, 8:, 9] = np.nan
    built = track.build(first, second, (dates.offsets[before], dates.offsets[after]))

    statistics = StackStatistics((30, 40), ["vv", "vh"])
    for index, image in zip(before, first, strict=True):
        offsets = dict(zip(["vv", "vh"], dates.offsets[index].tolist(), strict=True))
        statistics.add("pre", dict(zip(["vv", "vh"], image, strict=True)), offsets)
    for index, image in zip(after, second, strict=True):
        offsets = dict(zip(["vv", "vh"], dates.offsets[index].tolist(), strict=True))
        statistics.add("post", dict(zip(["vv", "vh"], image, strict=True)), offsets)
    for name, band in statistics.bands().items():
        np.testing.assert_allclose(built[name], band, rtol=1e-4, err_msg=name)
    np.testing.assert_array_equal(built["vv_pre"], first[-1, 0])
    np.testing.assert_array_equal(built["vh_post1"], second[0, 1])
    np.testing.assert_array_equal(built["vv_post2"], second[1, 0])


def test_a_draw_is_the_same_by_seed_and_new_by_another(root: Path) -> None:
    source = scene(root)
    window = Window(40, 60, 48, 48)

    one, same, other = (source.draw(window, [0, n], "train") for n in (5, 5, 6))

    torch.testing.assert_close(one["image"], same["image"], equal_nan=True)
    assert torch.equal(one["mask"], same["mask"])
    assert not torch.equal(one["image"][1], other["image"][1])
    # The slope is the scene's own.
    own = Scene.of(root, "ascending", ["slope"]).read(window)["image"][0]
    assert torch.equal(one["image"][5], own)


@pytest.mark.slow
def test_implants_change_the_dates_after_and_only_where_the_mask_says_so(root: Path) -> None:
    source = scene(root, ["vv_pre_mean", "vv_post_mean", "vh_post_mean"], mean_area=40_000.0)
    marked, elsewhere = [], []
    for number in range(80):
        sample = source.draw(Window(30, 30, 96, 96), [number], "train")
        before, *after = 10 * sample["image"].log10()
        change = torch.stack([(band - before).abs() for band in after]).amax(dim=0)
        marked.append(change[sample["mask"] == 1])
        elsewhere.append(change[sample["mask"] == 0])

    share = len(torch.cat(marked)) / (80 * 96 * 96)
    assert 0.005 < share < 0.2
    # VH is 7 dB below VV in these scenes, whence the level of quiet ground.
    difference = torch.cat(marked).std() / torch.cat(elsewhere).std()
    assert difference > 1.2


def test_quiet_ground_has_no_implants(root: Path) -> None:
    source = scene(root)

    for number in range(10):
        sample = source.draw(Window(30, 30, 64, 64), [number], "val", quiet=True)
        assert not (sample["mask"] == 1).any()


def test_dates_are_balanced_as_in_maps(root: Path) -> None:
    bands = ["vv_pre_mean", "vv_post1", "vh_post1"]
    source = ImplantedScene(root, "ascending", bands, Implants(after=1), limit=2**30, balanced=True)

    levels = [
        (10 * source.draw(Window(0, 0, 160, 256), [n], "train", quiet=True)["image"].log10())
        .flatten(1)
        .nanmedian(dim=1)
        .values
        for n in range(12)
    ]
    # Medians of speckle of one date lie 0.37 dB below those of a mean.
    spread = torch.stack(levels)
    assert spread.std(dim=0).max() < 0.15
    assert spread.mean(dim=0)[0] == pytest.approx(-10, abs=0.7)
    assert spread.mean(dim=0)[2] == pytest.approx(-17, abs=0.7)


@pytest.mark.slow
def test_both_orbits_have_the_scars_at_the_same_place(root: Path) -> None:
    bands = ["vv_pre_mean", "vv_post_mean", "vv_pre_mean@descending", "vv_post_mean@descending"]
    source = scene(root, bands, mean_area=60_000.0)
    changes = []
    for number in range(120):
        sample = source.draw(Window(30, 30, 96, 96), [number], "train")
        decibels = 10 * sample["image"].log10()
        scar = sample["mask"] == 1
        if scar.sum() > 50:
            pair = [decibels[1] - decibels[0], decibels[3] - decibels[2]]
            changes.append([float(change[scar].median()) for change in pair])

    first, second = np.array(changes).T
    assert len(changes) > 20
    assert np.corrcoef(first, second)[0, 1] > 0.5


def test_splits_share_the_ground_or_lie_in_blocks(root: Path) -> None:
    shared = module(root)
    assert len(shared.patches_of("train")) == len(shared.patches_of("val")) == 5 * 8

    wide = make_stack(root.parent / "wide", before=8, size=(64, 640))
    split = partial(block_split, seed=0, folds=3, fold=0, period=20, patch_size=32, window_size=32)
    blocks = module(wide, split=split)
    columns = [set(blocks.patches_of(part).col) for part in ("train", "val", "test")]
    assert not columns[0] & columns[1]
    assert not columns[0] & columns[2]
    sampler = blocks.training_sampler()
    assert isinstance(sampler, WindowSampler)
    for query in sampler:
        window = blocks.scenes[0].grid.window(*query)
        assert {window.col // 32, (window.col + 31) // 32} <= columns[0]


@pytest.mark.slow
def test_scores_of_implants_are_not_compared_with_those_of_labels(root: Path) -> None:
    one, other = module(root), module(root, implants={"mean_area": 9000})
    labels = split_digest(one.patches, 32, ["test"])

    assert len({one.tested_digest, other.tested_digest, labels}) == 3
    assert one.tested_digest == module(root, seed=3).tested_digest


@pytest.mark.slow
def test_batches_are_new_in_every_epoch_and_validation_stays(root: Path) -> None:
    data = module(root)
    sampler = data.training_sampler()
    epochs = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        dataset = data.dataset("train")
        epochs.append(torch.stack([dataset[query]["image"] for query in sampler]))
    assert epochs[0].shape == (24, len(BOTH), 32, 32)
    assert not torch.equal(epochs[0], epochs[1])
    torch.testing.assert_close(epochs[0], epochs[2], equal_nan=True)

    first, second = (torch.cat([b["mask"] for b in data.val_dataloader()]) for _ in "12")
    assert torch.equal(first, second)
    assert len(first) >= 200
    assert (first == 1).any()
    tested = torch.cat([batch["mask"] for batch in data.test_dataloader()])
    assert not torch.equal(first, tested)
    quiet = torch.cat([batch["mask"] for batch in data.quiet_dataloader("val")])
    assert not (quiet == 1).any()


@pytest.mark.slow
def test_labels_of_the_event_mix_in_by_a_share(tmp_path: Path) -> None:
    bands = ["vv_pre_mean", "vv_post_mean"]
    root = make_stack(tmp_path, before=12)
    label_corner(root, 64)
    data = module(root, labels=0.4, windows=200, bands=bands)
    event = Scene.of(root, "ascending", bands, truth=True)
    image = event.read(event.grid.full_window)["image"]
    dataset, labelled = data.dataset("train"), []
    for query in data.training_sampler():
        sample = dataset[query]
        if (image[0] == sample["image"][0, 0, 0]).any():
            labelled.append(sample["mask"])

    assert len(labelled) / 200 == pytest.approx(0.4, abs=0.1)
    # The corner is a tenth of the scene, and yet every window of the event shows labels.
    assert all((mask != 255).any() for mask in labelled)
    assert any((mask == 1).any() for mask in labelled)
    assert len({mask.numpy().tobytes() for mask in labelled}) > 40
    assert not (image[0] == data.dataset("val")[query]["image"][0, 0, 0]).any()
    assert any(file.name == "landslides.tif" for file in data.files)
    assert not any(file.name == "landslides.tif" for file in module(root).files)


def label_corner(root: Path, side: int) -> None:
    """Make the ground truth of a scene unknown but in its north-western corner."""
    with rasterio.open(root / "landslides.tif", "r+") as file:
        mask = file.read(1)
        mask[side:], mask[:, side:] = 255, 255
        file.write(mask, 1)


def test_labels_that_training_never_sees_are_one_sentence(tmp_path: Path) -> None:
    root = make_stack(tmp_path, before=12)
    label_corner(root, 32)

    def split(patches: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
        return patches.assign(split=patches.row.map({0: "val", 1: "test"}).fillna("train"))

    with pytest.raises(InputError, match=r"labels=0.4: no part of the training split has labels"):
        module(root, labels=0.4, bands=["vv_pre_mean", "vv_post_mean"], split=split)


def test_bands_that_need_more_dates_than_asked_for_are_one_sentence(root: Path) -> None:
    with pytest.raises(InputError, match=r"implants.after=1: the bands .* need 2 dates"):
        scene(root, ["vv_pre", "vv_post2"], after=1)


def test_the_same_ground_twice_is_refused(root: Path) -> None:
    with pytest.raises(InputError, match="overlap"):
        module([root, root])

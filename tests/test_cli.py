"""The programs as a user types them."""

import json
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import torch
from builders import make_scene
from commands import REPOSITORY, SMALL, run_program
from hydra.utils import instantiate
from omegaconf import OmegaConf

from landslide.geo.rasters import UNKNOWN
from landslide.training.task import load_task

pytestmark = pytest.mark.slow


def train(root: Path, cwd: Path, *overrides: str) -> Path:
    cwd.mkdir(exist_ok=True)
    output = cwd / "run"
    done = run_program(
        "train.py", f"dataset.root={root}", f"hydra.run.dir={output}", *SMALL, *overrides, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="module")
def trained(scene_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(scene_root, tmp_path_factory.mktemp("train"))


@pytest.fixture(scope="module")
def mapped(scene_root: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("map") / "map"
    best = trained / "checkpoints" / "best.ckpt"
    done = run_program(
        "predict.py",
        f"checkpoint={best}",
        f"scene={scene_root}",
        f"output={output}",
        cwd=output.parent,
    )
    assert done.returncode == 0, done.stderr
    return output


def test_a_run_folder_holds_what_it_promises(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text())
    scores = {"precision", "recall", "f1", "iou", "average_precision", "roc_auc"}
    scores |= {"cell_average_precision", "cell_roc_auc"}
    for split in ("val", "test"):
        assert set(metrics[split]) == scores | {"tp", "fp", "fn", "tn", "threshold", "patches"}
        m = metrics[split]
        assert m["f1"] == pytest.approx(2 * m["tp"] / (2 * m["tp"] + m["fp"] + m["fn"]), abs=1e-5)
    splits = gpd.read_file(trained / "splits.geojson")
    counts = splits.split.value_counts()
    assert counts["test"] == metrics["test"]["patches"]
    assert counts["val"] == metrics["val"]["patches"]
    history = pd.read_csv(trained / "history.csv")
    assert list(history.epoch) == [0, 1]
    assert {"train_loss", "val_loss", "train_f1", "val_f1", "val_iou"} <= set(history)
    for name in ("training", "samples", "precision_recall"):
        assert (trained / "figures" / f"{name}.png").stat().st_size > 5000
    assert (trained / "checkpoints" / "last.ckpt").exists()
    assert not list(trained.rglob(".part-*"))


def test_a_calibrated_threshold_is_kept_in_the_checkpoint(
    scene_root: Path, trained: Path, tmp_path: Path
) -> None:
    run_folder = train(scene_root, tmp_path / "calibrated", "threshold=calibrated")
    found, plain = (
        json.loads((folder / "metrics.json").read_text()) for folder in (run_folder, trained)
    )
    threshold = load_task(run_folder / "checkpoints" / "best.ckpt").threshold
    assert threshold == found["val"]["threshold"] == found["test"]["threshold"] != 0.5
    assert found["val"]["f1"] > plain["val"]["f1"]
    assert found["val"]["average_precision"] == plain["val"]["average_precision"]


def test_one_seed_gives_one_result(scene_root: Path, trained: Path, tmp_path: Path) -> None:
    again = train(scene_root, tmp_path)
    assert (again / "metrics.json").read_text() == (trained / "metrics.json").read_text()
    other = train(scene_root, tmp_path / "other", "seed=1")
    assert (other / "metrics.json").read_text() != (trained / "metrics.json").read_text()


def test_a_resumed_run_ends_where_an_unbroken_one_does(scene_root: Path, tmp_path: Path) -> None:
    # A learning rate at which the best epoch lies before the break.
    wild = ["learning_rate=0.1", "trainer.max_epochs=4"]
    whole = train(scene_root, tmp_path / "whole", *wild)
    first = train(scene_root, tmp_path / "a", "learning_rate=0.1", "trainer.max_epochs=3")
    last = first / "checkpoints" / "last.ckpt"
    resumed = train(scene_root, tmp_path / "b", *wild, f"ckpt_path={last}")
    histories = [
        pd.read_csv(run / "history.csv").drop(columns="seconds") for run in (whole, resumed)
    ]
    pd.testing.assert_frame_equal(*histories)
    assert histories[0].val_loss.argmin() < 3
    assert (whole / "metrics.json").read_text() == (resumed / "metrics.json").read_text()


def test_two_processes_score_every_patch_once(scene_root: Path, tmp_path: Path) -> None:
    output = train(scene_root, tmp_path, "trainer=ddp", "trainer.accelerator=cpu", "batch_size=3")
    metrics = json.loads((output / "metrics.json").read_text())
    task = load_task(output / "checkpoints" / "best.ckpt")
    best = pd.read_csv(output / "history.csv").sort_values("val_loss").iloc[0]
    # Pooled over two processes while training, over one afterwards: the same counts.
    assert task.threshold == 0.5
    for name in ("tp", "fp", "fn", "tn"):
        assert best[f"val_{name}"] == metrics["val"][name]
    data = instantiate(OmegaConf.load(output / ".hydra" / "config.yaml").datamodule)
    data.setup()
    val = list(data.samples(data.patches_of("val")))
    images, masks = (torch.stack([sample[key] for sample in val]) for key in ("image", "mask"))
    with torch.no_grad():
        whole = task.loss(task(images), masks)
    assert best.val_loss == pytest.approx(float(whole), abs=1e-6)
    assert metrics["val"]["patches"] % 2  # the processes' shares differ, so one is filled up


def test_a_sweep_trains_every_combination_and_prints_a_table(
    scene_root: Path, tmp_path: Path
) -> None:
    done = run_program(
        "train.py",
        f"dataset.root={scene_root}",
        *SMALL,
        "-m",
        "batch_size=4,8",
        "augmentation=none",
        f"hydra.sweep.dir={tmp_path}/sweep",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("sweep/*/metrics.json"))) == 2
    assert "batch_size" in done.stdout
    assert "validation F1" in done.stdout


def test_a_crash_fails_the_sweep_and_names_the_job(scene_root: Path, tmp_path: Path) -> None:
    done = run_program(
        "train.py",
        f"dataset.root={scene_root}",
        *SMALL,
        "-m",
        "patch_size=40,32",
        f"hydra.sweep.dir={tmp_path}/sweep",
        cwd=tmp_path,
    )
    assert done.returncode != 0
    assert "Job 0 (" in done.stderr
    assert "40 x 40 px is no multiple of 16 px" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(list(tmp_path.glob("sweep/*/metrics.json"))) == 1  # the other job finished


def test_products_share_the_scenes_grid(scene_root: Path, mapped: Path) -> None:
    with rasterio.open(scene_root / "ascending.tif") as source:
        profile, invalid = source.profile, np.isnan(source.read()).any(axis=0)
    for name, dtype in (("probability", "float32"), ("landslides", "uint8"), ("outcome", "uint8")):
        with rasterio.open(mapped / f"{name}.tif") as product:
            assert product.crs == profile["crs"]
            assert product.transform == profile["transform"]
            assert product.shape == (profile["height"], profile["width"])
            assert product.dtypes == (dtype,)
            assert product.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert (product.read_masks(1) == 0).sum() == invalid.sum()
    with rasterio.open(mapped / "probability.tif") as product:
        probability = product.read(1)
        assert np.isnan(probability[invalid]).all()
        assert 0 <= np.nanmin(probability) < np.nanmax(probability) <= 1


def test_polygons_mask_and_summary_agree(mapped: Path) -> None:
    polygons = gpd.read_file(mapped / "landslides.gpkg", layer="landslides")
    summary = json.loads((mapped / "summary.json").read_text())
    with rasterio.open(mapped / "landslides.tif") as product:
        mask = product.read(1)
    assert len(polygons) == summary["landslides"] > 0
    assert polygons.area_m2.sum() == pytest.approx(100 * (mask == 1).sum())
    assert polygons.area.sum() == pytest.approx(summary["landslide_area_m2"])
    assert polygons.area_m2.min() >= 400
    assert ((polygons.mean_probability >= 0.5) & (polygons.max_probability <= 1)).all()
    assert polygons.mean_slope.between(0, 60).all()
    assert summary["observed_share"] == pytest.approx((mask != UNKNOWN).mean())
    stages = {"open", "read", "network", "write", "threshold", "mask", "polygons", "metrics"}
    stages |= {"zonal statistics", "vector files", "cog", "map", "report", "checksums", "total"}
    assert set(summary["seconds"]) == stages
    assert summary["simulated"] is True


def test_outcome_and_metrics_agree_with_the_inventory(scene_root: Path, mapped: Path) -> None:
    with rasterio.open(mapped / "outcome.tif") as product:
        outcome = product.read(1)
    with rasterio.open(mapped / "landslides.tif") as product:
        mask = product.read(1)
    with rasterio.open(scene_root / "landslides.tif") as source:
        truth = source.read(1)
    metrics = json.loads((mapped / "metrics.json").read_text())
    assert metrics["tp"] == ((mask == 1) & (truth == 1)).sum() == (outcome == 1).sum()
    assert metrics["fp"] == ((mask == 1) & (truth == 0)).sum() == (outcome == 2).sum()
    assert metrics["fn"] == ((mask == 0) & (truth == 1)).sum() == (outcome == 3).sum()
    assert metrics["f1"] == pytest.approx(
        2 * metrics["tp"] / (2 * metrics["tp"] + metrics["fp"] + metrics["fn"]), abs=1e-5
    )
    assert (mapped / "map.png").stat().st_size > 20_000
    assert (mapped / "outcome.png").stat().st_size > 10_000


def test_a_second_map_leaves_nothing_of_the_first(
    scene_root: Path, trained: Path, tmp_path: Path
) -> None:
    output = tmp_path / "map"
    output.mkdir()
    for name in ("metrics.json", "outcome.tif", "notes.txt"):
        (output / name).write_text("old")
    done = run_program(
        "predict.py",
        f"checkpoint={trained / 'checkpoints' / 'best.ckpt'}",
        f"scene={scene_root / 'ascending.tif'}",
        f"output={output}",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    found = {path.name for path in output.iterdir()}
    assert not {"metrics.json", "outcome.tif"} & found
    assert {"notes.txt", "summary.json", "map.png"} <= found
    assert list(tmp_path.iterdir()) == [output]


def test_a_geotiff_is_mapped_like_the_scene_it_belongs_to(
    scene_root: Path, trained: Path, mapped: Path, tmp_path: Path
) -> None:
    done = run_program(
        "predict.py",
        f"checkpoint={trained / 'checkpoints' / 'best.ckpt'}",
        f"scene={scene_root / 'ascending.tif'}",
        f"inventory={scene_root / 'landslides.tif'}",
        f"output={tmp_path / 'map'}",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    for name in ("probability.tif", "landslides.tif"):
        with (
            rasterio.open(mapped / name) as first,
            rasterio.open(tmp_path / "map" / name) as second,
        ):
            np.testing.assert_array_equal(first.read(), second.read())
    first, second = (
        json.loads((m / "metrics.json").read_text()) for m in (mapped, tmp_path / "map")
    )
    assert first == second


# More devices than a machine has that runs the tests.
NO_DEVICE = ["trainer=gpu", "trainer.devices=9"]

BAD: list[tuple[str, Sequence[str], str]] = [
    ("train.py", ["dataset.root=nowhere"], "landslide simulate"),
    ("train.py", ["dataset.root={root}", "patch_size=40"], "multiple of 16"),
    ("train.py", ["dataset.root={root}", "ckpt_path=no.ckpt"], "ckpt_path=no.ckpt"),
    ("train.py", ["dataset.root={root}", "batch_size=0"], "batch_size=0 is not a whole number"),
    ("train.py", ["dataset.root={root}", "seed=abc"], "seed=abc is not a whole number"),
    ("train.py", ["dataset.root={root}", "ckpt_path={bad}"], "not a readable checkpoint"),
    ("train.py", ["dataset.root={root}", "ckpt_path={ckpt}"], "model.filters=2, not 32"),
    ("train.py", ["dataset.root={root}", "ckpt_path={misfit}"], "does not fit this version"),
    ("train.py", ["dataset.root={root}", *NO_DEVICE], "such as trainer=cpu"),
    (
        "train.py",
        ["dataset.root={cut}", "patch_size=32"],
        "ascending.tif cannot be read to its end",
    ),
    ("train.py", ["model=resnet"], "attention_unet"),
    ("predict.py", ["scene={root}", "output=map"], "checkpoint is not set"),
    ("predict.py", ["checkpoint={ckpt}", "scene={root}", "output=map", "threshold=2"], "threshold"),
    ("train.py", ["batchsize=4"], "batchsize"),
    ("predict.py", ["checkpoint=no.ckpt", "scene={root}", "output=map"], "no checkpoint no.ckpt"),
    ("predict.py", ["checkpoint={ckpt}", "scene={root}", "output=map", "tta=turn"], "tta=turn"),
    (
        "predict.py",
        ["checkpoint={ckpt}", "scene={root}/landslides.tif", "output=map"],
        "does not describe the band 'vv_pre'",
    ),
    (
        "predict.py",
        ["checkpoint={ckpt}", "scene={root}", "output=map", "window.size=100"],
        "window.size=100",
    ),
    (
        "predict.py",
        ["checkpoint={ckpt}", "scene={root}", "output=map", "inventory=no.gpkg"],
        "no file no.gpkg, which inventory names",
    ),
]


@pytest.mark.parametrize(("program", "overrides", "expected"), BAD)
def test_bad_input_is_one_clear_sentence(
    program: str,
    overrides: Sequence[str],
    expected: str,
    scene_root: Path,
    trained: Path,
    tmp_path: Path,
) -> None:
    best = trained / "checkpoints" / "best.ckpt"
    bad = tmp_path.parent / "bad.ckpt"
    bad.write_bytes(best.read_bytes()[:3000])
    cut = make_scene(tmp_path.parent / "cut", (64, 128))
    image = (cut / "ascending.tif").read_bytes()
    (cut / "ascending.tif").write_bytes(image[: len(image) // 2])
    misfit = tmp_path.parent / "misfit.ckpt"
    content = torch.load(best, weights_only=True)
    content["state_dict"]["model.head.weight"] = torch.ones(1)
    torch.save(content, misfit)
    names = {"root": scene_root, "ckpt": best, "bad": bad, "cut": cut, "misfit": misfit}
    options = [override.format(**names) for override in overrides]
    if program == "train.py":
        options.append(f"hydra.run.dir={tmp_path}/run")
    done = run_program(program, *options, cwd=tmp_path)
    assert done.returncode != 0
    assert expected in done.stderr
    for addition in ("Traceback", "Error executing job", "HYDRA_FULL_ERROR"):
        assert addition not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_weights_of_the_authors_program_map_a_scene(real_data: Path, tmp_path: Path) -> None:
    root = make_scene(tmp_path / "scene", (100, 150))
    done = run_program(
        "keras",
        f"weights={real_data}/keras_reference/keras_f4.hdf5",
        "bands=[vv_pre,vv_post1,vv_post2,slope]",
        f"output={tmp_path}/authors.ckpt",
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr
    done = run_program(
        "predict.py",
        f"checkpoint={tmp_path}/authors.ckpt",
        f"scene={root}",
        f"output={tmp_path}/map",
        "window.overlap=0",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    task = load_task(tmp_path / "authors.ckpt")
    assert task.normalization.per_window
    assert (tmp_path / "map" / "map.png").exists()

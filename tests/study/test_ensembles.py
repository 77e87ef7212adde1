"""Ensembles and flips of finished runs, against numpy."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import torch
from builders import make_scene, perturb
from commands import SMALL, composed, run_program
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import OmegaConf

from landslide.data.memory import SceneMemory
from landslide.errors import InputError
from landslide.study.ensembles import score_ensembles, shared_data
from landslide.study.page import write_study
from landslide.study.runs import SETTINGS, read_runs
from landslide.study.sweeps import settings_of
from landslide.study.tables import comparable_runs, format_ensembles
from landslide.training.evaluation import evaluate_network
from landslide.training.network import Network
from landslide.training.scores import SCORES
from landslide.training.task import LandslideTask, load_task, save_task

SIZE = 32
SEEDS = (0, 1, 2)
CPU = torch.device("cpu")


def write_run(sweep: Path, root: Path, variant: str, seed: int, *overrides: str) -> Path:
    """A finished run with weights at random."""
    folder = sweep / f"{variant}{seed}"
    config = composed(
        *(f"variant={variant}", f"dataset.root={root}", f"seed={seed}", f"output_dir={folder}"),
        *("model.filters=2", f"patch_size={SIZE}", "split=blocks", *overrides),
    )
    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(config, folder / ".hydra" / "config.yaml")
    settings = settings_of(config, {"variant": variant, "split": "blocks"})
    (folder / SETTINGS).write_text(json.dumps(settings))
    datamodule = instantiate(config.datamodule)
    datamodule.setup()
    datamodule.write_splits(folder / "splits.geojson")
    torch.manual_seed(seed)
    task = LandslideTask(**OmegaConf.to_container(config.task, resolve=True))  # type: ignore[arg-type]
    perturb(task)
    with torch.inference_mode():  # about half of all pixels are landslides to it
        logits = task.eval()(torch.cat(list(datamodule.training_images())))
        list(task.model.head.parameters())[-1].sub_(logits.median())
    (folder / "checkpoints").mkdir()
    save_task(task, folder / "checkpoints" / "best.ckpt")
    scores = dict.fromkeys(SCORES, 0.1 + seed)
    counts = {"patches": 9, "tp": 1, "fp": 2, "fn": 3, "tn": 4}
    found = {"val": scores | counts, "test": scores | counts}
    facts = {"simulated": True, "split": datamodule.split_digest, "train_patches": 36}
    facts["tested"] = datamodule.tested_digest
    facts |= datamodule.identity._asdict()
    (folder / "metrics.json").write_text(json.dumps({**found, **facts}))
    (folder / "history.csv").write_text("epoch,train_f1,val_f1\n0,0.1,0.1\n")
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scene(tmp_path_factory.mktemp("scene") / "scene", (96, 320))


@pytest.fixture(scope="module")
def sweep(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sweep = tmp_path_factory.mktemp("sweep") / "beyond"
    for seed in SEEDS:
        write_run(sweep, root, "baseline", seed, "split.seed=0")
        write_run(sweep, root, "fused", seed, "split.seed=0")
    return sweep


def table_of(sweep: Path) -> pd.DataFrame:
    runs = comparable_runs(read_runs(sweep), sweep, ["variant"], partial=False)
    return score_ensembles(runs, ["variant"], sweep, CPU)


def patches_of(root: Path, run: Path, split: str) -> Iterator[tuple[NDArray, NDArray]]:
    """Images scaled as in the paper and masks of a split, read without the program."""
    with rasterio.open(root / "ascending.tif") as source:
        image = source.read()
    with rasterio.open(root / "landslides.tif") as source:
        mask = source.read(1)
    for feature in json.loads((run / "splits.geojson").read_text())["features"]:
        patch = feature["properties"]
        if patch["split"] == split:
            rows = slice(SIZE * patch["row"], SIZE * patch["row"] + SIZE)
            cols = slice(SIZE * patch["col"], SIZE * patch["col"] + SIZE)
            values = image[:, rows, cols].copy()
            values[:3] = np.sqrt(values[:3])
            valid = np.isfinite(values).all(axis=0)
            low = np.nanmin(values, axis=(1, 2), keepdims=True)
            high = np.nanmax(values, axis=(1, 2), keepdims=True)
            yield (
                np.nan_to_num((values - low) / (high - low)),
                np.where(valid, mask[rows, cols], 255),
            )


def plain(task: LandslideTask, patch: NDArray) -> NDArray:
    with torch.inference_mode():
        return task.model(torch.from_numpy(patch.copy())[None]).sigmoid()[0, 0].numpy()


def flipped(task: LandslideTask, patch: NDArray) -> NDArray:
    views = [plain(task, patch)]
    views.append(plain(task, patch[:, ::-1])[::-1])
    views.append(plain(task, patch[:, :, ::-1])[:, ::-1])
    views.append(plain(task, patch[:, ::-1, ::-1])[::-1, ::-1])
    return np.mean(views, axis=0)


def f1_of(
    tasks: list[LandslideTask],
    root: Path,
    run: Path,
    split: str,
    predict: Callable[[LandslideTask, NDArray], NDArray],
) -> float:
    hits = claimed = real = 0
    for patch, mask in patches_of(root, run, split):
        found = np.mean([predict(task, patch) for task in tasks], axis=0) > 0.5
        hits += int((found & (mask == 1)).sum())
        claimed += int((found & (mask != 255)).sum())
        real += int((mask == 1).sum())
    assert hits
    return 200 * hits / (claimed + real)


@pytest.mark.slow
def test_an_ensemble_is_the_mean_of_its_members_on_the_test_patches(
    root: Path, sweep: Path
) -> None:
    table = table_of(sweep).set_index(["variant", "members", "flips"])
    assert len(table) == 8
    runs = [sweep / f"baseline{seed}" for seed in SEEDS]
    tasks = [load_task(run / "checkpoints" / "best.ckpt") for run in runs]
    for flips, predict in (("no", plain), ("yes", flipped)):
        row = table.loc[("baseline", 3, flips)]
        assert row.f1 == pytest.approx(f1_of(tasks, root, runs[0], "test", predict), abs=0.05)
        assert row.val_f1 == pytest.approx(f1_of(tasks, root, runs[0], "val", predict), abs=0.05)
        assert np.isnan(row.f1_std)
    alone = [f1_of([task], root, runs[0], "test", flipped) for task in tasks]
    row = table.loc[("baseline", 1, "yes")]
    assert row.f1 == pytest.approx(np.mean(alone), abs=0.05)
    assert row.f1_std == pytest.approx(np.std(alone, ddof=1), abs=0.05)
    # Of single members without flips the scores are the runs' own.
    own = table.loc[("baseline", 1, "no")]
    assert own.f1 == pytest.approx(110)
    assert row.gain == pytest.approx(row.f1 - 110)
    assert own.gain == own.val_gain == 0


@pytest.mark.slow
def test_ensembles_are_in_the_study(sweep: Path, tmp_path: Path) -> None:
    runs = comparable_runs(read_runs(sweep), sweep, ["variant"], partial=False)
    ensembles = table_of(sweep)
    write_study(runs, ["variant"], sweep, tmp_path, ensembles)
    text = (tmp_path / "study.md").read_text()
    assert "## Ensembles and flips" in text
    row = f"| baseline | 3 | yes | {ensembles.val_f1[3]:.2f} | {ensembles.precision[3]:.2f} |"
    assert row in text
    assert (tmp_path / "tables.tex").read_text().count(r"\toprule") == 3
    assert pd.read_csv(tmp_path / "ensembles.csv").f1.tolist() == pytest.approx(list(ensembles.f1))
    assert format_ensembles(ensembles)["gain, points"][0] == "+0.00"


def test_members_of_different_splits_are_refused(root: Path, tmp_path: Path) -> None:
    for seed in (0, 1):  # two orders of training, validation and test
        write_run(tmp_path / "s", root, "baseline", seed)
    with pytest.raises(InputError, match=r"do not share their split.*sweep .* split\.seed=0"):
        table_of(tmp_path / "s")


def test_a_scene_that_has_changed_is_refused(root: Path, tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "scene", (96, 320))
    write_run(tmp_path / "s", scene, "baseline", 0)
    make_scene(scene, (96, 320), seed=7)
    with pytest.raises(InputError, match=r"is not what .* was trained on"):
        table_of(tmp_path / "s")


@pytest.mark.slow
def test_a_comparison_as_a_user_types_it(tmp_path: Path) -> None:
    root, sweep = make_scene(tmp_path / "scene", (192, 640)), tmp_path / "beyond"
    done = run_program(
        "train.py",
        *("-m", "experiment=beyond", f"dataset.root={root}", f"hydra.sweep.dir={sweep}"),
        *(*SMALL, "patch_size=64", "variant=baseline,fused,context", "seed=0,1"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    command = ("study", f"sweep={sweep}", "by=variant")
    done = run_program(*command, "ensembles=true", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Ensembles and flips" in done.stdout
    table = pd.read_csv(sweep / "study" / "ensembles.csv")
    assert list(table.members) == [1, 2, 1, 2] * 3
    pixels = set()
    for folder in (path.parent for path in sweep.glob("*/metrics.json")):
        test = json.loads((folder / "metrics.json").read_text())["test"]
        pixels.add((test["patches"], test["tp"] + test["fn"]))
        # The patches of the run, the network as maps are made with.
        task = load_task(folder / "checkpoints" / "best.ckpt")
        network, data = Network([task], CPU), shared_data([folder], SceneMemory())
        again = evaluate_network(network, data, task.threshold)["test"]
        assert abs(again["tp"] - test["tp"]) + abs(again["fp"] - test["fp"]) <= 10
        assert again["tp"] + again["fn"] == test["tp"] + test["fn"]
    assert len(pixels) == 1  # the same ground for all
    done = run_program(*command, "ensembles=many", cwd=tmp_path)
    assert done.returncode == 1
    assert "ensembles=many is not true or false" in done.stderr

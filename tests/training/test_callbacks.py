import json
import math
from pathlib import Path

import pytest
import rasterio
import torch
from builders import make_scene
from commands import SMALL, composed
from hydra.utils import instantiate
from torch import Tensor

from landslide.study.runs import flatten_metrics, read_metrics
from landslide.training.callbacks import describe_lag
from landslide.training.run import train
from landslide.training.task import LandslideTask, load_task


def trained(root: Path, output: Path, callbacks: str) -> tuple[LandslideTask, Tensor]:
    """A network after two epochs, and the mean of its first convolution over the training split."""
    config = composed(
        *(f"dataset.root={root}", f"output_dir={output}", f"callbacks={callbacks}"),
        *("~callbacks.progress", *SMALL, "batch_size=1"),
    )
    train(config)
    task = load_task(output / "checkpoints" / "last.ckpt")
    datamodule = instantiate(config.datamodule)
    datamodule.setup()
    with torch.inference_mode():
        images = task.normalization(torch.cat(list(datamodule.training_images())))
        convolved = task.model.conv1[0](images)
    return task, convolved.mean(dim=(0, 2, 3))


@pytest.mark.slow
def test_statistics_of_a_small_scene_are_those_of_its_training_split(
    scene_root: Path, tmp_path: Path
) -> None:
    task, expected = trained(scene_root, tmp_path / "fresh", "small_scene")
    torch.testing.assert_close(task.model.conv1[1].running_mean, expected, atol=1e-5, rtol=1e-4)
    task, expected = trained(scene_root, tmp_path / "running", "default")
    lag = (task.model.conv1[1].running_mean - expected).abs()
    assert lag.max() > 0.1


def test_a_fold_whose_test_ground_is_quiet_counts_its_false_alarms(tmp_path: Path) -> None:
    root = make_scene(tmp_path / "scene", (64, 320))
    with rasterio.open(root / "landslides.tif", "r+") as file:
        mask = file.read(1)
        mask[:, :64] = 0
        file.write(mask, 1)
    config = composed(
        *(f"dataset.root={root}", f"output_dir={tmp_path / 'run'}", "split=blocks"),
        *("~callbacks.progress", *SMALL, "trainer.max_epochs=1", "batch_size=4"),
    )
    train(config)
    test = json.loads((tmp_path / "run" / "metrics.json").read_text())["test"]
    assert test["tp"] == test["fn"] == 0
    assert test["fp"] + test["tn"] > 0
    assert test["f1"] is test["average_precision"] is None
    row = flatten_metrics(read_metrics(tmp_path / "run"))
    assert math.isnan(row["test_f1"])
    assert row["test_fp"] == test["fp"]


@pytest.mark.parametrize(
    ("validation", "training", "words"),
    [
        ([0.3, 0.0, 0.0, 0.0], [0.3, 0.4, 0.5, 0.5], "in 3 of 4 epochs"),
        ([0.3, 0.4, 0.0, 0.0], [0.3, 0.4, 0.5, 0.5], None),
        ([0.0, 0.0, 0.0, 0.0], [0.0, 0.01, 0.02, 0.05], None),
    ],
    ids=["lags", "at times", "nothing learned"],
)
def test_a_run_says_when_its_validation_lagged_behind(
    tmp_path: Path, validation: list[float], training: list[float], words: str | None
) -> None:
    rows = zip(range(4), training, validation, strict=True)
    lines = ["epoch,train_f1,val_f1", *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "history.csv").write_text("\n".join(lines))
    note = describe_lag(tmp_path / "history.csv")
    assert (words is None) is (note is None)
    assert words is None or words in str(note)

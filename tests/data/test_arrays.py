"""The authors' arrays: read as they are, split as in their program, refused when wrong."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from builders import BANDS
from commands import SMALL, composed, run_program
from hydra.utils import instantiate

from landslide.data.nava_arrays import ArrayDataModule, PatchStack
from landslide.data.scene import Scene
from landslide.errors import InputError

SIZE = 32


def cut(scene_root: Path, folder: Path) -> Path:
    """Cut a simulated scene into arrays as the authors do: min-max amplitude per patch and band."""
    scene = Scene.of(scene_root, "ascending", BANDS)
    scene.load()
    images, masks = [], []
    for window in scene.grid.blocks(SIZE):
        sample = scene.read(window)
        if (sample["mask"] == 1).any() and not sample["image"].isnan().any():
            image = sample["image"].clone()
            image[:3] = image[:3].sqrt()
            low, high = image.amin((1, 2), keepdim=True), image.amax((1, 2), keepdim=True)
            images.append(((image - low) / (high - low)).permute(1, 2, 0).numpy())
            masks.append(sample["mask"].numpy()[..., None].astype(np.float32))
    folder.mkdir(parents=True)
    for part, rows in (("train", slice(None, -5)), ("test", slice(-5, None))):
        np.save(folder / f"{part}X.npy", np.stack(images[rows]))
        np.save(folder / f"{part}Y.npy", np.stack(masks[rows]))
    (folder / "scene.json").write_text(json.dumps({"simulated": True}))
    return folder


@pytest.fixture(scope="module")
def arrays(scene_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cut(scene_root, tmp_path_factory.mktemp("arrays") / "nava")


def datamodule_of(root: Path, *overrides: str) -> ArrayDataModule:
    config = composed(
        "dataset=nava_arrays",
        f"dataset.root={root}",
        "output_dir=x",
        f"patch_size={SIZE}",
        *overrides,
    )
    datamodule: ArrayDataModule = instantiate(config.datamodule)
    datamodule.setup()
    return datamodule


def test_batches_are_the_arrays_patch_by_patch(arrays: Path) -> None:
    datamodule = datamodule_of(arrays)
    images, masks = np.load(arrays / "testX.npy"), np.load(arrays / "testY.npy")
    batch = next(iter(datamodule.test_dataloader()))
    np.testing.assert_array_equal(batch["image"].numpy(), images.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(batch["mask"].numpy(), masks[..., 0])
    assert batch["image"].dtype == torch.float32
    config = composed("dataset=nava_arrays", "output_dir=x")
    normalization = instantiate(config.normalization, bands=BANDS)
    assert normalization(batch["image"]).equal(batch["image"])  # scaled already


def test_validation_is_the_end_of_the_training_array_as_keras_takes_it(arrays: Path) -> None:
    n = len(np.load(arrays / "trainX.npy"))
    val = datamodule_of(arrays).patches_of("val")
    assert list(val.row) == list(range(int(np.floor(n * 0.8)), n))
    assert set(val.scene) == {0}
    shuffled = [
        datamodule_of(arrays, "split.shuffle=true", f"seed={seed}").patches_of("val")
        for seed in (0, 0, 1)
    ]
    assert len(shuffled[0]) == len(val)
    assert sorted(shuffled[0].row) == sorted(shuffled[1].row) != sorted(shuffled[2].row)
    assert len(datamodule_of(arrays).patches_of("test")) == 5


def test_the_arrays_stay_on_disk(arrays: Path) -> None:
    stack = PatchStack(arrays / "trainX.npy", arrays / "trainY.npy", BANDS)
    assert isinstance(stack._image, np.memmap)
    assert not stack._image.flags.owndata


def test_pixels_without_a_measurement_are_unknown(arrays: Path, tmp_path: Path) -> None:
    image, mask = np.load(arrays / "testX.npy"), np.load(arrays / "testY.npy")
    image[2, 3, 4, 1] = np.nan
    np.save(tmp_path / "X.npy", image)
    np.save(tmp_path / "Y.npy", mask)
    stack = PatchStack(tmp_path / "X.npy", tmp_path / "Y.npy", BANDS)
    sample = stack.read(stack.grid.blocks(SIZE)[2])
    assert torch.nonzero(sample["mask"] == 255).tolist() == [[3, 4]]


@pytest.mark.slow
def test_arrays_train_end_to_end(arrays: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    done = run_program(
        "train.py",
        "dataset=nava_arrays",
        f"dataset.root={arrays}",
        f"hydra.run.dir={output}",
        *SMALL,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["test"]["patches"] == 5
    assert metrics["test"]["tp"] + metrics["test"]["fn"] == np.load(arrays / "testY.npy").sum()
    assert metrics["simulated"] is True
    splits = pd.read_csv(output / "splits.csv")
    assert splits.split.value_counts()["test"] == 5
    assert (output / "figures" / "samples.png").stat().st_size > 5000


def broken(arrays: Path, folder: Path, name: str, content: object) -> Path:
    folder.mkdir()
    for path in arrays.glob("*.npy"):
        (folder / path.name).write_bytes(path.read_bytes())
    if content is None:
        (folder / name).unlink()
    elif isinstance(content, bytes):
        (folder / name).write_bytes(content)
    else:
        np.save(folder / name, content, allow_pickle=True)
    return folder


N = np.zeros
BAD: list[tuple[str, object, str]] = [
    ("testX.npy", None, "there is no .*testX.npy"),
    ("trainX.npy", b"PK not an array", "cannot be read as a NumPy array"),
    ("trainX.npy", np.array([{"a": 1}], dtype=object), "cannot be read as a NumPy array"),
    ("trainX.npy", N((9, SIZE, SIZE), np.float32), r"shape \(9, 32, 32\)"),
    ("trainX.npy", N((9, SIZE, SIZE, 4), np.uint8), "holds uint8"),
    ("trainX.npy", N((9, SIZE, SIZE, 3), np.float32), "has 3 bands, but dataset.bands names 4"),
    ("trainX.npy", N((9, SIZE, SIZE, 4), np.float32), "has 9 patches, but .*trainY.npy has"),
    ("testX.npy", np.full((5, SIZE, SIZE, 4), 2.5), "testX.npy holds the value 2.5"),
    ("testY.npy", N((5, SIZE, SIZE)), r"shape \(5, 32, 32\): \(5, 32, 32, 1\) is needed"),
    ("testY.npy", np.full((5, SIZE, SIZE, 1), 7), "testY.npy holds the value 7"),
    ("testY.npy", np.full((5, SIZE, SIZE, 1), "a"), "holds <U1: masks are numbers"),
]


@pytest.mark.parametrize(("name", "content", "expected"), BAD)
def test_arrays_that_cannot_be_used_are_refused(
    name: str, content: object, expected: str, arrays: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=expected):
        datamodule_of(broken(arrays, tmp_path / "bad", name, content))


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("patch_size=64", "patch_size=32"),
        ("split=random", "use split=arrays"),
        ("sampler=balanced", "use sampler=patches"),
    ],
)
def test_settings_that_do_not_fit_arrays_are_refused(
    override: str, expected: str, arrays: Path
) -> None:
    with pytest.raises(InputError, match=expected):
        datamodule_of(arrays, override)

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from builders import BANDS, make_task, save_checkpoint
from lightning import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from landslide.data.scene import Sample
from landslide.errors import InputError
from landslide.models.halo import Halo
from landslide.training.metrics import PooledLoss
from landslide.training.model import load_model
from landslide.training.task import LandslideTask, load_task


def test_a_checkpoint_alone_gives_the_same_probabilities(tmp_path: Path) -> None:
    task = make_task().eval()
    image = torch.rand(1, 4, 32, 32) + 0.01
    task.normalization.fit([image])
    loaded = load_task(save_checkpoint(task, tmp_path / "a.ckpt"))
    torch.testing.assert_close(loaded(image), task(image))
    assert loaded.bands == BANDS
    assert (loaded.orbit, loaded.patch_size, loaded.threshold) == ("ascending", 32, 0.5)


class Patches(Dataset[Sample]):
    """Two channels: 1 and any number where there is landslide, 0 and noise elsewhere."""

    def __init__(self, number: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randn(number, 2, 16, 16, generator=generator)
        self.masks = (torch.rand(number, 16, 16, generator=generator) < 0.1).to(torch.uint8)
        self.images[:, 0] = self.masks

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> Sample:
        return Sample(image=self.images[i], mask=self.masks[i])


def plain_task(**changes: object) -> LandslideTask:
    model = {"_target_": "torch.nn.Conv2d", "in_channels": 2, "out_channels": 1, "kernel_size": 1}
    settings = {"model": model, "bands": ["slope", "other"], "patch_size": 16}
    return make_task(**(settings | changes))


def plain_trainer(folder: Path, **options: object) -> Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    return Trainer(accelerator="cpu", default_root_dir=folder, **quiet, **options)  # type: ignore[arg-type]


def test_a_task_trains_with_plain_loaders_and_given_statistics(tmp_path: Path) -> None:
    data = Patches(12)
    task = plain_task(optimizer={"_target_": "torch.optim.Adam", "lr": 0.3})
    trainer = plain_trainer(tmp_path, max_epochs=20, enable_checkpointing=False)
    with pytest.raises(InputError, match="no statistics of the training split"):
        trainer.fit(task, DataLoader(data, 4), DataLoader(data, 4))
    task.normalization.fit([data.images])
    trainer.fit(task, DataLoader(data, 4), DataLoader(data, 4))
    assert trainer.callback_metrics["val_f1"] == 1
    mean = data.images.double().mean(dim=(0, 2, 3))
    torch.testing.assert_close(task.normalization.mean[:, 0, 0].double(), mean, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "loss",
    [
        {"_target_": "landslide.training.losses.DiceLoss"},
        {"_target_": "landslide.training.losses.DiceBCELoss"},
        {"_target_": "landslide.training.losses.TverskyLoss", "gamma": 0.75},
        {"_target_": "test_task.CrossEntropy"},
    ],
)
def test_the_monitored_loss_does_not_depend_on_how_patches_are_batched(
    loss: dict[str, object], tmp_path: Path
) -> None:
    data = Patches(10)
    data.masks[3:9] = 0  # quiet patches
    data.masks[4, :13] = 255
    data.masks[7] = 255  # nothing is known
    task = plain_task(loss=loss)
    trainer = plain_trainer(tmp_path)
    found = [
        trainer.validate(task, DataLoader(shown, size), verbose=False)[0]["val_loss"]
        for shown in (data, Subset(data, [7, 2, 9, 4, 0, 5, 1, 3, 8, 6]))
        for size in (1, 3, 10)
    ]
    with torch.no_grad():
        whole = task.eval().loss(task(data.images), data.masks)
    assert found == pytest.approx([float(whole)] * 6, abs=1e-6)


class CrossEntropy(nn.Module):
    """A library's loss, a mean over known pixels."""

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        known = mask != 255
        return F.binary_cross_entropy_with_logits(logits[:, 0][known], mask[known].float())


def test_the_network_that_finds_all_landslides_is_monitored_as_the_better_one() -> None:
    mask = torch.zeros(10, 64, 64, dtype=torch.uint8)
    mask[:2, :16] = 1  # eight quiet batches, two with landslides
    finds_all, finds_half = (torch.full(mask.shape, p) for p in (0.01, 1e-5))
    finds_all[mask == 1] = 0.99
    finds_half[0][mask[0] == 1] = 0.99
    losses, means = [], []
    for probability in (finds_all, finds_half):
        task = make_task()
        pooled = PooledLoss(task.loss)
        for p, truth in zip(torch.logit(probability), mask, strict=True):
            pooled.update(task.loss.sums(p[None, None], truth[None]))
        losses.append(float(pooled.compute()))
        means.append(
            sum(
                float(task.loss(p[None, None], truth[None]))
                for p, truth in zip(torch.logit(probability), mask, strict=True)
            )
            / 10
        )
        p, g = probability.double(), mask.double()
        expected = 1 - (2 * (p * g).sum() + 1) / (p.sum() + g.sum() + 1)
        assert losses[-1] == pytest.approx(float(expected), abs=1e-6)
    assert losses[0] < losses[1]
    assert means[0] > means[1]  # a mean over batches would keep the other


def test_training_that_diverges_is_one_clear_sentence(tmp_path: Path) -> None:
    data = Patches(4)
    data.images[:, 0] = 0  # nothing tells where landslides are
    task = plain_task(
        loss={"_target_": "landslide.training.losses.DiceBCELoss"},
        optimizer={"_target_": "torch.optim.SGD", "lr": 1e38},
    )
    task.normalization.fit([data.images])
    loader = DataLoader(data, 1)
    trainer = plain_trainer(tmp_path, max_epochs=3, enable_checkpointing=False)
    with pytest.raises(InputError, match=r"diverged.*smaller learning_rate"):
        trainer.fit(task, loader, loader)


def test_a_checkpoint_is_plain_data(tmp_path: Path) -> None:
    content = torch.load(save_checkpoint(make_task(), tmp_path / "a.ckpt"), weights_only=True)
    assert content["hyper_parameters"]["model"]["filters"] == 2


def test_a_checkpoint_downloads_no_encoder_weights_again(tmp_path: Path) -> None:
    model = {
        "_target_": "segmentation_models_pytorch.Unet",
        "in_channels": 4,
        "encoder_name": "resnet18",
        "encoder_weights": None,
    }
    task = make_task(model=model)
    task.hparams["model"]["encoder_weights"] = "imagenet"
    content = torch.load(save_checkpoint(task, tmp_path / "a.ckpt"), weights_only=True)
    assert content["hyper_parameters"]["model"]["encoder_weights"] is None


@pytest.mark.parametrize(
    ("weights", "expected"),
    [("imagenet", "imagenet: these weights are not available"), ("moon", r"Available options are")],
)
def test_encoder_weights_that_cannot_be_downloaded_are_one_sentence(
    weights: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("segmentation_models_pytorch.encoders.hf_hub_download", unreachable)
    model = {
        "_target_": "landslide.models.DeepLabV3Plus",
        "in_channels": 4,
        "encoder_name": "resnet18",
        "encoder_weights": weights,
    }
    with pytest.raises(InputError, match=expected) as error:
        make_task(model=model)
    assert "\n" not in str(error.value)
    assert "null to start from random ones" in str(error.value)


def test_training_measures_no_halo_and_mapping_takes_the_checkpoints() -> None:
    task = make_task()
    assert task.measure_halo() == Halo(16, 96)
    assert task.hparams["halo"] is None
    assert make_task(halo=[32, 288]).measure_halo() == Halo(32, 288)
    assert make_task(halo=[]).measure_halo() is None


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    path = save_checkpoint(make_task(), tmp_path / "a.ckpt")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match="not a readable checkpoint"):
        load_task(path)


def test_a_checkpoint_from_before_its_classes_moved_is_read(tmp_path: Path) -> None:
    path = save_checkpoint(make_task(), tmp_path / "old.ckpt")
    content = torch.load(path, weights_only=True)
    settings = content["hyper_parameters"]
    settings["normalization"] = {"_target_": "landslide.normalization.ZScore"}
    settings["loss"] = {"_target_": "landslide.losses.DiceLoss"}
    torch.save(content, path)
    image = torch.rand(1, 4, 32, 32)
    task = make_task().eval()
    task.load_state_dict(content["state_dict"])
    loaded = load_task(path)
    assert loaded(image).equal(task(image))
    assert load_model(path)(image).equal(task(image))
    # A run resumed from it has the present settings.
    assert loaded.hparams["loss"] == {"_target_": "landslide.training.losses.DiceLoss"}


def test_a_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="was not written by this program"):
        load_task(tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="there is no checkpoint"):
        load_task(tmp_path / "b.ckpt")


def test_a_checkpoint_cannot_call_what_it_likes() -> None:
    with pytest.raises(InputError, match=r"subprocess\.Popen is not a torch\.nn\.Module"):
        make_task(model={"_target_": "subprocess.Popen", "args": ["true"]})


def test_a_checkpoint_cannot_call_what_it_likes_through_an_argument(tmp_path: Path) -> None:
    model = {"_target_": "torch.nn.Identity", "x": {"_target_": "pathlib.Path", "y": "z"}}
    with pytest.raises(InputError, match="an argument with a _target_"):
        make_task(model=model)


@pytest.mark.parametrize("load", [load_task, load_model])
@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("hyper_parameters", "dilate", 3),
        ("state_dict", "context.weight", torch.ones(1)),
        ("state_dict", "model.head.weight", torch.ones(1)),
    ],
)
def test_a_checkpoint_of_another_version_is_refused(
    load: Callable[[Path], object], part: str, key: str, value: object, tmp_path: Path
) -> None:
    path = save_checkpoint(make_task(), tmp_path / "a.ckpt")
    content = torch.load(path, weights_only=True)
    content[part][key] = value
    torch.save(content, path)
    with pytest.raises(InputError, match="does not fit this version of the program"):
        load(path)


def test_a_model_whose_class_is_gone_is_one_clear_sentence(tmp_path: Path) -> None:
    path = save_checkpoint(make_task(), tmp_path / "a.ckpt")
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"]["model"]["_target_"] = "landslide.models.gone.Gone"
    torch.save(content, path)
    with pytest.raises(InputError, match="model's class is missing"):
        load_task(path)


def test_a_model_with_two_outputs_is_refused() -> None:
    model = {"_target_": "torch.nn.Conv2d", "in_channels": 4, "out_channels": 2, "kernel_size": 1}
    with pytest.raises(InputError, match="one output channel"):
        make_task(model=model)(torch.rand(1, 4, 32, 32))


def test_a_patch_that_a_library_model_does_not_take_is_one_clear_sentence() -> None:
    model = {
        "_target_": "segmentation_models_pytorch.UnetPlusPlus",
        "encoder_name": "resnet18",
        "encoder_weights": None,
        "in_channels": 4,
        "classes": 1,
    }
    with pytest.raises(InputError, match=r"80 x 64 px is no multiple of 32 px"):
        make_task(model=model)(torch.rand(1, 4, 80, 64))


def test_training_in_sixteen_bits_learns_and_scores_in_thirty_two(tmp_path: Path) -> None:
    data = Patches(12)
    task = plain_task(optimizer={"_target_": "torch.optim.Adam", "lr": 0.3})
    trainer = plain_trainer(
        tmp_path, precision="bf16-mixed", max_epochs=20, enable_checkpointing=False
    )
    task.normalization.fit([data.images])
    trainer.fit(task, DataLoader(data, 4), DataLoader(data, 4))
    assert trainer.callback_metrics["val_f1"] == 1
    with torch.autocast("cpu", torch.bfloat16):
        assert task(data.images).dtype == torch.float32

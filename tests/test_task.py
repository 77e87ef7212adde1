from pathlib import Path

import pytest
import torch
from conftest import BANDS

from landslide.errors import InputError
from landslide.halo import Halo
from landslide.task import LandslideTask, load_task, save_task


def make_task(**changes: object) -> LandslideTask:
    settings: dict[str, object] = {
        "model": {"_target_": "landslide.models.AttentionUNet", "in_channels": 4, "filters": 2},
        "loss": {"_target_": "landslide.losses.DiceLoss"},
        "normalization": {"_target_": "landslide.normalization.ZScore"},
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 1e-3},
        "bands": BANDS,
        "orbit": "ascending",
        "patch_size": 32,
    }
    return LandslideTask(**(settings | changes))  # type: ignore[arg-type]


def save(task: LandslideTask, path: Path) -> Path:
    save_task(task, path)
    return path


def test_a_checkpoint_alone_gives_the_same_probabilities(tmp_path: Path) -> None:
    task = make_task().eval()
    image = torch.rand(1, 4, 32, 32) + 0.01
    task.normalization.fit([image])
    loaded = load_task(save(task, tmp_path / "a.ckpt"))
    torch.testing.assert_close(loaded(image), task(image))
    assert loaded.bands == BANDS
    assert (loaded.orbit, loaded.patch_size, loaded.threshold) == ("ascending", 32, 0.5)


def test_a_checkpoint_is_plain_data(tmp_path: Path) -> None:
    content = torch.load(save(make_task(), tmp_path / "a.ckpt"), weights_only=True)
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
    content = torch.load(save(task, tmp_path / "a.ckpt"), weights_only=True)
    assert content["hyper_parameters"]["model"]["encoder_weights"] is None


@pytest.mark.parametrize(
    ("weights", "expected"),
    [("imagenet", "imagenet: these weights cannot be had"), ("moon", r"Available options are")],
)
def test_encoder_weights_that_cannot_be_had_are_one_sentence(
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


def test_the_halo_is_measured_once_and_kept(tmp_path: Path) -> None:
    task = make_task()
    assert task.hparams["halo"] is None
    assert task.halo == Halo(16, 96)
    assert load_task(save(task, tmp_path / "a.ckpt")).hparams["halo"] == [16, 96]


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    path = save(make_task(), tmp_path / "a.ckpt")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match="not a readable checkpoint"):
        load_task(path)


def test_a_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="was not written by this program"):
        load_task(tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="there is no checkpoint"):
        load_task(tmp_path / "b.ckpt")


def test_a_checkpoint_cannot_call_what_it_likes() -> None:
    with pytest.raises(InputError, match=r"subprocess\.Popen is not a torch\.nn\.Module"):
        make_task(model={"_target_": "subprocess.Popen", "args": ["true"]})


def test_nor_through_an_argument(tmp_path: Path) -> None:
    model = {"_target_": "torch.nn.Identity", "x": {"_target_": "pathlib.Path", "y": "z"}}
    with pytest.raises(InputError, match="an argument with a _target_"):
        make_task(model=model)


def test_a_model_whose_class_is_gone_is_one_clear_sentence(tmp_path: Path) -> None:
    path = save(make_task(), tmp_path / "a.ckpt")
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
    with pytest.raises(InputError, match=r"does not take 80 x 64 px \(.*divisible by 32"):
        make_task(model=model)(torch.rand(1, 4, 80, 64))

"""Every model of the configuration is exported, under every normalisation."""

from pathlib import Path

import pytest
import torch
from builders import save_checkpoint
from commands import CONF, composed
from omegaconf import OmegaConf
from torch import nn

from landslide.errors import InputError
from landslide.export.export import export_model
from landslide.export.model_files import ONNX, TORCH, ModelFiles
from landslide.export.verification import expected_outputs, largest_differences, make_images
from landslide.models.detectors import Detector
from landslide.training.network import Network
from landslide.training.onnx import open_session
from landslide.training.task import LandslideTask

pytest.importorskip("onnxruntime", reason="an optional extra")

CPU = torch.device("cpu")
NORMALIZATIONS = sorted(path.stem for path in (CONF / "normalization").glob("*.yaml"))
DATASETS = {"change_z": "stack_ascending", "anomaly": "anomaly_ascending"}
DETECTORS = ["anomaly", "change_z", "log_ratio", "slope"]
NETWORKS = sorted({path.stem for path in (CONF / "model").glob("*.yaml")} - {*DETECTORS})
OWN = ["model.filters=2"]
LIBRARYS = ["+model.encoder_depth=3"]
SMALL_MODELS = {
    "attention_unet": OWN,
    "unet": OWN,
    "unet_dropout": OWN,
    "deeplabv3plus": LIBRARYS,
    "smp_unet": [*LIBRARYS, "+model.decoder_channels=[16,8,4]"],
    "unetplusplus": [*LIBRARYS, "+model.decoder_channels=[16,8,4]"],
}
"""Fewer layers and channels of each network, with all kinds of operations."""


def task_of(model: str, *overrides: str) -> LandslideTask:
    """A task with statistics as training leaves them, of random weights."""
    dataset = DATASETS.get(model, "ascending_baa_s")
    config = composed(f"model={model}", f"dataset={dataset}", "threshold=0.5", *overrides)
    torch.manual_seed(0)
    task = LandslideTask(**OmegaConf.to_container(config.task, resolve=True))  # type: ignore[arg-type]
    power = 10 ** (2 * torch.rand(4, len(task.bands), 64, 64) - 2)
    power[:, -1] = 60 * torch.rand(4, 64, 64)  # slope
    task.normalization.fit([power])
    if isinstance(task.model, Detector):
        with torch.no_grad():
            task.model.scale.fill_(0.5)
            task.model.offset.fill_(-1.0)
        return task.eval()
    with torch.no_grad():
        for module in task.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0  # one pass sets all statistics
        task.model.train()(task.normalization(power))
    return task.eval()


def export_task(task: LandslideTask, folder: Path) -> None:
    path = save_checkpoint(task, folder / "a.ckpt")
    words = (f"checkpoint={path}", f"output={folder / 'model'}")
    exported = export_model(composed(*words, name="export"))
    assert set(exported.differences) == {ONNX, TORCH}
    assert (folder / "model" / ONNX).stat().st_size > 1000
    assert (folder / "model" / TORCH).stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("model", NETWORKS)
def test_every_network_is_exported(model: str, normalization: str, tmp_path: Path) -> None:
    # More than rounding off predict.py, the files would not be written.
    small = SMALL_MODELS.get(model, [])
    export_task(task_of(model, f"normalization={normalization}", *small), tmp_path)


@pytest.mark.slow
def test_a_shallow_segformer_takes_many_sizes(tmp_path: Path) -> None:
    task = task_of("segformer", "+model.encoder_depth=3")
    export_task(task, tmp_path)
    runs = [
        torch.export.load(tmp_path / "model" / TORCH).module(),
        open_session(tmp_path / "model" / ONNX, CPU),
    ]
    network = Network([task], CPU)
    for shape in ((1, 4, 64, 64), (2, 4, 72, 104), (3, 4, 136, 64)):
        image = torch.rand(shape) + 0.01
        for run in runs:
            torch.testing.assert_close(run(image)[0], network(image), atol=1e-5, rtol=0)


@pytest.mark.slow
def test_a_network_that_pools_to_a_number_of_pixels_is_refused_in_a_sentence(
    tmp_path: Path,
) -> None:
    task = task_of("smp_unet", "model._target_=segmentation_models_pytorch.PSPNet")
    with pytest.raises(InputError, match=r"model.onnx does not run .*: give one size with size="):
        export_task(task, tmp_path)
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
@pytest.mark.parametrize("model", DETECTORS)
def test_every_detector_is_exported(model: str, tmp_path: Path) -> None:
    task = task_of(model)
    assert task.measure == "probability"
    export_task(task, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("words", [("attention_unet", "normalization=patch_minmax"), ("change_z",)])
def test_the_file_gives_the_same_in_openvino_where_measurements_are_missing(
    words: tuple[str, ...],
) -> None:
    openvino = pytest.importorskip("openvino", reason="an optional extra")
    task = task_of(words[0], *words[1:], *SMALL_MODELS.get(words[0], []))
    network = Network([task], CPU)
    model = ModelFiles.of([task], network.size_multiple, "none").onnx.SerializeToString()
    core = openvino.Core()
    single = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(model), "CPU", single)
    images = make_images(task.bands, (96, 128), None)
    expected = expected_outputs(network, images)

    def run(image: torch.Tensor) -> list[torch.Tensor]:
        return [torch.from_numpy(value.copy()) for value in compiled(image.numpy()).values()]

    differences = largest_differences(run, images, expected, network.measure)
    assert images["broken"].isnan().any()
    assert max(differences.values()) < 1e-5

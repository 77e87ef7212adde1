"""Exported models compute what ``predict.py`` computes, in other programs."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import BANDS, make_task, perturb, perturbed_task, read_band, save_checkpoint
from commands import composed, map_with, run_here
from numpy.typing import NDArray

from landslide.errors import InputError
from landslide.export import model_files
from landslide.export.deepness import tile_overlap
from landslide.export.export import export_model
from landslide.export.exported import Exported
from landslide.export.model_files import ONNX, TORCH
from landslide.models.halo import Halo
from landslide.training.network import Network
from landslide.training.task import LandslideTask

onnx = pytest.importorskip("onnx", reason="an optional extra")
onnxruntime = pytest.importorskip("onnxruntime", reason="an optional extra")

Image = NDArray[np.float32]

CPU = torch.device("cpu")

MINMAX = {"_target_": "landslide.data.normalization.PatchMinMax"}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def export_with(*overrides: str) -> Exported:
    return export_model(composed(*overrides, name="export"))


def run_onnx(path: Path, image: Image) -> list[Image]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"measurements": image})  # type: ignore[no-any-return]


def metadata_of(path: Path) -> dict[str, object]:
    return {prop.key: json.loads(prop.value) for prop in onnx.load(path).metadata_props}


def broken_image(height: int = 96, width: int = 112) -> tuple[Image, NDArray[np.bool_]]:
    """Measurements (2, 4, H, W) of ``BANDS`` with gaps of every kind, and where all are valid."""
    rng = np.random.default_rng(0)
    image = rng.gamma(4, 0.05, (2, 4, height, width)).astype(np.float32)
    image[:, 3] = rng.uniform(0, 60, (2, height, width))
    valid = np.ones((2, height, width), bool)
    gaps = [(0, np.nan), (1, 0.0), (2, -1.0), (0, np.inf), (1, -np.inf), (3, np.nan), (3, np.inf)]
    for row, (band, value) in enumerate(gaps):
        image[0, band, 8 * row : 8 * row + 6, 20:40] = value
        valid[0, 8 * row : 8 * row + 6, 20:40] = False
    image[0, 3, 70:80, 50:60] = 0  # flat ground is a measurement
    image[1, :, :, :30] = np.nan
    valid[1, :, :30] = False
    return image, valid


def as_trained(task: LandslideTask, image: Image, valid: NDArray[np.bool_]) -> Image:
    """Probability (B, H, W) of the network as it was trained, given what scenes read."""
    known = np.isfinite(image)
    known[:, :3] &= image[:, :3] > 0
    with torch.no_grad():
        logits = task.eval()(torch.from_numpy(np.where(known, image, np.float32(np.nan))))
    return np.where(valid, torch.sigmoid(logits)[:, 0].numpy(), 0)


@pytest.fixture(scope="module")
def exported(checkpoint: Path, scene_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an exported Attention U-Net with standard scores."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    run_here(
        "export", f"checkpoint={checkpoint}", f"output={folder}", f"scene={scene_root}", cwd=Path()
    )
    return folder


def test_onnxruntime_alone_gives_the_networks_probability(exported: Path) -> None:
    for size in ((96, 112), (160, 48)):
        image, valid = broken_image(*size)
        (found,) = run_onnx(exported / ONNX, image)
        expected = as_trained(perturbed_task(), image, valid)
        assert expected[valid].std() > 0.02
        np.testing.assert_allclose(found[:, 0], expected, atol=1e-5)
        assert (found[:, 0][~valid] == 0).all()


@pytest.mark.slow
def test_torch_alone_gives_the_networks_probability(exported: Path, tmp_path: Path) -> None:
    image, valid = broken_image()
    np.save(tmp_path / "image.npy", image)
    code = f"""
import sys
sys.modules["landslide"] = None  # whoever imports it fails
import json, numpy, torch
extra = {{"metadata.json": ""}}
model = torch.export.load({str(exported / TORCH)!r}, extra_files=extra).module()
with torch.no_grad():
    (found,) = model(torch.from_numpy(numpy.load("image.npy")))
numpy.save("found.npy", found.numpy())
print(json.loads(extra["metadata.json"])["bands"])
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == str(BANDS)
    expected = as_trained(perturbed_task(), image, valid)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy")[:, 0], expected, atol=1e-5)


def test_the_file_is_one_that_older_programs_read(exported: Path) -> None:
    assert {path.name for path in exported.iterdir()} == {ONNX, TORCH, "MODEL_CARD.md", "item.json"}
    model = onnx.load(exported / ONNX, load_external_data=False)
    onnx.checker.check_model(model)
    assert model.ir_version <= 9
    assert [(o.domain, o.version <= 20) for o in model.opset_import] == [("", True)]
    assert not any(weight.external_data for weight in model.graph.initializer)
    shape = [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert shape == ["batch", 4, "height", "width"]


def test_the_file_says_what_it_reads_and_how_equal_it_is(exported: Path) -> None:
    found = metadata_of(exported / ONNX)
    assert found["bands"] == BANDS
    assert found["units"] == ["linear power"] * 3 + ["degrees"]
    assert (found["measure"], found["threshold"], found["tta"]) == ("probability", 0.5, "none")
    assert found["halo"] == 96
    differences = found["differences"]
    assert isinstance(differences, Mapping)
    assert set(differences) == {ONNX, TORCH}
    for kinds in differences.values():
        assert set(kinds) == {"random", "broken", "scene", "small"}
        assert 0 <= max(kinds.values()) < 1e-5
    assert "tile_size" not in found  # Deepness needs one size


@pytest.mark.slow
def test_an_ensemble_is_one_model_of_mean_and_spread(tmp_path: Path) -> None:
    other = make_task(normalization=MINMAX)
    perturb(other)
    tasks = [perturbed_task(), other]
    for name, task in zip("ab", tasks, strict=True):
        save_checkpoint(task, tmp_path / f"{name}.ckpt")
    names = f"checkpoint=[{tmp_path / 'a.ckpt'},{tmp_path / 'b.ckpt'}]"
    export_with(names, f"output={tmp_path / 'm'}")
    image, valid = broken_image()
    mean, spread = run_onnx(tmp_path / "m" / ONNX, image)
    members = [as_trained(task, image, valid) for task in tasks]
    np.testing.assert_allclose(mean[:, 0], np.mean(members, axis=0), atol=1e-5)
    np.testing.assert_allclose(spread[:, 0], np.std(members, axis=0), atol=1e-5)
    assert spread.max() > 0.01


@pytest.mark.slow
def test_flips_are_inside_and_mirror_directions(tmp_path: Path) -> None:
    bands = ["vv_pre", "vv_post1", "aspect"]
    model = {"_target_": "landslide.models.UNet", "in_channels": 3, "filters": 2}
    task = make_task(bands=bands, model=model)
    perturb(task)
    image = np.random.default_rng(0).gamma(4, 0.05, (1, 3, 64, 96)).astype(np.float32)
    image[:, 2] = np.random.default_rng(1).uniform(0, 360, (1, 64, 96))
    task.normalization.fit([torch.from_numpy(image)])
    path = save_checkpoint(task, tmp_path / "a.ckpt")
    export_with(f"checkpoint={path}", f"output={tmp_path / 'm'}", "tta=flips")
    (found,) = run_onnx(tmp_path / "m" / ONNX, image)
    flipped = []
    for axes, aspect in (
        ((), lambda a: a),
        ((2,), lambda a: 180 - a),  # north becomes south
        ((3,), lambda a: 360 - a),
        ((2, 3), lambda a: 180 + a),
    ):
        mirrored = np.flip(image, axes).copy()
        mirrored[:, 2] = aspect(mirrored[:, 2]) % 360
        with torch.no_grad():
            flipped.append(torch.sigmoid(task.eval()(torch.from_numpy(mirrored))).flip(axes))
    assert (flipped[0] - flipped[1]).abs().max() > 1e-3
    np.testing.assert_allclose(found, torch.stack(flipped).mean(dim=0), atol=1e-5)


@pytest.mark.slow
def test_a_file_for_qgis_has_one_size_and_tells_deepness_how_to_tile(
    checkpoint: Path, scene_root: Path, tmp_path: Path
) -> None:
    export_with(f"checkpoint={checkpoint}", f"output={tmp_path}", "size=512", f"scene={scene_root}")
    found = metadata_of(tmp_path / ONNX)
    assert found["model_type"] == "Segmentor"
    assert found["class_names"] == [{"0": "landslide"}]
    assert found["resolution"] == 1000  # cm
    assert found["tile_size"] == found["tiles_size"] == 512
    assert found["tiles_overlap"] == 47  # stride 272 = 17 · 16 px; 44 % would leave the grid
    assert (found["seg_thresh"], found["seg_small_segment"]) == (0.5, 0)
    # Deepness divides by 255 and standardises.
    values = np.float32(0.07) * 1 / 255
    mean, std = found["standardization_mean"], found["standardization_std"]
    assert (values - np.array(mean)) / np.array(std) == pytest.approx([0.07] * 4)
    with pytest.raises(InputError, match="512 x 512 px only"):
        map_with(
            f"checkpoint={tmp_path / ONNX}", f"scene={scene_root}", f"output={tmp_path / 'map'}"
        )


@pytest.mark.parametrize("size", [256, 480, 512, 1024])
@pytest.mark.parametrize("halo", [16, 48, 96])
def test_tiles_overlap_by_the_halo_and_start_on_the_networks_grid(size: int, halo: int) -> None:
    percent = tile_overlap(size, Halo(16, halo))
    overlap = int(size * percent / 100 * 2) // 2
    assert overlap // 2 >= halo
    assert (size - overlap) % 16 == 0


def test_a_tile_that_the_halo_fills_is_refused() -> None:
    with pytest.raises(InputError, match="give 384 or more"):
        tile_overlap(192, Halo(16, 96))


@pytest.mark.slow
def test_a_model_that_differs_is_not_written(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong(model_files.Graph):
        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(out + 1e-4 for out in super().forward(image))

    monkeypatch.setattr(model_files, "Graph", Wrong)
    with pytest.raises(InputError, match=r"model.onnx differs from predict.py by 0.0001\d* on"):
        export_with(f"checkpoint={checkpoint}", f"output={tmp_path / 'm'}")
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["size=500"], "size=500 is not a multiple of 16 px"),
        (["size=0"], "size=0 is not a whole number from 1"),
        (["tta=twice"], "tta=twice is not one of none, flips"),
        (["size=192"], "size=192 leaves nothing of a tile but the 96 px"),
        (["threshold=2"], "threshold=2 is not a probability"),
        (["checkpoint=log_ratio"], "checkpoint=log_ratio takes its bands from a scene"),
        (["checkpoint=missing.ckpt"], "there is no checkpoint missing.ckpt"),
    ],
)
def test_misuse_is_one_sentence(
    words: list[str], message: str, checkpoint: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        export_with(f"checkpoint={checkpoint}", f"output={tmp_path / 'm'}", *words)
    assert not (tmp_path / "m").exists()


def test_an_existing_model_is_not_replaced_by_accident(checkpoint: Path, exported: Path) -> None:
    before = (exported / ONNX).read_bytes()
    with pytest.raises(InputError, match="already holds a model"):
        export_with(f"checkpoint={checkpoint}", f"output={exported}")
    assert (exported / ONNX).read_bytes() == before


def test_a_size_other_than_the_training_patch_is_refused_where_windows_are_scaled(
    tmp_path: Path,
) -> None:
    path = save_checkpoint(make_task(normalization=MINMAX), tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="trained on windows of 32 px: give size=32"):
        export_with(f"checkpoint={path}", f"output={tmp_path / 'm'}", "size=64")


@pytest.mark.slow
def test_a_model_that_scales_each_image_says_that_tiles_cannot_equal_the_map(
    scene_root: Path, tmp_path: Path
) -> None:
    task = make_task(normalization=MINMAX)
    perturb(task)
    path = save_checkpoint(task, tmp_path / "a.ckpt")
    words = [f"checkpoint={path}", f"output={tmp_path / 'm'}", "size=32"]
    with pytest.raises(InputError, match="name one of the same resolution with scene="):
        export_with(*words)
    export_with(*words, f"scene={scene_root}")
    found = metadata_of(tmp_path / "m" / ONNX)
    assert found["tile_size"] == 32
    assert "tiles of 32 x 32 px, as in training, come nearest" in str(found["notes"])
    image, valid = broken_image(32, 32)
    (probability,) = run_onnx(tmp_path / "m" / ONNX, image)
    np.testing.assert_allclose(probability[:, 0], as_trained(task, image, valid), atol=1e-5)


@pytest.mark.slow
def test_a_detectors_score_is_exported_as_it_is(scene_root: Path, tmp_path: Path) -> None:
    words = ["checkpoint=log_ratio", f"scene={scene_root}", f"output={tmp_path / 'm'}"]
    with pytest.raises(InputError, match="a score has no threshold of its own"):
        export_with(*words)
    export_with(*words, "threshold=3")
    rate = "false_alarms=0.01"  # otherwise that of the file counts
    maps = [tmp_path / "named", tmp_path / "exported"]
    summaries = [
        map_with(f"checkpoint={model}", f"scene={scene_root}", f"output={output}", rate)
        for model, output in zip(("log_ratio", tmp_path / "m" / ONNX), maps, strict=True)
    ]
    assert summaries[0]["measure"] == summaries[1]["measure"] == "score (dB)"
    assert summaries[0]["threshold"] == pytest.approx(summaries[1]["threshold"], abs=1e-5)
    scores = [read_band(output / "score.tif") for output in maps]
    np.testing.assert_allclose(*scores, atol=1e-4)


@pytest.mark.slow
def test_a_map_by_an_exported_model_is_that_of_its_checkpoint(
    checkpoint: Path, exported: Path, scene_root: Path, tmp_path: Path
) -> None:
    runs = {
        "torch": [f"checkpoint={checkpoint}"],
        "file": [f"checkpoint={exported / ONNX}"],
        "engine": [f"checkpoint={checkpoint}", "engine=onnx"],
    }
    summaries = {
        name: map_with(*words, f"scene={scene_root}", f"output={tmp_path / name}")
        for name, words in runs.items()
    }
    expected = read_band(tmp_path / "torch" / "probability.tif")
    assert np.nanstd(expected) > 0.02
    for name in ("file", "engine"):
        found = read_band(tmp_path / name / "probability.tif")
        np.testing.assert_allclose(found, expected, atol=1e-5)
        kept = {"seconds", "files", "threshold_origin"}
        assert {k: v for k, v in summaries[name].items() if k not in kept} == {
            k: v for k, v in summaries["torch"].items() if k not in kept
        }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tta=flips"], "tta=flips: .*runs in onnxruntime as it was exported"),
        (["engine=openvino"], "engine=openvino: .*runs in onnxruntime"),
        (["precision=half"], "precision=half: .*runs in onnxruntime"),
    ],
)
def test_what_was_settled_by_the_export_is_refused(
    words: list[str], message: str, exported: Path, scene_root: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        map_with(
            f"checkpoint={exported / ONNX}", f"scene={scene_root}", f"output={tmp_path}", *words
        )


def test_files_that_are_not_ours_are_refused(
    exported: Path, checkpoint: Path, scene_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "junk.onnx").write_text("junk")
    model = onnx.load(exported / ONNX)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    for name, message in (
        (f"{tmp_path / 'junk.onnx'}", "is not a readable ONNX model"),
        (f"{tmp_path / 'foreign.onnx'}", "was not written by this program"),
        (f"[{exported / ONNX},{checkpoint}]", "maps by itself"),
    ):
        with pytest.raises(InputError, match=message):
            map_with(f"checkpoint={name}", f"scene={scene_root}", f"output={tmp_path / 'map'}")


def test_without_onnxruntime_one_sentence_says_what_to_install(
    exported: Path,
    checkpoint: Path,
    scene_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    message = r"needs the package onnxruntime: pip install -e \"\.\[onnx\]\""
    with pytest.raises(InputError, match=message):
        export_with(f"checkpoint={checkpoint}", f"output={tmp_path / 'm'}")
    with pytest.raises(InputError, match=message):
        map_with(
            f"checkpoint={exported / ONNX}", f"scene={scene_root}", f"output={tmp_path / 'map'}"
        )


@pytest.mark.slow
def test_half_precision_is_refused_by_onnxruntime() -> None:
    with pytest.raises(InputError, match="full precision"):
        Network([perturbed_task()], CPU, engine="onnx", precision="half")

"""Training on the quiet past, from the command line to a map."""

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import torch
from builders import make_stack, make_task
from commands import composed, map_with, run_here

from landslide.errors import InputError
from landslide.geo.relief import Float
from landslide.training.run import train
from landslide.training.task import LandslideTask, load_task, save_task
from landslide.training.weights import start_from

TONIGHT = [
    "experiment=tonight",
    "split=time",
    "patch_size=32",
    "model.filters=2",
    "trainer=cpu",
    "trainer.max_epochs=2",
    "datamodule.windows=16",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_stack(tmp_path_factory.mktemp("stack"), before=9, size=(96, 128))


@pytest.mark.slow
@pytest.mark.usefixtures("figures")
def test_a_scene_of_implants_is_a_scene_like_any_other(root: Path, tmp_path: Path) -> None:
    words = [f"scene={root}", "seed=4", "scars=6", "implants.mean_area=60000"]
    run_here("implant", *words, "output=one", cwd=tmp_path)
    run_here("implant", *words, "output=two", cwd=tmp_path)

    one = tmp_path / "one"
    for name in ("ascending.tif", "landslides.tif", "scene.json"):
        assert (one / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    info = json.loads((one / "scene.json").read_text())
    assert info["implanted"]
    assert info["simulated"]
    facts = info["implants"]
    assert len(facts["dates_after"]) == 2
    assert max(facts["dates_before"]) < min(facts["dates_after"])
    assert max(facts["dates_after"]) < "2018-09-17"  # of the event
    outlines = gpd.read_file(one / "landslides.gpkg")
    with rasterio.open(one / "landslides.tif") as source:
        mask: Float = source.read(1)
    assert 1 <= len(outlines) <= 12
    assert outlines.area.sum() == pytest.approx(900 * (mask == 1).sum())
    assert (one / "figures" / "implants.png").stat().st_size > 1000
    # Dates after that the scene has not yet had are left out.
    with (
        rasterio.open(one / "ascending.tif") as source,
        rasterio.open(root / "ascending.tif") as own,
    ):
        assert source.descriptions == own.descriptions
        assert np.array_equal(source.read(7), own.read(7))  # the slope


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("implants.before=0", "implants.before=0 is not"),
        ("orbit=both", "orbit=both is not ascending or descending"),
        ("implants.after=4", "training on the past needs 14"),
    ],
)
def test_what_cannot_be_implanted_is_one_sentence(
    root: Path, tmp_path: Path, word: str, message: str
) -> None:
    with pytest.raises(SystemExit, match=message):
        run_here("implant", f"scene={root}", "output=one", word, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_network_trained_on_the_past_maps_the_event(root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(composed(*TONIGHT, f"dataset.root={root}", f"output_dir={run}"))

    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["implanted"]
    assert metrics["quiet"]["pixels"] > 100_000
    assert 0 <= metrics["quiet"]["mapped"] < 0.01
    assert metrics["val"]["tp"] != metrics["test"]["tp"]
    assert metrics["val"]["patches"] >= 200
    task = load_task(run / "checkpoints" / "best.ckpt")
    assert task.implanted
    assert 0 < task.threshold < 1
    output = tmp_path / "map"
    map_with(f"checkpoint={run / 'checkpoints' / 'best.ckpt'}", f"scene={root}", f"output={output}")
    notes = json.loads((output / "summary.json").read_text())["notes"]
    assert "the model was trained on IMPLANTED landslides in quiet images" in notes
    assert "IMPLANTED" in (output / "report.html").read_text()
    # No label was read: without the inventory the same is trained.
    bare = make_stack(tmp_path / "bare", before=9, size=(96, 128))
    (bare / "landslides.tif").unlink()
    again = tmp_path / "again"
    train(composed(*TONIGHT, f"dataset.root={bare}", f"output_dir={again}"))
    weights, same = (
        load_task(folder / "checkpoints" / "best.ckpt").state_dict() for folder in (run, again)
    )
    assert all(torch.equal(weights[name], same[name]) for name in weights)


@pytest.mark.slow
def test_a_study_of_implants_has_no_floor_and_says_so(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*TONIGHT, f"dataset.root={root}", "-m", "seed=0,1", "hydra.sweep.dir=sweep"]
    run_here("train", *words, cwd=tmp_path)
    run_here("study", "sweep=sweep", "by=dataset", cwd=tmp_path)

    text = " ".join(capsys.readouterr().out.split())
    assert "Without the floor of chance and detectors: these runs were scored on implants" in text
    assert (tmp_path / "sweep" / "study" / "study.html").exists()


@pytest.mark.slow
def test_the_papers_bands_are_trained_on_the_past_too(root: Path, tmp_path: Path) -> None:
    words = [*TONIGHT, "dataset=ascending_baa_s", "normalization=patch_minmax"]
    train(composed(*words, f"dataset.root={root}", f"output_dir={tmp_path}"))

    assert load_task(tmp_path / "checkpoints" / "best.ckpt").bands == [
        "vv_pre",
        "vv_post1",
        "vv_post2",
        "slope",
    ]


def network(*bands: str, filters: int = 2) -> LandslideTask:
    target = "landslide.models.AttentionUNet"
    model = {"_target_": target, "in_channels": len(bands), "filters": filters}
    return make_task(bands=list(bands), model=model)


def saved(task: LandslideTask, folder: Path) -> Path:
    path = folder / "other.ckpt"
    save_task(task, path)
    return path


def test_weights_go_to_the_bands_of_their_names(tmp_path: Path) -> None:
    other = network("slope", "vv_post1", "vv_pre")
    path = saved(other, tmp_path)
    task = network("vv_pre", "vh_pre", "slope", "vv_post1")

    start_from(task, path)

    given, own = other.model.state_dict(), task.model.state_dict()
    (first, weight), *rest = own.items()
    for column, source in enumerate([2, None, 0, 1]):
        expected = given[first][:, source] if source is not None else 0 * given[first][:, 0]
        assert torch.equal(weight[:, column], expected)
    assert all(torch.equal(value, given[name]) for name, value in rest)


def test_weights_of_another_model_or_of_other_bands_are_one_sentence(tmp_path: Path) -> None:
    path = saved(network("vv_pre"), tmp_path)

    with pytest.raises(InputError, match="is of another model"):
        start_from(network("vv_pre", filters=4), path)
    with pytest.raises(InputError, match="was trained on vv_pre, and dataset"):
        start_from(network("slope"), path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["split=time", "normalization=zscore"], "split=time: the splits share their ground"),
        (["false_alarms=0.001"], "false_alarms= needs quiet dates"),
    ],
)
def test_what_only_the_past_allows_is_refused_on_labels(
    root: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    options = [f"dataset.root={root}", f"output_dir={tmp_path}", "model.filters=2", *words]
    with pytest.raises(InputError, match=message):
        train(composed(*options))

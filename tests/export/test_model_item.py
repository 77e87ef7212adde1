"""An exported model as an item of a SpatioTemporal Asset Catalog."""

import hashlib
import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import shapely
from builders import make_task, save_checkpoint
from commands import run_here
from described_runs import export, make_described_scene, make_run
from stac_schemas import pystac, validate_core, validate_extensions

from landslide.export.card import write_card
from landslide.export.exported import Exported
from landslide.export.item import write_item
from landslide.training.named_detectors import make_detector


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Best checkpoints of two runs on one scene."""
    root = tmp_path_factory.mktemp("runs")
    scene = make_described_scene(root / "scene")
    return [make_run(root / f"run{i}", scene=scene) for i in (0, 1)]


def item_of(exported: Exported, folder: Path) -> dict[str, Any]:
    write_card(exported, folder)
    write_item(exported, folder)
    item: dict[str, Any] = json.loads((folder / "item.json").read_text())
    return item


def test_a_model_is_a_valid_item(runs: list[Path], tmp_path: Path) -> None:
    item_of(export(tmp_path, runs[0]), tmp_path)
    validate_core(tmp_path / "item.json")
    assert pystac.Item.from_file(str(tmp_path / "item.json")).properties["license"] == "other"


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("size", [None, 64])
def test_a_model_is_valid_by_the_schemas_of_its_extensions(
    runs: list[Path], tmp_path: Path, members: int, size: int | None
) -> None:
    item = item_of(export(tmp_path, *runs[:members], size=size), tmp_path)
    assert len(validate_extensions(tmp_path / "item.json")) == 4
    del item["assets"]["model.onnx"]["mlm:artifact_type"]
    (tmp_path / "broken.json").write_text(json.dumps(item))
    with pytest.raises(pystac.STACValidationError):
        validate_extensions(tmp_path / "broken.json")


def test_a_checkpoint_without_its_run_has_no_place_and_the_time_of_its_export(
    tmp_path: Path,
) -> None:
    lonely = save_checkpoint(make_task(), tmp_path / "lonely.ckpt")
    item = item_of(export(tmp_path, lonely), tmp_path)
    validate_core(tmp_path / "item.json")
    assert item["geometry"] is None
    assert "bbox" not in item
    properties = item["properties"]
    assert properties["datetime"] == properties["created"]
    assert not {"landslide:training_events", "mlm:pretrained"} & set(properties)


def test_an_item_names_its_files_with_checksums_and_sizes(runs: list[Path], tmp_path: Path) -> None:
    assets = item_of(export(tmp_path, runs[0]), tmp_path)["assets"]
    assert set(assets) == {"model.onnx", "model.pt2", "MODEL_CARD.md"}
    for name, asset in assets.items():
        content = (tmp_path / name).read_bytes()
        assert asset["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()
        assert asset["file:size"] == len(content)
    models = [name for name, asset in assets.items() if "mlm:model" in asset["roles"]]
    assert models == ["model.onnx", "model.pt2"]


def test_an_item_says_where_and_when_it_was_trained(runs: list[Path], tmp_path: Path) -> None:
    item = item_of(export(tmp_path, *runs), tmp_path)
    properties = item["properties"]
    assert properties["start_datetime"] == "2018-09-05T00:00:00Z"
    assert properties["end_datetime"] == "2018-09-17T23:59:59Z"
    event = {"name": "Test event", "time": "2018-09-05T18:07:59Z", "simulated": False}
    assert properties["landslide:training_events"] == [event]
    patches = gpd.read_file(runs[0].parents[1] / "splits.geojson")
    trained = patches[patches.split == "train"]
    footprint = shapely.geometry.shape(item["geometry"])
    assert footprint.buffer(1e-5).contains(trained.union_all())
    assert footprint.area < 1.001 * trained.union_all().convex_hull.area


def test_an_item_describes_input_and_outputs(runs: list[Path], tmp_path: Path) -> None:
    properties = item_of(export(tmp_path, *runs, size=64), tmp_path)["properties"]
    [measurements] = properties["mlm:input"]
    assert measurements["input"]["shape"] == [-1, 4, 64, 64]
    assert measurements["bands"] == [band["name"] for band in properties["bands"]]
    units = {band["name"]: band["unit"] for band in properties["bands"]}
    assert units == dict.fromkeys(["vv_pre", "vv_post1", "vv_post2"], "linear power") | {
        "slope": "degrees"
    }
    assert [output["name"] for output in properties["mlm:output"]] == ["probability", "spread"]
    assert properties["mlm:hyperparameters"]["threshold"] == 0.25
    assert properties["mlm:hyperparameters"]["members"] == 2
    # The paper's network of 2 filters, twice.
    parameters = sum(value.numel() for value in make_task().model.parameters())
    assert properties["mlm:total_parameters"] == 2 * parameters
    assert not properties["mlm:pretrained"]


def test_a_detector_is_a_valid_item_of_scores(runs: list[Path], tmp_path: Path) -> None:
    members = [make_detector("log_ratio", str(runs[0].parents[2] / "scene"))]
    item = item_of(export(tmp_path, members=members, threshold=2.0), tmp_path)
    validate_core(tmp_path / "item.json")
    [output] = item["properties"]["mlm:output"]
    assert output["name"] == "score"
    assert "Score in dB" in output["description"]
    assert "above 2" in output["description"]
    assert len(validate_extensions(tmp_path / "item.json")) == 4


def test_a_start_from_other_weights_is_told(runs: list[Path], tmp_path: Path) -> None:
    scene = runs[0].parents[2] / "scene"
    run = make_run(tmp_path / "run", scene=scene)
    config = tmp_path / "run" / ".hydra" / "config.yaml"
    text = config.read_text().replace("weights: null", "weights: earlier/best.ckpt")
    config.write_text(text)
    properties = item_of(export(tmp_path / "model", run), tmp_path / "model")["properties"]
    assert properties["mlm:pretrained"]
    assert properties["mlm:pretrained_source"] == "earlier/best.ckpt"


@pytest.mark.slow
def test_an_export_of_the_program_is_described(runs: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the optional extra onnx")
    run_here("export", f"checkpoint={runs[0]}", f"output={tmp_path / 'model'}", cwd=tmp_path)
    validate_core(tmp_path / "model" / "item.json")
    item = pystac.Item.from_file(str(tmp_path / "model" / "item.json"))
    assert set(item.assets) == {path.name for path in (tmp_path / "model").iterdir()} - {
        "item.json"
    }
    for files in item.properties["landslide:differences"].values():
        assert max(files.values()) < 1e-5
    assert "Test event" in (tmp_path / "model" / "MODEL_CARD.md").read_text()

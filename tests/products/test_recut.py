"""A map that is cut anew equals one that is made anew."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from builders import make_scene, make_stack, perturb, perturbed_task, read_band, save_checkpoint
from commands import composed, map_with

from landslide.errors import InputError
from landslide.geo.folders import work_folder
from landslide.products.recut import recut_map


def recut(*overrides: str) -> dict[str, object]:
    return recut_map(composed(*overrides, name="polygons"))


def require_equal_maps(one: Path, other: Path) -> None:
    """Two folders hold the same bytes; of a summary all but the seconds."""
    names = {path.name for path in one.iterdir()}
    assert names == {path.name for path in other.iterdir()}
    for name in names - {"summary.json"}:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (one, other)]
    for summary in summaries:
        del summary["seconds"]
    assert summaries[0] == summaries[1]


@pytest.fixture(scope="module")
def plain(checkpoint: Path, scene_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map with the default options."""
    output = tmp_path_factory.mktemp("plain") / "map"
    map_with(f"checkpoint={checkpoint}", f"scene={scene_root}", f"output={output}")
    return output


@pytest.fixture
def copied(plain: Path, tmp_path: Path) -> Path:
    shutil.copytree(plain, tmp_path / "map")
    return tmp_path / "map"


CUTS = (
    ("threshold=0.45", "min_area=1000", "fill_holes=600", "simplify=20"),
    ("percentile=90", "geojson=true", "pdf=true", "ems=true", "ems_area=3"),
)


@pytest.mark.slow
@pytest.mark.parametrize("options", CUTS)
def test_a_recut_equals_a_new_map(
    checkpoint: Path,
    scene_root: Path,
    copied: Path,
    tmp_path: Path,
    options: Sequence[str],
    figures: None,
) -> None:
    (copied / "notes.txt").write_text("mine")
    recut(f"map={copied}", *options)
    assert (copied / "notes.txt").read_text() == "mine"
    (copied / "notes.txt").unlink()
    new = tmp_path / "new"
    map_with(f"checkpoint={checkpoint}", f"scene={scene_root}", f"output={new}", *options)
    require_equal_maps(copied, new)
    # What was not asked for again is gone.
    recut(f"map={copied}", "threshold=0.5")
    assert not (copied / "map.pdf").exists()


@pytest.mark.slow
def test_an_ensemble_with_an_inventory_of_its_own_is_recut(
    checkpoint: Path, scene_root: Path, tmp_path: Path, figures: None
) -> None:
    other = perturbed_task()
    perturb(other)
    inventory = tmp_path / "slides.gpkg"
    grid = rasterio.open(scene_root / "landslides.tif")
    square = gpd.GeoSeries.from_wkt(
        ["POLYGON((600300 4739700,600900 4739700,600900 4739000,600300 4739700))"]
    )
    square.set_crs(grid.crs).to_file(inventory, layer="slides")
    words = (
        f"checkpoint=[{checkpoint},{save_checkpoint(other, tmp_path / 'b.ckpt')}]",
        *(f"scene={scene_root}", f"inventory={inventory}/slides"),
    )
    map_with(*words, f"output={tmp_path / 'map'}")
    map_with(*words, f"output={tmp_path / 'new'}", "threshold=0.4")
    recut(f"map={tmp_path / 'map'}", "threshold=0.4")
    require_equal_maps(tmp_path / "map", tmp_path / "new")
    inventory.unlink()
    with pytest.raises(InputError, match=r"ground truth .* is gone: name it with inventory="):
        recut(f"map={tmp_path / 'map'}")


@pytest.mark.slow
def test_a_threshold_from_false_alarms_stays(tmp_path: Path, figures: None) -> None:
    root = make_stack(tmp_path / "stack")
    words = ("checkpoint=log_ratio", f"scene={root}")
    map_with(*words, f"output={tmp_path / 'map'}", "false_alarms=0.02")
    map_with(*words, f"output={tmp_path / 'new'}", "false_alarms=0.02", "min_area=5000")
    recut(f"map={tmp_path / 'map'}", "min_area=5000")
    require_equal_maps(tmp_path / "map", tmp_path / "new")
    summary = json.loads((tmp_path / "map" / "summary.json").read_text())
    assert summary["false_alarms"]["asked"] == 0.02
    # A threshold that is given has no rate.
    recut(f"map={tmp_path / 'map'}", "threshold=5")
    summary = json.loads((tmp_path / "map" / "summary.json").read_text())
    assert summary["false_alarms"] is None
    assert [note for note in summary["notes"] if "threshold" in note] == ["threshold 5: as given"]


def test_the_mask_is_the_raster_above_the_threshold(copied: Path) -> None:
    probability = read_band(copied / "probability.tif")
    before = (copied / "probability.tif").stat()
    recut(f"map={copied}", "threshold=0.6", "min_area=0")
    expected = np.where(np.isnan(probability), 255, probability > 0.6)
    np.testing.assert_array_equal(read_band(copied / "landslides.tif"), expected)
    after = (copied / "probability.tif").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert not (copied / "probability.tif").is_symlink()
    assert not work_folder(copied).exists()


def test_a_scene_that_moved_is_named_and_one_that_changed_is_refused(
    scene_root: Path, checkpoint: Path, tmp_path: Path
) -> None:
    scene = make_scene(tmp_path / "scene", size=(64, 96))
    folder = tmp_path / "map"
    map_with(f"checkpoint={checkpoint}", f"scene={scene}", f"output={folder}")
    products = {path.name: path.read_bytes() for path in folder.iterdir()}
    moved = scene.rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"the scene of .* is gone.*scene="):
        recut(f"map={folder}", "threshold=0.4")
    with pytest.raises(InputError, match=r"ground truth .* is gone"):
        recut(f"map={folder}", f"scene={moved}", "threshold=0.4")
    found = recut(
        f"map={folder}", f"scene={moved}", f"inventory={moved}/landslides.tif", "threshold=0.4"
    )
    assert found["scene"] == str(moved / "ascending.tif")
    for name, content in products.items():
        (folder / name).write_bytes(content)
    make_scene(scene, size=(64, 96), seed=5)
    with pytest.raises(InputError, match="has changed since"):
        recut(f"map={folder}", "threshold=0.4")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == products


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["threshold=1.5"], "threshold=1.5 is not a probability"),
        (["threshold=0.5", "percentile=90"], "both given"),
        (["min_area=-1"], "min_area=-1 is not a number from 0"),
        (["ems_activation=EMSN12"], "ems_activation=EMSN12 is not a code such as EMSR793"),
    ],
)
def test_options_that_cannot_be_are_one_sentence(
    copied: Path, words: Sequence[str], sentence: str
) -> None:
    products = {path.name: path.read_bytes() for path in copied.iterdir()}
    with pytest.raises(InputError, match=sentence):
        recut(f"map={copied}", *words)
    assert {path.name: path.read_bytes() for path in copied.iterdir()} == products


def test_what_is_no_finished_map_is_one_sentence(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no finished map"):
        recut(f"map={tmp_path / 'nothing'}")
    summary = json.loads((copied / "summary.json").read_text())
    del summary["images"]
    (copied / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(InputError, match="was made by an earlier version"):
        recut(f"map={copied}")
    work_folder(copied).mkdir(parents=True)
    (work_folder(copied) / "finished.txt").write_text("0\n")
    with pytest.raises(InputError, match="holds an interrupted map"):
        recut(f"map={copied}")


@pytest.mark.slow
@pytest.mark.parametrize("moved", [0, 3])
def test_a_recut_that_was_killed_leaves_no_summary_and_is_done_again(
    copied: Path, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    from landslide.geo import folders

    put, calls = folders.put_in_place, []

    def kill(path: Path, target: Path) -> None:
        calls.append(path)
        if len(calls) > moved:
            raise KeyboardInterrupt
        put(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(folders, "put_in_place", kill)
        with pytest.raises(KeyboardInterrupt):
            recut(f"map={copied}", "threshold=0.4")
    assert not (copied / "summary.json").exists()
    summary = recut(f"map={copied}", "threshold=0.4", "min_area=0")
    mask, probability = read_band(copied / "landslides.tif"), read_band(copied / "probability.tif")
    assert summary["threshold"] == 0.4
    assert (mask == 1).sum() == (probability > 0.4).sum() > 0

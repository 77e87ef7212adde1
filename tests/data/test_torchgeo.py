"""Our datasets in TorchGeo's samplers and loaders, our samplers on TorchGeo's datasets."""

import pickle
import re
import warnings
from pathlib import Path

import pytest
import torch
from builders import BANDS
from commands import REPOSITORY
from torchgeo.samplers import GridGeoSampler

from landslide.data.dataset import SceneDataset
from landslide.data.samplers import Query, grid_of


def test_the_pages_snippets_run(
    scene_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "demo").symlink_to(scene_root)
    page = (REPOSITORY / "docs" / "torchgeo.md").read_text()
    snippets = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer names of TorchGeo's samplers
        for snippet in snippets:
            exec(snippet, names)
    assert len(snippets) == 3
    assert names["batch"]["image"].shape == (8, 3, 64, 64)  # type: ignore[index]
    # The samplers' patches are those of the plain dataset, pixel by pixel.
    dataset, scene = names["dataset"], SceneDataset.of(scene_root, "ascending", BANDS)
    for query in list(names["samplers"][0])[:5]:  # type: ignore[index]
        plain, ours = dataset[query], scene[query]  # type: ignore[index]
        torch.testing.assert_close(plain["image"], ours["image"], equal_nan=True)
        known = ours["mask"] != 255
        assert (plain["mask"][known] == ours["mask"][known]).all()


def test_a_scene_lies_where_torchgeo_looks_for_it(scene_root: Path) -> None:
    scene = SceneDataset.of(scene_root, "ascending", BANDS)
    assert grid_of(scene).matches(scene.grid)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        windows = [scene.grid.window(*q[:2]) for q in GridGeoSampler(scene, 64, 64)]
    assert {(w.row % 64, w.col % 64) for w in windows} == {(0, 0)}
    assert len(windows) == (192 // 64) * (320 // 64)


def test_a_query_is_its_coordinates_and_survives_a_worker() -> None:
    query = Query((slice(0, 1), slice(2, 3)), scene=4)
    assert query == (slice(0, 1), slice(2, 3))
    again = pickle.loads(pickle.dumps(query))
    assert (again, again.scene) == (query, 4)

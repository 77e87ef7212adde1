"""Scenes that runs of one process share."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from builders import BANDS, make_scene

from landslide.data.memory import SceneMemory, SceneSource
from landslide.data.scene import Scene
from landslide.geo.files import checksum
from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import write_raster

WINDOW = Window(0, 0, 96, 128)
PLENTY = 2**30


@pytest.fixture
def root(scene_root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scene_root, tmp_path / "scene"))


@pytest.fixture
def memory() -> SceneMemory:
    return SceneMemory()


def source(root: Path, orbit: str = "ascending", bands: list[str] = BANDS) -> SceneSource:
    return SceneSource(root, orbit, tuple(bands))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the rasters that are opened."""
    names: list[str] = []
    open_file = rasterio.open

    def record(path: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        names.append(Path(path).name)
        return open_file(path, *arguments, **named)

    monkeypatch.setattr(rasterio, "open", record)
    return names


def test_a_second_run_opens_no_raster(root: Path, memory: SceneMemory, opened: list[str]) -> None:
    (first,) = memory.open([source(root)], PLENTY)
    assert {"ascending.tif", "landslides.tif"} == set(opened)
    opened.clear()
    (second,) = memory.open([source(root / "." / ".." / root.name)], PLENTY)
    served, read = second.read(WINDOW), Scene.of(root, "ascending", BANDS).read(WINDOW)
    torch.testing.assert_close(served, read, rtol=0, atol=0, equal_nan=True)
    opened.clear()
    assert second is first
    second.read(WINDOW)
    assert opened == []


@pytest.mark.parametrize(("orbit", "bands"), [("descending", BANDS), ("ascending", BANDS[::-1])])
def test_another_orbit_or_order_of_bands_is_another_scene(
    root: Path, memory: SceneMemory, orbit: str, bands: list[str]
) -> None:
    memory.open([source(root)], PLENTY)
    (other,) = memory.open([source(root, orbit, bands)], PLENTY)
    expected = Scene.of(root, orbit, bands).read(WINDOW)
    torch.testing.assert_close(other.read(WINDOW), expected, equal_nan=True)


@pytest.mark.parametrize("name", ["ascending.tif", "landslides.tif"])
def test_a_file_that_has_changed_is_read_again(root: Path, memory: SceneMemory, name: str) -> None:
    memory.open([source(root)], PLENTY)
    with rasterio.open(root / name) as file:
        values, grid = file.read(), Grid.of(file)
        bands, nodata = file.descriptions, file.nodata
    write_raster(root / name, np.flip(values, axis=2), grid, bands, nodata)
    (scene,) = memory.open([source(root)], PLENTY)
    expected = Scene.of(root, "ascending", BANDS).read(WINDOW)
    torch.testing.assert_close(scene.read(WINDOW), expected, equal_nan=True)
    assert memory.bytes == scene.bytes  # the old one is gone


def test_the_scene_used_longest_ago_gives_way(
    root: Path, memory: SceneMemory, tmp_path: Path
) -> None:
    roots = [root, *(make_scene(tmp_path / name, seed=1) for name in "ab")]
    limit = 2 * Scene.of(root, "ascending", BANDS).bytes
    first, second = (memory.open([source(r)], limit)[0] for r in roots[:2])
    assert memory.open([source(root)], limit) == [first]
    memory.open([source(roots[2])], limit)
    assert memory.open([source(root)], limit) == [first]
    assert memory.open([source(roots[1])], limit) != [second]


def test_scenes_above_the_limit_are_read_from_disk(root: Path, memory: SceneMemory) -> None:
    (in_memory,) = memory.open([source(root)], PLENTY)
    (on_disk,) = memory.open([source(root)], 1000)
    assert memory.bytes == 0
    served, again = (in_memory.read(WINDOW)["image"] for _ in "12")
    assert served.data_ptr() == again.data_ptr()
    read, anew = (on_disk.read(WINDOW)["image"] for _ in "12")
    assert read.data_ptr() != anew.data_ptr()


def test_a_checksum_is_taken_once_and_again_when_the_file_has_changed(
    tmp_path: Path, memory: SceneMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, checksums = tmp_path / "scene.json", []
    monkeypatch.setattr(
        "landslide.data.memory.checksum", lambda path: checksums.append(path) or checksum(path)
    )
    path.write_text("{}")
    first = memory.checksum(path)
    assert memory.checksum(tmp_path / "." / path.name) == first == checksum(path)
    assert len(checksums) == 1
    path.write_text("[1]")
    assert memory.checksum(path) == checksum(path) != first

"""Scenes that runs of one process share."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from builders import BANDS, make_scene

from landslide.data import memory
from landslide.data.memory import open_scenes
from landslide.data.scene import Scene
from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import write_raster

WINDOW = Window(0, 0, 96, 128)
PLENTY = 2**30


@pytest.fixture
def root(scene_root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scene_root, tmp_path / "scene"))


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the rasters that are opened; nothing is kept from other tests."""
    names: list[str] = []
    open_file = rasterio.open

    def noting(path: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        names.append(Path(path).name)
        return open_file(path, *arguments, **named)

    monkeypatch.setattr(rasterio, "open", noting)
    monkeypatch.setattr(memory, "_kept", {})
    return names


def test_a_second_run_opens_no_raster(root: Path, opened: list[str]) -> None:
    (first,) = open_scenes([root], "ascending", BANDS, limit=PLENTY)
    assert {"ascending.tif", "landslides.tif"} == set(opened)
    opened.clear()
    (second,) = open_scenes([root / "." / ".." / root.name], "ascending", BANDS, limit=PLENTY)
    served, read = second.read(WINDOW), Scene.of(root, "ascending", BANDS).read(WINDOW)
    torch.testing.assert_close(served, read, rtol=0, atol=0, equal_nan=True)
    opened.clear()
    assert second is first
    second.read(WINDOW)
    assert opened == []


@pytest.mark.parametrize(("orbit", "bands"), [("descending", BANDS), ("ascending", BANDS[::-1])])
def test_another_orbit_or_order_of_bands_is_another_scene(
    root: Path, orbit: str, bands: list[str]
) -> None:
    open_scenes([root], "ascending", BANDS, limit=PLENTY)
    (other,) = open_scenes([root], orbit, bands, limit=PLENTY)
    expected = Scene.of(root, orbit, bands).read(WINDOW)
    torch.testing.assert_close(other.read(WINDOW), expected, equal_nan=True)


@pytest.mark.parametrize("name", ["ascending.tif", "landslides.tif"])
def test_a_file_that_has_changed_is_read_again(root: Path, name: str) -> None:
    open_scenes([root], "ascending", BANDS, limit=PLENTY)
    with rasterio.open(root / name) as source:
        values, grid = source.read(), Grid.of(source)
        bands, nodata = source.descriptions, source.nodata
    write_raster(root / name, np.flip(values, axis=2), grid, bands, nodata)
    (scene,) = open_scenes([root], "ascending", BANDS, limit=PLENTY)
    expected = Scene.of(root, "ascending", BANDS).read(WINDOW)
    torch.testing.assert_close(scene.read(WINDOW), expected, equal_nan=True)
    assert len(memory._kept) == 1  # the old one is gone


def test_the_scene_used_longest_ago_gives_way(root: Path, tmp_path: Path) -> None:
    roots = [root, *(make_scene(tmp_path / name, seed=1) for name in "ab")]
    limit = 2 * Scene.of(root, "ascending", BANDS).bytes
    first, second = (open_scenes([r], "ascending", BANDS, limit=limit)[0] for r in roots[:2])
    assert open_scenes([root], "ascending", BANDS, limit=limit) == [first]
    open_scenes([roots[2]], "ascending", BANDS, limit=limit)
    assert open_scenes([root], "ascending", BANDS, limit=limit) == [first]
    assert open_scenes([roots[1]], "ascending", BANDS, limit=limit) != [second]


def test_scenes_above_the_limit_are_read_from_disk(root: Path, opened: list[str]) -> None:
    open_scenes([root], "ascending", BANDS, limit=PLENTY)
    (scene,) = open_scenes([root], "ascending", BANDS, limit=1000)
    assert memory._kept == {}
    opened.clear()
    scene.read(WINDOW)
    assert "ascending.tif" in opened

from pathlib import Path

import numpy as np
import pytest
from builders import BANDS

from landslide.data.dataset import SceneDataset
from landslide.data.samplers import BalancedSampler, PatchSampler, Query
from landslide.data.splits import block_split, combine, patch_table
from landslide.geo.rasters import UNKNOWN

SIZE = 32


@pytest.fixture(scope="module")
def scene(scene_root: Path) -> SceneDataset:
    scene = SceneDataset.of(scene_root, "ascending", BANDS)
    scene.load()
    return scene


@pytest.fixture(scope="module")
def patches(scene: SceneDataset):  # noqa: ANN201
    table = patch_table(scene, SIZE)
    blocks = {"folds": 5, "fold": 0, "period": 10, "patch_size": SIZE, "window_size": SIZE}
    return combine([block_split(table, seed=0, **blocks)])


def key(query: Query) -> tuple[float, float]:
    x, y = query
    return x.start, y.start


def test_every_patch_once_in_another_order_each_epoch(scene: SceneDataset, patches) -> None:  # noqa: ANN001
    sampler = PatchSampler(patches, [scene], SIZE, seed=3)
    first = [key(q) for q in sampler]
    again = [key(q) for q in sampler]
    sampler.set_epoch(1)
    second = [key(q) for q in sampler]
    assert len(set(first)) == len(first) == len(patches) == len(sampler)
    assert first == again
    assert first != second
    assert set(first) == set(second)


def test_processes_share_a_split_without_counting_a_patch_twice(
    scene: SceneDataset,
    patches,  # noqa: ANN001
) -> None:
    odd = patches.iloc[:31]
    shares = [list(PatchSampler(odd, [scene], SIZE, rank=r, world_size=2)) for r in (0, 1)]
    assert [len(share) for share in shares] == [16, 16]
    known = [
        key(query) for share in shares for query in share if (scene[query]["mask"] != UNKNOWN).any()
    ]
    assert len(known) == len(set(known)) == 31


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_balanced_windows_have_the_share_asked_for_and_stay_in_the_split(
    scene: SceneDataset,
    patches,  # noqa: ANN001
    share: float,
) -> None:
    train = patches[patches.split == "train"]
    sampler = BalancedSampler(train, [scene], SIZE, landslide_share=share, seed=0)
    allowed = np.zeros((192, 320), dtype=bool)
    for row, col in train[["row", "col"]].to_numpy():
        allowed[row * SIZE : (row + 1) * SIZE, col * SIZE : (col + 1) * SIZE] = True
    queries = [query for epoch in range(20) for query in _epoch(sampler, epoch)]
    landslide = []
    for query in queries:
        window = scene.grid.window(*query)
        inside = np.s_[window.row : window.row + SIZE, window.col : window.col + SIZE]
        assert allowed[inside].shape == (SIZE, SIZE)
        assert allowed[inside].all()
        landslide.append(bool((scene[query]["mask"] == 1).any()))
    assert len(queries) == 20 * len(train)
    assert np.mean(landslide) == pytest.approx(share, abs=0.08)
    assert len({key(q) for q in queries}) > 3 * len(train)  # not only the patches themselves


def _epoch(sampler: BalancedSampler, epoch: int) -> list[Query]:
    sampler.set_epoch(epoch)
    return list(sampler)

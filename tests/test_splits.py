from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from conftest import BANDS, make_scene
from scipy.ndimage import binary_dilation

from landslide.datasets import Scene
from landslide.errors import InputError
from landslide.splits import block_split, combine, patch_table, random_split, write_splits

SHARES = {"test_share": 0.2, "val_share": 0.2}
SIZE = 16


@pytest.fixture(scope="module")
def patches(scene_root: Path) -> gpd.GeoDataFrame:
    return patch_table(Scene.of(scene_root, "ascending", BANDS), SIZE)


def split_pixels(table: gpd.GeoDataFrame, split: str) -> np.ndarray:
    pixels = np.zeros((192, 320), dtype=int)
    for row, col in table.loc[table.split == split, ["row", "col"]].to_numpy():
        pixels[row * SIZE : (row + 1) * SIZE, col * SIZE : (col + 1) * SIZE] += 1
    return pixels


def test_the_grid_starts_at_the_north_west_corner_and_counts_right(
    scene_root: Path, patches: gpd.GeoDataFrame
) -> None:
    scene = Scene.of(scene_root, "ascending", BANDS)
    scene.load()
    assert len(patches) == (192 // SIZE) * (320 // SIZE)
    for patch in patches.sample(10, random_state=0).itertuples():
        west, south, east, north = patch.geometry.bounds
        sample = scene[slice(west, east), slice(south, north)]
        assert (sample["mask"] == 1).sum() == patch.landslide_pixels
        assert (sample["mask"] != 255).sum() == patch.valid_pixels
        assert (west, north) == (600_000 + patch.col * 160, 4_740_000 - patch.row * 160)


@pytest.mark.parametrize("seed", range(5))
def test_no_pixel_is_in_two_splits(patches: gpd.GeoDataFrame, seed: int) -> None:
    for table in (
        random_split(patches, seed=seed, **SHARES),
        block_split(patches, seed=seed, **SHARES, period=10),
    ):
        total = sum(split_pixels(table, split) for split in ("train", "val", "test"))
        assert total.max() == 1


@pytest.mark.parametrize("seed", range(5))
def test_blocks_keep_a_guard_band_of_one_patch(patches: gpd.GeoDataFrame, seed: int) -> None:
    table = block_split(patches, seed=seed, **SHARES, period=10)
    reach = np.ones((2 * SIZE + 1, 2 * SIZE + 1), dtype=bool)  # a patch in every direction
    for split in ("train", "val", "test"):
        near = binary_dilation(split_pixels(table, split) > 0, reach)
        others = sum(split_pixels(table, other) for other in {"train", "val", "test"} - {split})
        assert split_pixels(table, split).any()
        assert not (near & (others > 0)).any()


def test_random_keeps_patches_with_landslides_in_the_papers_shares(
    patches: gpd.GeoDataFrame,
) -> None:
    table = random_split(patches, seed=0, **SHARES)
    assert (table.landslide_pixels > 0).all()
    assert len(table) == (patches.landslide_pixels > 0).sum()
    counts = table.split.value_counts(normalize=True)
    assert counts.test == pytest.approx(0.2, abs=0.01)
    assert counts.val == pytest.approx(0.16, abs=0.01)


def test_blocks_keep_quiet_patches(patches: gpd.GeoDataFrame) -> None:
    table = block_split(patches, seed=0, **SHARES, period=10)
    assert (table.landslide_pixels == 0).any()


def test_the_seed_decides(patches: gpd.GeoDataFrame) -> None:
    first, again, other = (random_split(patches, seed=s, **SHARES).split for s in (0, 0, 1))
    assert first.equals(again)
    assert not first.equals(other)


def test_splits_open_in_a_gis_in_degrees(patches: gpd.GeoDataFrame, tmp_path: Path) -> None:
    table = random_split(patches, seed=0, **SHARES)
    write_splits([table, table], tmp_path / "splits.geojson")
    written = gpd.read_file(tmp_path / "splits.geojson")
    assert list(gpd.list_layers(tmp_path / "splits.geojson").name) == ["splits"]
    assert written.crs == "EPSG:4326"
    assert set(written.scene) == {0, 1}
    back = written[written.scene == 1].to_crs(table.crs)
    np.testing.assert_allclose(back.total_bounds, table.total_bounds, atol=0.1)
    assert list(back.split) == list(table.split)


def test_a_split_without_landslides_is_refused(patches: gpd.GeoDataFrame) -> None:
    table = block_split(patches, seed=0, **SHARES, period=10)
    table.loc[table.split == "val", "landslide_pixels"] = 0
    with pytest.raises(InputError, match=r"val split has .* no landslide pixel"):
        combine([table])


def test_a_scene_smaller_than_a_patch_is_refused(tmp_path: Path) -> None:
    root = make_scene(tmp_path / "small", (48, 80))
    with pytest.raises(InputError, match="smaller than a patch of 64 px"):
        patch_table(Scene.of(root, "ascending", BANDS), 64)


def test_a_scene_without_a_valid_pixel_is_refused(tmp_path: Path) -> None:
    root = make_scene(tmp_path / "empty", (10, 6))  # all within the corner without data
    with pytest.raises(InputError, match="no pixel that is valid"):
        patch_table(Scene.of(root, "ascending", BANDS), 2)

import hashlib
from itertools import pairwise
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from builders import BANDS, make_scene
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from landslide.data.dataset import SceneDataset
from landslide.data.splits import (
    SPLITS,
    block_split,
    combine,
    patch_table,
    random_split,
    require_apart,
    split_digest,
    write_splits,
)
from landslide.errors import InputError

SHARES = {"test_share": 0.2, "val_share": 0.2}
SIZE = 16
BLOCKS = {"folds": 5, "period": 30, "patch_size": 64, "window_size": 64}
SMALLEST = {**BLOCKS, "patch_size": SIZE, "window_size": SIZE, "period": 10}


def grid_of(rows: int, cols: int) -> gpd.GeoDataFrame:
    """Patches that are all alike."""
    row, col = (index.ravel() for index in np.indices((rows, cols)))
    return gpd.GeoDataFrame(
        {"row": row, "col": col, "landslide_pixels": 9, "valid_pixels": 4096},
        geometry=gpd.points_from_xy(col, -row),
    )


def area_tested(rows: int, cols: int, **settings: int) -> frozenset[tuple[int, int]]:
    """Patches that a fold tests."""
    table = block_split(grid_of(rows, cols), **{**BLOCKS, **settings})
    return frozenset(zip(*(table[table.split == "test"][n] for n in ("row", "col")), strict=True))


def digest(rows: int, cols: int, **settings: int) -> str:
    settings = {**BLOCKS, **settings}
    table = block_split(grid_of(rows, cols), **settings)
    return split_digest(table.assign(scene=0), settings["patch_size"])


# The smallest scene, a strip, the demo's, the simulator's own, the paper's, some that no period
# divides, one that stands.
SIZES = [(7, 10), (3, 11), (12, 16), (16, 24), (36, 60), (20, 47), (5, 100), (61, 13)]


@pytest.mark.parametrize(("rows", "cols"), SIZES)
@pytest.mark.parametrize("seed", range(6))
def test_over_the_folds_every_patch_is_tested_once(rows: int, cols: int, seed: int) -> None:
    folds = [area_tested(rows, cols, seed=seed, fold=fold) for fold in range(5)]
    assert sum(map(len, folds)) == rows * cols
    assert len(frozenset.union(*folds)) == rows * cols
    assert max(map(len, folds)) < 2 * min(map(len, folds))


@pytest.mark.parametrize(
    ("rows", "cols", "window"),
    # The shortest have no room for a guard band of two patches.
    [(*size, w) for size in SIZES for w in (4, 6, 8, 10, 12) if w <= 8 or max(size) > 20],
)
@pytest.mark.parametrize("in_corner", [False, True])
def test_no_patch_of_one_split_sees_pixels_that_another_sees(
    rows: int, cols: int, window: int, in_corner: bool
) -> None:
    reach = (window - 4) // 2
    for seed, fold in [(0, 0), (1, 4), (2, 1), (7, 3)]:
        corner = np.add(*np.indices((rows, cols))) < min(rows, cols)
        table = block_split(
            clustered(rows, cols, corner | (not in_corner)),
            **{**BLOCKS, "patch_size": 4, "window_size": window},
            seed=seed,
            fold=fold,
        )
        pixels_of = {}
        for split in SPLITS:
            pixels = np.zeros((4 * rows + 2 * reach, 4 * cols + 2 * reach), dtype=bool)
            for row, col in table.loc[table.split == split, ["row", "col"]].to_numpy():
                pixels[4 * row : 4 * row + window, 4 * col : 4 * col + window] = True
            pixels_of[split] = pixels
            assert pixels.any() or in_corner
        assert np.sum(list(pixels_of.values()), axis=0).max() == 1
        # And without context no patch touches one of another split.
        beside = np.ones((3, 3), dtype=bool)
        small = {s: np.zeros((rows, cols), dtype=bool) for s in SPLITS}
        for split, row, col in table[["split", "row", "col"]].to_numpy():
            small[split][row, col] = True
        for split in SPLITS:
            others = sum(small[other] for other in SPLITS if other != split)
            assert not (binary_dilation(small[split], beside) & (others > 0)).any()


@pytest.mark.parametrize(("rows", "cols"), SIZES)
def test_every_seed_has_a_position_of_its_own(rows: int, cols: int) -> None:
    length = max(rows, cols)
    shifts = length // max(1, round(length / 30))
    # Test areas repeat after all shifts, divisions after all shifts with validation on both sides.
    assert len({area_tested(rows, cols, seed=seed, fold=0) for seed in range(shifts)}) == shifts
    assert len({digest(rows, cols, seed=seed, fold=0) for seed in range(2 * shifts)}) == 2 * shifts
    # Seeds by folds: the borders differ too, except where blocks of unequal width meet.
    divisions = {digest(rows, cols, seed=s, fold=f) for s in range(4) for f in range(5)}
    assert len(divisions) >= (20 if length % 5 == 0 else 18)


def test_neighbouring_seeds_test_other_ground() -> None:
    areas = [area_tested(36, 60, seed=seed, fold=0) for seed in range(4)]
    for first, second in pairwise(areas):
        assert not first & second


def clustered(rows: int, cols: int, landslides: NDArray[np.bool_]) -> gpd.GeoDataFrame:
    return grid_of(rows, cols).assign(landslide_pixels=np.where(landslides.ravel(), 9, 0))


def test_validation_lies_where_landslides_are() -> None:
    # Landslides in the four western columns of ten; each fold tests two columns.
    table = clustered(7, 10, np.indices((7, 10))[1] < 4)
    usable = 0
    for seed in range(10):
        tested = []
        for fold in range(5):
            split = block_split(table, **{**BLOCKS, "period": 10}, seed=seed, fold=fold)
            tested += split[split.split == "test"].index.tolist()
            columns = set(split[split.split == "test"].col)
            # Where test and its guard band cover all four, nothing is left to learn from.
            covered = {c + step for c in columns for step in (-1, 0, 1)} >= {0, 1, 2, 3}
            landslides = split.groupby("split").landslide_pixels.sum()
            assert (landslides[["train", "val"]] > 0).all() != covered
            usable += not covered
            if not covered:
                combine([split])
        assert sorted(tested) == list(range(70))
    assert usable == 45


def test_validation_stays_beside_test_where_landslides_are_everywhere() -> None:
    # Block 1 of five, two columns each, beside block 0; one column gives way to the guard band.
    table = block_split(grid_of(7, 10), **{**BLOCKS, "period": 10}, seed=0, fold=0)
    columns = {part: sorted(set(table[table.split == part].col)) for part in SPLITS}
    assert columns == {"test": [0, 1], "val": [3], "train": [5, 6, 7, 8, 9]}


def test_a_fold_that_cannot_learn_names_the_cure() -> None:
    table = clustered(7, 10, np.indices((7, 10))[1] == 0)
    split = block_split(table, **{**BLOCKS, "period": 10}, seed=0, fold=0)
    with pytest.raises(InputError, match=r"no landslide pixel: .*fewer split\.folds"):
        combine([split])


def test_gaps_in_one_orbit_move_no_block() -> None:
    table = grid_of(7, 12)
    gap = table.assign(valid_pixels=np.where(table.col == 11, 0, 4096))
    whole, less = (block_split(t, **BLOCKS, seed=0, fold=0) for t in (table, gap))
    assert set(less.col) == set(whole.col) - {11}
    assert whole[whole.col < 11].split.equals(less.split)


@pytest.mark.parametrize(
    ("size", "settings", "expected"),
    [
        ((7, 9), {}, r"9 patches long, into 5 blocks of 1 or more, and 2 are needed"),
        ((7, 40), {"period": 8}, r"into 25 blocks of 1 or more.*longer split\.period"),
        ((7, 10), {"window_size": 160}, r"and 3 are needed beside a guard band of 2"),
        ((7, 6), {"folds": 3}, r"and 3 are needed beside a guard band of 1"),
        ((7, 10), {"fold": 5}, r"split\.fold=5: the folds of split\.folds=5 are 0 to 4"),
    ],
)
def test_folds_that_do_not_fit_are_refused(
    size: tuple[int, int], settings: dict[str, int], expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        block_split(grid_of(*size), **{**BLOCKS, "seed": 0, "fold": 0, **settings})


def test_a_division_has_one_digest() -> None:
    table = block_split(grid_of(7, 10), **BLOCKS, seed=0, fold=0).assign(scene=0)
    known = split_digest(table, 64)
    assert known == split_digest(table.sample(frac=1, random_state=0), 64)
    assert len(known) == 12
    others = [table.assign(scene=1), table.iloc[1:], table.assign(row=table.row + 1)]
    swapped = table.split.replace({"test": "val", "val": "test"})
    digests = {split_digest(other, 64) for other in [*others, table.assign(split=swapped)]}
    assert len(digests | {known, split_digest(table, 32)}) == 6
    # The facts of it, by hand: numbers as written, rows in order.
    one = table.iloc[:1].assign(row=2, col=5, split="val")
    text = '[64, [[0, 2, 5, "val"]]]'
    assert split_digest(one, 64) == hashlib.sha256(text.encode()).hexdigest()[:12]


def test_context_that_reaches_another_split_is_refused() -> None:
    table = block_split(grid_of(7, 20), **BLOCKS, seed=0, fold=0)
    require_apart(table, 64, 128)
    with pytest.raises(InputError, match=r"window_size=144 .*use split=blocks"):
        require_apart(table, 64, 144)
    mixed = random_split(grid_of(7, 20), seed=0, **SHARES)
    require_apart(mixed, 64, 64)
    with pytest.raises(InputError, match=r"or datamodule\.window_size=64"):
        require_apart(mixed, 64, 80)


@pytest.fixture(scope="module")
def patches(scene_root: Path) -> gpd.GeoDataFrame:
    return patch_table(SceneDataset.of(scene_root, "ascending", BANDS), SIZE)


def split_pixels(table: gpd.GeoDataFrame, split: str) -> np.ndarray:
    pixels = np.zeros((192, 320), dtype=int)
    for row, col in table.loc[table.split == split, ["row", "col"]].to_numpy():
        pixels[row * SIZE : (row + 1) * SIZE, col * SIZE : (col + 1) * SIZE] += 1
    return pixels


def test_the_grid_starts_at_the_north_west_corner_and_counts_right(
    scene_root: Path, patches: gpd.GeoDataFrame
) -> None:
    scene = SceneDataset.of(scene_root, "ascending", BANDS)
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
        block_split(patches, seed=seed, fold=0, **SMALLEST),
    ):
        total = sum(split_pixels(table, split) for split in ("train", "val", "test"))
        assert total.max() == 1


@pytest.mark.parametrize("seed", range(5))
def test_blocks_keep_a_guard_band_of_one_patch(patches: gpd.GeoDataFrame, seed: int) -> None:
    table = block_split(patches, seed=seed, fold=0, **SMALLEST)
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
    table = block_split(patches, seed=0, fold=0, **SMALLEST)
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
    table = block_split(patches, seed=0, fold=0, **SMALLEST)
    table.loc[table.split == "val", "landslide_pixels"] = 0
    with pytest.raises(InputError, match=r"val split has .* no landslide pixel"):
        combine([table])


def test_a_scene_smaller_than_a_patch_is_refused(tmp_path: Path) -> None:
    root = make_scene(tmp_path / "small", (48, 80))
    with pytest.raises(InputError, match="smaller than a patch of 64 px"):
        patch_table(SceneDataset.of(root, "ascending", BANDS), 64)


def test_a_scene_without_a_valid_pixel_is_refused(tmp_path: Path) -> None:
    root = make_scene(tmp_path / "empty", (10, 6))  # all within the corner without data
    with pytest.raises(InputError, match="no pixel that is valid"):
        patch_table(SceneDataset.of(root, "ascending", BANDS), 2)


def test_quiet_ground_is_tested_on_and_not_trained_on_alone() -> None:
    table = gpd.GeoDataFrame(
        {
            "row": 0,
            "col": range(6),
            "landslide_pixels": [5, 5, 5, 5, 0, 0],
            "valid_pixels": 9,
            "split": ["train", "train", "val", "val", "test", "test"],
        },
        geometry=[shapely.box(i, 0, i + 1, 1) for i in range(6)],
    )
    assert (combine([table]).split == "test").sum() == 2
    swapped = table.split.map({"train": "train", "test": "val", "val": "test"})
    with pytest.raises(InputError, match="the val split has 2 patches and no landslide pixel"):
        combine([table.assign(split=swapped)])

"""The patch grid of a scene, and its division into training, validation and test.

A patch table is a GeoDataFrame, one row per patch, in the scene's CRS: ``scene``
(index of the scene), ``row`` and ``col`` (of the patch grid, from the north-west
corner), ``landslide_pixels``, ``valid_pixels``, ``split`` and ``geometry``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from landslide.datasets import UNKNOWN, Scene
from landslide.errors import InputError
from landslide.rasters import Window, replacing

SPLITS = ("train", "val", "test")


def patch_table(scene: Scene, patch_size: int) -> gpd.GeoDataFrame:
    """Whole patches on the scene's pixel grid that have at least one valid pixel.

    Args:
        scene: Scene with ground truth.
        patch_size: Side of a patch in pixels.

    Raises:
        InputError: The scene is smaller than a patch, or no pixel of it is valid.
    """
    rows, cols = scene.grid.height // patch_size, scene.grid.width // patch_size
    if not rows or not cols:
        raise InputError(
            f"{scene.path} is {scene.grid.width} x {scene.grid.height} px, smaller than a patch "
            f"of {patch_size} px: choose a smaller patch_size or a larger scene"
        )
    landslide, valid = np.empty((2, rows, cols), dtype=np.int64)
    for row in range(rows):
        window = Window(row * patch_size, 0, patch_size, cols * patch_size)
        mask = scene.read(window)["mask"].view(patch_size, cols, patch_size)
        landslide[row] = (mask == 1).sum(dim=(0, 2))
        valid[row] = (mask != UNKNOWN).sum(dim=(0, 2))
    kept_rows, kept_cols = np.nonzero(valid)
    if not len(kept_rows):
        raise InputError(f"{scene.path} has no pixel that is valid in all of its bands")
    a, _, west, _, e, north = scene.grid.transform[:6]
    left, top = west + kept_cols * patch_size * a, north + kept_rows * patch_size * e
    return gpd.GeoDataFrame(
        {
            "row": kept_rows,
            "col": kept_cols,
            "landslide_pixels": landslide[kept_rows, kept_cols],
            "valid_pixels": valid[kept_rows, kept_cols],
        },
        geometry=shapely.box(left, top + patch_size * e, left + patch_size * a, top),
        crs=scene.grid.crs,
    )


def random_split(
    patches: gpd.GeoDataFrame, *, seed: int, test_share: float, val_share: float
) -> gpd.GeoDataFrame:
    """The paper's split: only patches with a landslide pixel, shuffled, neighbours mixed.

    Args:
        patches: Patch table of one scene.
        seed: Seed of the shuffle.
        test_share: Share of the patches that is tested on.
        val_share: Share of the rest that is validated on.

    Returns:
        The patches kept, with their ``split``.
    """
    kept = patches[patches.landslide_pixels > 0]
    order = np.random.default_rng(seed).permutation(len(kept))
    n_test = round(test_share * len(kept))
    n_val = round(val_share * (len(kept) - n_test))
    split = np.full(len(kept), "train", dtype=object)
    split[order[:n_test]] = "test"
    split[order[n_test : n_test + n_val]] = "val"
    return kept.assign(split=split)


def block_split(
    patches: gpd.GeoDataFrame,
    *,
    seed: int,
    test_share: float,
    val_share: float,
    period: int,
) -> gpd.GeoDataFrame:
    """Contiguous blocks across the scene, apart by one patch, with all patches.

    The longer side of the scene is cut into stretches of about ``period`` patches. In
    each, training lies in the middle with validation at one end and test at the other
    (the seed says which); the guard band is taken from training, or from validation
    where that meets the next stretch's test.

    Args:
        patches: Patch table of one scene.
        seed: Seed of the order within the stretches.
        test_share: Share of each stretch that is tested on.
        val_share: Share of the rest that is validated on.
        period: Length of a stretch in patches.

    Returns:
        The patches kept, with their ``split``.
    """
    rng = np.random.default_rng(seed)
    axis = "col" if patches.col.max() >= patches.row.max() else "row"
    length = int(patches[axis].max()) + 1
    stretches = np.array_split(np.arange(length), max(1, round(length / period)))
    by_line = np.concatenate(
        [_stretch(len(lines), rng, test_share, val_share) for lines in stretches]
    )
    by_line = _with_guard(by_line)
    split = by_line[patches[axis].to_numpy()]
    return patches.assign(split=split)[split != "guard"]


def _stretch(
    length: int, rng: np.random.Generator, test_share: float, val_share: float
) -> np.ndarray:
    n_test = max(1, round(test_share * length))
    n_val = max(1, round(val_share * (length - n_test)))
    lines = ["test"] * n_test + ["train"] * (length - n_test - n_val) + ["val"] * n_val
    return np.array(lines[:: rng.choice([1, -1])], dtype=object)


def _with_guard(by_line: np.ndarray) -> np.ndarray:
    """Mark the line that gives way wherever two splits meet: training first, then validation."""
    guarded = by_line.copy()
    for i in range(len(by_line) - 1):
        pair = by_line[i : i + 2]
        if pair[0] != pair[1]:
            first_gives_way = SPLITS.index(pair[0]) < SPLITS.index(pair[1])
            guarded[i if first_gives_way else i + 1] = "guard"
    return guarded


def combine(tables: Sequence[gpd.GeoDataFrame]) -> pd.DataFrame:
    """Join the split tables of several scenes, whose CRSs may differ.

    Raises:
        InputError: A split is empty or has no landslide pixel.
    """
    patches: pd.DataFrame = pd.concat(
        [table.drop(columns="geometry").assign(scene=i) for i, table in enumerate(tables)],
        ignore_index=True,
    )
    for split in SPLITS:
        part = patches[patches.split == split]
        if not part.landslide_pixels.sum():
            raise InputError(
                f"the {split} split has {len(part)} patches and no landslide pixel: choose "
                "another seed, another split, a smaller patch_size or a larger scene"
            )
    return patches


def write_splits(tables: Sequence[gpd.GeoDataFrame], path: Path) -> None:
    """Write the patches of all scenes with their split as GeoJSON in WGS 84."""
    in_degrees = [table.assign(scene=i).to_crs("EPSG:4326") for i, table in enumerate(tables)]
    joined = cast(gpd.GeoDataFrame, pd.concat(in_degrees, ignore_index=True))
    with replacing(path) as temporary:
        # Else the layer is named after the temporary file.
        joined.to_file(temporary, driver="GeoJSON", layer=path.stem)

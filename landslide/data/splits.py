"""The patch grid of a scene, and its division into training, validation and test.

A patch table is a GeoDataFrame, one row per patch, in the scene's CRS: ``scene``
(index of the scene), ``row`` and ``col`` (of the patch grid, from the north-west
corner), ``landslide_pixels``, ``valid_pixels``, ``split`` and ``geometry``. Before
the division it holds the whole grid, after it only patches with a valid pixel.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import cast

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, maximum_filter, minimum_filter
from torchgeo.datasets import GeoDataset

from landslide.data.samplers import grid_of
from landslide.errors import InputError
from landslide.geo.files import replacing
from landslide.geo.grid import Window
from landslide.geo.rasters import UNKNOWN

SPLITS = ("train", "val", "test")


def patch_table(scene: GeoDataset, patch_size: int) -> gpd.GeoDataFrame:
    """Whole patches on the scene's pixel grid, valid or not.

    Args:
        scene: Scene with ground truth, or another TorchGeo dataset with a ``mask``.
        patch_size: Side of a patch in pixels.

    Raises:
        InputError: The scene is smaller than a patch, or no pixel of it is valid.
    """
    grid, name = grid_of(scene), getattr(scene, "path", type(scene).__name__)
    rows, cols = grid.height // patch_size, grid.width // patch_size
    if not rows or not cols:
        raise InputError(
            f"{name} is {grid.width} x {grid.height} px, smaller than a patch "
            f"of {patch_size} px: choose a smaller patch_size or a larger scene"
        )
    landslide, valid = np.empty((2, rows, cols), dtype=np.int64)
    for row in range(rows):
        window = Window(row * patch_size, 0, patch_size, cols * patch_size)
        mask = scene[grid.slices(window)]["mask"].view(patch_size, cols, patch_size)
        landslide[row] = (mask == 1).sum(dim=(0, 2))
        valid[row] = (mask != UNKNOWN).sum(dim=(0, 2))
    if not valid.any():
        raise InputError(f"{name} has no pixel that is valid in all of its bands")
    row_of, col_of = (index.ravel() for index in np.indices((rows, cols)))
    a, _, west, _, e, north = grid.transform[:6]
    left, top = west + col_of * patch_size * a, north + row_of * patch_size * e
    return gpd.GeoDataFrame(
        {
            "row": row_of,
            "col": col_of,
            "landslide_pixels": landslide.ravel(),
            "valid_pixels": valid.ravel(),
        },
        geometry=shapely.box(left, top + patch_size * e, left + patch_size * a, top),
        crs=grid.crs,
    )


def random_split(
    patches: gpd.GeoDataFrame, *, seed: int, test_share: float, val_share: float
) -> gpd.GeoDataFrame:
    """Split as the paper does: only patches with a landslide pixel, shuffled.

    Neighbouring patches fall into different splits, so that scores flatter.

    Args:
        patches: Patch table of one scene.
        seed: Seed of the shuffle.
        test_share: Share of the patches for testing.
        val_share: Share of the rest for validation.

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
    folds: int,
    fold: int,
    period: int,
    patch_size: int,
    window_size: int,
) -> gpd.GeoDataFrame:
    """Split all patches into contiguous blocks across the scene, with guard bands between them.

    The lines of patches along the scene's longer side are cut into blocks, ``folds`` of them
    in each round of about ``period`` lines. Fold k tests block k of every round, so that over
    the folds every patch is tested exactly once. Validation is the block beside it or, where
    that would leave validation or training without landslides, the next one that does not;
    training is the rest. The seed moves all blocks along the scene, cyclically. The guard band
    is taken from training and validation, never from test. It is at least one patch wide, and
    so wide that patches of different splits do not see each other's pixels.

    Args:
        patches: Patch table of one scene, the whole grid row by row.
        seed: Seed of the blocks' position. A shift by a whole block gives the same blocks to
            other folds, so that over all folds there are as many divisions as a block has
            lines, each with validation on either side.
        folds: Number of folds.
        fold: The fold, from 0.
        period: Length of a round in patches.
        patch_size: Side of a patch in pixels.
        window_size: Side in pixels of what the network sees around a patch.

    Returns:
        The patches kept, with their ``split``.

    Raises:
        InputError: There is no such fold, or the scene is too short for the number of folds.
    """
    if fold >= folds:
        raise InputError(
            f"split.fold={fold}: the folds of split.folds={folds} are 0 to {folds - 1}"
        )
    shape = int(patches.row.max()) + 1, int(patches.col.max()) + 1
    long, short = (1, 0) if shape[1] >= shape[0] else (0, 1)
    rounds = max(1, round(shape[long] / period))
    guard = max(1, math.ceil(window_size / patch_size) - 1)
    _require_room(shape[long], folds=folds, rounds=rounds, guard=guard)
    shift, side = _block_shift(seed, shape[long] // rounds, folds)
    lines = np.indices(shape)
    block = _blocks(lines[long], shape[long], shift, folds, rounds)
    across = _blocks(lines[short], shape[short], shift, folds, rounds=1)
    steps = [side * step for step in range(1, folds)]
    candidates = [block == (fold + step) % folds for step in steps]
    candidates += [across == (fold + step) % folds for step in (0, *steps)]
    landslides = patches.landslide_pixels.to_numpy().reshape(shape) > 0
    split = _divide(block == fold, candidates, landslides, guard, enough=0.5 / folds).ravel()
    return patches.assign(split=split)[(split != "guard") & (patches.valid_pixels > 0)]


def shared_ground(patches: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Put every patch into all splits, for data whose splits differ in their dates alone.

    Args:
        patches: Patch table of one scene.

    Returns:
        The valid patches three times, with their ``split``.
    """
    valid = patches[patches.valid_pixels > 0]
    return pd.concat([valid.assign(split=split) for split in SPLITS], ignore_index=True)


def _blocks(
    lines: NDArray[np.int64], length: int, shift: int, folds: int, rounds: int
) -> NDArray[np.int64]:
    """Number of the block, 0 to ``folds`` - 1, that each line of a scene lies in."""
    return (lines - shift) % length * (rounds * folds) // length % folds


def _require_room(lines: int, *, folds: int, rounds: int, guard: int) -> None:
    """Raise where the guard bands would leave a round without training or validation."""
    shortest = lines // (rounds * folds)
    needed = max(guard, 2 * guard // (folds - 2)) + 1
    if shortest < needed:
        raise InputError(
            f"split.folds={folds} cuts the scene, {lines} patches long, into {rounds * folds} "
            f"blocks of {shortest} or more, and {needed} are needed beside a guard band of "
            f"{guard}: choose fewer folds, a longer split.period, a smaller patch_size or "
            "window_size, or a larger scene"
        )


def _block_shift(seed: int, shifts: int, folds: int) -> tuple[int, int]:
    """Lines by which blocks are shifted, and the side of test on which validation lies.

    From seed to seed blocks move by a block and a line: the same fold of the next seed tests
    other ground, within other borders. All shifts come up before one is repeated, which then has
    validation on the other side.
    """
    width = -(-shifts // folds)
    step = next(step for step in count(width + 1) if math.gcd(step, shifts) == 1)
    cycle, position = divmod(seed, shifts)
    return position * step % shifts, -1 if (position // width + cycle) % 2 else 1


def _divide(
    test: NDArray[np.bool_],
    candidates: Sequence[NDArray[np.bool_]],
    landslides: NDArray[np.bool_],
    guard: int,
    *,
    enough: float,
) -> NDArray[np.object_]:
    """Split of every patch of the grid, with the first suitable candidate for validation.

    A candidate suits if validation and training each keep a share ``enough`` of the patches with
    landslides that are not tested. If none does, the one that divides them most evenly is taken.
    """
    near = _dilate(test, guard)
    untested = max(1, int((landslides & ~test).sum()))

    def parts(area: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        val = area & ~near
        return val, ~(near | _dilate(val, guard))

    def share(area: NDArray[np.bool_]) -> float:
        return min(enough, *(float((landslides & part).sum() / untested) for part in parts(area)))

    val, train = parts(max(candidates, key=share))
    return np.select([test, val, train], ["test", "val", "train"], "guard").astype(object)


def _dilate(part: NDArray[np.bool_], guard: int) -> NDArray[np.bool_]:
    """A part of the grid with all patches within ``guard`` of it, corners included."""
    dilated: NDArray[np.bool_] = binary_dilation(part, np.ones((2 * guard + 1,) * 2))
    return dilated


def require_apart(table: gpd.GeoDataFrame, patch_size: int, window_size: int) -> None:
    """Raise where patches of different splits see the same pixels.

    Args:
        table: Patch table of one scene with its ``split``.
        patch_size: Side of a patch in pixels.
        window_size: Side in pixels of what the network sees around a patch.

    Raises:
        InputError: The context of a patch overlaps what another split sees.
    """
    reach = math.ceil(window_size / patch_size) - 1
    cells = (table.row.to_numpy(), table.col.to_numpy())
    neighbours = []
    for extreme, empty in ((minimum_filter, len(SPLITS)), (maximum_filter, -1)):
        numbers = np.full((table.row.max() + 1, table.col.max() + 1), empty)
        numbers[cells] = table.split.map(SPLITS.index).to_numpy()
        neighbours.append(extreme(numbers, 2 * reach + 1, mode="constant", cval=empty)[cells])
    if (neighbours[0] != neighbours[1]).any():
        raise InputError(
            f"datamodule.window_size={window_size} shows pixels to patches of one split that those "
            "of another see too: use split=blocks, whose guard band is as wide as that needs, or "
            f"datamodule.window_size={patch_size}"
        )


def split_digest(patches: pd.DataFrame, patch_size: int, parts: Sequence[str] = SPLITS) -> str:
    """Identity of a division: the split of every patch of every scene.

    Args:
        patches: Joined patch tables (see ``combine``).
        patch_size: Side of a patch in pixels.
        parts: Splits that count.

    Returns:
        Twelve hexadecimal digits of a SHA-256, the same in any order of the patches.
    """
    columns = ("scene", "row", "col", "split")
    chosen = patches[patches.split.isin(parts)]
    rows = sorted(zip(*(chosen[name].tolist() for name in columns), strict=True))
    return hashlib.sha256(json.dumps([patch_size, rows]).encode()).hexdigest()[:12]


def combine(tables: Sequence[gpd.GeoDataFrame]) -> pd.DataFrame:
    """Join the split tables of several scenes, whose CRSs may differ.

    A test split may have no landslide: its false alarms count, alone and pooled over folds.

    Raises:
        InputError: A split is empty, or training or validation has no landslide pixel.
    """
    patches: pd.DataFrame = pd.concat(
        [table.drop(columns="geometry").assign(scene=i) for i, table in enumerate(tables)],
        ignore_index=True,
    )
    for split in SPLITS:
        part = patches[patches.split == split]
        quiet = split != "test" and not part.landslide_pixels.sum()
        if quiet or part.empty:
            raise InputError(
                f"the {split} split has {len(part)} patches and no landslide pixel: choose "
                "another seed, another split, fewer split.folds, a smaller patch_size or a larger "
                "scene"
            )
    return patches


def write_splits(tables: Sequence[gpd.GeoDataFrame], path: Path) -> None:
    """Write the patches of all scenes with their split as GeoJSON in WGS 84."""
    in_degrees = [table.assign(scene=i).to_crs("EPSG:4326") for i, table in enumerate(tables)]
    joined = cast(gpd.GeoDataFrame, pd.concat(in_degrees, ignore_index=True))
    with replacing(path) as temporary:
        # Without a name the layer would be called like the temporary file.
        joined.to_file(temporary, driver="GeoJSON", layer=path.stem)

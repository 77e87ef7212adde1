"""Patches in NumPy arrays, in the format of the data that Nava et al. publish.

``trainX.npy`` and ``testX.npy`` are (N, S, S, C) float, already scaled to [0, 1];
``trainY.npy`` and ``testY.npy`` are (N, S, S, 1) with 0 no landslide and 1 landslide.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import torch
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from landslide.data.datamodule import LandslideDataModule
from landslide.data.dataset import SceneDataset
from landslide.data.samplers import PatchSampler
from landslide.data.scene import Sample
from landslide.data.splits import combine, patch_table
from landslide.errors import InputError
from landslide.geo.files import replacing
from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import UNKNOWN

CHUNK = 64
"""Patches whose values are checked at a time, to bound the memory that this takes."""


class PatchStack(SceneDataset):
    """Patches one below the other, as a scene without coordinates.

    The arrays stay on disk and are mapped into memory: a patch is read on access.

    Args:
        images: (N, S, S, C) float in [0, 1], NaN where there is no measurement.
        masks: (N, S, S, 1), 0 or 1.
        bands: Names of the C bands.

    Raises:
        InputError: A file is missing or no array; rank, type, range or lengths are wrong.
    """

    def __init__(self, images: Path, masks: Path, bands: list[str]) -> None:
        self.path, self.bands = images, list(bands)
        image, mask = _open(images), _open(masks)
        _require_matching(images, image, masks, mask, self.bands)
        scaled = "images are scaled to [0, 1] beforehand"
        _require_values(images, image, lambda values: (values < 0) | (values > 1), scaled)
        binary = "masks are 0 or 1"
        _require_values(masks, mask, lambda values: (values != 0) & (values != 1), binary)
        count, size, _, channels = image.shape
        self.patch_size = size
        # A view: N patches of S x S are N S rows of S pixels.
        self._image = image.reshape(count * size, size, channels)
        self._mask = mask.reshape(count * size, size)
        self.grid = Grid(CRS(), Affine(1, 0, 0, 0, -1, 0), count * size, size)
        self._memory = None

    def _read_inside(self, window: Window) -> Sample:
        pixels = window.within(self.grid.full_window)
        image = torch.from_numpy(self._image[pixels].astype(np.float32)).permute(2, 0, 1)
        mask = torch.from_numpy(self._mask[pixels].astype(np.uint8))
        return Sample(image=image, mask=mask.masked_fill(image.isnan().any(dim=0), UNKNOWN))


class ArrayDataModule(LandslideDataModule):
    """The authors' arrays in place of scenes, with their own test split.

    Arguments are those of ``LandslideDataModule``, with a folder of arrays as ``root``.
    """

    def setup(self, stage: str | None = None) -> None:
        """Map the arrays and split the training patches, once.

        Raises:
            InputError: The arrays cannot be used, or not with these settings.
        """
        if self.scenes:
            return
        if self.window_size != self.patch_size:
            raise InputError("patches of arrays have no context: leave out datamodule.window_size")
        if self.balance:
            raise InputError(
                "patches of arrays do not show whole dates: set normalization.balance=false"
            )
        if len(self.roots) != 1:
            raise InputError("dataset.root: name one folder of arrays, not several")
        if getattr(self.sampler, "func", None) is not PatchSampler:
            raise InputError(
                "the sampler draws windows across patch borders, but patches of arrays are no "
                "neighbours: use sampler=patches"
            )
        root = self.roots[0]
        train, test = (
            PatchStack(root / f"{part}X.npy", root / f"{part}Y.npy", self.bands)
            for part in ("train", "test")
        )
        for stack in (train, test):
            if stack.patch_size != self.patch_size:
                raise InputError(
                    f"{stack.path} holds patches of {stack.patch_size} px: set "
                    f"patch_size={stack.patch_size}"
                )
        table = self.split(patch_table(train, self.patch_size))
        if "test" in set(table.split):
            raise InputError("arrays come with a test split of their own: use split=arrays")
        tested = patch_table(test, self.patch_size).assign(split="test")
        self.tables = [table, tested[tested.valid_pixels > 0]]
        self.patches = combine(self.tables)
        self.scenes = [train, test]

    @property
    def files(self) -> list[Path]:
        """Every file that images and masks are read from."""
        return [self.roots[0] / f"{part}{kind}.npy" for part in ("train", "test") for kind in "XY"]

    def write_splits(self, path: Path) -> None:
        """Write the split of every patch as CSV, as arrays have no coordinates."""
        table = self.patches.assign(
            array=self.patches.scene.map({0: "train", 1: "test"}), patch=self.patches.row
        )
        columns = ["array", "patch", "split", "landslide_pixels", "valid_pixels"]
        with replacing(path.with_suffix(".csv")) as temporary:
            table.to_csv(temporary, columns=columns, index=False)


def array_split(
    patches: gpd.GeoDataFrame, *, seed: int, val_share: float, shuffle: bool
) -> gpd.GeoDataFrame:
    """Divide a training array into training and validation.

    Args:
        patches: Patch table of the array.
        seed: Seed of the shuffle.
        val_share: Share that is validated on.
        shuffle: Whether validation is drawn at random; otherwise it is the end of the array, as
            in Keras' ``validation_split``.

    Returns:
        The patches that have a valid pixel, with their ``split``.
    """
    patches = patches[patches.valid_pixels > 0]
    n_train = math.floor(len(patches) * (1 - val_share))
    order = np.arange(len(patches))
    if shuffle:
        order = np.random.default_rng(seed).permutation(order)
    split = np.full(len(patches), "train", dtype=object)
    split[order[n_train:]] = "val"
    return patches.assign(split=split)


def _open(path: Path) -> NDArray[np.generic]:
    if not path.exists():
        raise InputError(
            f"there is no {path}: dataset.root names a folder with trainX.npy, trainY.npy, "
            "testX.npy and testY.npy"
        )
    try:
        array: NDArray[np.generic] = np.load(path, mmap_mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read as a NumPy array: {error}") from error
    return array


def _require_matching(
    images: Path,
    image: NDArray[np.generic],
    masks: Path,
    mask: NDArray[np.generic],
    bands: list[str],
) -> None:
    """Raise where shapes or types are not those of images and their masks."""
    if image.ndim != 4 or image.shape[1] != image.shape[2] or not image.size:
        raise InputError(f"{images} has the shape {image.shape}: (N, 64, 64, bands) is needed")
    if not np.issubdtype(image.dtype, np.floating):
        raise InputError(f"{images} holds {image.dtype}: images are floats scaled to [0, 1]")
    if image.shape[3] != len(bands):
        raise InputError(
            f"{images} has {image.shape[3]} bands, but dataset.bands names {len(bands)}: name "
            "them in their order"
        )
    if mask.ndim != 4 or mask.shape[1:] != (*image.shape[1:3], 1):
        raise InputError(
            f"{masks} has the shape {mask.shape}: {(len(image), *image.shape[1:3], 1)} is needed"
        )
    if len(mask) != len(image):
        raise InputError(f"{images} has {len(image)} patches, but {masks} has {len(mask)}")
    if mask.dtype.kind not in "biuf":
        raise InputError(f"{masks} holds {mask.dtype}: masks are numbers, 0 or 1")


def _require_values(
    path: Path,
    array: NDArray[Any],
    is_wrong: Callable[[NDArray[Any]], NDArray[np.bool_]],
    rule: str,
) -> None:
    """Raise where an array holds a value that breaks a rule."""
    for start in range(0, len(array), CHUNK):
        part = array[start : start + CHUNK]
        wrong = part[is_wrong(part)]
        if wrong.size:
            raise InputError(f"{path} holds the value {wrong[0]:g}: {rule}")

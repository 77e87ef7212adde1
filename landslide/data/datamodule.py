"""Scenes to splits to geo-samplers to loaders."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, cast

import geopandas as gpd
import pandas as pd
import torch
from kornia.augmentation import (
    AugmentationSequential,
    GeometricAugmentationBase2D,
    IntensityAugmentationBase2D,
)
from lightning import LightningDataModule
from shapely import box
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from landslide.data.identity import Identity
from landslide.data.memory import Key, open_scenes
from landslide.data.samplers import PatchSampler, Query
from landslide.data.scene import Sample, Scene
from landslide.data.splits import combine, patch_table, require_apart, split_digest, write_splits
from landslide.errors import InputError
from landslide.geo.grid import Window
from landslide.geo.rasters import UNKNOWN
from landslide.radar.bands import is_direction, naming_notes, require_distinct_bands

Split = Literal["train", "val", "test"]

KORNIA = (GeometricAugmentationBase2D, IntensityAugmentationBase2D)

MIB = 2**20


class Scenes(Dataset[Sample]):
    """Several scenes, each on its own grid and CRS.

    Args:
        scenes: The scenes.
        context: Pixels around a patch that are read with it and are unknown in its mask.
    """

    def __init__(self, scenes: Sequence[Scene], context: int = 0) -> None:
        self.scenes = scenes
        self.context = context

    def __getitem__(self, query: Query) -> Sample:
        """Read one patch with its context."""
        scene, context = self.scenes[query.scene], self.context
        patch = scene.grid.window(*query)
        if not context:
            return scene.read(patch)
        row, col, height, width = patch
        around = Window(row - context, col - context, height + 2 * context, width + 2 * context)
        sample = scene.read(around)
        mask = torch.full_like(sample["mask"], UNKNOWN)
        inside = (slice(context, context + height), slice(context, context + width))
        mask[inside] = sample["mask"][inside]
        return Sample(image=sample["image"], mask=mask)


class LandslideDataModule(LightningDataModule):
    """Patches of one or several scenes, split, sampled and batched.

    A batch is {"image": (B, C, H, W) float32, "mask": (B, H, W) uint8}; see
    ``landslide.data.scene`` for their units and invalid values.

    Args:
        root: Scene folder, or several.
        orbit: ``ascending`` or ``descending``.
        bands: Bands by description.
        patch_size: Side of a patch in pixels.
        batch_size: Patches per batch and process.
        split: Function of a patch table that adds the ``split``.
        sampler: Sampler of the training split, given all but its own settings.
        window_size: Side in pixels of what the network sees, the patch in its middle; what
            is around the patch counts neither in losses nor in metrics. None: the patch.
        augmentation: What is applied to training batches, by name, in order: modules of image
            and mask, or kornia's augmentations.
        seed: Seed of the sampler.
        num_workers: Processes that read patches when the scenes are not kept in memory.
        memory_mib: Scenes are read once a process and kept while they take at most this many MiB.
        balance: Whether the scenes' dates are balanced (see ``landslide.radar.balance``).
    """

    def __init__(
        self,
        *,
        root: str | Path | Sequence[str],
        orbit: str,
        bands: Sequence[str],
        patch_size: int,
        batch_size: int,
        split: Callable[..., gpd.GeoDataFrame],
        sampler: Callable[..., PatchSampler],
        window_size: int | None = None,
        augmentation: Mapping[str, nn.Module] | None = None,
        seed: int = 0,
        num_workers: int = 0,
        memory_mib: int = 4096,
        balance: bool = False,
    ) -> None:
        super().__init__()
        self.roots = [Path(r) for r in ([root] if isinstance(root, str | Path) else root)]
        self.orbit, self.bands = orbit, list(bands)
        self.patch_size, self.batch_size = patch_size, batch_size
        self.window_size = patch_size if window_size is None else window_size
        self.split, self.sampler, self.seed = split, sampler, seed
        self.num_workers, self.memory_mib, self.balance = num_workers, memory_mib, balance
        self.augment = [
            Paired(module) if isinstance(module, KORNIA) else module
            for module in (augmentation or {}).values()
        ]
        _require_true_directions(augmentation or {}, self.bands)
        self.scenes: list[Scene] = []

    def setup(self, stage: str | None = None) -> None:
        """Open the scenes and split their patches, once.

        Raises:
            InputError: A scene cannot be used, a split has no landslide, or context reaches
                into another split.
        """
        if self.scenes:
            return
        self._check_sizes()
        limit = self.memory_mib * MIB
        scenes = open_scenes(self.roots, self.orbit, self.bands, limit=limit, balanced=self.balance)
        for scene in scenes:
            require_distinct_bands(self.bands, scene.path)
        for note in naming_notes(self.bands):
            logging.getLogger(__name__).warning(note)
        _require_apart(self.roots, scenes)
        self.tables = [self.split(patch_table(scene, self.patch_size)) for scene in scenes]
        for table in self.tables:
            require_apart(table, self.patch_size, self.window_size)
        self.patches = combine(self.tables)
        self.scenes = scenes

    def _check_sizes(self) -> None:
        """Raise where the networks would see less than a patch."""
        if self.window_size < self.patch_size:
            raise InputError(
                f"datamodule.window_size={self.window_size} is smaller than the patch of "
                f"{self.patch_size} px that it shows: choose {self.patch_size} or more"
            )

    @property
    def files(self) -> list[Path]:
        """Every file that images, masks and what is known of them are read from."""
        bands = tuple(self.bands)
        scenes = [
            Key(root / f"{self.orbit}.tif", root / "landslides.tif", bands, self.balance)
            for root in self.roots
        ]
        return [file for scene in scenes for file in scene.files]

    @cached_property
    def identity(self) -> Identity:
        """The program's code and the content of these files, as they are when first asked for."""
        return Identity.of(self.files)

    @cached_property
    def split_digest(self) -> str:
        """Identity of the division into training, validation and test."""
        return split_digest(self.patches, self.patch_size)

    @property
    def tested_digest(self) -> str:
        """Identity of what is tested on."""
        return split_digest(self.patches, self.patch_size, ["test"])

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must share: scenes, split, and how patches are drawn and shown."""
        return {
            "orbit": self.orbit,
            "bands": ", ".join(self.bands),
            "normalization.balance": self.balance,
            "the scenes": ", ".join(sorted(self.identity.data.values())),
            "the split": self.split_digest,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "patch_size": self.patch_size,
            "datamodule.window_size": self.window_size,
            "augmentation": ", ".join(type(module).__name__ for module in self.augment),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Check that a resumed run goes on with the data that it began with.

        Raises:
            InputError: It would be trained on other patches, or on what it is tested on.
        """
        for name, value in self.state_dict().items():
            if state_dict.get(name) != value:
                raise InputError(
                    f"the run that is resumed was trained with {name} {state_dict.get(name)}, not "
                    f"{value}: resume with the run's own settings and scene"
                )

    def write_splits(self, path: Path) -> None:
        """Write every patch with its split as GeoJSON, for a look in a GIS."""
        write_splits(self.tables, path)

    def patches_of(self, split: Split) -> pd.DataFrame:
        """Patch table of one split."""
        return self.patches[self.patches.split == split]

    def training_images(self) -> Iterator[Tensor]:
        """Every image of the training split once, as it was measured: (1, C, H, W)."""
        for query in PatchSampler(self.patches_of("train"), self.scenes, self.patch_size):
            yield Scenes(self.scenes)[query]["image"][None]

    def samples(self, patches: pd.DataFrame) -> Iterator[Sample]:
        """Patches of a table with their context, in its order."""
        for query in PatchSampler(patches, self.scenes, self.patch_size):
            yield self._dataset()[query]

    def _dataset(self) -> Scenes:
        return Scenes(self.scenes, (self.window_size - self.patch_size) // 2)

    def train_dataloader(self) -> DataLoader[Sample]:
        """Batches of the training split, drawn by the configured sampler."""
        sampler = self.sampler(
            self.patches_of("train"),
            self.scenes,
            self.patch_size,
            seed=self.seed,
            **self._process(),
        )
        if self.trainer is not None:
            # Lightning says the epoch only after it has drawn a resumed run's first batch.
            sampler.set_epoch(self.trainer.current_epoch)
        return self._loader(sampler)

    def val_dataloader(self) -> DataLoader[Sample]:
        """Batches of the validation split, in order."""
        return self._loader(self._in_order("val"))

    def test_dataloader(self) -> DataLoader[Sample]:
        """Batches of the test split, in order."""
        return self._loader(self._in_order("test"))

    def on_after_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:
        """Augment training batches where they will be used."""
        if not self.augment or self.trainer is None or not self.trainer.training:
            return batch
        image, mask = batch["image"], batch["mask"][:, None]
        with torch.no_grad():
            for augment in self.augment:
                image, mask = augment(image, mask)
        return Sample(image=image, mask=mask[:, 0])

    def _in_order(self, split: Split) -> PatchSampler:
        return PatchSampler(self.patches_of(split), self.scenes, self.patch_size, **self._process())

    def _process(self) -> dict[str, int]:
        if self.trainer is None:
            return {}
        return {"rank": self.trainer.global_rank, "world_size": self.trainer.world_size}

    def _loader(self, sampler: PatchSampler) -> DataLoader[Sample]:
        options: dict[str, Any] = {}
        if self.num_workers:
            # Spawned, not forked: a forked worker would share open files with this process.
            options = {
                "num_workers": self.num_workers,
                "persistent_workers": True,
                "multiprocessing_context": "spawn",
            }
        return DataLoader(
            self._dataset(),
            batch_size=self.batch_size,
            sampler=sampler,
            # Else the loader draws from the global generator, before or after an epoch is seeded.
            generator=torch.Generator().manual_seed(self.seed),
            pin_memory=torch.cuda.is_available(),
            **options,
        )


class Paired(AugmentationSequential):
    """One of kornia's augmentations, on image and mask together."""

    def __init__(self, augmentation: nn.Module) -> None:
        super().__init__(
            augmentation,  # type: ignore[arg-type]
            data_keys=["input", "mask"],
            transformation_matrix_mode="skip",  # nobody asks for it
        )

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Map (B, C, H, W) and a mask (B, 1, H, W) of integers to the same."""
        moved = cast(list[Tensor], super().forward(image, mask.float()))
        return moved[0], moved[1].to(mask.dtype)


def _require_true_directions(augmentation: Mapping[str, nn.Module], bands: Sequence[str]) -> None:
    """Raise where an augmentation moves the ground and leaves directions as they were."""
    directions = [band for band in bands if is_direction(band)]
    for name, module in augmentation.items():
        if directions and isinstance(module, GeometricAugmentationBase2D):
            raise InputError(
                f"augmentation.{name}: kornia's {type(module).__name__} moves the ground but does "
                f"not turn {', '.join(directions)}, which are directions: leave these bands or "
                "the augmentation out, or flip by landslide.data.augmentation.RandomFlips"
            )


def _require_apart(roots: Sequence[Path], scenes: Sequence[Scene]) -> None:
    """Raise where two scenes share ground, which would fall into two splits."""
    outlines = [
        gpd.GeoSeries([box(*scene.grid.bounds)], crs=scene.grid.crs).to_crs("EPSG:4326").iloc[0]
        for scene in scenes
    ]
    for (i, first), (j, second) in combinations(enumerate(outlines), 2):
        if first.intersection(second).area > 1e-4 * min(first.area, second.area):
            raise InputError(
                f"dataset.root: {roots[i]} and {roots[j]} overlap, so that pixels of one split "
                "would lie in another: name scenes that are apart"
            )

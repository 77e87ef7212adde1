"""The data of a training run: scenes, their patches in splits, and loaders of batches."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import geopandas as gpd
import pandas as pd
import torch
from lightning import LightningDataModule
from shapely import box
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from landslide.data.augmentation import paired_augmentations
from landslide.data.dataset import SceneDataset
from landslide.data.identity import Identity
from landslide.data.memory import SceneMemory, SceneSource
from landslide.data.samplers import PatchSampler, Query
from landslide.data.scene import Sample, Scene
from landslide.data.splits import combine, patch_table, require_apart, split_digest, write_splits
from landslide.errors import InputError
from landslide.geo.rasters import UNKNOWN
from landslide.radar.bands import naming_notes, require_distinct_bands

Split = Literal["train", "val", "test"]


class PatchDataset(Dataset[Sample]):
    """Patches of several scenes, each on its own grid and CRS.

    Args:
        scenes: The scenes.
        context: Pixels around a patch that are read with it and are unknown in its mask.
    """

    def __init__(self, scenes: Sequence[SceneDataset], context: int = 0) -> None:
        self.scenes = scenes
        self.context = context

    def __getitem__(self, query: Query) -> Sample:
        """Read one patch with its context."""
        scene, context = self.scenes[query.scene], self.context
        patch = scene.grid.window(*query)
        if not context:
            return scene.read(patch)
        around = patch.padded(context)
        sample, inside = scene.read(around), patch.within(around)
        mask = torch.full_like(sample["mask"], UNKNOWN)
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
        sampler: Class of the training split's sampler, with its own settings bound.
        window_size: Side in pixels of what the network sees, with the patch in the middle;
            losses and metrics count the patch alone. None: the patch.
        augmentation: Augmentations of training batches, by name, in order: modules of image
            and mask, or kornia's augmentations.
        seed: Seed of the sampler.
        num_workers: Processes that read patches when the scenes are not kept in memory.
        memory_mib: Scenes are kept in memory while they take at most this many MiB.
        balance: Whether the scenes' dates are balanced (see ``landslide.radar.balance``).

    Attributes:
        memory: Scenes in memory; data modules may share one.
    """

    implanted = False
    """Whether landslides are implanted, so that scores are those of implants."""

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
        if isinstance(bands, str):
            raise InputError(f"dataset.bands={bands} is no list: write dataset.bands=[{bands}]")
        self.orbit, self.bands = orbit, list(bands)
        self.patch_size, self.batch_size = patch_size, batch_size
        self.window_size = patch_size if window_size is None else window_size
        self.split, self.sampler, self.seed = split, sampler, seed
        self.num_workers, self.memory_mib, self.balance = num_workers, memory_mib, balance
        self.augment = paired_augmentations(augmentation or {}, self.bands)
        self.memory = SceneMemory()
        self.scenes: list[SceneDataset] = []

    def setup(self, stage: str | None = None) -> None:
        """Open the scenes and split their patches, once.

        Raises:
            InputError: A scene cannot be used, a split has no landslide, or context reaches
                into another split.
        """
        if self.scenes:
            return
        if self.window_size < self.patch_size:
            raise InputError(
                f"datamodule.window_size={self.window_size} is smaller than the patch of "
                f"{self.patch_size} px that it shows: choose {self.patch_size} or more"
            )
        scenes = self.memory.open(self._sources, limit=self.memory_mib * 2**20)
        for scene in scenes:
            require_distinct_bands(self.bands, scene.path)
        for note in naming_notes(self.bands):
            logging.getLogger(__name__).warning(note)
        require_distinct_ground(self.roots, scenes)
        self.tables = [self.split(patch_table(scene, self.patch_size)) for scene in scenes]
        for table in self.tables:
            if table.duplicated(["row", "col"]).any():
                raise InputError(
                    "split=time: the splits share their ground, and differ in their dates with "
                    "experiment=tonight alone: choose split=blocks"
                )
            require_apart(table, self.patch_size, self.window_size)
        self.patches = combine(self.tables)
        self.scenes = scenes

    @property
    def _sources(self) -> list[SceneSource]:
        bands = tuple(self.bands)
        return [SceneSource(root, self.orbit, bands, self.balance) for root in self.roots]

    @property
    def files(self) -> list[Path]:
        """Every file that images, masks and the radar's geometry are read from."""
        return [file for source in self._sources for file in source.files]

    @cached_property
    def identity(self) -> Identity:
        """The program's code and the content of the files, taken at the first access."""
        return Identity.of(self.files, self.memory.checksum)

    @cached_property
    def split_digest(self) -> str:
        """Identity of the division into training, validation and test."""
        return split_digest(self.patches, self.patch_size)

    @property
    def tested_digest(self) -> str:
        """Identity of the test split alone."""
        return split_digest(self.patches, self.patch_size, ["test"])

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must share: scenes, split, sampling and augmentation."""
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
        """Check that a resumed run uses the data that it began with.

        Raises:
            InputError: It would train on other patches, or on its test split.
        """
        for name, value in self.state_dict().items():
            if state_dict.get(name) != value:
                raise InputError(
                    f"the run that is resumed was trained with {name} {state_dict.get(name)}, not "
                    f"{value}: resume with the run's own settings and scene"
                )

    def write_splits(self, path: Path) -> None:
        """Write every patch with its split as GeoJSON, for display in a GIS."""
        write_splits(self.tables, path)

    def patches_of(self, split: Split) -> pd.DataFrame:
        """Patch table of one split."""
        return self.patches[self.patches.split == split]

    def training_images(self) -> Iterator[Tensor]:
        """Every image of the training split once, not augmented: (1, C, H, W)."""
        for query in PatchSampler(self.patches_of("train"), self.scenes, self.patch_size):
            yield PatchDataset(self.scenes)[query]["image"][None]

    def samples(self, patches: pd.DataFrame) -> Iterator[Sample]:
        """Patches of one split's table with their context, in its order."""
        dataset = self.dataset(patches.split.iloc[0])
        for query in PatchSampler(patches, self.scenes, self.patch_size):
            yield dataset[query]

    def dataset(self, split: Split) -> Dataset[Sample]:
        """Dataset that the queries of a split's sampler index."""
        return PatchDataset(self.scenes, (self.window_size - self.patch_size) // 2)

    def training_sampler(self) -> PatchSampler:
        """The configured sampler of the training split."""
        return self.sampler(
            self.patches_of("train"),
            self.scenes,
            self.patch_size,
            seed=self.seed,
            **self._process(),
        )

    def train_dataloader(self) -> DataLoader[Sample]:
        """Batches of the training split, drawn by its sampler."""
        sampler = self.training_sampler()
        if self.trainer is not None:
            # Lightning sets the epoch only after a resumed run's first batch.
            sampler.set_epoch(self.trainer.current_epoch)
        return self._loader(sampler, self.dataset("train"))

    def val_dataloader(self) -> DataLoader[Sample]:
        """Batches of the validation split, in order."""
        return self._loader(self._in_order("val"), self.dataset("val"))

    def test_dataloader(self) -> DataLoader[Sample]:
        """Batches of the test split, in order."""
        return self._loader(self._in_order("test"), self.dataset("test"))

    def quiet_dataloader(self, split: Split) -> DataLoader[Sample] | None:
        """Batches of a split's ground where nothing failed; None where that is not known."""
        return None

    def on_after_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:
        """Augment training batches on the device that trains."""
        if not self.augment or self.trainer is None or not self.trainer.training:
            return batch
        image, mask = batch["image"], batch["mask"][:, None]
        with torch.no_grad():
            for augment in self.augment:
                image, mask = augment(image, mask)
        return Sample(image=image, mask=mask[:, 0])

    def _in_order(self, split: Split) -> PatchSampler:
        patches = self.patches_of(split)
        draws = self.draws(patches)
        return PatchSampler(patches, self.scenes, self.patch_size, draws=draws, **self._process())

    def draws(self, patches: pd.DataFrame) -> int:
        """How often every patch of validation or test is drawn; once where nothing is random."""
        return 1

    def _process(self) -> dict[str, int]:
        if self.trainer is None:
            return {}
        return {"rank": self.trainer.global_rank, "world_size": self.trainer.world_size}

    def _loader(self, sampler: PatchSampler, dataset: Dataset[Sample]) -> DataLoader[Sample]:
        options: dict[str, Any] = {}
        if self.num_workers:
            # Spawned, not forked: a forked worker would share open files with this process.
            options = {
                "num_workers": self.num_workers,
                "persistent_workers": True,
                "multiprocessing_context": "spawn",
            }
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            # Without its own generator the loader would draw from the global one.
            generator=torch.Generator().manual_seed(self.seed),
            pin_memory=torch.cuda.is_available(),
            **options,
        )


def require_distinct_ground(roots: Sequence[Path], scenes: Sequence[Scene]) -> None:
    """Raise where scenes overlap, so that the same ground could lie in two splits."""
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

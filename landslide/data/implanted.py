"""Training data without a label: a scene's quiet past with implanted landslides.

Dates from before the event stand for those before and after it. Training draws new windows, dates
and landslides for every batch. Validation and test are drawn once, by the seed; their dates after
are the last ones of the quiet past, which training never sees, and each has its own.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from landslide.data.datamodule import (
    LandslideDataModule,
    PatchDataset,
    Split,
    require_distinct_ground,
)
from landslide.data.dataset import SceneDataset
from landslide.data.implanted_scene import ImplantedScene
from landslide.data.samplers import Query, WindowSampler
from landslide.data.scene import Sample
from landslide.data.splits import SPLITS, combine, patch_table
from landslide.errors import InputError
from landslide.implant.past import Implants
from landslide.radar.bands import ORBITS, require_distinct_bands
from landslide.radar.stack import dates_path

HELD_OUT_WINDOWS = 200
"""Fewest windows that validation and test draw."""


class ImplantedDataset(Dataset[Sample]):
    """Windows of several scenes with implants.

    Args:
        scenes: The scenes.
        seed: Seed of all draws.
        split: Split, whose dates after no other has; validation and test are drawn once.
        quiet: Whether nothing is implanted.
    """

    def __init__(
        self,
        scenes: Sequence[ImplantedScene],
        seed: int,
        split: Split,
        *,
        quiet: bool = False,
    ) -> None:
        self.scenes, self.seed, self.split, self.quiet = scenes, seed, split, quiet

    def __getitem__(self, query: Query) -> Sample:
        """Draw one window."""
        scene = self.scenes[query.scene]
        window = scene.past.grid.window(*query)
        # A window outside the scene, which fills up a batch, has negative corners.
        place = (query.scene, window.row + 2**20, window.col + 2**20)
        seed = [self.seed, SPLITS.index(self.split), query.draw, *place]
        return scene.draw(window, seed, self.split, quiet=self.quiet)


class MixedDataset(Dataset[Sample]):
    """Windows with implants, and some of the event itself with its labels.

    Args:
        implanted: The former.
        labelled: The latter.
        windows: Windows of the latter that have labels.
        share: Share of the windows that are labelled.
        seed: Seed of the choice.
    """

    def __init__(
        self,
        implanted: ImplantedDataset,
        labelled: PatchDataset,
        windows: Sequence[Query],
        share: float,
        seed: int,
    ) -> None:
        self.implanted, self.labelled, self.windows = implanted, labelled, windows
        self.share, self.seed = share, seed

    def __getitem__(self, query: Query) -> Sample:
        """Draw one window, or read one of those that have labels."""
        rng = np.random.default_rng([self.seed, query.draw])
        if rng.random() >= self.share:
            return self.implanted[query]
        return self.labelled[self.windows[int(rng.integers(len(self.windows)))]]


class ImplantedDataModule(LandslideDataModule):
    """Implanted landslides on the quiet past of one or several scenes; no label is needed.

    Args:
        implants: Settings of ``landslide.implant.past.Implants``.
        windows: Windows of an epoch.
        labels: Share of the training windows that show the event itself with its ground truth,
            all of them where a part at least was mapped; pixels outside of it do not count.
        options: See ``LandslideDataModule``; its sampler is not used.
    """

    implanted = True

    def __init__(
        self,
        *,
        implants: Mapping[str, Any] | None = None,
        windows: int = 800,
        labels: float = 0.0,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**options)
        self.implants, self.windows = Implants(**(implants or {})), windows
        self.labels, self.labelled = labels, PatchDataset([])
        self.labelled_windows: list[Query] = []
        self.pasts: list[ImplantedScene] = []

    def setup(self, stage: str | None = None) -> None:
        """Open the scenes and split their patches, once.

        Raises:
            InputError: A scene has no quiet past, or too short a one; training has no label where
                it is to have some; or as in ``LandslideDataModule``.
        """
        if self.pasts:
            return
        if self.window_size != self.patch_size:
            raise InputError(
                "datamodule.window_size: implants are drawn without context: leave it out"
            )
        limit = self.memory_mib * 2**20 // len(self.roots)
        pasts = [
            ImplantedScene(
                root,
                self.orbit,
                self.bands,
                self.implants,
                limit=limit,
                balanced=self.balance,
            )
            for root in self.roots
        ]
        require_distinct_ground(self.roots, [past.scene for past in pasts])
        require_distinct_bands(self.bands, self.roots[0] / f"{self.orbit}.tif")
        self.tables = [self._split_patches(past.scene) for past in pasts]
        self.patches = combine(self.tables)
        self.scenes, self.pasts = [past.scene for past in pasts], pasts
        if self.labels:
            self.labelled = PatchDataset(self.memory.open(self._sources, limit))
            self.labelled_windows = self._labelled_windows()

    def _split_patches(self, scene: SceneDataset) -> gpd.GeoDataFrame:
        """Split the patches of a scene; any of them may get implants."""
        table = patch_table(scene, self.patch_size)
        return self.split(table.assign(landslide_pixels=table.valid_pixels))

    @property
    def files(self) -> list[Path]:
        """Every file that samples are drawn from."""
        files = {file for source in self._sources for file in source.files}
        files |= {
            dates
            for root in self.roots
            for orbit in ORBITS
            if (dates := dates_path(root, orbit)).exists()
        }
        return sorted(file for file in files if self.labels or file.name != "landslides.tif")

    @property
    def tested_digest(self) -> str:
        """Identity of the test split, which scores on labels of the same ground do not share."""
        text = f"{super().tested_digest} {self.implants}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must share."""
        return super().state_dict() | {
            "datamodule.implants": str(self.implants),
            "datamodule.windows": self.windows,
            "datamodule.labels": self.labels,
        }

    def training_images(self) -> Iterator[Tensor]:
        """Images of an epoch of training, not augmented: (1, C, H, W)."""
        dataset = self.dataset("train")
        for query in self.training_sampler():
            yield dataset[query]["image"][None]

    def dataset(self, split: Split) -> ImplantedDataset | MixedDataset:
        """Dataset that the queries of a split's sampler index."""
        implanted = ImplantedDataset(self.pasts, self.seed, split)
        if not self.labels or split != "train":
            return implanted
        windows = self.labelled_windows
        return MixedDataset(implanted, self.labelled, windows, self.labels, self.seed)

    def _labelled_windows(self) -> list[Query]:
        """As many windows as an epoch has, on patches of training that have labels.

        Raises:
            InputError: There is no such patch.
        """
        scenes = self.labelled.scenes
        tables = [patch_table(scene, self.patch_size) for scene in scenes]
        patches = pd.concat([table.assign(scene=i) for i, table in enumerate(tables)])
        places = self.patches_of("train")[["scene", "row", "col"]]
        known = patches[patches.valid_pixels > 0].merge(places)
        if known.empty:
            raise InputError(
                f"datamodule.labels={self.labels}: no part of the training split has labels: "
                "choose split=time, or leave it out"
            )
        sampler = WindowSampler(
            known, scenes, self.patch_size, seed=self.seed, windows=self.windows
        )
        return list(sampler)

    def quiet_dataloader(self, split: Split) -> DataLoader[Sample]:
        """Batches of a split without implants."""
        dataset = ImplantedDataset(self.pasts, self.seed, split, quiet=True)
        return self._loader(self._in_order(split), dataset)

    def draws(self, patches: pd.DataFrame) -> int:
        """How often every patch of validation or test is drawn, so that there are enough."""
        return math.ceil(HELD_OUT_WINDOWS / len(patches))

    def training_sampler(self) -> WindowSampler:
        """Windows anywhere in the training split."""
        return WindowSampler(
            self.patches_of("train"),
            self.scenes,
            self.patch_size,
            seed=self.seed,
            windows=self.windows,
            **self._process(),
        )

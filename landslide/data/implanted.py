"""Training data without a label: a scene's quiet past with implanted landslides.

Dates from before the event stand for those before and after it. Training draws new windows, dates
and landslides for every batch. Validation and test are drawn once, by the seed; their dates after
are the last ones of the quiet past, which training never sees.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from landslide.data.datamodule import LandslideDataModule, Split
from landslide.data.samplers import Query, WindowSampler
from landslide.data.scene import Sample, Scene
from landslide.data.splits import combine, patch_table
from landslide.errors import InputError
from landslide.geo.grid import Window
from landslide.geo.rasters import UNKNOWN, open_raster
from landslide.implant.dates import Choice
from landslide.implant.outlines import OutlineSource, read_outlines
from landslide.implant.past import MARGIN, RESOLUTION, Ground, Implants, QuietPast
from landslide.implant.scars import ScarSource, Terrain
from landslide.radar.bands import ORBIT_MARK, band_description, orbit_of
from landslide.radar.stack import dates_path

HELD_OUT_WINDOWS = 200
"""Fewest windows that validation and test draw."""

ANGLE = "local_incidence_angle"
"""Band on which the change of implants depends, in degrees."""

UNKNOWN_SLOPE = 20.0
"""Slope in degrees that decoys find where none is known."""

TERRAIN_METRES = 25.0
"""Standard deviation of the Gaussian that smooths fall lines."""


class ImplantedScene:
    """Draws samples of a scene from its quiet past.

    Args:
        root: Scene folder.
        orbit: The dataset's own orbit.
        bands: The dataset's bands.
        implants: What is implanted.
        limit: Bytes that the dates may take in memory.
        balanced: Whether dates are balanced.

    Attributes:
        scene: The bands that are read from the scene as they are.
        past: The dates.
    """

    def __init__(
        self,
        root: Path,
        orbit: str,
        bands: Sequence[str],
        implants: Implants,
        *,
        limit: int,
        balanced: bool,
    ) -> None:
        self.past = QuietPast(root, orbit, bands, implants, limit=limit, balanced=balanced)
        self.static = self.past.static
        terrain = [
            band if key is None else f"{band}{ORBIT_MARK}{key}"
            for key in self.past.tracks
            for band in _described(root / f"{key or orbit}.tif")
            # The slope of another orbit brings its layover and shadow into the mask.
            if band in ("slope", "aspect", ANGLE)
        ]
        # A scene is read for its grid and its mask even where no band of it is used.
        names = list(dict.fromkeys([*self.static, *terrain]))
        names = names or _described(root / f"{orbit}.tif")[:1]
        self.scene = Scene.of(root, orbit, names, truth=False)
        self.scene.load()
        self._slope = names.index("slope") if "slope" in names else None
        self._angles = {
            orbit_of(band): i
            for i, band in enumerate(names)
            if band_description(band) == ANGLE and orbit_of(band) in self.past.tracks
        }
        image = self.scene.read(self.scene.grid.full_window)
        shape = tuple(image["mask"].shape)
        slope, aspect = (
            image["image"][names.index(band)].numpy() if band in names else None
            for band in ("slope", "aspect")
        )
        terrain_model = (
            Terrain.unknown(shape, slope)  # type: ignore[arg-type]
            if slope is None or aspect is None
            else Terrain.of(slope, aspect).smoothed(TERRAIN_METRES / self.past.spacing)
        )
        valid = (image["mask"] != UNKNOWN).numpy()
        ground = (terrain_model, valid, self.past.spacing, RESOLUTION)
        if implants.outlines is None:
            self.scars = ScarSource(*ground, implants.mean_area)
        else:
            outlines = read_outlines(Path(implants.outlines), self.scene.grid)
            self.scars = OutlineSource(outlines, *ground)

    def draw(
        self, window: Window, seed: Sequence[int], *, held_out: bool, quiet: bool = False
    ) -> Sample:
        """Draw the sample of a window.

        Args:
            window: Pixels of the scene.
            seed: Seed of the draw.
            held_out: Whether the dates after are those that training never sees there.
            quiet: Whether nothing is implanted.
        """
        return self.draw_with_dates(window, seed, held_out=held_out, quiet=quiet)[0]

    def draw_with_dates(
        self,
        window: Window,
        seed: Sequence[int],
        *,
        held_out: bool,
        quiet: bool = False,
        scars: int | None = None,
    ) -> tuple[Sample, dict[str | None, Choice]]:
        """Draw the sample of a window, and tell its dates; ``scars`` is the number to start."""
        around = window.padded(MARGIN)
        sample, inside = self.scene.read(around), window.within(around)
        image = sample["image"]
        ground = Ground(
            {band: image[i, *inside].numpy() for i, band in enumerate(self.static)},
            np.full(sample["mask"].shape, UNKNOWN_SLOPE, np.float32)
            if self._slope is None
            else image[self._slope].numpy(),
            {key: image[i].numpy() for key, i in self._angles.items()},
        )
        drawn = self.past.draw(
            window,
            ground,
            None if quiet else self.scars,
            np.random.default_rng(seed),
            held_out=held_out,
            count=scars,
        )
        mask = torch.from_numpy(drawn.landslides.astype(np.uint8))
        unknown = drawn.image.isnan().any(dim=0) | (sample["mask"][inside] == UNKNOWN)
        sample = Sample(image=drawn.image, mask=mask.masked_fill(unknown, UNKNOWN))
        return sample, drawn.choices


def _described(composite: Path) -> list[str]:
    """Described bands of a composite."""
    with open_raster(composite) as source:
        return [name for name in source.descriptions if name]


class ImplantedDataset(Dataset[Sample]):
    """Windows of several scenes with implants.

    Args:
        scenes: The scenes.
        seed: Seed of all draws.
        held_out: Whether it is for validation and test, which are drawn once.
        quiet: Whether nothing is implanted.
    """

    def __init__(
        self,
        scenes: Sequence[ImplantedScene],
        seed: int,
        *,
        held_out: bool,
        quiet: bool = False,
    ) -> None:
        self.scenes, self.seed, self.held_out, self.quiet = scenes, seed, held_out, quiet

    def __getitem__(self, query: Query) -> Sample:
        """Draw one window."""
        scene = self.scenes[query.scene]
        window = scene.past.grid.window(*query)
        # A window outside the scene, which fills up a batch, has negative corners.
        place = (query.scene, window.row + 2**20, window.col + 2**20)
        seed = [self.seed, int(self.held_out), query.draw, *place]
        return scene.draw(window, seed, held_out=self.held_out, quiet=self.quiet)


class ImplantedDataModule(LandslideDataModule):
    """Implanted landslides on the quiet past of one or several scenes; no label is needed.

    Args:
        implants: Settings of ``landslide.implant.past.Implants``.
        windows: Windows of an epoch.
        options: See ``LandslideDataModule``; its sampler is not used.
    """

    implanted = True

    def __init__(
        self,
        *,
        implants: Mapping[str, Any] | None = None,
        windows: int = 800,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**options)
        self.implants, self.windows = Implants(**(implants or {})), windows
        self.pasts: list[ImplantedScene] = []

    def setup(self, stage: str | None = None) -> None:
        """Open the scenes and split their patches, once.

        Raises:
            InputError: A scene has no quiet past, or too short a one; or as in
                ``LandslideDataModule``.
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
        self.tables = [self._split_patches(past.scene) for past in pasts]
        self.patches = combine(self.tables)
        self.scenes, self.pasts = [past.scene for past in pasts], pasts

    def _split_patches(self, scene: Scene) -> gpd.GeoDataFrame:
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
            for orbit in ("ascending", "descending")
            if (dates := dates_path(root, orbit)).exists()
        }
        return sorted(file for file in files if file.name != "landslides.tif")

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must share."""
        return super().state_dict() | {
            "datamodule.implants": str(self.implants),
            "datamodule.windows": self.windows,
        }

    def training_images(self) -> Iterator[Tensor]:
        """Images of an epoch of training, not augmented: (1, C, H, W)."""
        dataset = self.dataset("train")
        for query in self.training_sampler():
            yield dataset[query]["image"][None]

    def dataset(self, split: Split) -> ImplantedDataset:
        """Dataset that the queries of a split's sampler index."""
        return ImplantedDataset(self.pasts, self.seed, held_out=split != "train")

    def quiet_dataloader(self) -> DataLoader[Sample]:
        """Batches of the validation split without implants."""
        dataset = ImplantedDataset(self.pasts, self.seed, held_out=True, quiet=True)
        return self._loader(self._in_order("val"), dataset)

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

"""A scene whose windows are drawn from its quiet past."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from landslide.data.dataset import SceneDataset
from landslide.data.scene import Sample
from landslide.geo.grid import Window
from landslide.geo.rasters import UNKNOWN
from landslide.implant.dates import Choice, DrawnFor
from landslide.implant.outlines import OutlineSource, read_outlines
from landslide.implant.past import MARGIN, RESOLUTION, Ground, Implants, QuietPast
from landslide.implant.scars import ScarSource, Terrain
from landslide.radar.bands import ORBIT_MARK, band_description, described_bands, orbit_of

ANGLE = "local_incidence_angle"
"""Band on which the change of implants depends, in degrees."""

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
            for band in described_bands(root / f"{key or orbit}.tif")
            # The slope of another orbit brings its layover and shadow into the mask.
            if band in ("slope", "aspect", ANGLE)
        ]
        # A scene is read for its grid and its mask even where no band of it is used.
        names = list(dict.fromkeys([*self.static, *terrain]))
        names = names or described_bands(root / f"{orbit}.tif")[:1]
        self.scene = SceneDataset.of(root, orbit, names, truth=False)
        self.scene.load()
        found = {band_description(band): i for i, band in reversed([*enumerate(names)])}
        self._slope = found.get("slope")
        self._angles = {
            orbit_of(band): i
            for i, band in enumerate(names)
            if band_description(band) == ANGLE and orbit_of(band) in self.past.tracks
        }
        image = self.scene.read(self.scene.grid.full_window)
        shape = tuple(image["mask"].shape)
        slope, aspect = (
            image["image"][found[band]].numpy() if band in found else None
            for band in ("slope", "aspect")
        )
        terrain_model = (
            Terrain.unknown(shape, slope)  # type: ignore[arg-type]
            if slope is None or aspect is None
            else Terrain.of(slope, aspect).smoothed(TERRAIN_METRES / self.past.spacing)
        )
        valid = (image["mask"] != UNKNOWN).numpy()
        ground = (terrain_model, valid, self.scene.grid, RESOLUTION)
        if implants.outlines is None:
            self.scars = ScarSource(*ground, implants.mean_area)
        else:
            outlines = read_outlines(Path(implants.outlines), self.scene.grid)
            self.scars = OutlineSource(outlines, *ground)

    def draw(
        self, window: Window, seed: Sequence[int], split: DrawnFor, *, quiet: bool = False
    ) -> Sample:
        """Draw the sample of a window.

        Args:
            window: Pixels of the scene.
            seed: Seed of the draw.
            split: What it is for, which decides on its dates (see ``Calendar``).
            quiet: Whether nothing is implanted.
        """
        return self.draw_with_dates(window, seed, split, quiet=quiet)[0]

    def draw_with_dates(
        self,
        window: Window,
        seed: Sequence[int],
        split: DrawnFor,
        *,
        quiet: bool = False,
        scars: int | None = None,
    ) -> tuple[Sample, dict[str | None, Choice]]:
        """Draw the sample of a window, and tell its dates; ``scars`` is the number to start."""
        around = window.padded(MARGIN)
        sample, inside = self.scene.read(around), window.within(around)
        image = sample["image"]
        ground = Ground(
            {band: image[i, *inside].numpy() for i, band in enumerate(self.static)},
            np.full(sample["mask"].shape, np.nan, np.float32)
            if self._slope is None
            else image[self._slope].numpy(),
            {key: image[i].numpy() for key, i in self._angles.items()},
        )
        drawn = self.past.draw(
            window,
            ground,
            None if quiet else self.scars,
            np.random.default_rng(seed),
            split,
            count=scars,
        )
        mask = torch.from_numpy(drawn.landslides.astype(np.uint8))
        unknown = drawn.image.isnan().any(dim=0) | (sample["mask"][inside] == UNKNOWN)
        sample = Sample(image=drawn.image, mask=mask.masked_fill(unknown, UNKNOWN))
        return sample, drawn.choices

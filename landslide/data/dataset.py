"""Scenes as datasets of TorchGeo, whose geo-samplers and loaders draw windows of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torchgeo.datasets import GeoDataset, RasterDataset

from landslide.data.scene import Sample, Scene


class SceneDataset(Scene, GeoDataset):
    """A scene that is indexed by map coordinates.

    Args:
        composite: See ``Scene``, as for the others.
        bands: Bands to read.
        truth: GeoTIFF of the landslide mask.
    """

    def __init__(
        self, composite: Path | str, bands: Sequence[str], truth: Path | None = None
    ) -> None:
        super().__init__(composite, bands, truth)
        raster = RasterDataset(paths=[str(composite)])
        self.index, self._res = raster.index, raster.res

    def __getitem__(self, query: Any) -> Sample:  # type: ignore[override]  # noqa: ANN401
        """Read map coordinates, (x, y) or (x, y, time), as a geo-sampler yields them."""
        x, y = query[:2]
        return self.read(self.grid.window(x, y))

"""GeoTIFFs of a scene, read window by window."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
import torch
from torch import Tensor

from landslide.errors import InputError
from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import UNKNOWN, open_raster, reading
from landslide.geo.scale import require_true_scale
from landslide.radar.bands import is_backscatter, require_bands, require_linear_power


class OpenRaster(threading.local):
    """A raster that every thread opens for itself once, and every process too.

    Args:
        path: GeoTIFF.

    Attributes:
        source: This thread's open raster.

    Raises:
        InputError: The file is missing or is no raster.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self.source = open_raster(path)

    def __reduce__(self) -> tuple[type["OpenRaster"], tuple[Path | str]]:
        """Open the raster anew where it is unpickled."""
        return OpenRaster, (self.path,)


class BandReader:
    """Bands of one orbit, chosen by their GeoTIFF descriptions.

    A backscatter that is zero, negative or infinite is not a measurement and reads NaN.

    Args:
        path: GeoTIFF on a projected, north-up grid with described bands.
        bands: Descriptions of the bands to read, in the order of the image's channels.

    Raises:
        InputError: The file is missing, damaged or no raster; it lacks a band, a CRS or a
            projected CRS; its grid is rotated or has no true scale; its backscatter is in
            decibels.
    """

    def __init__(self, path: Path | str, bands: Sequence[str]) -> None:
        self.path, self._raster = path, OpenRaster(path)
        source = self._raster.source
        described = require_bands(source, bands)
        self.grid = _projected_grid(source)
        require_linear_power(source, bands)
        self._indices = [described.index(band) + 1 for band in bands]
        self._backscatter = [is_backscatter(band) for band in bands]

    def read(self, window: Window) -> Tensor:
        """Read a window inside the raster: (C, H, W) float32, NaN where there is no measurement.

        Raises:
            UnreadableError: The file is damaged or incomplete.
        """
        source, place = self._raster.source, window.to_rasterio()
        with reading(self.path):
            image = torch.from_numpy(source.read(self._indices, window=place, out_dtype="float32"))
        # In place and band by band, because this takes half of the time of reading a scene.
        for band, backscatter in zip(image, self._backscatter, strict=True):
            measured = (band > 0) & (band < torch.inf) if backscatter else band.isfinite()
            if source.nodata is not None and not np.isnan(source.nodata):
                measured &= band != source.nodata
            band.masked_fill_(~measured, torch.nan)
        return image


class MaskReader:
    """A landslide mask.

    Raises:
        InputError: The file is missing, is no raster, has no projected north-up grid of true
            scale, or is no single band of integers.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._raster = path, OpenRaster(path)
        source = self._raster.source
        self.grid = _projected_grid(source)
        if source.count != 1 or np.issubdtype(source.dtypes[0], np.floating):
            raise InputError(
                f"{path} has {source.count} bands of {source.dtypes[0]}: a landslide mask has "
                f"one of integers, 0, 1 and {UNKNOWN} for unknown"
            )

    def read(self, window: Window) -> Tensor:
        """Read a window inside the raster: (H, W) uint8.

        Raises:
            InputError: The mask holds values other than 0, 1 and 255, or cannot be read.
        """
        with reading(self.path):
            mask = self._raster.source.read(1, window=window.to_rasterio())
        invalid = mask[(mask != 0) & (mask != 1) & (mask != UNKNOWN)]
        if len(invalid):
            raise InputError(
                f"{self.path} holds the value {int(invalid[0])}: a landslide mask has 0 (no "
                f"landslide), 1 (landslide) and {UNKNOWN} (unknown) only"
            )
        return torch.from_numpy(mask.astype(np.uint8, copy=False))


def _projected_grid(source: rasterio.DatasetReader) -> Grid:
    """Grid of a raster, which must be projected, in metres, north-up and of true scale."""
    grid = Grid.of(source)
    if grid.crs is None:
        raise InputError(f"{source.name} has no coordinate reference system: assign one")
    if not grid.crs.is_projected:
        raise InputError(
            f"{source.name} is in the geographic CRS {grid.crs}: warp it to a projected one in "
            "metres, such as UTM"
        )
    unit, metres = grid.crs.linear_units_factor
    if metres != 1:
        raise InputError(f"{source.name} is in {unit}, not in metres: warp it to UTM")
    a, b, _, d, e, _ = grid.transform[:6]
    if b or d or a <= 0 or e >= 0:
        raise InputError(f"{source.name} is rotated or not north-up: warp it to a north-up grid")
    require_true_scale(grid, source.name)
    return grid

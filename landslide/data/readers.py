"""GeoTIFFs of a scene, read window by window."""

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rasterio.enums import MaskFlags
from torch import Tensor

from landslide.errors import InputError
from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import UNKNOWN, open_raster, reading
from landslide.geo.scale import require_true_scale
from landslide.radar.bands import is_backscatter, require_bands, require_linear_power


class OpenRaster:
    """A raster that stays open, so that GDAL keeps what it has decoded. Threads take turns.

    Args:
        path: GeoTIFF.

    Raises:
        InputError: The file is missing or is no raster.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self._turn = threading.Lock()
        flags = self.source.mask_flag_enums
        self.masked = any(MaskFlags.per_dataset in band for band in flags)

    @cached_property
    def source(self) -> rasterio.DatasetReader:
        """The open raster; one that was closed is opened again."""
        return open_raster(self.path)

    def close(self) -> None:
        """Close the file until it is used again."""
        with self._turn:
            if (source := self.__dict__.pop("source", None)) is not None:
                source.close()

    def __reduce__(self) -> tuple[type["OpenRaster"], tuple[Path | str]]:
        """Open the raster anew where it is unpickled."""
        return OpenRaster, (self.path,)

    def read(
        self, bands: int | Sequence[int], window: Window, dtype: str | None = None
    ) -> NDArray[Any]:
        """Read a window of bands, numbered from 1: (H, W) of one, (C, H, W) of several.

        Raises:
            UnreadableError: The file is damaged or incomplete.
        """
        with self._turn, reading(self.path):
            pixels: NDArray[Any] = self.source.read(
                bands, window=window.to_rasterio(), out_dtype=dtype
            )
        return pixels

    def hidden(self, window: Window) -> NDArray[np.bool_]:
        """Pixels (H, W) that a mask or an alpha band of the whole raster leaves out.

        Raises:
            UnreadableError: The file is damaged or incomplete.
        """
        with self._turn, reading(self.path):
            return np.asarray(self.source.dataset_mask(window=window.to_rasterio()) == 0)


class BandReader:
    """Bands of one orbit, chosen by their GeoTIFF descriptions.

    A backscatter that is zero, negative or infinite is not a measurement and reads NaN.

    Args:
        raster: GeoTIFF on a projected, north-up grid with described bands.
        bands: Descriptions of the bands to read, in the order of the image's channels.

    Raises:
        InputError: The file is missing, damaged or no raster; it lacks a band, a CRS or a
            projected CRS; its grid is rotated or has no true scale; its backscatter is in
            decibels.
    """

    def __init__(self, raster: OpenRaster, bands: Sequence[str]) -> None:
        self.raster, self.bands, source = raster, list(bands), raster.source
        described = require_bands(source, bands)
        self.grid = projected_grid(source)
        require_linear_power(source, bands)
        self._indices = [described.index(band) + 1 for band in bands]
        self._nodata = [source.nodatavals[index - 1] for index in self._indices]
        self._backscatter = [is_backscatter(band) for band in bands]

    def read(self, window: Window) -> Tensor:
        """Read a window inside the raster: (C, H, W) float32, NaN where there is no measurement.

        Raises:
            UnreadableError: The file is damaged or incomplete.
        """
        image = torch.from_numpy(self.raster.read(self._indices, window, "float32"))
        # In place and band by band, because this takes half of the time of reading a scene.
        for band, backscatter, nodata in zip(image, self._backscatter, self._nodata, strict=True):
            measured = (band > 0) & (band < torch.inf) if backscatter else band.isfinite()
            if nodata is not None and not np.isnan(nodata):
                measured &= band != nodata
            band.masked_fill_(~measured, torch.nan)
        if self.raster.masked:
            image.masked_fill_(torch.from_numpy(self.raster.hidden(window)), torch.nan)
        return image


class MaskReader:
    """A landslide mask.

    Raises:
        InputError: The file is missing, is no raster, has no projected north-up grid of true
            scale, or is no single band of integers.
    """

    def __init__(self, path: Path) -> None:
        self.raster = OpenRaster(path)
        source = self.raster.source
        self.grid = projected_grid(source)
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
        mask = self.raster.read(1, window)
        invalid = mask[(mask != 0) & (mask != 1) & (mask != UNKNOWN)]
        if len(invalid):
            raise InputError(
                f"{self.raster.path} holds the value {int(invalid[0])}: a landslide mask has 0 (no "
                f"landslide), 1 (landslide) and {UNKNOWN} (unknown) only"
            )
        mask = mask.astype(np.uint8, copy=False)
        if self.raster.masked:
            mask[self.raster.hidden(window)] = UNKNOWN
        return torch.from_numpy(mask)


def projected_grid(source: rasterio.DatasetReader) -> Grid:
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

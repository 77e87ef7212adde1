"""Pixels as their raster declares them, with nodata, masks, scale and offset applied."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterWindow

from landslide.geo.relief import Float


class Pixels(NamedTuple):
    """Pixels of one band.

    Attributes:
        values: (H, W) float32 in the band's unit: as stored, times its scale, plus its offset.
        valid: (H, W) booleans: finite, and not hidden by a nodata value, mask or alpha band.
    """

    values: Float
    valid: NDArray[np.bool_]


def read_pixels(
    source: DatasetReader,
    band: int,
    window: RasterWindow | None = None,
    shape: tuple[int, int] | None = None,
) -> Pixels:
    """Read one band of an open raster.

    Args:
        source: Open raster.
        band: Number of the band, from 1.
        window: Pixels to read; None for all.
        shape: (H, W) to resample to by nearest neighbour; None for every pixel.
    """
    stored = source.read(band, window=window, out_shape=shape)
    nodata = source.nodatavals[band - 1]
    values = stored.astype(np.float32, copy=False)
    valid = np.isfinite(values)
    # A mask takes as long as the band, and that of NaN shows what the values show.
    if source.mask_flag_enums[band - 1] != [MaskFlags.nodata] or not np.isnan(nodata):
        valid &= source.read_masks(band, window=window, out_shape=shape) > 0
    if nodata is not None and not np.isnan(nodata):
        # GDAL considers either a mask or the nodata value, not both.
        valid &= stored != nodata
    scale, offset = source.scales[band - 1], source.offsets[band - 1]
    if (scale, offset) != (1.0, 0.0):
        values = values * np.float32(scale) + np.float32(offset)
        valid &= np.isfinite(values)
    return Pixels(values, valid)

"""GeoTIFFs: opening them, reading them at reduced resolution, and writing them."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader

from landslide.errors import InputError, UnreadableError
from landslide.geo.files import replacing
from landslide.geo.grid import TILE_SIZE, Grid

UNKNOWN = 255
"""Mask value of pixels that loss, metrics and maps ignore."""


def open_raster(path: Path | str) -> DatasetReader:
    """Open a raster for reading.

    Raises:
        InputError: The file is missing or is not a raster.
    """
    try:
        return rasterio.open(path)
    except RasterioIOError as error:
        raise InputError(f"{path} cannot be read as a raster: {error}") from error


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turn a failure to read a raster into an error that names it.

    Raises:
        UnreadableError: Reading inside failed.
    """
    try:
        yield
    except RasterioIOError as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise UnreadableError(
            f"{path} cannot be read to its end, it is incomplete or damaged ({reason}): copy or "
            "make it anew"
        ) from error


def read_reduced(
    source: DatasetReader, band: int, max_size: int, resampling: Resampling
) -> np.ma.MaskedArray[Any, Any]:
    """Read a whole band at reduced resolution, from the raster's overviews where it has them.

    Use averages for a raster without overviews: with nearest-neighbour resampling GDAL goes line
    by line and decodes every tile of a large raster anew for each.

    Args:
        source: Open raster.
        band: Number of the band, from 1.
        max_size: Largest number of pixels of the longer side.
        resampling: Resampling method; averages leave out nodata.

    Returns:
        (H, W) over the whole raster, masked where it has no data.
    """
    step = max(1, -(-max(source.shape) // max_size))
    shape = (-(-source.height // step), -(-source.width // step))
    values: np.ma.MaskedArray[Any, Any] = source.read(
        band, out_shape=shape, resampling=resampling, masked=True
    )
    return values


def write_raster(
    path: Path,
    array: NDArray[Any],
    grid: Grid,
    bands: Sequence[str],
    nodata: float,
    **tags: str,
) -> None:
    """Write (C, H, W) or (H, W) as a tiled, compressed GeoTIFF with described bands.

    Args:
        path: File to write, whole or not at all.
        array: Pixels; their dtype is kept.
        grid: Grid of the pixels.
        bands: One description per band.
        nodata: Declared nodata value.
        **tags: Dataset tags.
    """
    array = np.atleast_3d(array.T).T
    profile = raster_profile(grid, array.dtype.name, len(array), nodata)
    with replacing(path) as temporary, rasterio.open(temporary, "w", **profile) as sink:
        sink.descriptions = tuple(bands)
        sink.update_tags(**tags)
        sink.write(array)


def raster_profile(grid: Grid, dtype: str, count: int, nodata: float) -> dict[str, Any]:
    """Creation options of every GeoTIFF written here (tiled, deflate, BigTIFF if needed)."""
    return {
        "driver": "GTiff",
        "crs": grid.crs,
        "transform": grid.transform,
        "height": grid.height,
        "width": grid.width,
        "count": count,
        "dtype": dtype,
        "nodata": nodata,
        "tiled": True,
        "blockxsize": TILE_SIZE,
        "blockysize": TILE_SIZE,
        "compress": "deflate",
        "predictor": 3 if dtype.startswith("float") else 1,
        "bigtiff": "if_safer",
    }


def to_cog(raster: Path, tags: dict[str, str]) -> None:
    """Rewrite a GeoTIFF in place as a cloud-optimised one with overviews."""
    with becoming_cog(raster, tags):
        pass


@contextmanager
def becoming_cog(raster: Path, tags: dict[str, str]) -> Iterator[None]:
    """Rewrite a GeoTIFF as ``to_cog`` does, in a thread, while it may be read inside."""
    # The raster is cloud-optimised already if a run was killed after finishing it.
    with rasterio.open(raster, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as sink:
        sink.update_tags(**tags)
        resampling = "nearest" if sink.dtypes[0] == "uint8" else "average"
    cog = raster.with_suffix(".cog.tif")
    with ThreadPoolExecutor(1) as writer:
        copied = writer.submit(
            rasterio.shutil.copy,
            raster,
            cog,
            driver="COG",
            compress="DEFLATE",
            level=1,  # higher levels take half as long again to save 1 %
            predictor="YES",
            blocksize=TILE_SIZE,
            overview_resampling=resampling,
            bigtiff="IF_SAFER",
            num_threads="ALL_CPUS",
        )
        yield
        copied.result()
    cog.replace(raster)

"""Grids, and files that appear whole or not at all."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from rasterio.transform import array_bounds

from landslide.errors import InputError, UnreadableError

TILE = 256
"""Side in pixels of the internal tiles of every raster written here."""

INSIDE = 1e-3
"""Part of a pixel by which map coordinates may miss a pixel's edge."""

BLOCK = 4 * TILE
"""Side in pixels of the blocks that a scene is gone through in."""


class Window(NamedTuple):
    """A rectangle of pixels, by its offset from a scene's north-west corner."""

    row: int
    col: int
    height: int
    width: int

    def within(self, outer: "Window") -> tuple[slice, slice]:
        """Rows and columns of this window in an array of a window around it."""
        top, left = self.row - outer.row, self.col - outer.col
        return slice(top, top + self.height), slice(left, left + self.width)


class Grid(NamedTuple):
    """A north-up pixel grid in a projected CRS."""

    crs: CRS
    transform: Affine
    height: int
    width: int

    @classmethod
    def of(cls, source: DatasetReader) -> Self:
        """Grid of an open raster."""
        return cls(source.crs, source.transform, source.height, source.width)

    @property
    def pixel_area(self) -> float:
        """Area of one pixel in m²."""
        return abs(self.transform.a * self.transform.e)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Bounds (west, south, east, north) in CRS units."""
        west, south, east, north = array_bounds(self.height, self.width, self.transform)
        return west, south, east, north

    def blocks(self, side: int = BLOCK) -> list[Window]:
        """Windows that cover the grid, row by row from the north-west corner."""
        return [
            Window(row, col, min(side, self.height - row), min(side, self.width - col))
            for row in range(0, self.height, side)
            for col in range(0, self.width, side)
        ]

    def slices(self, window: Window) -> tuple[slice, slice]:
        """Map coordinates (x, y) of a pixel window, as TorchGeo's datasets are indexed.

        They begin a thousandth of a pixel inside, since GDAL cuts an offset of 511.9999999
        down to 511.
        """
        xres, yres = self.transform.a, -self.transform.e
        west = self.transform.c + (window.col + INSIDE) * xres
        north = self.transform.f - (window.row + INSIDE) * yres
        return (
            slice(west, west + window.width * xres),
            slice(north - window.height * yres, north),
        )

    def window(self, x: slice, y: slice) -> Window:
        """Pixel window of map coordinates: the inverse of ``slices``."""
        xres, yres = self.transform.a, -self.transform.e
        return Window(
            row=round((self.transform.f - y.stop) / yres),
            col=round((x.start - self.transform.c) / xres),
            height=round((y.stop - y.start) / yres),
            width=round((x.stop - x.start) / xres),
        )

    def matches(self, other: Self) -> bool:
        """Whether both grids have the same CRS, size and (to 1e-3 px) corners."""
        tolerance = INSIDE * abs(self.transform.a)
        return (
            self.crs == other.crs
            and (self.height, self.width) == (other.height, other.width)
            and np.allclose(self.bounds, other.bounds, rtol=0, atol=tolerance)
        )

    def __str__(self) -> str:
        """Describe the grid in one phrase."""
        return (
            f"{self.width} x {self.height} px of {self.transform.a:g} m from "
            f"({self.transform.c:.2f}, {self.transform.f:.2f}) in {self.crs}"
        )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when all went well.

    Whatever happens inside, ``path`` is never half-written: on an error the
    temporary file is removed and an older ``path`` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".part-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    temporary.unlink()
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    finally:
        for leftover in path.parent.glob(f"{temporary.name}*"):
            leftover.unlink()


def check_free(root: Path, *, overwrite: bool) -> None:
    """Check that a scene may be written to a folder.

    Raises:
        InputError: It holds a scene that must not be replaced, or something else.
    """
    if not root.exists():
        return
    if not (root / "scene.json").exists():
        if root.is_dir() and overwrite and not any(root.iterdir()):
            return
        raise InputError(f"{root} already exists and is not a scene; choose another root.")
    if not overwrite:
        raise InputError(
            f"{root} already holds a scene; choose another root or add overwrite=true."
        )


@contextmanager
def new_folder(root: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``root`` that takes its place when all went well."""
    root.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=root.parent))
    try:
        (part / "new").mkdir()
        yield part / "new"
        if root.exists():
            root.replace(part / "old")
        (part / "new").replace(root)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    """Name the raster that cannot be read, which GDAL and TorchGeo leave to its cause.

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
    source: DatasetReader, band: int, longest: int, resampling: Resampling
) -> np.ma.MaskedArray[Any, Any]:
    """Read a whole band at fewer pixels, from the raster's overviews where it has them.

    Without overviews ask for averages: GDAL picks pixels line by line and decodes every tile
    of a large raster anew for each.

    Args:
        source: Open raster.
        band: Number of the band, from 1.
        longest: Pixels of the longer side, at most.
        resampling: How pixels become one; nodata is left out of averages.

    Returns:
        (H, W) over the whole of the raster, masked where it has no data.
    """
    step = max(1, -(-max(source.shape) // longest))
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
        path: File to write; it appears only when complete.
        array: Pixels; the dtype is kept.
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
        "blockxsize": TILE,
        "blockysize": TILE,
        "compress": "deflate",
        "predictor": 3 if dtype.startswith("float") else 1,
        "bigtiff": "if_safer",
    }


def to_cog(raster: Path, tags: dict[str, str]) -> None:
    """Rewrite a GeoTIFF in place as a cloud-optimised one with overviews."""
    # A map killed after its rasters were finished finds one that is cloud-optimised already.
    with rasterio.open(raster, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as sink:
        sink.update_tags(**tags)
        resampling = "nearest" if sink.dtypes[0] == "uint8" else "average"
    cog = raster.with_suffix(".cog.tif")
    rasterio.shutil.copy(
        raster,
        cog,
        driver="COG",
        compress="DEFLATE",
        level=1,  # higher ones take half as long again to save 1 %
        predictor="YES",
        blocksize=2 * TILE,
        overview_resampling=resampling,
        bigtiff="IF_SAFER",
        num_threads="ALL_CPUS",
    )
    cog.replace(raster)


def utm_crs(bounds: tuple[float, float, float, float]) -> CRS:
    """UTM zone of the middle of (west, south, east, north) in degrees."""
    west, south, east, north = bounds
    east += 360 * (west > east)  # over the antimeridian
    zone = int((west + east) / 2 // 6 + 30) % 60 + 1
    return CRS.from_epsg((32600 if south + north >= 0 else 32700) + zone)

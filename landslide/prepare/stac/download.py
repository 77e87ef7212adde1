"""Fetch the part of a remote raster that lies in an area, once."""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError, RasterioIOError
from rasterio.io import DatasetReader
from rasterio.warp import transform_bounds
from rasterio.windows import Window as RasterWindow
from rasterio.windows import from_bounds
from requests import RequestException

from landslide.errors import InputError
from landslide.geo.files import replacing
from landslide.geo.grid import Grid
from landslide.geo.polygons import raster_window
from landslide.geo.rasters import raster_profile
from landslide.prepare.sources import Units
from landslide.prepare.stac.archive import PAUSE, REFUSED, Archive, Box, root_cause

WORKERS = 4
"""Files fetched at a time: enough to hide the way to the server, few enough to be welcome."""

MARGIN = 8
"""Pixels fetched beyond the area on every side, for interpolation at its edge."""

MEASURED = "measured_pixels"
"""Tag of a fetched file: how many of its pixels hold a measurement."""


class Part(NamedTuple):
    """A part of a remote raster.

    Attributes:
        item: The archive's name of the item it belongs to.
        asset: Name of the file within the item.
        address: Address of the file, not signed.
        where: The part's area.
        units: Units of backscatter, of which 0 is fill; None of elevation.
        path: Where it is kept.
    """

    item: str
    asset: str
    address: str
    where: Box
    units: Units | None
    path: Path

    def __str__(self) -> str:
        """Name it in a sentence."""
        return f"asset {self.asset!r} of item {self.item}"


def fetch(parts: Sequence[Part], archive: Archive, advance: Callable[[], None]) -> list[Path]:
    """Fetch parts that are not at hand yet, some at a time.

    What is fetched lands whole or not at all, so that a run that was cut short goes on
    where it stopped.

    Args:
        parts: What is wanted.
        archive: Where from, and how patiently.
        advance: Called after each part.

    Returns:
        The files, in order of ``parts``; without those of which nothing lies in the area.

    Raises:
        InputError: A part cannot be had; no further ones are begun then.
    """
    sign = archive.signer()
    with ThreadPoolExecutor(WORKERS) as pool:
        futures = [pool.submit(_fetch, part, archive, sign) for part in parts]
        for future in futures:
            future.add_done_callback(lambda done: None if done.cancelled() else advance())
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            pool.shutdown(cancel_futures=True)
    failures = [error for each in futures if not each.cancelled() and (error := each.exception())]
    if failures:
        raise failures[0]
    there = [future.result() for future in futures]
    return [part.path for part, found in zip(parts, there, strict=True) if found]


def _fetch(part: Part, archive: Archive, sign: Callable[[str], str]) -> bool:
    """Fetch one part; False if nothing of the raster lies in the area."""
    if part.path.exists():
        return True
    try:
        signed = sign(part.address)
        with rasterio.Env(**_patience(archive)):
            try:
                return _copy(signed, part)
            except RasterioIOError as error:
                # A signature may run out in the middle of a file: go on with a new one, if
                # the signer makes one. What is no raster, such as a page of a server in
                # trouble or a beginning cut off in passing, GDAL does not ask for again.
                renewed = sign(part.address)
                garbled = "not recognized" in str(error)
                if _status(error) is not None or (renewed == signed and not garbled):
                    raise
                time.sleep(PAUSE)
                return _copy(renewed, part)
    except RequestException as error:
        raise InputError(
            f"sar.stac.sign={archive.sign} cannot sign the address of {part} "
            f"({type(error).__name__}): try again later, or check the key that it uses"
        ) from error
    except RasterioError as error:
        raise InputError(_failure(part, archive, error)) from error


def _patience(archive: Archive) -> dict[str, Any]:
    """GDAL's settings: repeat what fails in passing, after growing pauses; look for no sidecars.

    GDAL repeats after time-outs, lost connections and the answers 429 and 500 to 504; see
    https://gdal.org/en/stable/user/virtual_file_systems.html.
    """
    return {
        "GDAL_HTTP_TIMEOUT": archive.timeout,
        "GDAL_HTTP_CONNECTTIMEOUT": archive.timeout,
        "GDAL_HTTP_MAX_RETRY": archive.retries,
        "GDAL_HTTP_RETRY_DELAY": PAUSE,
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        # A file that failed may be asked for again by the same process.
        "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/",
    }


def _copy(address: str, part: Part) -> bool:
    """Copy the pixels in the area, block by block, as float32 with NaN for no measurement."""
    with rasterio.open(address) as source:
        window = _window(source, part)
        if window is None:
            return False
        grid = Grid(
            source.crs,
            source.transform * Affine.translation(window.col_off, window.row_off),
            int(window.height),
            int(window.width),
        )
        profile = raster_profile(grid, "float32", 1, np.nan)
        measured = 0
        with (
            replacing(part.path) as temporary,
            rasterio.open(temporary, "w", **profile) as sink,
        ):
            sink.descriptions = (part.asset,)
            for block in map(raster_window, grid.blocks()):
                pixels = _read(source, window, block, part.units)
                measured += int(np.isfinite(pixels).sum())
                sink.write(pixels, 1, window=block)
            sink.update_tags(item=part.item, source=part.address, **{MEASURED: str(measured)})
    return True


def _window(source: DatasetReader, part: Part) -> RasterWindow | None:
    """Whole pixels of a raster in the area, with a margin; None if there are none.

    Raises:
        InputError: The raster is not on a map.
    """
    if source.crs is None:
        raise InputError(
            f"{part} has no coordinate reference system: "
            "name a collection of terrain-corrected images with sar.stac.collection=…"
        )
    if not source.transform.is_rectilinear or source.transform.e > 0:
        raise InputError(f"{part} is rotated: name a collection of north-up images")
    bounds = transform_bounds("EPSG:4326", source.crs, *part.where)
    near = from_bounds(*bounds, transform=source.transform)
    first_row, first_col = (int(np.floor(n)) - MARGIN for n in (near.row_off, near.col_off))
    last_row = int(np.ceil(near.row_off + near.height)) + MARGIN
    last_col = int(np.ceil(near.col_off + near.width)) + MARGIN
    rows = max(first_row, 0), min(last_row, source.height)
    cols = max(first_col, 0), min(last_col, source.width)
    if rows[0] >= rows[1] or cols[0] >= cols[1]:
        return None
    return RasterWindow(cols[0], rows[0], cols[1] - cols[0], rows[1] - rows[0])


def _read(
    source: DatasetReader, window: RasterWindow, block: RasterWindow, units: Units | None
) -> NDArray[np.float32]:
    """Read a block of a window, (H, W), with NaN for no measurement."""
    shifted = RasterWindow(
        window.col_off + block.col_off, window.row_off + block.row_off, block.width, block.height
    )
    # Not a masked read, for which rasterio asks the server for mask bands while it holds
    # Python's global lock: everything else would wait.
    stored = source.read(1, window=shifted)
    scaled: NDArray[np.float32] = stored.astype(np.float32) * source.scales[0] + source.offsets[0]
    pixels = scaled.astype(np.float32, copy=False)
    if source.nodata is not None:
        pixels[stored == source.nodata] = np.nan
    elif units == "db":
        pixels[stored == 0] = np.nan
    if units in ("power", "amplitude"):
        # Borders of older products are filled with zeros that no nodata value declares.
        pixels = np.where(pixels > 0, pixels, np.float32(np.nan))
    return pixels


def measured(paths: Iterable[Path]) -> int:
    """Count the pixels of fetched files that hold a measurement."""
    count = 0
    for path in paths:
        with rasterio.open(path) as source:
            count += int(source.tags()[MEASURED])
    return count


def _status(error: Exception) -> int | None:
    """HTTP status that a raster could not be opened for."""
    found = re.search(r"HTTP response code: (\d+)", str(error))
    return int(found[1]) if found else None


def _failure(part: Part, archive: Archive, error: Exception) -> str:
    """One sentence on a part that cannot be had."""
    status = _status(error)
    if status in REFUSED:
        return (
            f"{part} is refused (HTTP {status}): sign addresses with sar.stac.sign=…, "
            f"now {archive.sign or 'null'}, or renew the key that it uses"
        )
    if status is not None and status < 500 and status != 429:
        return (
            f"{part} is not to be had (HTTP {status}): the archive lists it but does not hold "
            "it; choose other dates with sar.dates, or for elevation give a file with dem=…"
        )
    reason = f"HTTP {status}" if status else root_cause(error)
    return (
        f"{part} could not be fetched after {archive.retries} retries ({reason}): run the same "
        "command again later, what is there already is kept"
    )

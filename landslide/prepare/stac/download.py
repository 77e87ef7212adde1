"""Download the part of a remote raster that lies in an area, once."""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
import requests
from numpy.typing import NDArray
from rasterio.errors import RasterioError, RasterioIOError
from rasterio.io import DatasetReader
from rasterio.warp import transform_bounds
from rasterio.windows import Window as RasterWindow
from rasterio.windows import from_bounds

from landslide.errors import InputError
from landslide.geo.files import replacing
from landslide.geo.grid import Grid
from landslide.geo.rasters import raster_profile
from landslide.prepare.sources import Units
from landslide.prepare.stac.archive import PAUSE, REFUSED, TRANSIENT, Archive, Box, root_cause

WORKERS = 4
"""Files downloaded at a time: enough to hide the latency without burdening the server."""

MARGIN = 8
"""Pixels downloaded beyond the area on every side, for interpolation at its edge."""

MEASURED_TAG = "measured_pixels"
"""Tag of a downloaded file: how many of its pixels hold a measurement."""

RUN_AGAIN = "run the same command again later; files that were downloaded are kept"


class Subset(NamedTuple):
    """The part of a remote raster in an area.

    The URL is not signed; of backscatter (``units`` is not None) 0 is fill.
    """

    item: str
    asset: str
    url: str
    where: Box
    units: Units | None
    path: Path

    def __str__(self) -> str:
        """Name it in a sentence."""
        return f"asset {self.asset!r} of item {self.item}"


def download_all(
    subsets: Sequence[Subset], archive: Archive, advance: Callable[[], None]
) -> list[Path]:
    """Download subsets that are not in the cache yet, some at a time.

    A file appears whole or not at all, so a run that was interrupted continues where it stopped.
    ``advance`` is called after each subset.

    Returns:
        The files, in order of ``subsets``; without those of which nothing lies in the area.

    Raises:
        InputError: A subset cannot be downloaded; no further ones are begun then.
    """
    sign = archive.signer()
    with ThreadPoolExecutor(WORKERS) as pool:
        futures = [pool.submit(_download, subset, archive, sign) for subset in subsets]
        for future in futures:
            future.add_done_callback(lambda done: None if done.cancelled() else advance())
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            pool.shutdown(cancel_futures=True)
    failures = [error for each in futures if not each.cancelled() and (error := each.exception())]
    if failures:
        raise failures[0]
    present = [future.result() for future in futures]
    return [subset.path for subset, found in zip(subsets, present, strict=True) if found]


def _download(subset: Subset, archive: Archive, sign: Callable[[str], str]) -> bool:
    """Download one subset; False if nothing of the raster lies in the area."""
    if subset.path.exists():
        return True
    try:
        with rasterio.Env(**_gdal_options(archive)):
            return _copy_or_retry(subset, archive, sign)
    except requests.RequestException as error:
        raise InputError(
            f"sar.stac.sign={archive.sign} cannot sign the address of {subset} "
            f"({type(error).__name__}): try again later, or check the key that it uses"
        ) from error
    except RasterioError as error:
        raise InputError(
            f"{subset} could not be downloaded after {archive.retries} retries "
            f"({root_cause(error)}): {RUN_AGAIN}"
        ) from error


def _copy_or_retry(subset: Subset, archive: Archive, sign: Callable[[str], str]) -> bool:
    """Copy a subset; once more, if the server still answers for a newly signed address.

    A signature may expire in the middle of a file. And GDAL does not repeat a request whose
    answer is no raster, such as a page of a server in trouble.
    """
    signed = sign(subset.url)
    try:
        return _copy(signed, subset)
    except RasterioIOError as error:
        renewed = sign(subset.url)
        status = _http_status(renewed, archive.timeout)
        if status is not None and status >= requests.codes.bad_request:
            raise InputError(_refusal(subset, archive, status)) from error
        if status is None and renewed == signed:
            raise
    time.sleep(PAUSE)
    return _copy(renewed, subset)


def _http_status(url: str, timeout: float) -> int | None:
    """Status with which a server answers a request for one byte; None without an answer."""
    if not url.startswith(("http://", "https://")):
        return None
    try:
        with requests.get(
            url, headers={"Range": "bytes=0-0"}, timeout=timeout, stream=True
        ) as answer:
            return answer.status_code
    except requests.RequestException:
        return None


def _refusal(subset: Subset, archive: Archive, status: int) -> str:
    """One sentence on a subset that the server does not deliver."""
    if status in REFUSED:
        return (
            f"{subset} is refused (HTTP {status}): sign addresses with sar.stac.sign=…, "
            f"now {archive.sign or 'null'}, or renew the key that it uses"
        )
    if status not in TRANSIENT and status < requests.codes.server_error:
        return (
            f"{subset} is not available (HTTP {status}): the archive lists it but does not hold "
            "it; choose other dates with sar.dates, or for elevation give a file with dem=…"
        )
    return (
        f"{subset} could not be downloaded after {archive.retries} retries (HTTP {status}): "
        f"{RUN_AGAIN}"
    )


def _gdal_options(archive: Archive) -> dict[str, Any]:
    """GDAL's settings: repeat transient failures after growing pauses, look for no sidecars.

    GDAL repeats after time-outs, lost connections and the answers 429 and 500 to 504; see
    https://gdal.org/en/stable/user/virtual_file_systems.html.
    """
    return {
        "GDAL_HTTP_TIMEOUT": archive.timeout,
        "GDAL_HTTP_CONNECTTIMEOUT": archive.timeout,
        "GDAL_HTTP_MAX_RETRY": archive.retries,
        "GDAL_HTTP_RETRY_DELAY": PAUSE,
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        # The same process may ask again for a file that failed.
        "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/",
    }


def _copy(url: str, subset: Subset) -> bool:
    """Copy the pixels in the area, block by block, as float32 with NaN for no measurement."""
    with rasterio.open(url) as source:
        window = _window(source, subset)
        if window is None:
            return False
        grid = Grid(source.crs, source.window_transform(window), window.height, window.width)
        measured = 0
        with (
            replacing(subset.path) as temporary,
            rasterio.open(temporary, "w", **raster_profile(grid, "float32", 1, np.nan)) as sink,
        ):
            sink.descriptions = (subset.asset,)
            for block in (window.to_rasterio() for window in grid.blocks()):
                pixels = _read(source, window, block, subset.units)
                measured += int(np.isfinite(pixels).sum())
                sink.write(pixels, 1, window=block)
            sink.update_tags(item=subset.item, source=subset.url, **{MEASURED_TAG: str(measured)})
    return True


def _window(source: DatasetReader, subset: Subset) -> RasterWindow | None:
    """Whole pixels of a raster in the area, with a margin; None if there are none."""
    if source.crs is None:
        raise InputError(
            f"{subset} has no coordinate reference system: "
            "name a collection of terrain-corrected images with sar.stac.collection=…"
        )
    if not source.transform.is_rectilinear or source.transform.e > 0:
        raise InputError(f"{subset} is rotated: name a collection of north-up images")
    bounds = transform_bounds("EPSG:4326", source.crs, *subset.where)
    near = from_bounds(*bounds, transform=source.transform)
    rows = (
        max(int(np.floor(near.row_off)) - MARGIN, 0),
        min(int(np.ceil(near.row_off + near.height)) + MARGIN, source.height),
    )
    cols = (
        max(int(np.floor(near.col_off)) - MARGIN, 0),
        min(int(np.ceil(near.col_off + near.width)) + MARGIN, source.width),
    )
    if rows[0] >= rows[1] or cols[0] >= cols[1]:
        return None
    return RasterWindow.from_slices(rows, cols)


def _read(
    source: DatasetReader, window: RasterWindow, block: RasterWindow, units: Units | None
) -> NDArray[np.float32]:
    """Read a block of a window, (H, W), with NaN for no measurement."""
    shifted = RasterWindow(
        window.col_off + block.col_off, window.row_off + block.row_off, block.width, block.height
    )
    # A masked read would request mask bands while rasterio holds Python's global lock, and all
    # other downloads would wait.
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


def count_measured(paths: Iterable[Path]) -> int:
    """Count the pixels of downloaded files that hold a measurement."""
    count = 0
    for path in paths:
        with rasterio.open(path) as source:
            count += int(source.tags()[MEASURED_TAG])
    return count

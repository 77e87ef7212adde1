"""A large map read over HTTP: bytes, requests and seconds of the windows that a GIS shows.

The benchmark writes a simulated ``probability.tif`` of 20,000 x 20,000 px as ``predict.py`` does,
serves it from this machine with a delay for each request, and reads windows through GDAL's
``/vsicurl/``, as QGIS does, each by a process that has nothing cached.

    python benchmarks/maps_over_http.py
    python benchmarks/maps_over_http.py --side 4000 --folder /tmp/maps --delay 0.05
    python benchmarks/maps_over_http.py --map maps/demo/probability.tif

The probabilities are simulated: smooth noise through the logistic function, with noise of float32
in the last digits, so that they compress as little as a network's.
"""

import argparse
import json
import multiprocessing
import re
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.windows import Window
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.ndimage import gaussian_filter

from landslide.geo.grid import Grid
from landslide.geo.grid import Window as Block
from landslide.geo.rasters import raster_profile, to_cog

VARIANTS: dict[str, dict[str, Any]] = {
    "as predict.py writes it": {},
    "blocks of 512 px": {"blocksize": 512},
    "ZSTD, level 9": {"compress": "ZSTD", "level": 9},
    "deflate, level 6": {"level": 6},
}
"""Options of the COG driver beside those of ``predict.py``."""

OPTIONS: dict[str, Any] = {
    "driver": "COG",
    "compress": "DEFLATE",
    "level": 1,
    "predictor": "YES",
    "blocksize": 256,
    "overview_resampling": "average",
    "bigtiff": "IF_SAFER",
    "num_threads": "ALL_CPUS",
}


class Counter(BaseHTTPRequestHandler):
    """Serves one file in ranges, and counts requests and bytes."""

    protocol_version = "HTTP/1.1"
    path_served: Path
    delay = 0.0
    requests = 0
    sent = 0

    def do_HEAD(self) -> None:
        """Answer with the size of the file."""
        self._answer(body=False)

    def do_GET(self) -> None:
        """Answer with the range that is asked for."""
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        time.sleep(self.delay)
        Counter.requests += 1
        if self.path != "/probability.tif":  # a folder, or a sidecar such as .aux.xml
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        size = self.path_served.stat().st_size
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start = int(found[1]) if found else 0
        end = min(int(found[2]), size - 1) if found and found[2] else size - 1
        self.send_response(206 if found else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start + 1))
        if found:
            self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.end_headers()
        if body:
            with self.path_served.open("rb") as file:
                file.seek(start)
                content = file.read(end - start + 1)
            Counter.sent += len(content)
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def write_map(path: Path, side: int) -> None:
    """Write a simulated map by blocks, without compression, as ``predict.py`` does at first."""
    grid = Grid(CRS.from_epsg(32654), Affine(10, 0, 500_000, 0, -10, 4_800_000), side, side)
    profile = raster_profile(grid, "float32", 1, np.nan)
    for option in ("compress", "predictor"):
        del profile[option]
    blocks, lock = grid.blocks(2048), threading.Lock()
    with rasterio.open(path, "w", **profile) as sink, ThreadPoolExecutor(2) as pool:
        sink.descriptions = ("probability",)

        def write(numbered: tuple[int, Block]) -> None:
            number, block = numbered
            values = simulate_block(number, block)
            with lock:
                sink.write(values, 1, window=block.to_rasterio())

        for _ in track(pool.map(write, enumerate(blocks)), "Simulating", len(blocks)):
            pass


def simulate_block(number: int, block: Block) -> NDArray[np.float32]:
    """Probabilities (H, W), of which about 7 % are above 0.5 and 4 % are not observed."""
    rng = np.random.default_rng(number)
    shape = (block.height, block.width)
    field = gaussian_filter(rng.normal(size=shape).astype(np.float32), 6, mode="wrap")
    logit = 3 * field / field.std() - 4.5 + rng.normal(0, 0.3, shape)
    probability: NDArray[np.float32] = (1 / (1 + np.exp(-logit))).astype(np.float32)
    probability[gaussian_filter(rng.normal(size=shape), 12, mode="wrap") > 0.0415] = np.nan
    return probability


def views(side: int) -> dict[str, tuple[Window, int]]:
    """What is looked at: a window and the longer side in pixels that it is shown at."""
    middle = side * 5 // 11
    return {
        "whole scene at 1000 px": (Window(0, 0, side, side), 1000),
        "a quarter at 1000 px": (Window(middle // 2, middle // 2, side // 2, side // 2), 1000),
        "1000 x 1000 px, full resolution": (Window(middle, middle, 1000, 1000), 1000),
        "256 x 256 px, full resolution": (Window(middle, middle, 256, 256), 256),
    }


def read_view(address: str, window: Window, size: int) -> float:
    """Read a window as QGIS does; return the seconds from opening to pixels."""
    start = time.perf_counter()
    with rasterio.open(f"/vsicurl/{address}/probability.tif") as source:
        source.read(1, window=window, out_shape=(size, size), resampling=Resampling.nearest)
    return time.perf_counter() - start


def measure(path: Path, delay: float) -> dict[str, dict[str, float]]:
    """Serve a file and read every view of it, each in a new process."""
    Counter.path_served, Counter.delay = path, delay
    server = ThreadingHTTPServer(("127.0.0.1", 0), Counter)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    with rasterio.open(path) as source:
        looked_at = views(min(source.shape))
    found = {}
    fresh = multiprocessing.get_context("spawn")
    for name, (window, size) in looked_at.items():
        Counter.requests, Counter.sent = 0, 0
        with fresh.Pool(1) as pool:
            seconds = pool.apply(partial(read_view, address, window, size))
        found[name] = {"requests": Counter.requests, "bytes": Counter.sent, "seconds": seconds}
    server.shutdown()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--side", type=int, default=20_000, help="pixels of the simulated map")
    parser.add_argument(
        "--folder", type=Path, help="where the maps are written; default: temporary"
    )
    parser.add_argument("--delay", type=float, default=0.05, help="seconds added to each request")
    parser.add_argument("--map", type=Path, help="a finished raster to read instead")
    parser.add_argument("--variants", type=int, default=1, help="ways to write; 1 is the program's")
    parser.add_argument("--output", type=Path, help="JSON file for the numbers")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
        results = run(arguments, Path(temporary))
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=2) + "\n")


def run(arguments: argparse.Namespace, folder: Path) -> dict[str, object]:
    console = Console(soft_wrap=True)
    results: dict[str, object] = {}
    raw = folder / "raw.tif"
    names = list(VARIANTS)[: arguments.variants]
    if arguments.map:
        names = [str(arguments.map)]
    else:
        write_map(raw, arguments.side)
    for name in names:
        path, start = arguments.map or folder / "probability.tif", time.perf_counter()
        if not arguments.map:
            write_cog(raw, path, name)
        seconds = time.perf_counter() - start
        with rasterio.open(path) as source:
            pixels, levels = source.height * source.width, source.overviews(1)
        size = path.stat().st_size
        title = f"{name}: {size / 1e6:,.0f} MB, {size / pixels:.2f} bytes/px"
        title += "" if arguments.map else f", written in {seconds:.0f} s"
        table = Table(title=f"{title}; overviews {levels}")
        for heading in ("view", "requests", "MB", "seconds"):
            table.add_column(heading, justify="left" if heading == "view" else "right")
        found = measure(path, arguments.delay)
        for view, numbers in found.items():
            row = (f"{numbers['requests']}", f"{numbers['bytes'] / 1e6:.2f}")
            table.add_row(view, *row, f"{numbers['seconds']:.2f}")
        console.print(table)
        results[name] = {"bytes": size, "seconds": seconds, "views": found}
    return results


def write_cog(raw: Path, path: Path, variant: str) -> None:
    """Write the map cloud-optimised, by the program's own function unless options differ."""
    path.unlink(missing_ok=True)
    if VARIANTS[variant]:
        rasterio.shutil.copy(raw, path, **(OPTIONS | VARIANTS[variant]))
        return
    path.hardlink_to(raw)  # it is read, and replaced
    to_cog(path, {})


if __name__ == "__main__":
    main()

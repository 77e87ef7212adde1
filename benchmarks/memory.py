"""Peak memory of predict.py against the size of the scene, with a small network.

    python benchmarks/memory.py --output memory.json

The network is not trained. Under the default threshold it maps nothing, so that the memory is
that of the rasters; ``--threshold 0.5`` makes hundreds of thousands of polygons, which take
memory as well. The largest scene takes several minutes and 3 GB of disk.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from predict_scene import BANDS, ROOT, make_task
from rasterio.crs import CRS
from rich.console import Console
from rich.table import Table
from scipy.ndimage import gaussian_filter

from landslide.geo.grid import Grid
from landslide.geo.rasters import raster_profile
from landslide.training.task import save_task

SIZES = ((2048, 4096), (8192, 8192), (20_000, 20_000))
TILE_SIZE = 1024


def write_scene(path: Path, height: int, width: int) -> None:
    """A scene of any size from one tile of few values, which compresses well."""
    grid = Grid(CRS.from_epsg(32654), Affine(10, 0, 3e5, 0, -10, 4.9e6), height, width)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(len(BANDS), TILE_SIZE, TILE_SIZE))
    smooth = gaussian_filter(noise, (0, 12, 12), mode="wrap")
    # Few values compress well; hills as large as landslides make polygons, not specks.
    tile = np.round(8 + 4 * smooth / smooth.std()).clip(1, 16).astype(np.float32) / 32
    with rasterio.open(path, "w", **raster_profile(grid, "float32", 4, np.nan)) as sink:
        sink.descriptions = tuple(BANDS)
        for window in grid.blocks(TILE_SIZE):
            values = tile[:, : window.height, : window.width]
            sink.write(values, window=window.to_rasterio())


def measure_peak(command: list[str]) -> tuple[float, float]:
    """Measure the MiB and seconds that a command takes."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return usage.ru_maxrss / 1024, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filters", type=int, default=2)
    parser.add_argument("--threshold", type=float, default=0.99, help="low ones make polygons")
    parser.add_argument("--largest", type=int, default=20_000, help="leave out longer sides")
    parser.add_argument("--folder", type=Path, help="for the scenes; default: temporary")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = Path(temporary)
        save_task(make_task(options.filters), folder / "small.ckpt")
        for height, width in SIZES:
            if max(height, width) > options.largest:
                continue
            scene = folder / f"{height}.tif"
            write_scene(scene, height, width)
            words = [f"checkpoint={folder / 'small.ckpt'}", f"scene={scene}"]
            words += [f"output={folder / 'map'}", f"threshold={options.threshold}"]
            mib, seconds = measure_peak([sys.executable, "predict.py", *words])
            summary = json.loads((folder / "map" / "summary.json").read_text())
            polygons = summary["landslides"]
            rows.append(
                {"size": [height, width], "mib": mib, "seconds": seconds, "polygons": polygons}
            )
            scene.unlink()
    table = Table(title="Peak memory of predict.py")
    for heading in ("scene", "polygons", "MiB", "to the first", "seconds"):
        table.add_column(heading, justify="right")
    for row in rows:
        size = "{} x {}".format(*row["size"])
        ratio = row["mib"] / rows[0]["mib"]
        table.add_row(
            size,
            f"{row['polygons']:,}",
            f"{row['mib']:.0f}",
            f"{ratio:.2f}",
            f"{row['seconds']:.0f}",
        )
    Console().print(table)
    if options.output:
        options.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Time and memory of ``landslide prepare`` on a stack of simulated images.

    python benchmarks/prepare_stack.py --size 5000 --dates 10
    python benchmarks/prepare_stack.py --size 2500 --dates 4 --despeckle temporal

Writes VV and VH of every date as OPERA names them, at 10 m, with texture and speckle, and a DEM of
30 m, then prepares a scene of all dates but two before the event. Prints wall clock, CPU time and
the peak of memory of the preparation alone.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from scipy.ndimage import gaussian_filter

from landslide.geo.grid import Grid
from landslide.geo.rasters import raster_profile

FIRST = date(2025, 1, 1)
CORNER = (500_000, 4_700_000)


def write_images(folder: Path, size: int, dates: int) -> None:
    """Write the images of all dates."""
    rng = np.random.default_rng(0)
    grid = Grid(CRS.from_epsg(32654), Affine(10, 0, CORNER[0], 0, -10, CORNER[1]), size, size)
    texture = gaussian_filter(rng.standard_normal((size, size), np.float32), 2)
    scene = np.float32(0.1) * np.exp(texture / texture.std() * np.float32(0.4))
    profile = raster_profile(grid, "float32", 1, np.nan) | {"zlevel": 1}
    for number in range(dates):
        day = FIRST + timedelta(days=12 * number)
        for polarisation, level in (("VV", 1.0), ("VH", 0.2)):
            speckle = rng.standard_gamma(4, (size, size), np.float32) / 4
            name = f"OPERA_L2_RTC-S1_T068-144000-IW2_{day:%Y%m%d}T084300Z_20260101T000000Z_S1A_30"
            path = folder / f"{name}_v1.0_{polarisation}.tif"
            with rasterio.open(path, "w", **profile) as sink:
                sink.write(scene * speckle * np.float32(level), 1)


def write_dem(path: Path, size: int) -> None:
    """Write hills of 30 m pixels around the images."""
    cells = size // 3 + 40
    corner = Affine(30, 0, CORNER[0] - 600, 0, -30, CORNER[1] + 600)
    hills = gaussian_filter(np.random.default_rng(1).standard_normal((cells, cells)), 15)
    grid = Grid(CRS.from_epsg(32654), corner, cells, cells)
    with rasterio.open(path, "w", **raster_profile(grid, "float32", 1, np.nan)) as sink:
        sink.write((150 * hills / hills.std()).astype(np.float32), 1)


def main() -> None:
    """Write the images, prepare them, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=5000)
    parser.add_argument("--dates", type=int, default=10)
    parser.add_argument("--despeckle", default="none")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        write_images(folder / "images", given.size, given.dates)
        write_dem(folder / "dem.tif", given.size)
        event = FIRST + timedelta(days=12 * (given.dates - 2) - 6)
        command = [
            *(sys.executable, "-m", "landslide", "prepare", f"root={folder / 'scene'}"),
            *(f"event.date={event}", f"sar.ascending={folder / 'images'}", f"dem={folder}/dem.tif"),
            *(f"sar.before={given.dates - 2}", "sar.after=2", "sar.polarisations=[vv,vh]"),
            f"despeckle={given.despeckle}",
        ]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wall = time.perf_counter() - start
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        size = sum(path.stat().st_size for path in (folder / "scene").rglob("*.tif"))
    print(
        f"{given.size} px, {given.dates} dates, despeckle={given.despeckle}: {wall:.0f} s, "
        f"{used.ru_utime + used.ru_stime:.0f} s of CPU, at most {used.ru_maxrss / 2**20:.2f} GiB, "
        f"{size / 1e9:.1f} GB written"
    )


if __name__ == "__main__":
    main()

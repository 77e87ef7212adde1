"""``landslide prepare`` beside GDAL's own programs, on simulated images.

    python benchmarks/prepare.py --size 2500
    python benchmarks/prepare.py --size 1500 --dates 10 --polarisations VV VH

Writes images of 10 m that lie parts of a pixel off the scene's grid, and a DEM of 30 m. Then both
take turns. ``landslide prepare`` is a process; it also draws figures, checks units and writes
checksums, and with more than three dates a stack: all dates, their statistics, shifts and offsets.
GDAL's programs warp, compute slope and aspect and write the cloud-optimised composite and the dates
with the same interpolation, compression and threads, but no statistics, shifts and offsets. Prints
wall clock, CPU time and the peak of memory of each.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from scipy.ndimage import gaussian_filter

from landslide.geo.grid import Grid
from landslide.geo.rasters import raster_profile

FIRST = date(2025, 1, 1)
EAST, NORTH = 500_000, 4_700_000
UTM = CRS.from_epsg(32654)

WARP = "-multi -wo NUM_THREADS=ALL_CPUS -wm 64 -ot Float32 -dstnodata nan -overwrite -q"
TILED = "-co TILED=YES -co BLOCKXSIZE=256 -co BLOCKYSIZE=256 -co NUM_THREADS=ALL_CPUS"
COG = "-of COG -co COMPRESS=DEFLATE -co LEVEL=1 -co PREDICTOR=YES -co BLOCKSIZE=256"


class Used(NamedTuple):
    """What processes took: seconds by the wall and of CPU, and the peak of memory in GiB."""

    wall: float
    cpu: float
    memory: float


def run(command: list[str], checkout: Path | None = None) -> Used:
    """Run a program to its end, with the package of a checkout."""
    start = time.perf_counter()
    # ``python -m`` takes the package of the folder in which it runs.
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=checkout)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise subprocess.CalledProcessError(status, command)
    wall = time.perf_counter() - start
    return Used(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20)


def write_images(folder: Path, size: int, dates: int, polarisations: list[str]) -> list[list[Path]]:
    """Write the images of all dates; each lies elsewhere by parts of a pixel.

    Returns:
        Files of each date.
    """
    rng = np.random.default_rng(0)
    texture = gaussian_filter(rng.standard_normal((size, size), np.float32), 2)
    scene = np.float32(0.1) * np.exp(texture / texture.std() * np.float32(0.4))
    found = []
    for number in range(dates):
        off = 0.37 * number + 0.21
        grid = Grid(UTM, Affine(10, 0, EAST + off, 0, -10, NORTH + off), size, size)
        profile = raster_profile(grid, "float32", 1, np.nan) | {"zlevel": 1}
        day = FIRST + timedelta(days=12 * number)
        files = []
        for polarisation in polarisations:
            files.append(folder / f"S1A_{day:%Y%m%d}T084300_gamma0_power_{polarisation}.tif")
            speckle = rng.standard_gamma(4, (size, size), np.float32) / 4
            with rasterio.open(files[-1], "w", **profile) as sink:
                sink.write(scene * speckle * np.float32(1 if polarisation == "VV" else 0.2), 1)
        found.append(files)
    return found


def write_dem(path: Path, size: int) -> None:
    """Write hills of 30 m pixels around the images."""
    cells = size // 3 + 40
    hills = gaussian_filter(np.random.default_rng(1).standard_normal((cells, cells)), 15)
    grid = Grid(UTM, Affine(30, 0, EAST - 600, 0, -30, NORTH + 600), cells, cells)
    with rasterio.open(path, "w", **raster_profile(grid, "float32", 1, np.nan)) as sink:
        sink.write((150 * hills / hills.std()).astype(np.float32), 1)


def prepare(
    images: list[list[Path]], dem: Path, root: Path, options: list[str], checkout: Path | None
) -> Used:
    """Prepare a scene; the last two dates are after the event."""
    days = [FIRST + timedelta(days=12 * number) for number in range(len(images))]
    listed = ",".join(f"[{','.join(map(str, files))}]" for files in images)
    command = [sys.executable, "-m", "landslide", "prepare", f"root={root}", f"dem={dem}"]
    command += [f"event.date={days[-2] - timedelta(days=6)}", f"sar.ascending=[{listed}]"]
    command += [f"sar.dates.ascending=[{','.join(map(str, days))}]", *options]
    return run(command, checkout)


def gdal(images: list[list[Path]], dem: Path, scene: Path, folder: Path) -> Used:
    """Write the bands of a prepared scene that GDAL's programs can write."""
    folder.mkdir()
    with rasterio.open(scene / "ascending.tif") as source:
        west, south, east, north = source.bounds
    target = f"-tr 10 10 -te {west} {south} {east} {north}"
    commands, warped, every = [], [], []
    for number, files in enumerate(images):
        for file in files:
            every.append(folder / file.name)
            commands.append(f"gdalwarp {WARP} {TILED} {target} -r bilinear {file} {every[-1]}")
            if number >= len(images) - 3:
                warped.append(every[-1])
    for band in ("slope", "aspect"):
        commands.append(f"gdaldem {band} -q -compute_edges {dem} {folder}/{band}30.tif")
        warped.append(folder / f"{band}.tif")
        commands.append(
            f"gdalwarp {WARP} {TILED} {target} -r cubic {folder}/{band}30.tif {warped[-1]}"
        )
    commands.append(f"gdalbuildvrt -q -separate {folder}/all.vrt {' '.join(map(str, warped))}")
    commands.append(
        f"gdal_translate -q {COG} -co OVERVIEW_RESAMPLING=AVERAGE -co NUM_THREADS=ALL_CPUS "
        f"{folder}/all.vrt {folder}/composite.tif"
    )
    if len(images) > 3:
        commands.append(f"gdalbuildvrt -q -separate {folder}/dates.vrt {' '.join(map(str, every))}")
        commands.append(
            f"gdal_translate -q {TILED} -co COMPRESS=DEFLATE -co ZLEVEL=1 -co PREDICTOR=3 "
            f"-co INTERLEAVE=BAND {folder}/dates.vrt {folder}/dates.tif"
        )
    parts = [run([*command.split(), "--config", "GDAL_CACHEMAX", "64"]) for command in commands]
    wall, cpu, memory = zip(*parts, strict=True)
    return Used(sum(wall), sum(cpu), max(memory))


def main() -> None:
    """Write the images, prepare them in turns, print what it took in the median."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=2500)
    parser.add_argument("--dates", type=int, default=3)
    parser.add_argument("--polarisations", nargs="+", default=["VV"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--before", type=Path, help="another checkout that takes turns")
    parser.add_argument("options", nargs="*", help="of landslide prepare")
    given = parser.parse_args()
    options = [f"sar.polarisations=[{','.join(p.lower() for p in given.polarisations)}]"]
    options += [f"sar.before={given.dates - 2}", "grid.resolution=10", *given.options]
    ours, theirs, before = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = write_images(folder, given.size, given.dates, given.polarisations)
        dem, scene = folder / "dem.tif", folder / "scene"
        write_dem(dem, given.size)
        for _ in range(given.rounds):
            ours.append(prepare(images, dem, scene, options, None))
            theirs.append(gdal(images, dem, scene, folder / "gdal"))
            if given.before:
                shutil.rmtree(scene)
                before.append(prepare(images, dem, scene, options, given.before))
            shutil.rmtree(scene)
            shutil.rmtree(folder / "gdal")
    print("                     wall (s)  CPU (s)  memory (GiB)   to GDAL: wall, CPU")
    columns = (("landslide prepare", ours), ("GDAL's programs", theirs), ("before", before))
    for what, used in columns:
        if used:
            wall, cpu, memory = (statistics.median(column) for column in zip(*used, strict=True))
            pairs = list(zip(used, theirs, strict=True))
            slower = statistics.median(one.wall / other.wall for one, other in pairs)
            dearer = statistics.median(one.cpu / other.cpu for one, other in pairs)
            print(f"{what:20} {wall:8.1f} {cpu:8.1f} {memory:13.2f} {slower:18.2f} {dearer:5.2f}")


if __name__ == "__main__":
    main()

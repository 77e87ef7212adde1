"""A large area, prepared and mapped by one process and spread by launchers: time, equality, seams.

``python benchmarks/large_area.py [--size 6000 9000] [--parts 4] [--ray-python ray/bin/python]
[--work FOLDER]``

A simulated scene, mirrored until it fills the area, gives three dates before an event and two after
it, VV and VH, whose pixels lie between those of the scene. Each way prepares them and maps the
result with a network that was trained on the simulated scene. ``--ray-python`` is a Python with
``.[ray]``. Files are compared by their pixels and bytes.
"""

import argparse
import hashlib
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
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from landslide.geo.grid import Grid
from landslide.geo.metadata import scene_info
from landslide.geo.rasters import raster_profile

ROOT = Path(__file__).resolve().parents[1]
TILE = (1024, 1536)
BANDS = "vv_pre_mean,vv_post_mean,vv_pre_std,vh_pre_mean,vh_post_mean,vh_pre_std"
OFFSET = 0.37
"""Pixels by which images lie off the scene's grid, so that each of them is resampled."""


def run(python: str, *words: str) -> float:
    """Run a program; return its seconds by the wall."""
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    subprocess.run([python, *words], check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def mirrored(image: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """An image that is mirrored at its edges until it fills a size."""
    rows, cols = (
        np.pad(np.arange(n), (0, max(wanted - n, 0)), mode="symmetric")[:wanted]
        for n, wanted in zip(image.shape, size, strict=True)
    )
    return image[np.ix_(rows, cols)]


def write_image(path: Path, image: NDArray[np.float32], grid: Grid) -> None:
    with rasterio.open(path, "w", **raster_profile(grid, "float32", 1, np.nan)) as sink:
        sink.write(image, 1)


def make_images(seed: Path, folder: Path, size: tuple[int, int]) -> Grid:
    """Write all dates of a simulated scene as images of the area, and a DEM; return its grid."""
    folder.mkdir(parents=True)
    with rasterio.open(seed / "ascending.tif") as source:
        own = Grid.of(source)
    grid = own._replace(height=size[0], width=size[1])
    wide = (size[0] + 8, size[1] + 8)
    shift = Affine.translation(-4 - OFFSET, -4 - OFFSET)
    moved = grid._replace(transform=grid.transform @ shift, height=wide[0], width=wide[1])
    with rasterio.open(seed / "dates" / "ascending.tif") as source:
        for number, name in enumerate(source.descriptions, 1):
            polarisation, day = name.split("_")
            file = f"S1A_IW_{day}T084314_DVP_RTC10_G_gpuned_1234_{polarisation.upper()}.tif"
            write_image(folder / file, mirrored(source.read(number), wide), moved)
    noise = np.random.default_rng(0).standard_normal((512, 512)).astype(np.float32)
    heights = 200 * ndimage.gaussian_filter(noise, 12, mode="wrap") * 12 + 500
    coarse = tuple(-(-side // 3) + 80 for side in size)
    transform = grid.transform @ Affine.translation(-120, -120) @ Affine.scale(3)
    dem = Grid(grid.crs, transform, *coarse)
    write_image(folder / "dem.tif", mirrored(heights, coarse), dem)
    write_image(folder / "like.tif", np.zeros(size, np.float32), grid)
    return grid


def digest(path: Path) -> str:
    """SHA-256 of a raster's pixels, or of a file."""
    if path.suffix == ".tif":
        found = hashlib.sha256()
        with rasterio.open(path) as source:
            for band in source.indexes:
                found.update(source.read(band).tobytes())
        return found.hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def unequal(folder: Path, other: Path) -> list[str]:
    """Files that differ; of ``summary.json`` and the report, which have times, none is compared."""
    names = {
        str(path.relative_to(root))
        for root in (folder, other)
        for path in root.rglob("*")
        if path.is_file() and path.name not in ("summary.json", "report.html", "item.json")
    }
    return sorted(
        name
        for name in names
        if not ((folder / name).exists() and (other / name).exists())
        or digest(folder / name) != digest(other / name)
    )


def probability_of(folder: Path) -> NDArray[np.float32]:
    """The probability of a map."""
    with rasterio.open(folder / "probability.tif") as source:
        probability: NDArray[np.float32] = source.read(1)
    return probability


def seam_ratio(image: NDArray[np.float32], borders: list[int]) -> float:
    """Mean step between the rows at borders, over the mean step between other rows."""
    steps = np.nanmean(np.abs(np.diff(image, axis=0)), axis=1)
    at = np.zeros(len(steps), dtype=bool)
    at[[border - 1 for border in borders if border <= len(steps)]] = True
    return float(steps[at].mean() / steps[~at].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, nargs=2, default=[6000, 9000])
    parser.add_argument("--parts", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=2, help="at a time")
    parser.add_argument("--ray-python", help="a Python with Ray's launcher")
    parser.add_argument("--work", type=Path, help="folder that keeps everything")
    options = parser.parse_args()
    work = (options.work or Path(tempfile.mkdtemp())).resolve()
    seed, images, run_folder = work / "seed", work / "images", work / "run"
    size = tuple(options.size)
    python = sys.executable
    if not seed.exists():
        size_word = f"size=[{TILE[0]},{TILE[1]}]"
        dates = ("dates.before=3", "dates.after=2", "polarisations=[vv,vh]")
        run(python, "-m", "landslide", "simulate", f"root={seed}", size_word, *dates)
    if not images.exists():
        make_images(seed, images, size)
    checkpoint = run_folder / "checkpoints" / "best.ckpt"
    if not checkpoint.exists():
        words = ("dataset=stack_ascending", f"dataset.root={seed}", f"dataset.bands=[{BANDS}]")
        words += ("normalization=zscore", "model.filters=16", "trainer=cpu")
        run(python, "train.py", *words, "trainer.max_epochs=6", f"hydra.run.dir={run_folder}")
    ways: dict[str, tuple[str, list[str]]] = {"one process": (python, [])}
    spread = [f"parts={options.parts}"]
    jobs = f"hydra.launcher.n_jobs={options.jobs}"
    ways["joblib"] = python, ["launcher=joblib", jobs, *spread]
    if options.ray_python:
        ways["ray"] = options.ray_python, ["launcher=ray", *spread]
    event = scene_info(seed)["event"]["time"]
    rows = []
    for name, (own, words) in ways.items():
        scene, output = (work / f"{what}_{name.split()[0]}" for what in ("scene", "map"))
        prepare = ("-m", "landslide", "prepare", f"root={scene}", f"event.date={event}")
        prepare += (f"sar.ascending={images}/S1A*", "sar.polarisations=[vv,vh]", "sar.before=3")
        prepare += ("sar.after=2", f"dem={images / 'dem.tif'}", f"grid.like={images / 'like.tif'}")
        prepare += ("sar.relative_orbit.ascending=68", "overwrite=true")
        prepared = run(own, *prepare, *words)
        first = work / "scene_one"
        predict = ("predict.py", f"checkpoint={checkpoint}", f"scene={first}", f"output={output}")
        mapped = run(own, *predict, *words)
        different = unequal(scene, first) + unequal(output, work / "map_one")
        rows.append({"way": name, "prepared": prepared, "mapped": mapped, "unequal": different})
        print(json.dumps(rows[-1]), flush=True)
    table = Table(
        title=f"{size[0]} x {size[1]} px, {options.parts} parts, {options.jobs} at a time"
    )
    for heading in ("way", "prepare, s", "map, s", "to one process", "files that differ"):
        table.add_column(heading)
    for row in rows:
        ratios = [f"{row[key] / rows[0][key]:.2f}" for key in ("prepared", "mapped")]
        table.add_row(
            *(row["way"], f"{row['prepared']:.0f}", f"{row['mapped']:.0f}", ", ".join(ratios)),
            ", ".join(row["unequal"]) or "none",
        )
    console = Console(width=120)
    console.print(table)
    other = work / "map_divided"
    run(
        python,
        "predict.py",
        *(f"checkpoint={checkpoint}", f"scene={work / 'scene_one'}"),
        *(f"output={other}", "window.size=512"),
    )
    found, divided = (probability_of(folder) for folder in (work / "map_one", other))
    borders = list(range(512, size[0], 512))
    print(f"largest difference of other blocks: {np.nanmax(np.abs(found - divided)):.1e}")
    print(f"steps at their borders to steps elsewhere: {seam_ratio(divided, borders):.3f}")


if __name__ == "__main__":
    main()

"""A large area, prepared and mapped by one process and spread by launchers: time and equality.

``python benchmarks/large_area.py [--size 6000 9000] [--parts 4] [--ray-python ray/bin/python]
[--slurm] [--work FOLDER]``

A simulated scene, mirrored until it fills the area, gives three dates before an event and two after
it, VV and VH, whose pixels lie between those of the scene. Each way prepares them and maps the
result with a network that was trained on the simulated scene. ``--ray-python`` is a Python with
``.[ray]``. Files are compared by their pixels, polygons or bytes. A map with other blocks shows
that no seam is left.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import geopandas as gpd
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
    whole: NDArray[np.float32] = image[np.ix_(rows, cols)]
    return whole


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
    coarse = (-(-size[0] // 3) + 80, -(-size[1] // 3) + 80)
    transform = grid.transform @ Affine.translation(-120, -120) @ Affine.scale(3)
    dem = Grid(grid.crs, transform, *coarse)
    write_image(folder / "dem.tif", mirrored(heights, coarse), dem)
    write_image(folder / "like.tif", np.zeros(size, np.float32), grid)
    return grid


def digest(path: Path) -> str:
    """SHA-256 of a raster's pixels, of polygons, or of a file's bytes."""
    if path.suffix == ".gpkg":  # which keeps the time of its making
        layers = (gpd.read_file(path, layer=name) for name in gpd.list_layers(path).name)
        return hashlib.sha256("".join(layer.to_csv() for layer in layers).encode()).hexdigest()
    if path.suffix == ".tif":
        found = hashlib.sha256()
        with rasterio.open(path) as source:
            for _, window in source.block_windows():  # all bands of a tile are decoded at once
                found.update(source.read(window=window).tobytes())
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


def train(seed: Path, folder: Path) -> Path:
    """Train a small network on the simulated scene, unless that was done; return its checkpoint."""
    checkpoint = folder / "checkpoints" / "best.ckpt"
    if not checkpoint.exists():
        words = ["dataset=stack_ascending", f"dataset.root={seed}", f"dataset.bands=[{BANDS}]"]
        words += ["normalization=zscore", "model.filters=16", "trainer=cpu"]
        words += ["trainer.max_epochs=6", f"hydra.run.dir={folder}"]
        run(sys.executable, str(ROOT / "train.py"), *words)
    return checkpoint


def prepare_words(images: Path, seed: Path, root: Path) -> list[str]:
    """Words that prepare the area."""
    return [
        *("-m", "landslide", "prepare", f"root={root}", "overwrite=true"),
        *(f"event.date={scene_info(seed)['event']['time']}", f"sar.ascending={images}/S1A*"),
        *("sar.polarisations=[vv,vh]", "sar.before=3", "sar.after=2"),
        *("sar.relative_orbit.ascending=68", f"dem={images / 'dem.tif'}"),
        f"grid.like={images / 'like.tif'}",
    ]


def predict_words(checkpoint: Path, scene: Path, output: Path) -> list[str]:
    """Words that map the area."""
    words = [f"checkpoint={checkpoint}", f"scene={scene}", f"output={output}"]
    return [str(ROOT / "predict.py"), *words]


def main() -> None:
    """Simulate, train, then prepare and map in every way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, nargs=2, default=[6000, 9000])
    parser.add_argument("--parts", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=2, help="at a time")
    parser.add_argument("--ray-python", help="a Python with Ray's launcher")
    parser.add_argument("--slurm", action="store_true", help="on the cluster of this machine")
    parser.add_argument("--work", type=Path, help="folder that keeps everything")
    options = parser.parse_args()
    work = (options.work or Path(tempfile.mkdtemp())).resolve()
    seed, images, (height, width) = work / "seed", work / "images", options.size
    python = sys.executable
    if not seed.exists():
        words = [f"root={seed}", f"size=[{TILE[0]},{TILE[1]}]", "polarisations=[vv,vh]"]
        run(python, "-m", "landslide", "simulate", *words, "dates.before=3", "dates.after=2")
    if not images.exists():
        make_images(seed, images, (height, width))
    checkpoint = train(seed, work / "run")
    jobs, parts = f"hydra.launcher.n_jobs={options.jobs}", f"parts={options.parts}"
    ways = {"one": (python, []), "joblib": (python, ["launcher=joblib", jobs, parts])}
    if options.ray_python:
        ways["ray"] = options.ray_python, ["launcher=ray", parts]
    if options.slurm:
        job = (
            "gpus_per_node=0",
            f"cpus_per_task={(os.cpu_count() or 1) // options.jobs}",
            "mem_gb=4",
        )
        ways["slurm"] = python, ["launcher=slurm", *(f"hydra.launcher.{w}" for w in job), parts]
    title = f"{height} x {width} px, {options.parts} parts, {options.jobs} at a time"
    table = Table(title=title)
    for heading in ("processes", "prepare, s", "map, s", "to one process", "files that differ"):
        table.add_column(heading)
    scene, first = work / "scene_one", work / "map_one"
    alone = np.zeros(2)
    for name, (own, words) in ways.items():
        root, output = work / f"scene_{name}", work / f"map_{name}"
        prepared = run(own, *prepare_words(images, seed, root), *words)
        mapped = run(own, *predict_words(checkpoint, scene, output), *words)
        seconds = np.array([prepared, mapped])
        alone = seconds if name == "one" else alone
        different = [] if name == "one" else unequal(root, scene) + unequal(output, first)
        ratios = ", ".join(f"{ratio:.2f}" for ratio in seconds / alone)
        row = [name, f"{prepared:.0f}", f"{mapped:.0f}", ratios, ", ".join(different) or "none"]
        print(*row, flush=True)
        table.add_row(*row)
    Console(width=120).print(table)
    divided = work / "map_divided"
    run(python, *predict_words(checkpoint, scene, divided), "window.size=512")
    difference = np.abs(probability_of(first) - probability_of(divided))
    print(f"largest difference of a map in blocks of 512 px: {np.nanmax(difference):.1e}")


if __name__ == "__main__":
    main()

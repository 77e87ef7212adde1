"""Seconds of a whole ``predict.py``, start-up to report, as ratios to the network's own time.

    python benchmarks/products.py --output products.json
    python benchmarks/products.py --cases landslides --rounds 1 --before ../before

A scene of the paper's size has landslides drawn into its slope band. A network of the paper's size
with random weights maps them: its head reads the first channel of the first level, which hands that
band on, so the time is that of any other network and the map is known. The scene is simulated.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from affine import Affine
from numpy.typing import NDArray
from predict_scene import BANDS, ROOT, make_task
from rasterio.crs import CRS
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from train_throughput import describe_machine

from landslide.geo.grid import Grid
from landslide.geo.rasters import to_cog, write_raster
from landslide.models.layers import PaperNetwork
from landslide.training.task import LandslideTask, save_task

Mask = NDArray[np.bool_]
SLOPE, RISE, SCATTER = 20.0, 12.0, 2.5
"""Slope (degrees) of quiet ground, how much landslides are steeper, and how both vary."""


def draw_areas(size: tuple[int, int], roughness: float, share: float) -> Mask:
    """Landslides of one kind: noise of a scale in pixels, above a quantile."""
    noise = np.random.default_rng(0).normal(size=size).astype(np.float32)
    smooth = ndimage.gaussian_filter(noise, roughness)
    return np.asarray(smooth > np.quantile(smooth, 1 - share))


def draw_one(size: tuple[int, int]) -> Mask:
    """One landslide with ragged outlines and thousands of holes, over half of the scene."""
    labels, _ = ndimage.label(draw_areas(size, 1.5, 0.54))
    return np.asarray(labels == np.bincount(labels[labels > 0]).argmax())


CASES: dict[str, Callable[[tuple[int, int]], Mask]] = {
    "landslides": lambda size: draw_areas(size, 5.3, 0.068),
    "specks": lambda size: draw_areas(size, 1.0, 0.15),
    "one": draw_one,
}
"""Maps of the paper's size: about 5,000 landslides, 100,000, and one over half of the scene."""


def write_scene(path: Path, landslides: Mask) -> None:
    """Write noise as backscatter and landslides as steep slopes, with overviews as prepared."""
    height, width = landslides.shape
    grid = Grid(CRS.from_epsg(32654), Affine(10, 0, 6e5, 0, -10, 4.74e6), height, width)
    rng = np.random.default_rng(1)
    image = rng.random((4, height, width), dtype=np.float32) + 0.01
    scatter = SCATTER * rng.uniform(-1, 1, landslides.shape)
    image[BANDS.index("slope")] = SLOPE + RISE * landslides + scatter
    write_raster(path, image, grid, BANDS, np.nan)
    to_cog(path, {})


def make_network(filters: int) -> LandslideTask:
    """Random weights, but the head reads only the slope, which the first level hands on."""
    task = make_task(filters)
    network, slope = task.model, BANDS.index("slope")
    assert isinstance(network, PaperNetwork)
    task.normalization.get_buffer("mean")[slope] = SLOPE
    with torch.no_grad():
        for convolution, channel in ((network.conv1[0], slope), (network.conv1[3], 0)):
            weight = convolution.get_parameter("weight")
            weight[0] = 0
            weight[0, channel, 1, 1] = 1
        network.head.weight.zero_()
        network.head.weight[0, filters] = 1
        assert network.head.bias is not None
        network.head.bias.fill_(-RISE / 2)
    return task


def measure_map(folder: Path, checkout: Path) -> dict[str, Any]:
    """Seconds by stage of ``predict.py`` in a checkout, and of the process as a whole."""
    words = [f"checkpoint={folder / 'network.ckpt'}", f"scene={folder / 'scene.tif'}"]
    output = folder / "map"
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "predict.py", *words, f"output={output}"],
        cwd=checkout,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    whole = time.perf_counter() - start
    if status:
        raise SystemExit(f"predict.py in {checkout} failed")
    summary = json.loads((output / "summary.json").read_text())
    seconds = summary["seconds"]
    return {
        "landslides": summary["landslides"],
        "mib": usage.ru_maxrss / 1024,
        "cpu": usage.ru_utime + usage.ru_stime,
        "seconds": seconds | {"before and after": whole - seconds["total"], "process": whole},
        "ratio": whole / seconds["network"],
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Every round of every case and checkout; checkouts take turns."""
    checkouts = {"now": ROOT} | ({"before": options.before.resolve()} if options.before else {})
    found: dict[str, Any] = {"environment": describe_machine()}
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = Path(temporary)
        save_task(make_network(options.filters), folder / "network.ckpt")
        for case in options.cases:
            write_scene(folder / "scene.tif", CASES[case](tuple(options.size)))
            found[case] = {name: [] for name in checkouts}
            for _ in range(options.rounds):
                for name, checkout in checkouts.items():
                    found[case][name].append(measure_map(folder, checkout))
    return found


def print_table(result: dict[str, Any]) -> None:
    """Print the medians over the rounds."""
    columns = {
        f"{case}, {name}": rounds
        for case, checkouts in result.items()
        if case != "environment"
        for name, rounds in checkouts.items()
    }
    stages = dict.fromkeys(s for rounds in columns.values() for r in rounds for s in r["seconds"])
    table = Table(title="Seconds of predict.py")
    for heading in ("", *columns):
        table.add_column(heading, justify="right")
    for stage in stages:
        values = [[r["seconds"].get(stage, 0.0) for r in rounds] for rounds in columns.values()]
        table.add_row(stage, *(f"{statistics.median(v):.2f}" for v in values))
    for key, words in (
        ("ratio", "process / network"),
        ("cpu", "CPU seconds"),
        ("mib", "MiB"),
        ("landslides", "landslides"),
    ):
        medians = [statistics.median(r[key] for r in rounds) for rounds in columns.values()]
        table.add_row(words, *(f"{value:,.2f}" for value in medians))
    console = Console()
    console.print(table)
    console.print(", ".join(f"{k}: {v}" for k, v in result["environment"].items()), soft_wrap=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, nargs=2, default=(2346, 3842), help="rows, columns")
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--before", type=Path, help="another checkout, measured in turn")
    parser.add_argument("--folder", type=Path, help="for the scenes; default: temporary")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args()
    result = measure(options)
    print_table(result)
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""False alarms of checkpoints on real Sentinel-1 images of flat land without landslides.

``python benchmarks/false_alarms.py CHECKPOINT [CHECKPOINT ...]``

The images are ten dates over Belgian farmland (openEO, ``s1_small_stacks`` in the folder
that LANDSLIDE_SHARED_DATA names). Dates twelve days apart share an orbit; each triple of
them makes one composite, with a slope of zero. Every landslide pixel is a false alarm.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from affine import Affine
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from rasterio.crs import CRS
from rich.console import Console
from rich.table import Table

from landslide.geo.grid import Grid
from landslide.geo.rasters import write_raster
from landslide.products.mapping import map_scene

CONF = Path(__file__).parents[1] / "conf"
BANDS = ["vv_pre", "vv_post1", "vv_post2", "slope"]
REPEAT = 12
"""Days after which one satellite images a place from the same orbit again."""


def composites(stack: Path) -> Iterator[tuple[int, Grid, NDArray[np.float32]]]:
    """Yield the first day and the composite (4, H, W) of every triple of one orbit."""
    with h5py.File(stack) as file:
        days = file["t"][:].tolist()
        x, y = file["x"][:], file["y"][:]
        numbers = file["S1-SIGMA0-VV"][:].astype(np.uint16)
    power = 10 ** ((20 * np.log10(numbers.astype(np.float64)) - 83) / 10)  # openEO's scaling
    transform = Affine(10, 0, x.min() - 5, 0, -10, y.max() + 5)
    grid = Grid(CRS.from_epsg(32631), transform, len(y), len(x))
    if y[0] < y[-1]:
        power = power[:, ::-1]
    for day in days:
        triple = [day, day + REPEAT, day + 2 * REPEAT]
        if set(triple) <= set(days):
            images = [power[days.index(date)] for date in triple]
            flat = np.zeros_like(images[0])
            yield day - days[0], grid, np.stack([*images, flat]).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", nargs="+", type=Path)
    checkpoints = parser.parse_args().checkpoint
    stack = Path(os.environ["LANDSLIDE_SHARED_DATA"]) / "s1_small_stacks"
    table = Table(title="False alarms on real images without landslides, percent of pixels")
    for heading in ("checkpoint", "first day", "mask", "polygons"):
        table.add_column(heading)
    with (
        tempfile.TemporaryDirectory() as folder,
        initialize_config_dir(str(CONF), version_base="1.3"),
    ):
        for day, grid, image in composites(stack / "gfmap_cdse_sentinel1_grd_10dates.nc"):
            scene = Path(folder) / f"day{day}.tif"
            write_raster(scene, image, grid, BANDS, np.nan)
            for checkpoint in checkpoints:
                output = Path(folder) / "map"
                overrides = [
                    f"checkpoint={checkpoint}",
                    f"scene={scene}",
                    f"output={output}",
                    "min_area=0",
                ]
                map_scene(compose("predict", overrides))
                summary = json.loads((output / "summary.json").read_text())
                share = f"{100 * summary['landslide_share']:.2f}"
                table.add_row(str(checkpoint), str(day), share, str(summary["landslides"]))
    Console().print(table)


if __name__ == "__main__":
    main()

"""Apparent changes of real, quiet hills from date to date, before and after the balance.

    LANDSLIDE_SHARED_DATA=folder python benchmarks/real_rain.py

Reads ``opera_rtc_quiet`` of that folder: OPERA RTC-S1 of four hilly bursts on which nothing failed,
30 m, VV and VH. Every date is compared with the one before it, single pixels and means of
3 x 3 px. A change is more than 3 dB in VV.
"""

import os
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.ndimage import uniform_filter

from landslide.data.levels import balance_dates
from landslide.data.scene import Scene
from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import write_raster

BANDS = ["vv_pre", "vv_post1"]
CHANGE_DB = 3.0


def pair_of_dates(first: Path, second: Path, folder: Path) -> Scene:
    """A scene of two dates in VV."""
    images = []
    for path in (first, second):
        with rasterio.open(path) as source:
            images.append(source.read(1))
            grid = Grid.of(source)
    write_raster(folder / "dates.tif", np.stack(images), grid, BANDS, np.nan)
    return Scene(folder / "dates.tif", BANDS)


def measure_changes(scene: Scene) -> NDArray[np.float64]:
    """Percent of pixels, and of 3 x 3 px means, that differ by more than 3 dB."""
    window = Window(0, 0, scene.grid.height, scene.grid.width)
    image = scene.read(window)["image"].numpy()
    shares = []
    for size in (1, 3):
        pre, post = (uniform_filter(band, size) for band in image)
        change = np.abs(10 * np.log10(post / pre))
        shares.append(100 * float((change[np.isfinite(change)] > CHANGE_DB).mean()))
    return np.array(shares)


def main() -> None:
    """Print the mean and the worst date of every burst."""
    if "LANDSLIDE_SHARED_DATA" not in os.environ:
        sys.exit("LANDSLIDE_SHARED_DATA is not set: name the folder that holds opera_rtc_quiet")
    root = Path(os.environ["LANDSLIDE_SHARED_DATA"]) / "opera_rtc_quiet"
    table = Table(title="Quiet ground that changes by more than 3 dB in VV: percent, mean (worst)")
    table.add_column("burst", no_wrap=True)
    for heading in ("pairs", "pixels", "balanced", "3 x 3 px", "balanced"):
        table.add_column(heading, justify="right")
    for burst in track(sorted(p for p in root.iterdir() if p.is_dir()), transient=True):
        files = sorted(burst.glob("*_VV.tif"), key=lambda path: path.name.split("_")[4])
        shares = []
        for first, second in pairwise(files):
            with tempfile.TemporaryDirectory() as folder:
                scene = pair_of_dates(first, second, Path(folder))
                raw = measure_changes(scene)
                balance_dates(scene)
                shares.append([raw, measure_changes(scene)])
        mean, worst = np.mean(shares, axis=0), np.max(shares, axis=0)
        cells = [f"{mean[i, size]:.1f} ({worst[i, size]:.1f})" for size in (0, 1) for i in (0, 1)]
        table.add_row(burst.name, str(len(shares)), *cells)
    Console().print(table)


if __name__ == "__main__":
    main()

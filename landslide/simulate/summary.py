"""Summary of a simulation for the terminal."""

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from landslide.geo.rasters import UNKNOWN
from landslide.radar.bands import is_backscatter
from landslide.simulate.acquisition import local_time
from landslide.simulate.output import orbit_bands
from landslide.simulate.simulation import SimulatedScene


def print_summary(scene: SimulatedScene, root: Path, console: Console) -> None:
    """Print statistics of the bands, the number of landslides and the files."""
    table = Table(title="Simulated scene: gamma nought (dB) and slope (degrees)")
    for column in ("orbit", "band", "mean", "5 %", "50 %", "95 %", "valid"):
        table.add_column(column, justify="left" if column in ("orbit", "band") else "right")
    for name in scene.backscatter:
        for band, image in orbit_bands(scene, name).items():
            if band in ("aspect", "layover_shadow"):  # their means are meaningless
                continue
            valid = image[np.isfinite(image)]
            values = 10 * np.log10(valid) if is_backscatter(band) else valid
            numbers = [values.mean(), *np.percentile(values, [5, 50, 95])]
            finite = f"{100 * valid.size / image.size:.1f} %"
            table.add_row(name, band, *(f"{number:.1f}" for number in numbers), finite)
    console.print(table)
    for name, stack in scene.stacks.items():
        first, last = (local_time(stack.days[end]).date() for end in (0, -1))
        console.print(f"{name}: a stack of {len(stack.days)} dates, {first} to {last}")
    known = scene.mask != UNKNOWN
    share = 100 * float((scene.mask[known] == 1).mean()) if known.any() else 0.0
    area = f"{share:.1f} % of {known.sum() * scene.grid.pixel_area / 1e6:.1f} km²"
    console.print(f"{len(scene.inventory)} mapped landslides, {area}")
    for path in sorted(root.rglob("*")):
        if path.is_file():
            console.print(f"  {path}", soft_wrap=True, highlight=False)

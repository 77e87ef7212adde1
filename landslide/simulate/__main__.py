"""Write a simulated scene: ``python -m landslide.simulate root=data/demo``."""

import sys
from pathlib import Path
from typing import Any

import hydra
import numpy as np
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from landslide.config.checks import check_words
from landslide.errors import InputError, told_in_a_sentence
from landslide.radar.bands import is_backscatter
from landslide.simulate.backscatter import Radar
from landslide.simulate.event import Scene
from landslide.simulate.landcover import Changes
from landslide.simulate.options import Options, Terrain
from landslide.simulate.scattering import Scattering
from landslide.simulate.slides import Slides
from landslide.simulate.write import bands_of, simulate_scene

STAGES = 6


@hydra.main(config_path="../../conf", config_name="simulate", version_base=None)
@told_in_a_sentence()
def main(config: DictConfig) -> None:
    """Simulate, write, and say what was written."""
    console = Console()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("simulating", total=STAGES)

        def advance(stage: str) -> None:
            bar.update(task, description=f"simulating: {stage}")
            bar.advance(task)

        scene = simulate_scene(
            Path(config.root),
            size=_size(config),
            seed=config.seed,
            dem=config.dem,
            landslides=config.landslides,
            overwrite=config.overwrite,
            options=options_of(config),
            progress=advance,
            polarisations=config.polarisations,
        )
    report(scene, Path(config.root), console)


def _size(config: DictConfig) -> list[int] | None:
    """The wanted size; without one, the DEM's extent, or that of the demonstration."""
    if config.size is None:
        return None if config.dem is not None else [1024, 1536]
    if not OmegaConf.is_list(config.size) or not all(isinstance(n, int) for n in config.size):
        raise InputError(f"size={config.size} is not usable; give [rows,cols] as whole numbers.")
    return list(config.size)


def options_of(config: DictConfig) -> Options:
    """Physical parameters of a configuration.

    Raises:
        InputError: A parameter is not a number.
    """
    groups: dict[str, Any] = {}
    kinds: dict[str, Any] = {
        "terrain": Terrain,
        "slides": Slides,
        "changes": Changes,
        "scattering": Scattering,
        "radar": Radar,
    }
    for group, kind in kinds.items():
        values: dict[str, float] = {}
        for key, value in config[group].items():
            if not isinstance(value, int | float):
                raise InputError(f"{group}.{key}={value} is not a number; give one.")
            values[str(key)] = float(value)
        groups[group] = kind(**values)
    return Options(**groups)


def report(scene: Scene, root: Path, console: Console) -> None:
    """Print the bands, the landslides and the files."""
    table = Table(title="Simulated scene: gamma nought (dB) and slope (degrees)")
    for column in ("orbit", "band", "mean", "5 %", "50 %", "95 %", "valid"):
        table.add_column(column, justify="left" if column in ("orbit", "band") else "right")
    for name in scene.backscatter:
        for band, image in bands_of(scene, name).items():
            if band in ("aspect", "layover_shadow"):  # whose means say nothing
                continue
            valid = image[np.isfinite(image)]
            shown = 10 * np.log10(valid) if is_backscatter(band) else valid
            numbers = [shown.mean(), *np.percentile(shown, [5, 50, 95])]
            finite = f"{100 * valid.size / image.size:.1f} %"
            table.add_row(name, band, *(f"{number:.1f}" for number in numbers), finite)
    console.print(table)
    known = scene.mask != 255
    share = 100 * float((scene.mask[known] == 1).mean()) if known.any() else 0.0
    area = f"{share:.1f} % of {known.sum() * scene.grid.pixel_area / 1e6:.1f} km²"
    console.print(f"{len(scene.inventory)} mapped landslides, {area}")
    for path in sorted(root.rglob("*")):
        if path.is_file():
            console.print(f"  {path}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    check_words(sys.argv[1:])
    main()

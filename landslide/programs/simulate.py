"""Write a simulated scene: ``landslide simulate root=data/demo``."""

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from landslide.config.checks import check
from landslide.config.imports import importing
from landslide.config.rules import SIMULATE

STAGES = 6
"""Times that ``simulate_scene`` reports progress, without a stack."""


def simulate(config: DictConfig) -> None:
    """Simulate a scene, write it and print its bands and files."""
    check(config, SIMULATE)
    with importing():
        from landslide.simulate.options import PAPER_DATES, dates_of, options_of, size_of
        from landslide.simulate.output import simulate_scene
        from landslide.simulate.summary import print_summary

    console = Console()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        dates = dates_of(config)
        stages = STAGES + (2 if dates != PAPER_DATES else 0)
        task = bar.add_task("simulating", total=stages)

        def advance(stage: str) -> None:
            bar.update(task, description=f"simulating: {stage}")
            bar.advance(task)

        scene = simulate_scene(
            Path(config.root),
            size=size_of(config),
            seed=config.seed,
            dem=config.dem,
            landslides=config.landslides,
            overwrite=config.overwrite,
            options=options_of(config),
            progress=advance,
            polarisations=config.polarisations,
            dates=dates,
        )
    print_summary(scene, Path(config.root), console)

"""Export a model: ``landslide export checkpoint=best.ckpt output=models/mine``."""

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from landslide.config.checks import check
from landslide.config.imports import importing
from landslide.config.paths import require_models
from landslide.config.rules import EXPORT


def export(config: DictConfig) -> None:
    """Write a model for other programs, and print how far it differs from ``predict.py``."""
    check(config, EXPORT)
    require_models(config.checkpoint)
    with importing():
        from landslide.export.export import FILES, export_model
        from landslide.export.metadata import notes

    exported = export_model(config)
    kinds = list(next(iter(exported.differences.values())))
    table = Table("", *kinds, title="Largest difference to predict.py, by input")
    for file, differences in exported.differences.items():
        table.add_row(file, *(f"{differences[kind]:.1e}" for kind in kinds))
    console = Console(soft_wrap=True)
    console.print(table)
    for note in notes(exported):
        console.print(f"Note: {note}")
    for name in FILES:
        console.print(str(Path(config.output) / name))

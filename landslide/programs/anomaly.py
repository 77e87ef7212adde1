"""Add the anomaly of OPERA's disturbance network to a scene: ``landslide anomaly root=…``."""

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from landslide.config.checks import check
from landslide.config.imports import importing
from landslide.config.paths import require_scene
from landslide.config.rules import ANOMALY


def anomaly(config: DictConfig) -> None:
    """Write the band ``anomaly`` to the orbits of a scene, and measure it on quiet dates."""
    check(config, ANOMALY)
    root = Path(config.root)
    require_scene(root)
    with importing():
        from landslide.prediction.anomaly import add_anomaly

    for composite in add_anomaly(root, config.quiet):
        Console(soft_wrap=True).print(f"Band anomaly: {composite}")

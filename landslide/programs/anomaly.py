"""Add the anomaly of OPERA's disturbance network to a scene: ``landslide anomaly root=…``."""

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from landslide.config.checks import check


def anomaly(config: DictConfig) -> None:
    """Write the band ``anomaly`` to the orbits of a scene."""
    check(config, {})
    from landslide.prediction.anomaly import add_anomaly

    for composite in add_anomaly(Path(config.root)):
        Console(soft_wrap=True).print(f"Band anomaly: {composite}")

"""Cut a map anew: ``landslide polygons map=maps/demo threshold=0.3``."""

from omegaconf import DictConfig

from landslide.config.checks import check
from landslide.config.imports import importing
from landslide.config.rules import POLYGONS


def polygons(config: DictConfig) -> None:
    """Make mask, polygons, picture and report of a map again, without its model."""
    check(config, POLYGONS)
    with importing():
        from landslide.products.recut import recut_map

    recut_map(config)

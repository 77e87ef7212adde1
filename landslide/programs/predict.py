"""Map a scene: ``python predict.py checkpoint=best.ckpt scene=data/demo output=maps/demo``."""

from omegaconf import DictConfig

from landslide.config.checks import check
from landslide.config.imports import importing
from landslide.config.paths import require_models
from landslide.config.rules import PREDICT


def predict(config: DictConfig) -> None:
    """Map a scene and write its rasters, polygons, map and summary."""
    check(config, PREDICT)
    require_models(config.checkpoint)
    with importing():
        from landslide.products.mapping import map_scene

    map_scene(config)

"""Map a scene: ``python predict.py checkpoint=best.ckpt scene=data/demo output=maps/demo``."""

from omegaconf import DictConfig

from landslide.config.checks import check
from landslide.config.paths import is_model_name, require_checkpoints
from landslide.config.rules import PREDICT


def predict(config: DictConfig) -> None:
    """Map a scene and write its rasters, polygons, map and summary."""
    check(config, PREDICT)
    names = [config.checkpoint] if isinstance(config.checkpoint, str) else config.checkpoint
    require_checkpoints([name for name in names if not is_model_name(name)])
    from landslide.products.mapping import map_scene

    map_scene(config)

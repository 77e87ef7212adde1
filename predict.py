"""Map a scene: ``python predict.py checkpoint=best.ckpt scene=data/demo output=maps/demo``."""

import sys

import hydra
from omegaconf import DictConfig

from landslide.config.checks import check_words
from landslide.products.mapping import map_scene


@hydra.main(config_path="conf", config_name="predict", version_base="1.3")
def main(config: DictConfig) -> None:
    """Predict a scene and write its rasters, polygons, map and summary."""
    map_scene(config)


if __name__ == "__main__":
    check_words(sys.argv[1:])
    main()

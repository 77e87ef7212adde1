"""Convert Keras weights: ``landslide keras weights=authors.hdf5 bands=[…] output=x.ckpt``."""

from omegaconf import DictConfig
from rich.console import Console

from landslide.config.checks import check
from landslide.config.imports import importing


def keras(config: DictConfig) -> None:
    """Write a checkpoint with the authors' weights."""
    check(config, {})
    with importing():
        from landslide.training import keras_weights

    keras_weights.convert(config)
    Console(soft_wrap=True).print(f"Checkpoint: {config.output}")

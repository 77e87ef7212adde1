"""Landslide maps from Sentinel-1 radar images.

The functions of ``landslide.api`` are imported from here, when they are first used, so that the
programs start quickly.
"""

from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from landslide.errors import InputError

if TYPE_CHECKING:
    from landslide.api import (
        Products,
        find_landslides,
        load_checkpoint,
        map_scene,
        open_scene,
        predict,
        read_products,
        read_truth,
        score,
    )
    from landslide.simulate.output import simulate_scene

__version__ = "0.1.0"

__all__ = [
    "InputError",
    "Products",
    "__version__",
    "find_landslides",
    "load_checkpoint",
    "map_scene",
    "open_scene",
    "predict",
    "read_products",
    "read_truth",
    "score",
    "simulate_scene",
]

# Models are told their number of input bands as ${len:${dataset.bands}}.
OmegaConf.register_new_resolver("len", len, replace=True)


def __getattr__(name: str) -> object:
    """Import a function of the API when it is first used."""
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module 'landslide' has no attribute {name!r}")
    module = "landslide.simulate.output" if name == "simulate_scene" else "landslide.api"
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    """List the API for completion."""
    return __all__

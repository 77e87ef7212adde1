"""Landslide maps from Sentinel-1 radar images.

The functions of ``landslide.api`` are imported from here, when they are first used, so that the
programs start quickly.
"""

from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from landslide.errors import InputError

if TYPE_CHECKING:
    from landslide.api import Products as Products
    from landslide.api import find_landslides as find_landslides
    from landslide.api import load_checkpoint as load_checkpoint
    from landslide.api import map_scene as map_scene
    from landslide.api import open_scene as open_scene
    from landslide.api import predict as predict
    from landslide.api import read_products as read_products
    from landslide.api import read_truth as read_truth
    from landslide.api import score as score
    from landslide.simulate.output import simulate_scene as simulate_scene

__version__ = "0.1.0"

API = {
    "landslide.api": (
        "Products",
        "find_landslides",
        "load_checkpoint",
        "map_scene",
        "open_scene",
        "predict",
        "read_products",
        "read_truth",
        "score",
    ),
    "landslide.simulate.output": ("simulate_scene",),
}

__all__ = ["InputError", "__version__", *sorted(name for names in API.values() for name in names)]

# Models are told their number of input bands as ${len:${dataset.bands}}.
OmegaConf.register_new_resolver("len", len, replace=True)


def __getattr__(name: str) -> object:
    """Import a function of the API when it is first used."""
    from importlib import import_module

    for module, names in API.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'landslide' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the API for completion."""
    return sorted(__all__)

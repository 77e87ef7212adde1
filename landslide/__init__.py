"""Landslide maps from Sentinel-1 radar images."""

from omegaconf import OmegaConf

__version__ = "0.1.0"

# Models are told their number of input bands as ${len:${dataset.bands}}.
OmegaConf.register_new_resolver("len", len, replace=True)

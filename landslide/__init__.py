"""Landslide mapping on Sentinel-1 radar images."""

__version__ = "0.1.0"

"""Raw Sentinel-1 products: read, terrain-correct and calibrate what lies in the area."""

from landslide.prepare.safe.acquisition import acquire

__all__ = ["acquire"]

"""Raw Sentinel-1 products: read, terrain-correct and calibrate the part in the area."""

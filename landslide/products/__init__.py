"""From a raster of probability or score to mask, polygons, scores, map and report.

Takes a mapped scene; writes the folder of ``predict.py``. Only ``programs`` and the Python API
import from here.
"""

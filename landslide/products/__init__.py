"""From a probability raster to what a mapper delivers: mask, polygons, scores, map, report.

In comes a mapped scene; out comes the folder that ``predict.py`` writes. No other room imports
from here.
"""

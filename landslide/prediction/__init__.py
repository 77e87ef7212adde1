"""From a checkpoint and a scene to a probability raster, block by block and without seams.

In come networks and a scene of any size; out comes ``probability.tif``. Only ``products`` may
import from here.
"""

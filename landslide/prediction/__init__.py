"""From checkpoints and a scene to a probability raster, block by block and without seams.

Takes networks and a scene of any size; writes ``probability.tif``. Only ``products`` may import
from here.
"""

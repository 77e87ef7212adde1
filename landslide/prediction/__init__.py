"""From checkpoints or detectors and a scene to a raster, block by block and without seams.

Takes networks and a scene of any size; writes ``probability.tif``, or ``score.tif`` where it is no
probability. Only ``products`` may import from here.
"""

"""From Sentinel-1 acquisitions, a DEM and an inventory to a scene on one grid.

Images come from local files (``files``), an open archive (``stac``) or raw products (``safe``);
each way ends in ``sources.Sources``. ``prepare.prepare_scene`` writes the scene's folder. Programs
use this room; no other room does.
"""

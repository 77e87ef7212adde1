"""From Sentinel-1 acquisitions, a DEM and an inventory to a training scene on one grid."""

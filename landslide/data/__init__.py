"""From scenes to batches: patches, splits, samplers, augmentation, normalisation.

In come the scenes that ``prepare`` or ``simulate`` wrote; out come windows of them for a map, and
for a training batches of images and masks through TorchGeo datasets and geo-samplers. ``training``
and later rooms may import from here.
"""

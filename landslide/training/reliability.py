"""What else is known of a model on its test split: calibration, and landslides found by size."""

from typing import Any

import numpy as np
from scipy import ndimage

from landslide.geo.rasters import UNKNOWN
from landslide.training.evaluation import Predictions
from landslide.training.size_classes import count_by_size

BINS = 10
"""Bins of equal width that probabilities are sorted into."""

WITHIN_PATCHES = np.zeros((3, 3, 3), bool)
"""Pixels of a patch that touch are one landslide; patches are apart."""
WITHIN_PATCHES[1] = ndimage.generate_binary_structure(2, 1)


def calibration(predictions: Predictions) -> list[dict[str, float]]:
    """Reliability diagram: how often pixels of a probability are landslides.

    Returns:
        A row for each bin that is not empty: mean ``probability``, share of ``landslides`` and
        number of ``pixels``.
    """
    known = (predictions.mask != UNKNOWN).numpy()
    probability = predictions.probability.numpy()[known].astype(np.float64)
    truth = (predictions.mask == 1).numpy()[known]
    bins = np.minimum((probability * BINS).astype(int), BINS - 1)
    pixels = np.bincount(bins, minlength=BINS)
    sums = (np.bincount(bins, weights, minlength=BINS) for weights in (probability, truth))
    return [
        {"probability": total / count, "landslides": slides / count, "pixels": int(count)}
        for total, slides, count in zip(*sums, pixels, strict=True)
        if count
    ]


def hit_by_size(predictions: Predictions, threshold: float) -> list[dict[str, Any]] | None:
    """Count by size which landslides are found; None for patches without coordinates.

    A landslide is what touches in the mask of one patch, so that one which a patch's edge cuts
    counts as its parts.
    """
    if predictions.places is None:
        return None
    mask = predictions.mask.numpy()
    parts, number = ndimage.label(mask == 1, WITHIN_PATCHES)
    inside = parts > 0
    pixels = np.bincount(parts[inside], minlength=number + 1)[1:]
    mapped = predictions.probability.numpy() > threshold
    found = np.bincount(parts[inside & mapped], minlength=number + 1)[1:]
    patch_of = np.zeros(number + 1, int)
    patch_of[parts[inside]] = np.nonzero(inside)[0]
    scenes = predictions.places.corners[patch_of[1:], 0]
    pixel_areas = np.array([grid.pixel_area for grid in predictions.places.grids])
    return count_by_size(pixels * pixel_areas[scenes], found / pixels)

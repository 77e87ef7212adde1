"""Metadata of ONNX models for Deepness, a plugin of QGIS that runs them on a raster layer."""

import math
from typing import Any

from landslide.errors import InputError
from landslide.models.halo import Halo

CENTIMETRES = 100

MAX_OVERLAP = 90
"""Percent."""


def deepness_metadata(
    outputs: tuple[str, ...],
    channels: int,
    resolution: float,
    size: int,
    overlap: int,
    threshold: float,
) -> dict[str, Any]:
    """Metadata of Deepness 0.6, each of whose values is written as JSON.

    Args:
        outputs: Names of the outputs.
        channels: Number of input bands.
        resolution: Side of a pixel in metres.
        size: Side of a tile in pixels.
        overlap: Overlap of tiles in percent, see ``tile_overlap``.
        threshold: Value from which a pixel is landslide.
    """
    names = {outputs[0]: "landslide"}
    return {
        "model_type": "Segmentor",
        "class_names": [{"0": names.get(output, output)} for output in outputs],
        "resolution": resolution * CENTIMETRES,
        "tile_size": size,  # its code
        "tiles_size": size,  # its documentation
        "tiles_overlap": overlap,
        "seg_thresh": deepness_threshold(threshold),
        "seg_small_segment": 0,  # otherwise a median filter of 9 px erases small landslides
        # It divides by 255 and standardises: these undo that.
        "standardization_mean": [0.0] * channels,
        "standardization_std": [1 / 255] * channels,
    }


def deepness_threshold(threshold: float) -> float:
    """A threshold in Deepness: of two decimals, of which 0 maps everything and 1 nothing."""
    return min(max(round(threshold, 2), 0.01), 0.99)


def tile_overlap(size: int, halo: Halo) -> int:
    """Overlap of tiles in whole percent, such that their joined cores equal one pass.

    Half of the overlap is cut off on each side. Because of pooling, tiles must also start on the
    network's grid: of the percentages that leave the halo, the first one is taken whose stride is a
    multiple of the grid.

    Raises:
        InputError: The tile is too small for the halo.
    """
    least = math.ceil(200 * halo.size / size)
    for percent in range(least, MAX_OVERLAP + 1):
        overlap = int(size * percent / 100 * 2) // 2  # as Deepness computes it
        if overlap >= 2 * halo.size and (size - overlap) % halo.grid == 0:
            return percent
    raise InputError(
        f"size={size} leaves nothing of a tile but the {halo.size} px around it that the network "
        f"sees: give {4 * halo.size} or more"
    )

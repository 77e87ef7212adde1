"""Mirroring images that hold directions."""

from collections.abc import Sequence

from torch import Tensor

EAST_WEST, NORTH_SOUTH = -1, -2
"""Axes of (..., H, W) along which an image is mirrored."""

MIRRORED_SUM = {EAST_WEST: 360, NORTH_SOUTH: 180}
"""Sum in degrees of a direction, clockwise from north, and its mirror image."""


def mirror(image: Tensor, axes: list[int], directions: Sequence[int]) -> Tensor:
    """Mirror an image and its directions, as if the ground itself were mirrored.

    Flat ground, whose aspect is 0 by convention, is treated like the rest.

    Args:
        image: (..., C, H, W), before normalisation; NaN stays NaN.
        axes: ``EAST_WEST``, ``NORTH_SOUTH``, both or none.
        directions: Channels that are directions in degrees clockwise from north.

    Returns:
        A new image; directions are in [0, 360).
    """
    flipped: Tensor = image.flip(axes)
    for axis in axes if directions else ():
        flipped[..., directions, :, :] = (MIRRORED_SUM[axis] - flipped[..., directions, :, :]) % 360
    return flipped

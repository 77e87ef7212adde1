"""What a mirror does to images that hold directions."""

from collections.abc import Sequence

from torch import Tensor

EAST_WEST, NORTH_SOUTH = -1, -2
"""Axes of (..., H, W) along which an image is mirrored."""

TURNED_FROM = {EAST_WEST: 360, NORTH_SOUTH: 180}
"""A direction d, clockwise from north, becomes this minus d."""


def mirror(image: Tensor, axes: list[int], directions: Sequence[int]) -> Tensor:
    """Mirror an image and turn its directions with it, as if the ground itself were mirrored.

    Flat ground, whose aspect is 0 by convention, is turned like the rest.

    Args:
        image: (..., C, H, W), before normalisation; NaN stays NaN.
        axes: ``EAST_WEST``, ``NORTH_SOUTH``, both or none.
        directions: Channels that are directions in degrees clockwise from north.

    Returns:
        A new image; directions are in [0, 360).
    """
    flipped: Tensor = image.flip(axes)
    for axis in axes if directions else ():
        flipped[..., directions, :, :] = (TURNED_FROM[axis] - flipped[..., directions, :, :]) % 360
    return flipped

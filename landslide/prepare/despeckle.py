"""Despeckling of a stack's dates, in tiles, so that memory depends neither on scene nor dates."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import rasterio

from landslide.geo.files import replacing
from landslide.geo.grid import BLOCK_SIZE, TILE_SIZE, Grid
from landslide.geo.relief import Float
from landslide.prepare.stack import Stack, dates_profile
from landslide.radar.despeckling import temporal_filter, total_variation

MAX_PIXELS = 4 * BLOCK_SIZE**2
"""Pixels of all dates that are filtered together."""


class Method(NamedTuple):
    """How dates are despeckled.

    Attributes:
        margin: Pixels around a tile that affect it. What lies farther than 32 px away changes total
            variation by less than 0.1 dB; the temporal filter averages 7 x 7 px.
        joint: Whether the dates of a polarisation are filtered together.
        description: What was done, for the notes.
    """

    margin: int
    joint: bool
    description: str


METHODS: Mapping[str, Method] = {
    "total_variation": Method(32, False, "each by total variation in decibels (weight 0.2)"),
    "temporal": Method(3, True, "together by a temporal filter over 7 x 7 px (Quegan and Yu 2001)"),
}


def despeckle(stack: Stack, name: str) -> Stack:
    """Replace the dates of a stack by despeckled ones.

    Args:
        stack: A stack that was written.
        name: One of ``METHODS``, or ``none``.

    Returns:
        The stack, which knows the method.
    """
    if name not in METHODS:
        return stack
    method = METHODS[name]
    with rasterio.open(stack.path) as source, replacing(stack.path) as temporary:
        grid = Grid.of(source)
        profile = dates_profile(grid, source.count)
        with rasterio.open(temporary, "w", **profile) as sink:
            sink.descriptions = source.descriptions
            for bands in _groups(stack, joint=method.joint):
                for block in grid.blocks(_block_side(len(bands))):
                    wide = grid.clip(block.padded(method.margin))
                    images = source.read(bands, window=wide.to_rasterio())
                    inner = (slice(None), *block.within(wide))
                    filtered = _filter(images, joint=method.joint)[inner]
                    sink.write(filtered, bands, window=block.to_rasterio())
    return replace(stack, despeckled=method.description)


def _groups(stack: Stack, *, joint: bool) -> Iterator[list[int]]:
    """Numbers of the bands that are filtered together."""
    for polarisation in range(len(stack.polarisations)):
        numbers = [stack.band_number(date, polarisation) for date in range(len(stack.dates))]
        yield from [numbers] if joint else ([number] for number in numbers)


def _filter(images: Float, *, joint: bool) -> Float:
    filtered: Sequence[Float] = (
        temporal_filter(list(images)) if joint else [total_variation(image) for image in images]
    )
    return np.stack(filtered)


def _block_side(bands: int) -> int:
    """Side of the blocks in whole tiles of the file, so that each is compressed once."""
    side = int((MAX_PIXELS / bands) ** 0.5)
    return min(max(side // TILE_SIZE, 1) * TILE_SIZE, BLOCK_SIZE)

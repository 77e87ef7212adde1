"""Balance of dates: removes what brightened or darkened a whole image.

Rain shifts an entire image by 3 dB and more on real hills where nothing failed. A network that
compares dates by stored statistics then takes all the ground for landslides. Every image is
therefore brought to one level, which ``landslide.data.levels`` measures over unchanged ground.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

from landslide.geo.grid import Grid, Window
from landslide.radar.bands import (
    ORBIT_MARK,
    acquisition_of,
    orbit_of,
    polarisation_of,
    source_bands,
)
from landslide.radar.unchanged import REPORTED_CHANGE_DB

Levels = Mapping[str, NDArray[np.float64]]
"""Brightness of unchanged ground in each image, in dB on (h, w) tiles of the scene."""

LIKE_LEVEL_DB, CROSS_LEVEL_DB = -10.0, -17.0
"""Levels that images of like and of cross polarisation are brought to, as usual on hills."""


class Balance:
    """Brings the images of a scene to one level.

    Args:
        bands: Names of the channels.
        grid: Grid of the scene.
        levels: Levels of the images that channels are made of; other images stay unchanged.
    """

    def __init__(self, bands: Sequence[str], grid: Grid, levels: Levels) -> None:
        self._size = (grid.height, grid.width)
        excess = {image: level - _target_level(image) for image, level in levels.items()}
        zero = np.zeros((1, 1))
        channels = []
        for band in bands:
            own, *denominator = (excess.get(part, zero) for part in source_bands(band))
            channels.append(own - denominator[0] if denominator else own)
        # (C, h, w): excess brightness of each channel in dB
        self._field = torch.from_numpy(np.stack(np.broadcast_arrays(*channels))).float()

    def __call__(self, image: Tensor, window: Window) -> Tensor:
        """Balance the image (C, H, W) of a window of the scene, backscatter in linear power."""
        return image * 10 ** (-self._excess(window) / 10)

    def _excess(self, window: Window) -> Tensor:
        """Excess in dB: bilinear between the centres of tiles, constant beyond the outermost."""
        if self._field[0].numel() == 1:
            return self._field
        height, width = self._size
        x = (window.col + torch.arange(window.width) + 0.5) / width * 2 - 1
        y = (window.row + torch.arange(window.height) + 0.5) / height * 2 - 1
        points = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
        field = self._field[None]
        return grid_sample(field, points[None], padding_mode="border", align_corners=False)[0]


def reference_images(images: Sequence[str]) -> dict[str, str]:
    """Map every image to the one before the event in its orbit and polarisation.

    Among days (``vv_20180905``) this is the earliest; where all dates are after the event, it is
    the first that is named.
    """
    groups: dict[tuple[str | None, str], list[str]] = {}
    for image in images:
        groups.setdefault((orbit_of(image), polarisation_of(image)), []).append(image)
    return {image: min(group, key=_precedence) for group in groups.values() for image in group}


def _precedence(image: str) -> tuple[int, str]:
    """Sort key of reference dates: ``pre``, ``pre_mean``, the earliest day, the first named."""
    date = acquisition_of(image).split(ORBIT_MARK)[0]
    if date.startswith("pre"):
        return (0, date)
    return (1, date) if date.isdigit() else (2, "")


def mean_levels(levels: Levels) -> dict[str, float]:
    """Mean over the scene of every image's level, in dB."""
    return {image: round(float(tiles.mean()), 2) for image, tiles in levels.items()}


def describe_level_changes(levels: Levels) -> str:
    """Name the images that differ as a whole from their references; empty if none does."""
    means, references = mean_levels(levels), reference_images(list(levels))
    changes = {image: means[image] - means[references[image]] for image in levels}
    return ", ".join(
        f"{image} by {change:+.1f} dB from {references[image]}"
        for image, change in changes.items()
        if abs(change) > REPORTED_CHANGE_DB
    )


def _target_level(image: str) -> float:
    return CROSS_LEVEL_DB if polarisation_of(image) in ("vh", "hv") else LIKE_LEVEL_DB

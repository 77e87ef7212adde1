"""Balance of dates: what brightened or darkened a whole image is divided out.

Rain moves an entire image, by 3 dB and more on real hills where nothing failed. A network that
compares dates by stored statistics then takes all the ground for landslides. Every image is
therefore brought to one level, by what ``landslide.data.levels`` measures over unchanged ground.
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

Levels = Mapping[str, NDArray[np.float64]]
"""How bright unchanged ground is in each image, in dB on (h, w) tiles of the scene."""

LIKE_LEVEL_DB, CROSS_LEVEL_DB = -10.0, -17.0
"""Levels that images are brought to, of like and of cross polarisation: usual ones of hills."""

BEFORE = "pre"
"""How the dates begin that others are compared with."""

REPORTED_CHANGE_DB = 1.0
"""Dates that differ by more are told to the user."""


class Balance:
    """Brings the images of a scene to one level.

    Args:
        bands: Names of the channels.
        grid: Grid of the scene.
        levels: Of the images that channels are made of; those that are not named stay.
    """

    def __init__(self, bands: Sequence[str], grid: Grid, levels: Levels) -> None:
        self._size = (grid.height, grid.width)
        excess = {image: level - _target_level(image) for image, level in levels.items()}
        channels = []
        for band in bands:
            own, *denominator = (excess.get(part, np.zeros((1, 1))) for part in source_bands(band))
            channels.append(own - denominator[0] if denominator else own)
        # (C, h, w): by how many dB each channel is too bright
        self._field = torch.from_numpy(np.stack(np.broadcast_arrays(*channels))).float()

    def __call__(self, image: Tensor, window: Window) -> Tensor:
        """Balance the image (C, H, W) of a window of the scene, backscatter in linear power."""
        return image * 10 ** (-self._excess(window) / 10)

    def _excess(self, window: Window) -> Tensor:
        """Offsets in dB: bilinear between the middles of tiles, constant beyond the outermost."""
        if self._field[0].numel() == 1:
            return self._field
        x, y = (
            (start + torch.arange(length) + 0.5) / whole * 2 - 1
            for start, length, whole in (
                (window.col, window.width, self._size[1]),
                (window.row, window.height, self._size[0]),
            )
        )
        places = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
        excess = grid_sample(
            self._field[None], places[None], padding_mode="border", align_corners=False
        )
        return excess[0]


def reference_images(images: Sequence[str]) -> dict[str, str]:
    """For every image, the one before the event in its orbit and polarisation.

    Of days (``vv_20180905``) the earliest is taken; of dates that are all after, the first named.
    """
    groups: dict[tuple[str | None, str], list[str]] = {}
    for image in images:
        groups.setdefault((orbit_of(image), polarisation_of(image)), []).append(image)
    found: dict[str, str] = {}
    for group in groups.values():
        found |= dict.fromkeys(group, min(group, key=_precedence))
    return found


def _precedence(image: str) -> tuple[int, str]:
    """Which of the dates is compared with: ``pre``, ``pre_mean``, the earliest day, the first."""
    date = acquisition_of(image).split(ORBIT_MARK)[0]
    if date.startswith(BEFORE):
        return (0, date)
    return (1, date) if date.isdigit() else (2, "")


def mean_levels(levels: Levels) -> dict[str, float]:
    """Mean over the scene of every image's level, in dB."""
    return {image: round(float(tiles.mean()), 2) for image, tiles in levels.items()}


def describe_level_changes(levels: Levels) -> str:
    """Which images differ as a whole, and from which, in words; empty if none do."""
    means, references = mean_levels(levels), reference_images(list(levels))
    changes = {image: means[image] - means[references[image]] for image in levels}
    found = [
        f"{image} by {dB:+.1f} dB from {references[image]}"
        for image, dB in changes.items()
        if abs(dB) > REPORTED_CHANGE_DB
    ]
    return ", ".join(found)


def _target_level(image: str) -> float:
    return CROSS_LEVEL_DB if polarisation_of(image) in ("vh", "hv") else LIKE_LEVEL_DB

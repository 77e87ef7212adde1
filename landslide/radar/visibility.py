"""Where the radar cannot see the ground, from a scene's bands and geometry.

``Scene`` chooses a ``Visibility`` when it is opened, and marks hidden pixels unknown in its mask.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from landslide.errors import InputError
from landslide.radar.geometry import RadarGeometry

LAYOVER_SHADOW = "layover_shadow"
"""Band that is above 0 where the radar cannot see the ground."""


class Visibility(NamedTuple):
    """A way to find where the radar cannot see the ground.

    Attributes:
        bands: Bands that it needs, by description.
        hidden: Function from these bands (C, H, W) to booleans (H, W). It is no lambda because
            scenes are pickled for other processes.
        known_by: The way in words, for the summary.
    """

    bands: list[str]
    hidden: Callable[[Tensor], Tensor]
    known_by: str


def _none_hidden(image: Tensor) -> Tensor:
    return torch.zeros(image.shape[1:], dtype=torch.bool)


def _flagged(image: Tensor) -> Tensor:
    return image[0] != 0  # true for NaN


def _distorted(image: Tensor, geometry: RadarGeometry) -> Tensor:
    return distorted_slopes(image[0], image[1], geometry)


def _hidden_in_any(
    image: Tensor, views: Sequence[Visibility], picks: Sequence[Sequence[int]]
) -> Tensor:
    each = [view.hidden(image[pick]) for view, pick in zip(views, picks, strict=True)]
    return torch.stack(each).any(dim=0)


NODATA_ONLY = Visibility(
    [], _none_hidden, "nodata only: the scene tells nothing of layover and shadow"
)


def choose_visibility(described: Sequence[str], geometry: Mapping[str, Any] | None) -> Visibility:
    """Choose the best way that a scene allows.

    Args:
        described: Bands of the scene.
        geometry: ``incidence`` on the ellipsoid and ``look`` (azimuth) of the radar in degrees,
            as ``scene.json`` has them for each orbit.

    Returns:
        The band ``layover_shadow``, which includes cast shadows. Without it, slopes that face
        the radar too steeply or turn away from it, from the bands ``slope`` and ``aspect``.
        Without these, ``NODATA_ONLY``.

    Raises:
        InputError: The angles are not those of a side-looking radar.
    """
    if LAYOVER_SHADOW in described:
        return Visibility([LAYOVER_SHADOW], _flagged, "the layover_shadow band")
    look, incidence = ((geometry or {}).get(name) for name in ("look", "incidence"))
    if not {"slope", "aspect"} <= set(described) or look is None or incidence is None:
        return NODATA_ONLY
    numbers = all(isinstance(angle, int | float) for angle in (look, incidence))
    if not numbers or not 0 < incidence < 90:
        raise InputError(
            f"scene.json: geometry has look {look} and incidence {incidence}: give degrees, the "
            "incidence angle between 0 and 90"
        )
    return Visibility(
        ["slope", "aspect"],
        partial(_distorted, geometry=RadarGeometry(heading=look - 90, incidence=incidence)),
        "slope, aspect and the radar's geometry, without shadows that are cast",
    )


def merge_visibility(views: Sequence[Visibility]) -> Visibility:
    """Merge the visibility of several orbits: a pixel is hidden if it is hidden in any."""
    bands = list(dict.fromkeys(band for view in views for band in view.bands))
    picks = [[bands.index(band) for band in view.bands] for view in views]
    known_by = "; ".join(dict.fromkeys(view.known_by for view in views))
    return Visibility(bands, partial(_hidden_in_any, views=views, picks=picks), known_by)


def distorted_slopes(slope: Tensor, aspect: Tensor, geometry: RadarGeometry) -> Tensor:
    """Slopes in active layover or active shadow (Kropatsch & Strobl 1990, IEEE TGRS 28(1)).

    With p = -tan(slope) cos(aspect - look), the rise along the look: slant range falls where
    p > tan(incidence), and the surface turns away where p < -1 / tan(incidence).

    Args:
        slope: Degrees, any shape.
        aspect: Degrees clockwise from north in which the ground falls, of the same shape.
        geometry: Radar geometry, with the same north as ``aspect``.

    Returns:
        Booleans; False where a band is NaN.
    """
    rise = -slope.deg2rad().tan() * (aspect - geometry.look_azimuth).deg2rad().cos()
    steepness = torch.tensor(geometry.incidence).deg2rad().tan()
    return (rise > steepness) | (rise < -1 / steepness)

"""Land cover and its changes between the acquisitions."""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from landslide.geo.relief import Float, slope_degrees
from landslide.simulate.drainage import border_cells, drainage_area, route
from landslide.simulate.noise import pixel_indices, smooth_noise

MAX_FARMED_SLOPE = 6.0
"""Slope in degrees, averaged over 100 m, below which land is farmed."""


class Cover(IntEnum):
    """Land cover classes."""

    FOREST = 0
    FARMLAND = 1
    SETTLEMENT = 2
    WATER = 3


@dataclass(frozen=True)
class Changes:
    """Changes that are not landslides; those in dB are standard deviations from date to date.

    Attributes:
        forest: Change of forest in dB.
        farmland: Change of single fields in dB.
        moisture: Change of bare soil in dB.
        harvested: Share of fields harvested within a month around the earthquake, [0, 1].
        flooded: Share of fields under water at any one date, [0, 1].
        felled: Share of the forest felled or thrown by wind in that month, [0, 1].
        whole_date: Shift of all the ground in VV in dB, as by rain; VH follows it.
    """

    forest: float
    farmland: float
    moisture: float
    harvested: float
    flooded: float
    felled: float
    whole_date: float


class LandCover(NamedTuple):
    """Land cover of a scene, (H, W) each.

    Attributes:
        cover: Values of ``Cover``.
        field: Number of the field, from 0; fields also divide land that is not farmed.
        harvest: Day of September on which the field is harvested, inf if it is not.
        felling: Day of September on which the trees come down, inf if they stand,
            -inf in old clearings.
    """

    cover: NDArray[np.uint8]
    field: NDArray[np.int64]
    harvest: Float
    felling: Float


def land_cover(
    elevation: Float, spacing: float, options: Changes, rng: np.random.Generator
) -> LandCover:
    """Forest on the hills, fields, hamlets and ponds on the flats.

    Args:
        elevation: (H, W) in metres, without NaN.
        spacing: Pixel size in metres.
        options: Strength of the changes.
        rng: Source of randomness.
    """
    shape = elevation.shape
    slope = ndimage.uniform_filter(slope_degrees(elevation, spacing), 100 / spacing // 2 * 2 + 1)
    farmed = slope + 1.5 * smooth_noise(shape, 150 / spacing, rng) < MAX_FARMED_SLOPE
    cover = np.where(farmed, Cover.FARMLAND, Cover.FOREST).astype(np.uint8)
    field = _fields(shape, spacing, rng)
    count = int(field.max()) + 1
    urban = farmed & (smooth_noise(shape, 300 / spacing, rng) > 2.0)
    cover[urban & (rng.random(count)[field] < 0.7)] = Cover.SETTLEMENT
    cover[farmed & _river(elevation, spacing, rng)] = Cover.WATER
    harvested = rng.random(count) < options.harvested
    harvest = np.where(harvested, rng.uniform(-6, 36, count), np.inf).astype(np.float32)
    felling = _felling(cover, spacing, options.felled, rng)
    return LandCover(cover, field, harvest[field], felling)


def _fields(shape: tuple[int, int], spacing: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Number of every pixel's field: strips of about 60 x 150 m, rotated block by block."""
    seeds = max(1, int(shape[0] * shape[1] * spacing**2 / 1.2e6))
    between = np.ones(shape, bool)
    between[rng.integers(0, shape[0], seeds), rng.integers(0, shape[1], seeds)] = False
    nearest = ndimage.distance_transform_edt(between, return_distances=False, return_indices=True)
    block = (nearest[0] * shape[1] + nearest[1]) % 1_000_003
    angle = rng.uniform(0, np.pi, 1_000_003).astype(np.float32)[block]
    rows, cols = np.indices(shape, dtype=np.float32) * spacing
    along = np.floor((np.cos(angle) * cols + np.sin(angle) * rows) / 150).astype(np.int64)
    across = np.floor((np.cos(angle) * rows - np.sin(angle) * cols) / 60).astype(np.int64)
    key = (block * 100_003 + along + 50_000) * 100_003 + across + 50_000
    numbers: NDArray[np.int64] = np.unique(key, return_inverse=True)[1].reshape(shape)
    return numbers


def _river(elevation: Float, spacing: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Pixels of rivers, 15 to 60 m wide by the square root of the drained area."""
    step = max(1, round(30 / spacing))
    coarse = ndimage.gaussian_filter(elevation, 0.4 * step)[::step, ::step].astype(np.float64)
    drainage = route(coarse, border_cells(coarse.shape))
    area = np.empty(coarse.size)
    area[drainage.order] = drainage_area(drainage) * (step * spacing / 1000) ** 2
    area = area.reshape(coarse.shape)
    rows, cols = pixel_indices(elevation.shape)
    # The straight course of the coarse grid is bent by some tens of metres, as rivers wind.
    rows += 40 / spacing * smooth_noise(elevation.shape, 180 / spacing, rng)
    cols += 40 / spacing * smooth_noise(elevation.shape, 180 / spacing, rng)
    far, nearest = ndimage.distance_transform_edt(area < 2.0, return_indices=True)
    width = np.clip(10 * np.sqrt(area[tuple(nearest)]), 15, 60)
    beyond = (far * step * spacing - width / 2).astype(np.float32)
    bent: Float = ndimage.map_coordinates(
        beyond, (rows / step, cols / step), order=1, mode="nearest"
    )
    return bent < 0


def _felling(
    cover: NDArray[np.uint8], spacing: float, share: float, rng: np.random.Generator
) -> Float:
    """Day of felling of stands of a hectare or two, and as many old clearings."""
    shape = cover.shape
    stand = smooth_noise(shape, 120 / spacing, rng)
    felling = np.full(shape, np.inf, np.float32)
    if share <= 0:
        return felling
    fresh, old = np.quantile(stand, [1 - share, share])
    label, count = ndimage.label(stand > fresh)
    # Half of the stands fall in the typhoon of 5 September, half are cut at any time.
    day = np.where(rng.random(count + 1) < 0.5, 5.0, rng.uniform(-6, 30, count + 1))
    felling[stand > fresh] = day[label[stand > fresh]]
    felling[stand < old] = -np.inf
    felling[cover != Cover.FOREST] = np.inf
    return felling

"""How bright each image of a scene is, measured over ground that did not change."""

import logging

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from landslide.data.scene import Scene
from landslide.geo.grid import TILE_SIZE, Grid, Window
from landslide.geo.rasters import open_raster
from landslide.radar.balance import Balance, Levels, reference_images
from landslide.radar.bands import backscatter_bands

TILE_METRES = 10_000.0
"""Least side of a tile that has levels of its own: rain differs over some tens of km."""

LOOKS = 4
"""Pixels a side that are averaged first, lest speckle hide the ground that did not change."""

UNCHANGED_DB = 1.5
"""Ground counts as unchanged where its difference is this near to the centre of all."""

HILLS = 5.0
"""Slopes in degrees above which levels are measured: landslides are looked for there, and
sea, lakes and fields, which change by themselves, are elsewhere."""

ENOUGH = 200
"""Averages of ``LOOKS`` x ``LOOKS`` px that a tile must have to be measured by itself."""


def balance_dates(scene: Scene) -> Levels:
    """Let a scene be read with balanced dates from now on, and return what was measured."""
    levels = measure_levels(scene)
    scene.balance = Balance(scene.bands, scene.grid, levels)
    return levels


def measure_levels(scene: Scene) -> Levels:
    """Measure how bright unchanged ground is in each of a scene's images.

    The level of the image before the event is its median over the whole scene. Another image
    differs from it by the centre of their ratio, in dB, of averages of 4 x 4 px: from its
    median, the mean of what lies within 1.5 dB is taken again and again until it rests, where
    most of the ground is (Fukunaga & Hostetler 1975, mean shift). How far landslides move it is in
    docs/prediction.md. A quarter of the scene is read, or all of it where little of that is valid.

    Args:
        scene: Scene whose ``bands`` are to be balanced; read as it is in its files.

    Returns:
        Levels in dB of the images that ``bands`` are made of, on tiles of 10 km and more; none
        where no pixel is valid in all of them.
    """
    images = backscatter_bands(scene.bands)
    if not images:
        return {}
    rows, cols = (max(1, int(length // TILE_METRES)) for length in _extent(scene.grid))
    values, slope, tiles = _averages(scene, images, (rows, cols), step=2)
    if len(tiles) < ENOUGH:
        values, slope, tiles = _averages(scene, images, (rows, cols), step=1)
    if not len(tiles):
        return {}
    if len(tiles) < ENOUGH:
        logging.getLogger(__name__).warning(
            f"{scene.path}: {len(tiles)} averages of {LOOKS} x {LOOKS} px are valid in all images, "
            "too few to balance dates well: see whether the images overlap"
        )
    hills = slope > HILLS
    if hills.sum() >= ENOUGH:
        values, tiles = values[:, hills], tiles[hills]
    decibels = dict(zip(images, values, strict=True))
    levels = {}
    for image, reference in reference_images(images).items():
        difference = decibels[image] - decibels[reference]
        parts = [difference[tiles == tile] for tile in range(rows * cols)]
        centres = [centre(part if len(part) >= ENOUGH else difference) for part in parts]
        levels[image] = np.median(decibels[reference]) + np.reshape(centres, (rows, cols))
    return levels


def centre(difference: NDArray[np.float32]) -> float:
    """The difference in dB of ground that did not change, out of all differences."""
    middle = float(np.quantile(difference, 0.5, method="lower"))
    for _ in range(100):
        moved = float(difference[np.abs(difference - middle) <= UNCHANGED_DB].mean())
        if abs(moved - middle) < 1e-4:
            break
        middle = moved
    return moved


def _extent(grid: Grid) -> tuple[float, float]:
    """Height and width of a grid in metres."""
    return grid.height * -grid.transform.e, grid.width * grid.transform.a


def _averages(
    scene: Scene, images: list[str], tiles: tuple[int, int], step: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.intp]]:
    """Averages of the scene's images where all are valid.

    Args:
        scene: The scene.
        images: Bands of backscatter.
        tiles: Rows and columns of tiles that have levels of their own.
        step: 1 reads all of the scene, 2 every second window along both axes.

    Returns:
        Images in dB (I, N), slope in degrees (N; NaN where the scene has none), tile (N).
    """
    with open_raster(scene.path) as file:
        slope = ["slope"] if "slope" in file.descriptions else []
    source = Scene(scene.path, [*images, *slope])
    found = []
    for window in _places(scene.grid, tiles, step):
        image = source.read(window)["image"]
        means = _mean(image[: len(images)])
        if slope:  # where it is not known there may be hills or not
            means = torch.cat([means, _mean(image[len(images) :])])
        row, col = (
            ((start + np.arange(count) * LOOKS) * n // whole).astype(np.intp)
            for start, count, n, whole in (
                (window.row, means.shape[1], tiles[0], scene.grid.height),
                (window.col, means.shape[2], tiles[1], scene.grid.width),
            )
        )
        valid = means[: len(images)].isfinite().all(dim=0).numpy()
        tile = row[:, None] * tiles[1] + col[None, :]
        found.append((means.numpy()[:, valid], tile[valid]))
    values = np.concatenate([pair[0] for pair in found], axis=1)
    decibels = 10 * np.log10(values[: len(images)])
    angles = values[-1] if slope else np.full(values.shape[1], np.nan, np.float32)
    return decibels, angles, np.concatenate([pair[1] for pair in found])


def _places(grid: Grid, tiles: tuple[int, int], step: int) -> list[Window]:
    """Windows of one of the file's tiles; ``step`` 2 takes every second along both axes."""
    step = min(grid.height // tiles[0], grid.width // tiles[1], step * TILE_SIZE)
    step = max(step, TILE_SIZE)
    return [
        Window(row, col, min(TILE_SIZE, grid.height - row), min(TILE_SIZE, grid.width - col))
        for row in range(0, grid.height, step)
        for col in range(0, grid.width, step)
    ]


def _mean(image: Tensor) -> Tensor:
    """Means (C, h, w) of blocks of ``LOOKS`` px a side; NaN where half of a block is invalid."""
    valid = image.isfinite().all(dim=0, keepdim=True)
    share = avg_pool2d(valid.float(), LOOKS, ceil_mode=True)
    total = avg_pool2d(image.where(valid, 0.0), LOOKS, ceil_mode=True)
    return (total / share).where(share > 0.5, torch.nan)

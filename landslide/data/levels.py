"""Brightness of each image of a scene, measured over ground that did not change."""

import logging

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from landslide.data.scene import Scene
from landslide.geo.grid import TILE_SIZE, Window
from landslide.geo.rasters import open_raster
from landslide.radar.balance import Balance, Levels, reference_images
from landslide.radar.bands import backscatter_bands
from landslide.radar.unchanged import LOOKS, MIN_AVERAGES, MIN_SLOPE, LevelTiles


def balance_dates(scene: Scene) -> Levels:
    """Measure a scene's levels, have it read with balanced dates from now on, return the levels."""
    levels = measure_levels(scene)
    scene.balance = Balance(scene.bands, scene.grid, levels)
    return levels


def measure_levels(scene: Scene) -> Levels:
    """Measure how bright unchanged ground is in each of a scene's images.

    The level of the image before the event is its median over the whole scene. Another image's
    level is higher by the centre of their difference in dB, over averages of 4 x 4 px (see
    ``unchanged_difference``). docs/prediction.md says how far landslides move it. A quarter of the
    scene is read, or all of it where too little of that is valid.

    Args:
        scene: Scene whose ``bands`` are to be balanced; read as it is in its files.

    Returns:
        Levels in dB of the images that ``bands`` are made of, on tiles of 10 km and more; empty
        if no pixel is valid in all of them.
    """
    images = backscatter_bands(scene.bands)
    if not images:
        return {}
    tiles = LevelTiles.of(scene.grid)
    values, slope, numbers = _averages(scene, images, tiles, step=2)
    if len(numbers) < MIN_AVERAGES:
        values, slope, numbers = _averages(scene, images, tiles, step=1)
    if not len(numbers):
        return {}
    if len(numbers) < MIN_AVERAGES:
        logging.getLogger(__name__).warning(
            f"{scene.path}: {len(numbers)} averages of {LOOKS} x {LOOKS} px are valid in all "
            "images, too few to balance dates well: check that the images overlap"
        )
    hills = slope > MIN_SLOPE
    if hills.sum() >= MIN_AVERAGES:
        values, numbers = values[:, hills], numbers[hills]
    decibels = dict(zip(images, values, strict=True))
    levels = {}
    for image, reference in reference_images(images).items():
        shifts = tiles.differences(decibels[image] - decibels[reference], numbers)
        levels[image] = np.median(decibels[reference]) + shifts
    return levels


def _averages(
    scene: Scene, images: list[str], tiles: LevelTiles, step: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.intp]]:
    """Averages of the scene's images where all are valid.

    Args:
        scene: The scene.
        images: Bands of backscatter.
        tiles: Tiles that have levels of their own.
        step: 1 reads all of the scene, 2 every second window along both axes.

    Returns:
        Images in dB (I, N), slope in degrees (N; NaN if the scene has none), number of the
        tile (N).
    """
    with open_raster(scene.path) as file:
        slope = ["slope"] if "slope" in file.descriptions else []
    bands = [*images, *slope]
    # Opening a scene reads samples of it.
    opened = scene.balance is None and set(bands) <= set(scene.bands)
    source = scene if opened else Scene(scene.path, bands)
    channels = [source.bands.index(band) for band in bands]
    averages, numbers = [], []
    for window in _sample_windows(tiles, step):
        image = source.read(window)["image"][channels]
        means = _block_means(image[: len(images)])
        valid = means.isfinite().all(dim=0).numpy()
        if slope:  # separately: averages count where the slope is unknown, too
            means = torch.cat([means, _block_means(image[len(images) :])])
        averages.append(means.numpy()[:, valid])
        numbers.append(tiles.numbers(window)[valid])
    values = np.concatenate(averages, axis=1)
    angles = values[-1] if slope else np.full(values.shape[1], np.nan, np.float32)
    return 10 * np.log10(values[: len(images)]), angles, np.concatenate(numbers)


def _sample_windows(tiles: LevelTiles, step: int) -> list[Window]:
    """Windows of the size of a file's tile; ``step`` 2 takes every second along both axes."""
    grid = tiles.grid
    step = min(grid.height // tiles.rows, grid.width // tiles.cols, step * TILE_SIZE)
    step = max(step, TILE_SIZE)
    return [
        Window(row, col, min(TILE_SIZE, grid.height - row), min(TILE_SIZE, grid.width - col))
        for row in range(0, grid.height, step)
        for col in range(0, grid.width, step)
    ]


def _block_means(image: Tensor) -> Tensor:
    """Means (C, h, w) of blocks of ``LOOKS`` px; NaN where half of a block or more is invalid."""
    valid = image.isfinite().all(dim=0, keepdim=True)
    share = avg_pool2d(valid.float(), LOOKS, ceil_mode=True)
    total = avg_pool2d(image.where(valid, 0.0), LOOKS, ceil_mode=True)
    return (total / share).where(share > 0.5, torch.nan)

"""Regions of a mask are numbered as their outlines are, whatever strips they cross."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from scipy.ndimage import label

from landslide.geo.grid import Grid
from landslide.geo.polygons import outline_mask, rasterize_window
from landslide.geo.rasters import write_raster
from landslide.geo.regions import Regions

# Three strips; pixels of 7.3 m, whose corners have no short decimals.
GRID = Grid(CRS.from_epsg(32654), Affine(7.3, 0, 600_000.1, 0, -7.3, 4_740_000.7), 600, 90)


def numbers(mask: Path, outlines: object) -> np.ndarray:
    regions = Regions(mask, GRID, outlines)  # type: ignore[arg-type]
    with rasterio.open(mask) as source:
        return np.concatenate([regions.read(source, strip) for strip in regions.strips])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.55, 0.62, 1.0])
def test_numbers_are_those_of_burnt_outlines(share: float, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    mask = (rng.random((600, 90)) < share).astype(np.uint8)
    mask[rng.random((600, 90)) < 0.02 * (share < 1)] = 255
    path = tmp_path / "mask.tif"
    write_raster(path, mask, GRID, ["landslides"], 255)
    outlines = outline_mask(path, GRID)[0].geometry
    assert len(outlines) == label(mask == 1)[1]
    burnt = rasterize_window(outlines, range(1, len(outlines) + 1), GRID, GRID.full_window)
    np.testing.assert_array_equal(numbers(path, outlines.array), burnt)


def test_regions_whose_outlines_are_not_given_have_no_number(tmp_path: Path) -> None:
    mask = (np.random.default_rng(1).random((600, 90)) < 0.5).astype(np.uint8)
    path = tmp_path / "mask.tif"
    write_raster(path, mask, GRID, ["landslides"], 255)
    outlines = outline_mask(path, GRID)[0].geometry
    every, some = numbers(path, outlines.array), numbers(path, outlines.array[3:7])
    np.testing.assert_array_equal(some, np.where((every > 3) & (every < 8), every - 3, 0))

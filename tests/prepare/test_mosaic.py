from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer
from rasterio.crs import CRS
from rasterio.enums import Resampling
from scipy import ndimage

from landslide.geo.grid import Grid, Window
from landslide.prepare.mosaic import Mosaic, keep_values
from landslide.prepare.sources import Dem, Tile
from landslide.prepare.terrain import TerrainBands, write_terrain

GRID = Grid(CRS.from_epsg(32654), Affine(10, 0, 560_000, 0, -10, 4_740_000), 120, 120)
FIJI = Grid(CRS.from_epsg(32760), Affine(10, 0, 819_000, 0, -10, 8_140_000), 200, 200)
WHOLE = Window(0, 0, 120, 120)
Surface = Callable[[np.ndarray, np.ndarray], np.ndarray]


def write(path: Path, image: np.ndarray, transform: Affine, crs: object) -> Tile:
    height, width = image.shape
    profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "nodata": np.nan}
    profile |= {"crs": crs, "transform": transform, "height": height, "width": width}
    with rasterio.open(path, "w", **profile) as sink:
        sink.write(image.astype(np.float32), 1)
    return Tile(path)


def cut(folder: Path, image: np.ndarray, transform: Affine, crs: object, n: int) -> list[Tile]:
    """An image in n x n tiles."""
    rows, cols = (np.linspace(0, size, n + 1).astype(int) for size in image.shape)
    return [
        write(
            folder / f"{row}_{col}.tif",
            image[row:bottom, col:right],
            transform @ Affine.translation(col, row),
            crs,
        )
        for row, bottom in pairwise(rows)
        for col, right in pairwise(cols)
    ]


def sample(surface: Surface, transform: Affine, shape: tuple[int, int], grid: Grid) -> np.ndarray:
    """A surface in metres from the grid's corner at the pixels of a raster in degrees."""
    cols, rows = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    x, y = Transformer.from_crs(4326, grid.crs, always_xy=True).transform(
        *(transform @ (cols, rows))
    )
    return surface(x - grid.transform.c, y - grid.transform.f)


def plane(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 500 + np.tan(np.radians(20)) * (0.6 * x + 0.8 * y)


def slopes(tiles: list[Tile], grid: Grid, folder: Path) -> np.ndarray:
    terrain = write_terrain(Dem(tuple(tiles)), grid, {}, 0, folder)
    geometry = TerrainBands(terrain, Resampling.cubic, Resampling.nearest)
    return geometry.read(grid, Window(0, 0, grid.height, grid.width), "ascending")["slope"]


def degrees(grid: Grid, step: float, margin: int = 30) -> tuple[Affine, tuple[int, int]]:
    """A raster in degrees around a grid."""
    west, south, east, north = grid.bounds
    to_degrees = Transformer.from_crs(grid.crs, 4326, always_xy=True)
    xs, ys = to_degrees.transform([west, west, east, east], [south, north, south, north])
    xs = [x % 360 for x in xs]
    origin = Affine(step, 0, min(xs) - margin * step, 0, -step, max(ys) + margin * step)
    return origin, (
        int((max(ys) - min(ys)) / step) + 2 * margin,
        int((max(xs) - min(xs)) / step) + 2 * margin,
    )


@pytest.mark.parametrize("resampling", [Resampling.bilinear, Resampling.cubic, Resampling.average])
@pytest.mark.parametrize("step", [9e-5, 2.5e-5, 4e-4])
def test_tiles_equal_the_whole_to_the_bit(
    resampling: Resampling, step: float, tmp_path: Path
) -> None:
    transform, shape = degrees(GRID, step)
    image = np.random.default_rng(0).gamma(4.4, 1 / 4.4, shape)
    image[:3], image[40:43, 40:43] = np.nan, np.nan
    whole = write(tmp_path / "whole.tif", image, transform, "EPSG:4326")
    tiles = cut(tmp_path, image, transform, "EPSG:4326", 3)
    found = []
    for each in ([whole], tiles):
        with Mosaic([(tile, keep_values) for tile in each], resampling) as mosaic:
            found.append(mosaic.read(GRID, WHOLE))
            # Nor does it depend on the window; GDAL places pixels to a hundredth.
            part = mosaic.read(GRID, Window(30, 50, 40, 40))
        np.testing.assert_allclose(part, found[-1][30:70, 50:90], atol=0.05)
    np.testing.assert_array_equal(*found)


def test_pixels_that_lie_on_the_grid_are_kept_as_they_are(tmp_path: Path) -> None:
    image = np.random.default_rng(0).normal(size=(120, 120)).astype(np.float32)
    image[50, 50] = np.nan
    tiles = cut(tmp_path, image, GRID.transform, GRID.crs, 2)
    with Mosaic([(tile, keep_values) for tile in tiles], Resampling.cubic) as mosaic:
        np.testing.assert_array_equal(mosaic.read(GRID, WHOLE), image)


def test_fine_tiles_of_a_plane_have_its_slope_at_their_borders(tmp_path: Path) -> None:
    rows, cols = np.indices((1600, 1600))
    image = plane(cols - 200.0, 200.0 - rows)
    transform = Affine(1, 0, 559_800, 0, -1, 4_740_200)
    found = slopes(cut(tmp_path, image, transform, GRID.crs, 4), GRID, tmp_path)
    np.testing.assert_allclose(found, 20, atol=0.01)


def test_a_plane_in_tiles_of_two_postings_has_no_seam(tmp_path: Path) -> None:
    # As at 50 and 60 degrees north, where the tiles of global DEMs become coarser.
    north, shape = degrees(GRID, 1 / 3600)
    half = shape[0] // 2
    south = north @ Affine.translation(0, half) @ Affine.scale(1.5, 1)
    upper = sample(plane, north, (half, shape[1]), GRID)
    lower = sample(plane, south, (shape[0] - half, int(shape[1] / 1.5)), GRID)
    tiles = [
        write(tmp_path / "north.tif", upper, north, "EPSG:4326"),
        write(tmp_path / "south.tif", lower, south, "EPSG:4326"),
    ]
    for order in (tiles, tiles[::-1]):
        np.testing.assert_allclose(slopes(order, GRID, tmp_path), 20, atol=0.3)


@pytest.mark.parametrize("west", [True, False])
def test_a_plane_over_the_180th_meridian(west: bool, tmp_path: Path) -> None:
    step, rows = 1 / 3600, 200
    tiles = []
    for corner in (180 - 300 * step, -180.0):
        transform = Affine(step, 0, corner, 0, -step, -16.77)
        image = sample(plane, transform, (rows, 300), FIJI)
        tiles.append(write(tmp_path / f"{corner:.1f}.tif", image, transform, "EPSG:4326"))
    grid = FIJI
    if not west:
        zone = CRS.from_epsg(32701)
        x, y = Transformer.from_crs(4326, zone, always_xy=True).transform(180.0, -16.81)
        grid = Grid(zone, Affine(10, 0, x - 1000, 0, -10, y + 1000), 200, 200)
    found = slopes(tiles, grid, tmp_path)
    # In the neighbouring zone lengths differ by a few thousandths.
    np.testing.assert_allclose(found, 20, atol=0.05 if west else 0.15)


def test_slope_across_tile_borders_is_horns_at_the_dems_posting(tmp_path: Path) -> None:
    z = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(90, 90)), 1.5) * 300
    transform = Affine(30, 0, 559_400, 0, -30, 4_740_700)
    terrain = write_terrain(
        Dem(tuple(cut(tmp_path, z, transform, GRID.crs, 3))), GRID, {}, 0, tmp_path
    )
    # Horn (1981) as correlations with his two kernels.
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 240
    east, south = ndimage.correlate(z, kernel), ndimage.correlate(z, kernel.T)
    horn = np.degrees(np.arctan(np.hypot(east, south)))
    col, row = (round(n) for n in ~transform @ (terrain.grid.transform.c, terrain.grid.transform.f))
    with rasterio.open(terrain.path) as source:
        found = source.read(1)
    height, width = found.shape
    np.testing.assert_allclose(found, horn[row : row + height, col : col + width], atol=1e-3)


def test_fine_tiles_are_read_in_parts_that_fit_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.random.default_rng(0).normal(size=(1400, 1400))
    tile = write(tmp_path / "fine.tif", image, Affine(1, 0, 559_900, 0, -1, 4_740_100), GRID.crs)
    with Mosaic([(tile, keep_values)], Resampling.bilinear) as mosaic:
        whole = mosaic.read(GRID, WHOLE)
        monkeypatch.setattr("landslide.prepare.mosaic.MAX_PIXELS", 10_000)
        np.testing.assert_allclose(mosaic.read(GRID, WHOLE), whole, atol=1e-6)


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic", "average"])
def test_a_missing_pixel_changes_nothing_away_from_it(resampling: str, tmp_path: Path) -> None:
    image = np.random.default_rng(3).gamma(4, 0.025, (90, 90)).astype(np.float32)
    lacking = image.copy()
    lacking[40, 50] = np.nan
    shifted = GRID.transform @ Affine.translation(20.37, 10.83)  # the grid reaches beyond the image
    found = []
    for number, values in enumerate((image, lacking)):
        tile = write(tmp_path / f"{number}.tif", values, shifted, GRID.crs)
        with Mosaic([(tile, keep_values)], Resampling[resampling]) as mosaic:
            found.append(mosaic.read(GRID, WHOLE))
    away = np.ones(found[0].shape, bool)
    away[47:56, 66:75] = False
    np.testing.assert_array_equal(found[0][away], found[1][away])
    assert not np.array_equal(*found, equal_nan=True)
    assert np.isnan(found[0]).any()


def test_bilinear_values_are_the_weighted_means_of_four_pixels(tmp_path: Path) -> None:
    image = np.random.default_rng(4).gamma(4, 0.025, (130, 130)).astype(np.float32)
    shifted = GRID.transform @ Affine.translation(-4.25, -3.5)
    tile = write(tmp_path / "image.tif", image, shifted, GRID.crs)
    with Mosaic([(tile, keep_values)], Resampling.bilinear) as mosaic:
        found = mosaic.read(GRID, WHOLE)
    expected = ndimage.shift(image, (-3.5, -4.25), order=1)[:120, :120]
    np.testing.assert_allclose(found, expected, rtol=2e-3)  # to a hundredth of a pixel

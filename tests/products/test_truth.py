from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import torch
from affine import Affine
from rasterio.crs import CRS
from torchmetrics.functional.classification import binary_average_precision, binary_f1_score

from landslide.errors import InputError
from landslide.geo.grid import Grid, Window
from landslide.geo.polygons import outline_mask
from landslide.geo.rasters import write_raster
from landslide.products.comparison import AveragePrecision, Thresholds, compare, open_truth

GRID = Grid(CRS.from_epsg(32654), Affine(10, 0, 600_000, 0, -10, 4_740_000), 90, 130)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    truth = (np.random.default_rng(0).random((90, 130)) > 0.8).astype(np.uint8)
    truth[:5] = 255
    return truth


@pytest.fixture(scope="module")
def folder(truth: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("map")
    noise = np.random.default_rng(1).normal(size=truth.shape)
    probability = (1 / (1 + np.exp(-(2 * (truth == 1) - 2 + noise)))).astype(np.float32)
    probability[50:60, 50:60] = np.nan
    mask = np.where(np.isnan(probability), 255, probability > 0.5).astype(np.uint8)
    write_raster(folder / "probability.tif", probability, GRID, ["probability"], np.nan)
    write_raster(folder / "landslides.tif", mask, GRID, ["landslides"], 255)
    write_raster(folder / "truth.tif", truth, GRID, ["landslides"], 255)
    return folder


def test_scores_are_the_librarys_over_observed_known_pixels(
    folder: Path, truth: np.ndarray
) -> None:
    scores = compare(folder, open_truth(folder / "truth.tif", GRID), GRID, 0.5)
    with rasterio.open(folder / "probability.tif") as source:
        probability = source.read(1)
    known = np.isfinite(probability) & (truth != 255)
    p, t = torch.from_numpy(probability[known]), torch.from_numpy(truth[known]).long()
    assert scores["tp"] + scores["fp"] + scores["fn"] + scores["tn"] == known.sum()
    assert scores["f1"] == pytest.approx(binary_f1_score(p, t).item(), abs=1e-6)
    exact = binary_average_precision(p, t).item()
    assert scores["average_precision"] == pytest.approx(exact, abs=1e-5)
    with rasterio.open(folder / "outcome.tif") as source:
        outcome = source.read(1)
    assert (outcome == 255).sum() == (~known).sum()
    assert (outcome[known] == 1).sum() == scores["tp"]


def test_polygons_are_a_truth_too(folder: Path, truth: np.ndarray) -> None:
    polygons, _ = outline_mask(folder / "truth.tif", GRID)
    polygons.to_crs("EPSG:4326").to_file(folder / "truth.geojson")
    burnt = open_truth(folder / "truth.geojson", GRID).read(Window(5, 0, 85, 130))
    np.testing.assert_array_equal(burnt, truth[5:])


def test_a_truth_on_another_grid_is_refused(folder: Path) -> None:
    other = GRID._replace(transform=GRID.transform @ Affine.translation(3, 0))
    with pytest.raises(InputError, match="another grid"):
        open_truth(folder / "truth.tif", other)


def test_objects_are_counted_by_size(tmp_path: Path) -> None:
    truth, mask = np.zeros((2, 90, 130), dtype=np.uint8)
    truth[10:14, 10:14] = 1  # 1,600 m2, found by three quarters
    mask[10:13, 10:14] = 1
    truth[30:32, 30:32] = 1  # 400 m2, missed
    truth[50:60, 50:70] = 1  # 20,000 m2, touched by a pixel; half of it was not observed
    mask[50, 50] = 1
    mask[55:60, 50:70] = 255
    truth[80:82, 80:82] = 1  # 400 m2, never observed
    mask[80:82, 80:82] = 255
    mask[70:75, 100:105] = 1  # 2,500 m2, a false alarm
    probability = np.where(mask == 255, np.nan, mask).astype(np.float32)
    write_raster(tmp_path / "probability.tif", probability, GRID, ["probability"], np.nan)
    write_raster(tmp_path / "landslides.tif", mask, GRID, ["landslides"], 255)
    write_raster(tmp_path / "truth.tif", truth, GRID, ["landslides"], 255)
    objects = compare(tmp_path, open_truth(tmp_path / "truth.tif", GRID), GRID, 0.5)["objects"]
    hit = [(row["count"], row["touched"], row["half"]) for row in objects["hit"]]
    real = [(row["count"], row["touched"], row["half"]) for row in objects["real"]]
    # below 1,000 m2, up to 10,000 m2, larger, all
    assert hit == [(1, 0, 0), (1, 1, 1), (1, 1, 0), (3, 2, 1)]
    assert real == [(1, 1, 1), (2, 1, 1), (0, 0, 0), (3, 2, 2)]


def average_precision(blocks: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Rank blocks of probability and truth in two passes, as the scoring of a map does."""
    thresholds = Thresholds()
    for probability, truth in blocks:
        thresholds.add(probability[truth == 1])
    precision = AveragePrecision(thresholds.values)
    for probability, truth in blocks:
        precision.add(probability, truth)
    return precision.compute()


@pytest.mark.slow
@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize("middle", [0.01, 0.5, 0.9999])
def test_ten_landslide_pixels_in_a_hundred_million_are_ranked_right(
    before: int, middle: float
) -> None:
    # Every landslide pixel comes after `before` others, so precision is 1 / (1 + before).
    steps = np.arange(10 * (before + 1)) * np.spacing(np.float32(middle))
    probability = (np.float32(middle) - steps).astype(np.float32)
    truth = (np.arange(len(probability)) % (before + 1) == before).astype(np.uint8)
    quiet = (probability[-1:].repeat(10**6) * 0.99, np.zeros(10**6, dtype=np.uint8))
    found = average_precision([(probability, truth), *[quiet] * 100])
    assert found == pytest.approx(1 / (1 + before), abs=1e-6)


def test_many_landslide_pixels_are_ranked_as_the_library_does() -> None:
    rng = np.random.default_rng(2)
    truth = (rng.random(10**6) < 0.3).astype(np.uint8)
    probability = (1 / (1 + np.exp(-rng.normal(size=10**6) - truth))).astype(np.float32)
    probability[::7] = 1  # a network that is sure gives many the very same
    exact = binary_average_precision(torch.from_numpy(probability), torch.from_numpy(truth).long())
    blocks = list(zip(np.split(probability, 100), np.split(truth, 100), strict=True))
    assert average_precision(blocks) == pytest.approx(exact.item(), abs=7e-4)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]])
def test_overlapping_landslides_are_each_counted(order: list[int], tmp_path: Path) -> None:
    # A small one within a large one, and the large one once more from another map.
    west, north = GRID.transform.c, GRID.transform.f
    small = shapely.box(west + 200, north - 300, west + 240, north - 260)
    large = shapely.box(west + 100, north - 400, west + 300, north - 200)
    outlines = [small, large, shapely.affinity.translate(large, 50)]
    frame = gpd.GeoDataFrame(geometry=[outlines[i] for i in order], crs=GRID.crs)
    frame.to_file(tmp_path / "inventory.gpkg")
    mask = np.zeros((90, 130), dtype=np.uint8)
    mask[26:30, 20:24] = 1  # the small one
    write_raster(tmp_path / "probability.tif", mask.astype("f4"), GRID, ["probability"], np.nan)
    write_raster(tmp_path / "landslides.tif", mask, GRID, ["landslides"], 255)
    scores = compare(tmp_path, open_truth(tmp_path / "inventory.gpkg", GRID), GRID, 0.5)
    hit = [(row["count"], row["touched"], row["half"]) for row in scores["objects"]["hit"]]
    # 1,600 m2, and 40,000 m2 twice; of each large one the small one covers 16 of 400 pixels
    assert hit == [(0, 0, 0), (1, 1, 1), (2, 2, 0), (3, 3, 1)]
    assert scores["tp"] + scores["fn"] == 20 * 25  # pixels are counted once


def test_a_landslide_smaller_than_a_pixel_is_counted_by_the_pixel_that_it_lies_in(
    tmp_path: Path,
) -> None:
    west, north = GRID.transform.c, GRID.transform.f

    def square(row: float, col: float, side: float) -> shapely.Polygon:
        left, top = west + 10 * col, north - 10 * row
        return shapely.box(left, top - side, left + side, top)

    # 3 m squares off the middles of their pixels, two of them in one pixel, and one of 20 m.
    small = [square(5.1, 7.1, 3), square(5.6, 7.6, 3), square(40.1, 90.6, 3)]
    gpd.GeoDataFrame(geometry=[*small, square(60, 60, 20)], crs=GRID.crs).to_file(
        tmp_path / "inventory.gpkg"
    )
    mask = np.zeros((90, 130), dtype=np.uint8)
    mask[5, 7] = mask[60, 60] = 1
    write_raster(tmp_path / "probability.tif", mask.astype("f4"), GRID, ["probability"], np.nan)
    write_raster(tmp_path / "landslides.tif", mask, GRID, ["landslides"], 255)
    scores = compare(tmp_path, open_truth(tmp_path / "inventory.gpkg", GRID), GRID, 0.5)
    total = scores["objects"]["hit"][-1]
    assert (total["count"], total["touched"], total["half"]) == (4, 3, 2)


def test_a_narrow_landslide_between_the_pixels_centres_is_counted(tmp_path: Path) -> None:
    west, north = GRID.transform.c, GRID.transform.f
    # Strips of 200 by 2 m, more than a pixel each, along the northern edges of rows 10, 20, 30;
    # their middles lie in columns 20.
    strips = [
        shapely.box(west + 105, north - 10 * row - 3, west + 305, north - 10 * row - 1)
        for row in (10, 20, 30)
    ]
    gpd.GeoDataFrame(geometry=strips, crs=GRID.crs).to_file(tmp_path / "inventory.gpkg")
    mask = np.zeros((90, 130), dtype=np.uint8)
    mask[10, 20] = 1
    mask[30] = 255  # not observed
    write_raster(tmp_path / "probability.tif", mask.astype("f4"), GRID, ["probability"], np.nan)
    write_raster(tmp_path / "landslides.tif", mask, GRID, ["landslides"], 255)
    scores = compare(tmp_path, open_truth(tmp_path / "inventory.gpkg", GRID), GRID, 0.5)
    hit = [(row["count"], row["touched"], row["half"]) for row in scores["objects"]["hit"]]
    assert hit == [(2, 1, 1), (0, 0, 0), (0, 0, 0), (2, 1, 1)]

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from rasterio.crs import CRS
from torchmetrics.functional.classification import binary_average_precision, binary_f1_score

from landslide.errors import InputError
from landslide.polygons import polygonize
from landslide.rasters import Grid, Window, write_raster
from landslide.truth import compare, open_truth

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
    assert scores["average_precision"] == pytest.approx(exact, abs=2e-3)
    with rasterio.open(folder / "outcome.tif") as source:
        outcome = source.read(1)
    assert (outcome == 255).sum() == (~known).sum()
    assert (outcome[known] == 1).sum() == scores["tp"]


def test_polygons_are_a_truth_too(folder: Path, truth: np.ndarray) -> None:
    polygons: gpd.GeoDataFrame = polygonize(folder / "truth.tif", GRID)
    polygons.to_crs("EPSG:4326").to_file(folder / "truth.geojson")
    burnt = open_truth(folder / "truth.geojson", GRID)(Window(5, 0, 85, 130))
    np.testing.assert_array_equal(burnt, truth[5:])


def test_a_truth_on_another_grid_is_refused(folder: Path) -> None:
    other = GRID._replace(transform=GRID.transform @ Affine.translation(3, 0))
    with pytest.raises(InputError, match="another grid"):
        open_truth(folder / "truth.tif", other)

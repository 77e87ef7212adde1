import numpy as np
import torch
from affine import Affine
from rasterio.crs import CRS
from scipy.stats import binned_statistic

from landslide.geo.grid import Grid
from landslide.training.cells import Places
from landslide.training.evaluation import Predictions
from landslide.training.reliability import calibration, hit_by_size


def test_calibration_is_the_mean_of_bins_over_known_pixels() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random((5, 32, 32)).astype(np.float32) ** 3
    probability[probability > 0.8] = 0.5  # two bins stay empty
    mask = (rng.random(probability.shape) < probability**2).astype(np.uint8)
    mask[0, :9] = 255
    rows = calibration(Predictions(torch.from_numpy(probability), torch.from_numpy(mask)))
    known = mask != 255
    values = [mask[known], probability[known].astype(float)]
    share, mean = binned_statistic(probability[known], values, bins=10, range=(0, 1)).statistic
    share, mean = share[~np.isnan(mean)], mean[~np.isnan(mean)]
    np.testing.assert_allclose([row["probability"] for row in rows], mean, rtol=1e-6)
    np.testing.assert_allclose([row["landslides"] for row in rows], share, rtol=1e-6)
    assert len(rows) == 8
    assert sum(row["pixels"] for row in rows) == known.sum()


def test_landslides_are_counted_by_their_size_on_the_grid_of_their_scene() -> None:
    crs = CRS.from_epsg(32654)
    grids = [Grid(crs, Affine(res, 0, 0, 0, -res, 0), 64, 64) for res in (10.0, 30.0)]
    mask = np.zeros((2, 16, 16), np.uint8)
    probability = np.zeros(mask.shape, np.float32)
    for patch in (0, 1):
        mask[patch, 0, 0] = 1  # 100 m², 900 m²
        mask[patch, 3:8, 3:8] = 1  # 2,500 m², 22,500 m²
        mask[patch, 8, 8] = 1  # touches at a corner alone, and is another one
    mask[0, 15, :] = 255
    probability[:, 3:6, 3:8] = 0.9  # 15 of 25 pixels
    probability[1, 0, 0] = 0.4
    places = Places(np.array([[0, 0, 0], [1, 0, 0]]), grids)
    found = hit_by_size(
        Predictions(torch.from_numpy(probability), torch.from_numpy(mask), places), 0.5
    )
    assert found is not None
    assert [tuple(row.values()) for row in found] == [
        ("below 1,000 m²", 4, 0, 0),
        ("1,000 to 10,000 m²", 1, 1, 1),
        ("from 10,000 m²", 1, 1, 1),
        ("all", 6, 2, 2),
    ]
    lower = hit_by_size(
        Predictions(torch.from_numpy(probability), torch.from_numpy(mask), places), 0.3
    )
    assert lower is not None
    assert lower[0]["half"] == 1


def test_patches_without_coordinates_have_no_sizes() -> None:
    empty = Predictions(torch.zeros(1, 4, 4), torch.zeros(1, 4, 4, dtype=torch.uint8))
    assert hit_by_size(empty, 0.5) is None

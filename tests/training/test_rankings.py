"""Scores without a threshold, of pixels and of cells, against independent references."""

import numpy as np
import pytest
import torch
from builders import GRID
from scipy.stats import mannwhitneyu

from landslide.training.cells import KNOWN_SHARE, LANDSLIDE_SHARE, Places, cell_means
from landslide.training.evaluation import Predictions, evaluate, rankings

SIZE = 32


def predictions(seed: int = 0, scale: float = 1.0) -> Predictions:
    """Four patches of 32 px on a grid of 10 m, with unknown ground."""
    rng = np.random.default_rng(seed)
    mask = (rng.random((4, SIZE, SIZE)) < np.linspace(0, 0.3, SIZE)).astype(np.uint8)
    score = scale * (rng.normal(size=mask.shape) + mask).round(1)  # with ties
    mask[1, :20, :20] = 255
    score[1, :20, :20] = np.nan
    corners = np.array([[0, 0, 0], [0, 0, 32], [0, 32, 0], [0, 32, 64]])
    places = Places(corners, [GRID])
    return Predictions(torch.from_numpy(score).float(), torch.from_numpy(mask), places)


def reference(score: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Average precision by its definition, AUC as Mann and Whitney's statistic."""
    precision, recall = [], [0.0]
    for threshold in np.unique(score)[::-1]:
        reached = score >= threshold
        precision.append(truth[reached].mean())
        recall.append(truth[reached].sum() / truth.sum())
    area = mannwhitneyu(score[truth], score[~truth]).statistic / (truth.sum() * (~truth).sum())
    return float(np.sum(precision * np.diff(recall))), float(area)


def cells_by_hand(found: Predictions) -> tuple[np.ndarray, np.ndarray]:
    scene = np.full((2, 80, 100), np.nan)
    assert found.places
    for (_, row, col), score, mask in zip(
        found.places.corners, found.probability, found.mask, strict=True
    ):
        known = mask != 255
        part = scene[:, row : row + SIZE, col : col + SIZE]
        part[0][known], part[1][known] = score[known], mask[known]
    means, shares = [], []
    for row in range(0, 80, 20):
        for col in range(0, 100, 20):
            score, mask = scene[:, row : row + 20, col : col + 20]
            if np.isfinite(score).sum() >= KNOWN_SHARE * 400:
                means.append(np.nanmean(score))
                shares.append(np.nanmean(mask))
    return np.array(means), np.array(shares)


def test_cells_are_means_over_200_metres_of_the_scene() -> None:
    found = predictions()
    assert found.places
    values, shares = cell_means(found.probability, found.mask, found.places)
    means, expected = cells_by_hand(found)
    np.testing.assert_allclose(values, means, rtol=1e-6)
    np.testing.assert_allclose(shares, expected, rtol=1e-6)


@pytest.mark.parametrize("scale", [0.1, 1.0, 100.0])
def test_rankings_are_those_of_the_definitions_on_any_scale(scale: float) -> None:
    found = predictions(scale=scale)
    known = found.mask.numpy() != 255
    pixels = reference(found.probability.numpy()[known], found.mask.numpy()[known] == 1)
    means, shares = cells_by_hand(found)
    cells = reference(means, shares > LANDSLIDE_SHARE)
    assert list(rankings(found).values()) == pytest.approx([*pixels, *cells], rel=1e-6)


def test_rankings_do_not_depend_on_how_patches_are_ordered_or_batched() -> None:
    found = predictions()
    assert found.places
    order = [2, 0, 3, 1]
    places = Places(found.places.corners[order], found.places.grids)
    shuffled = Predictions.join([(found.probability[[i]], found.mask[[i]]) for i in order], places)
    assert rankings(shuffled) == pytest.approx(rankings(found), rel=1e-12)


def test_what_cannot_be_ranked_has_no_score() -> None:
    found = predictions()._replace(places=None)
    scores = evaluate({"test": found}, 0.5)["test"]
    assert scores["cell_roc_auc"] is scores["cell_average_precision"] is None
    assert scores["roc_auc"] is not None
    quiet = found._replace(mask=torch.zeros_like(found.mask), probability=torch.zeros(4, 32, 32))
    assert set(rankings(quiet).values()) == {None}

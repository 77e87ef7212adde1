import pytest
import torch

from landslide.metrics import pixel_metrics


def test_counts_are_pooled_over_batches_not_averaged() -> None:
    metrics = pixel_metrics(0.5)
    # One batch full of landslide and found, one with a single pixel missed and nine false alarms.
    metrics.update(torch.full((1, 2, 5), 0.9), torch.ones(1, 2, 5, dtype=torch.long))
    target = torch.zeros(1, 2, 5, dtype=torch.long)
    target[0, 0, 0] = 1
    probability = torch.full((1, 2, 5), 0.8)
    probability[0, 0, 0] = 0.2
    metrics.update(probability, target)
    result = {name: value.item() for name, value in metrics.compute().items()}
    assert [result[name] for name in ("tp", "fp", "fn", "tn")] == [10, 9, 1, 0]
    assert result["precision"] == pytest.approx(10 / 19)
    assert result["recall"] == pytest.approx(10 / 11)
    assert result["f1"] == pytest.approx(20 / 30)
    assert result["iou"] == pytest.approx(10 / 20)
    # Ranked: ten true at 0.9, nine false at 0.8, one true at 0.2.
    assert result["average_precision"] == pytest.approx(10 / 11 + 1 / 11 * 11 / 20)


def test_unknown_pixels_do_not_count() -> None:
    metrics = pixel_metrics(0.5)
    metrics.update(torch.tensor([[[0.9, 0.9, 0.1]]]), torch.tensor([[[1, 255, 255]]]))
    result = {name: int(metrics.compute()[name]) for name in ("tp", "fp", "fn", "tn")}
    assert result == {"tp": 1, "fp": 0, "fn": 0, "tn": 0}

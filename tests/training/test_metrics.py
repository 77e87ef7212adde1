import pytest
import torch
from torchmetrics.functional.classification import binary_f1_score

from landslide.training.evaluation import Predictions, best_threshold
from landslide.training.metrics import pixel_metrics


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


def test_the_best_threshold_is_that_of_a_search() -> None:
    generator = torch.Generator().manual_seed(0)
    probability = torch.rand(2, 40, 50, generator=generator)
    truth = (probability + 0.4 * torch.randn(2, 40, 50, generator=generator) > 0.7).long()
    truth[:, :3] = 255
    threshold = best_threshold(Predictions(probability, truth))

    def f1(threshold: float) -> float:
        return float(binary_f1_score(probability, truth, threshold, ignore_index=255))

    assert threshold != 0.5
    assert f1(threshold) >= max(f1(t) for t in torch.linspace(0, 0.999, 500).tolist()) - 1e-7


def test_counts_do_not_depend_on_how_patches_are_batched() -> None:
    torch.manual_seed(0)
    batches = [(torch.rand(n, 8, 8), torch.randint(0, 2, (n, 8, 8))) for n in (3, 4, 1)]
    at_once, singly = pixel_metrics(0.5), pixel_metrics(0.5)
    at_once.update(*(torch.cat(parts) for parts in zip(*batches, strict=True)))
    for batch in batches:
        singly.update(*batch)
    assert at_once.compute() == singly.compute()
    at_once.reset()
    at_once.update(*batches[0])
    tp = ((batches[0][0] > 0.5) & (batches[0][1] == 1)).sum()
    assert at_once.compute()["tp"] == tp

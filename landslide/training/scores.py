"""Names of the counts and scores of a split, which tables need without the network's libraries."""

COUNTS = ("tp", "fp", "tn", "fn")

RANKINGS = {
    "average_precision": "average precision",
    "roc_auc": "AUC",
    "cell_average_precision": "AP of cells",
    "cell_roc_auc": "AUC of cells",
}
"""Scores without a threshold, of pixels and of cells of 200 m, and their names in tables."""

SCORES = {"precision": "precision", "recall": "recall", "f1": "F1", "iou": "IoU", **RANKINGS}
"""The scores that are reported, and their names in tables."""

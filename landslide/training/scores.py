"""Names of the counts and scores of a split, which tables need without the network's libraries."""

COUNTS = ("tp", "fp", "tn", "fn")

SCORES = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "iou": "IoU",
    "average_precision": "average precision",
}
"""The scores that are reported, and their names in tables."""

"""What Nava et al. (2022) report: Tables 4 and 5, with and without flips, in percent.

Their scores are means over batches, of one model each that was picked on test scores; no
row's precision and recall give its F1.
"""

from typing import NamedTuple


class Published(NamedTuple):
    """A row of the paper's tables."""

    batch_size: int
    precision: float
    recall: float
    f1: float
    iou: float


TABLES = {
    ("descending_ba_s", "flips"): Published(4, 42.79, 60.96, 50.17, 33.52),
    ("descending_ba_s", "none"): Published(4, 44.66, 66.53, 53.37, 36.43),
    ("ascending_ba_s", "flips"): Published(16, 55.21, 66.26, 60.02, 42.93),
    ("ascending_ba_s", "none"): Published(4, 57.16, 62.86, 59.68, 42.58),
    ("descending_baa_s", "flips"): Published(16, 49.63, 59.09, 53.77, 36.95),
    ("descending_baa_s", "none"): Published(8, 48.43, 64.23, 55.15, 38.13),
    ("ascending_baa_s", "flips"): Published(8, 53.59, 71.60, 61.15, 44.13),
    ("ascending_baa_s", "none"): Published(8, 53.07, 66.33, 58.91, 42.00),
}
"""By dataset and augmentation."""

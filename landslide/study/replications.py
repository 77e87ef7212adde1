"""Repetitions of one setting: their splits, and the pooled score of their folds.

Runs that differ only in seed, place of the blocks or fold are repetitions; nothing is chosen
among them. The folds of one division together test every patch once, so that they are one
replication, whose pixels are pooled.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from landslide.study.runs import DIGEST, SPLITS
from landslide.training.scores import RANKINGS

SEED, SPLIT_SEED, FOLD = "seed", "split.seed", "split.fold"

REPETITION_SETTINGS = (SEED, SPLIT_SEED, FOLD)
"""Settings in which repetitions differ."""


def repetition_settings(runs: pd.DataFrame) -> list[str]:
    """The settings of ``REPETITION_SETTINGS`` that the runs have."""
    return [name for name in REPETITION_SETTINGS if name in runs]


def distinct_splits(runs: pd.DataFrame) -> pd.Series:
    """Number the split of each run.

    Runs of one seed and fold share a split even if their digests differ, since one dataset may
    lack a patch that another has. Two seeds or folds share a split if any of their runs share a
    digest.
    """
    keys = runs.groupby(repetition_settings(runs), dropna=False).ngroup().to_numpy()
    digests = pd.factorize(runs[DIGEST])[0] + keys.max() + 1
    size = digests.max() + 1
    links = coo_array((np.ones(len(runs)), (keys, digests)), shape=(size, size))
    _, component = connected_components(links, directed=False)
    return pd.Series(pd.factorize(component[keys])[0], index=runs.index)


def replications(runs: pd.DataFrame) -> pd.DataFrame:
    """Scores of the repetitions of one setting, the folds of each pooled.

    Args:
        runs: Runs of one setting.

    Returns:
        A row per seed and place of the blocks: number of pooled ``folds``, ``division`` of the
        scene, and all scores of both splits as fractions. Scores without a threshold cannot be
        pooled from counts and are the mean over folds.
    """
    keys = [name for name in repetition_settings(runs) if name != FOLD]
    rows = []
    for _, folds in runs.groupby(keys, dropna=False):
        row: dict[str, Any] = {"folds": len(folds), "division": ",".join(sorted(folds[DIGEST]))}
        for split in SPLITS:
            row |= _pool_folds(folds, split)
        rows.append(row)
    return pd.DataFrame(rows)


def sample_scores(runs: pd.DataFrame) -> pd.DataFrame:
    """Scores of one setting for its mean and standard deviation.

    The scores of several seeds of one division of the scene are averaged, since they are tested on
    the same ground. If there is only one division, the sample is of seeds. Repetitions that lack
    folds are left out.

    Returns:
        A row per division, or per seed of the only one, with the scores of ``replications``.
    """
    rows = complete_replications(runs)
    if rows.division.nunique() > 1:
        return rows.groupby("division", sort=False).mean()
    return rows.drop(columns="division")


def complete_replications(runs: pd.DataFrame) -> pd.DataFrame:
    """The replications that have as many folds as any: others are of a part of the scene only."""
    rows = replications(runs)
    complete: pd.DataFrame = rows[rows.folds == rows.folds.max()].reset_index(drop=True)
    return complete


def count_divisions(runs: pd.DataFrame) -> int:
    """Count the divisions of the scene among the runs of one setting."""
    return int(complete_replications(runs).division.nunique())


def _pool_folds(folds: pd.DataFrame, split: str) -> dict[str, float]:
    """Scores of one split from the counts of all folds."""
    tp, fp, fn = (float(folds[f"{split}_{count}"].sum()) for count in ("tp", "fp", "fn"))
    return {
        f"{split}_precision": _fraction(tp, tp + fp),
        f"{split}_recall": _fraction(tp, tp + fn),
        f"{split}_f1": _fraction(2 * tp, 2 * tp + fp + fn),
        f"{split}_iou": _fraction(tp, tp + fp + fn),
        **{f"{split}_{name}": folds[f"{split}_{name}"].astype(float).mean() for name in RANKINGS},
    }


def _fraction(part: float, whole: float) -> float:
    """A quotient; 0 if there are no pixels, as in the runs' own metrics."""
    return part / whole if whole else 0.0

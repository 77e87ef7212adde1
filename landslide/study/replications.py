"""Repetitions of one setting: which splits they are of, and folds pooled to one score.

Runs that differ only in seed, place of the blocks or fold repeat each other; nothing is chosen
among them. Over the folds of one division every patch is tested once, so that they are one
replication, whose pixels are pooled.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from landslide.study.runs import DIGEST, SPLITS
from landslide.training.metrics import SCORES

SEED, SPLIT_SEED, FOLD = "seed", "split.seed", "split.fold"

REPETITION_SETTINGS = (SEED, SPLIT_SEED, FOLD)
"""Settings by which repetitions differ."""


def repetition_settings(runs: pd.DataFrame) -> list[str]:
    """The settings of ``REPETITION_SETTINGS`` that the runs have."""
    return [name for name in REPETITION_SETTINGS if name in runs]


def distinct_splits(runs: pd.DataFrame) -> pd.Series:
    """Number of the split that each run is of.

    Two runs of one seed and fold are of one split even where their digests differ, since one
    dataset may lack a patch that another has. Two seeds or folds are of one split as soon as
    any of their runs share a digest.
    """
    keys = runs.groupby(repetition_settings(runs), dropna=False).ngroup().to_numpy()
    digests = pd.factorize(runs[DIGEST])[0] + keys.max() + 1
    size = digests.max() + 1
    links = coo_array((np.ones(len(runs)), (keys, digests)), shape=(size, size))
    _, part = connected_components(links, directed=False)
    return pd.Series(pd.factorize(part[keys])[0], index=runs.index)


def replications(runs: pd.DataFrame) -> pd.DataFrame:
    """Scores of the repetitions of one setting, the folds of each pooled.

    Args:
        runs: Runs of one setting.

    Returns:
        A row per seed and place of the blocks: ``folds`` (how many are pooled), ``division`` of
        the scene, and all scores of both splits as fractions; of average precision, which cannot
        be pooled from counts, the mean over folds.
    """
    keys = [name for name in repetition_settings(runs) if name != FOLD]
    rows = []
    for _, folds in runs.groupby(keys, dropna=False):
        row: dict[str, Any] = {"folds": len(folds), "division": ",".join(sorted(folds[DIGEST]))}
        for split in SPLITS:
            row |= {f"{split}_{name}": value for name, value in _pooled(folds, split).items()}
        rows.append(row)
    return pd.DataFrame(rows)


def sample(runs: pd.DataFrame) -> pd.DataFrame:
    """The scores of one setting that its mean and standard deviation are over.

    Several seeds of one division of the scene are one look at it: their scores are averaged. Where
    there is one division only, the sample is of seeds.

    Returns:
        A row per division, or per seed of the only one, with the scores of ``replications``.
    """
    found = replications(runs)
    scores = found.drop(columns="division")
    several = found.division.nunique() > 1
    return scores.groupby(found.division, sort=False).mean() if several else scores


def count_divisions(runs: pd.DataFrame) -> int:
    """How many ways of dividing the scene stand behind the runs of one setting."""
    return int(replications(runs).division.nunique())


def _pooled(folds: pd.DataFrame, split: str) -> dict[str, float]:
    tp, fp, fn = (float(folds[f"{split}_{count}"].sum()) for count in ("tp", "fp", "fn"))
    scores = {
        "precision": _share(tp, tp + fp),
        "recall": _share(tp, tp + fn),
        "f1": _share(2 * tp, 2 * tp + fp + fn),
        "iou": _share(tp, tp + fp + fn),
        "average_precision": float(folds[f"{split}_average_precision"].astype(float).mean()),
    }
    return {name: scores[name] for name in SCORES}


def _share(part: float, whole: float) -> float:
    """A quotient; 0 where there is nothing, as in the runs' own metrics."""
    return part / whole if whole else 0.0

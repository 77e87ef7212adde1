"""The best setting of each row, chosen on validation, and its test scores."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from landslide.errors import InputError
from landslide.study.paper import TABLES
from landslide.study.replications import (
    FOLD,
    REPETITION_SETTINGS,
    SEED,
    count_divisions,
    distinct_splits,
    repetition_settings,
    sample,
)
from landslide.study.runs import DATA, varying_settings
from landslide.training.metrics import SCORES

BASELINE = "baseline"
"""Level that the other levels of a setting are compared with; comes first."""

PROTOCOL = ("dataset.root", "trainer.max_epochs", "patch_size")
"""Settings, beside those of the split but its seed and fold, that compared runs share."""

FOLD_RANGE = ("f1_lowest", "f1_highest")
"""Columns of the lowest and the highest test F1 of a fold."""

HEADINGS = {
    "val_f1": "validation F1",
    **SCORES,
    FOLD_RANGE[0]: "F1 by fold",
    "model.filters": "filters",
    "batch_size": "batch",
}


def comparable_runs(
    runs: pd.DataFrame, sweep: Path, by: Sequence[str], *, partial: bool
) -> pd.DataFrame:
    """The finished runs of a sweep, once it is known that they may be compared.

    Args:
        runs: All runs (see ``read_runs``).
        sweep: Their folder, for messages.
        by: Settings whose combinations are compared.
        partial: Whether runs that are not finished are left out rather than refused.

    Raises:
        InputError: Runs are not finished, do not have a setting, or differ in their splits,
            scene, its content or budget.
    """
    finished = runs[runs.status == "finished"]
    rest = runs[runs.status != "finished"]
    if len(rest) and not partial:
        first = rest.iloc[0]
        raise InputError(
            f"{sweep} holds {len(rest)} runs that are not finished (the first, {first.run}, is "
            f"{first.status}): start the sweep again to finish them, or say partial=true"
        )
    if finished.empty:
        raise InputError(f"{sweep} holds no finished run yet")
    unknown = [name for name in by if name not in runs.columns]
    if unknown:
        groups = [name for name in runs.columns if isinstance(runs[name].iloc[0], str)]
        raise InputError(
            f"by: no run has the setting {unknown[0]!r}; name a config group or a value such as "
            f"{', '.join(name for name in groups if name in ('dataset', 'model', 'loss'))}, "
            "model.filters"
        )
    _require_one_protocol(finished, sweep, by)
    _require_one_scene(finished, sweep)
    if not partial:
        _require_same_splits(finished, sweep, by)
    return finished.reset_index(drop=True)


def _require_one_protocol(runs: pd.DataFrame, sweep: Path, by: Sequence[str]) -> None:
    split = [n for n in runs.columns if n.split(".")[0] == "split" and n not in REPETITION_SETTINGS]
    for name in [*split, *(name for name in PROTOCOL if name in runs)]:
        if runs[name].nunique(dropna=False) > 1 and name not in by:
            values = " and ".join(sorted(map(str, runs[name].unique())))
            raise InputError(
                f"{sweep} mixes runs of {name} {values}: their scores cannot be compared; give "
                "each experiment a folder of its own (hydra.sweep.dir)"
            )


def _require_one_scene(runs: pd.DataFrame, sweep: Path) -> None:
    """Raise where a file had other content when other runs read it."""
    first: dict[str, tuple[str, str]] = {}
    for run, data in zip(runs.run, runs[DATA], strict=True):
        for file, digest in data.items():
            earlier, known = first.setdefault(file, (run, digest))
            if digest != known:
                raise InputError(
                    f"{sweep}: {run} and {earlier} were trained on different versions of {file}: "
                    "start the sweep again, which trains anew what is of another version"
                )


def _require_same_splits(runs: pd.DataFrame, sweep: Path, by: Sequence[str]) -> None:
    """Raise where rows would be compared that were tested on different splits."""
    split = distinct_splits(runs)
    rows = {name: set(split[row.index]) for name, row in runs.groupby(list(by), dropna=False)}
    (first, known), *others = rows.items()
    for name, splits in others:
        if splits != known:
            a, b = (", ".join(map(str, row)) for row in (first, name))
            raise InputError(
                f"{sweep}: {a} is scored on {len(known)} splits and {b} on {len(splits)}, of which "
                f"they share {len(known & splits)}: train both on the same seeds and folds, or say "
                "partial=true to compare them all the same"
            )


def free_settings(runs: pd.DataFrame, by: Sequence[str]) -> list[str]:
    """Settings among which one is chosen for each row: those that vary within rows."""
    others = [
        name
        for name in varying_settings(runs)
        if name not in by and name not in REPETITION_SETTINGS
    ]
    rows = runs.groupby(list(by), dropna=False)
    return [name for name in others if (rows[name].nunique(dropna=False) > 1).any()]


def select_best(runs: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The runs of each row's best setting: highest F1 on validation (see ``validation_f1``).

    Among settings that were tried with as many seeds and folds as any, lest a lucky one decide.
    Test scores play no part.
    """

    def merit(runs: pd.DataFrame) -> tuple[int, float]:
        return len(runs[repetition_settings(runs)].drop_duplicates()), validation_f1(runs)

    free = free_settings(runs, by)
    if not free:
        return runs
    chosen = []
    for _, row in runs.groupby(list(by), dropna=False, sort=False):
        candidates = [runs for _, runs in row.groupby(free, dropna=False)]
        chosen.append(max(candidates, key=merit))
    return pd.concat(chosen, ignore_index=True)


def validation_f1(runs: pd.DataFrame) -> float:
    """F1 of one setting on validation: pooled over folds, the mean over divisions or seeds."""
    return float(sample(runs).val_f1.mean())


def score_table(runs: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean and standard deviation of the test scores of each row, the paper's beside them.

    Args:
        runs: Comparable runs.
        by: Settings whose combinations are the rows.

    Returns:
        ``by``, the chosen settings, ``seeds``, ``divisions``, ``folds`` where there are several and
        the test F1 of the lowest and highest of them, ``val_f1``, and for each score ``<score>``
        and ``<score>_std`` over ``divisions`` of the scene, or over seeds where it is divided in
        one way, in percent (NaN for one); ``paper_<score>`` where rows
        are the paper's, by dataset and augmentation.
    """
    best = select_best(runs, by)
    shown = [
        name
        for name in varying_settings(runs)
        if name not in by and name not in REPETITION_SETTINGS
    ]
    table = []
    for _, row in best.groupby(list(by), dropna=False, sort=False):
        first = row.iloc[0]
        line = {name: first[name] for name in (*by, *shown)} | _scores(row)
        if {"dataset", "augmentation"} <= set(by):
            published = TABLES.get((first["dataset"], first["augmentation"]))
            line |= {
                f"paper_{name}": getattr(published, name, math.nan)
                for name in ("precision", "recall", "f1", "iou")
            }
        table.append(line)
    rows = pd.DataFrame(table).dropna(axis="columns", how="all").sort_values(list(by))
    others = (rows[list(by)] != BASELINE).all(axis="columns")
    return pd.concat([rows[~others], rows[others]])


def _scores(row: pd.DataFrame) -> dict[str, Any]:
    """Scores of one row in percent, over divisions of the scene or seeds."""
    found = 100 * sample(row)
    line: dict[str, Any] = {"seeds": row[SEED].nunique(), "divisions": count_divisions(row)}
    if FOLD in row and row[FOLD].nunique() > 1:
        f1 = 100 * row.test_f1.astype(float)
        line |= {"folds": row[FOLD].nunique()} | dict(
            zip(FOLD_RANGE, (f1.min(), f1.max()), strict=True)
        )
    line["val_f1"] = found.val_f1.mean()
    for name in SCORES:
        line[name], line[f"{name}_std"] = found[f"test_{name}"].mean(), found[f"test_{name}"].std()
    return line


def format_scores(table: pd.DataFrame) -> pd.DataFrame:
    """The score table in words: mean ± standard deviation, percent."""
    words: dict[str, list[str]] = {}
    for name in table.columns:
        if name.endswith("_std") or name == FOLD_RANGE[1]:
            continue
        if name == "val_f1":  # what rows are chosen by comes before the scores
            cells = [f"{value:.2f}" for value in table.val_f1]
        elif name in SCORES:
            spread = table.get(f"{name}_std", pd.Series(math.nan, index=table.index))
            cells = [mean_and_std(m, s) for m, s in zip(table[name], spread, strict=True)]
        elif name == FOLD_RANGE[0]:
            ends = zip(*(table[end] for end in FOLD_RANGE), strict=True)
            cells = [f"{low:.2f} to {high:.2f}" for low, high in ends]
        elif name.startswith("paper_"):
            cells = ["" if math.isnan(value) else f"{value:.2f}" for value in table[name]]
        else:
            cells = ["" if value is None else str(value) for value in table[name]]
        words[heading(name)] = cells
    return pd.DataFrame(words)


def mean_and_std(mean: float, std: float) -> str:
    """Two numbers as ``60.02 ± 1.10``; the mean alone where there is one replication."""
    return f"{mean:.2f}" if math.isnan(std) else f"{mean:.2f} ± {std:.2f}"


def heading(name: str) -> str:
    """A column's heading in words."""
    if name.startswith("paper_"):
        return f"paper's {heading(name.removeprefix('paper_'))}"
    return HEADINGS.get(name, name)

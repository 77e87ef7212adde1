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
    sample_scores,
)
from landslide.study.runs import DATA, FLOOR, varying_settings
from landslide.training.scores import SCORES

BASELINE = "baseline"
"""Level that the other levels of a setting are compared with; it comes first."""

PROTOCOL = ("dataset.root", "trainer.max_epochs", "patch_size")
"""Settings that compared runs share, beside those of the split except its seed and fold."""

FLOOR_PREFIX = "floor: "
"""Start of the names of the floor's rows."""

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
    """Return the finished runs of a sweep after checking that they may be compared.

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
    others = runs[runs.status != "finished"]
    if len(others) and not partial:
        first = others.iloc[0]
        raise InputError(
            f"{sweep}: of {len(runs)} runs that were begun {len(others)} are not finished (the "
            f"first, {first.run}, is {first.status}): start the sweep again to finish them, or say "
            "partial=true"
        )
    if finished.empty:
        raise InputError(f"{sweep} holds no finished run yet")
    unknown = [name for name in by if name not in runs.columns]
    if unknown:
        groups = ", ".join(n for n in runs.columns if n in ("dataset", "model", "loss"))
        raise InputError(
            f"by: no run has the setting {unknown[0]!r}; name a config group or a value such as "
            f"{groups}, model.filters"
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
    """Raise if runs read a file with different contents."""
    first: dict[str, tuple[str, str]] = {}
    for run, data in zip(runs.run, runs[DATA], strict=True):
        for file, digest in data.items():
            earlier, first_digest = first.setdefault(file, (run, digest))
            if digest != first_digest:
                raise InputError(
                    f"{sweep}: {run} and {earlier} were trained on different versions of {file}: "
                    "start the sweep again, which trains anew what is of another version"
                )


def _require_same_splits(runs: pd.DataFrame, sweep: Path, by: Sequence[str]) -> None:
    """Raise if rows were tested on different splits."""
    split = distinct_splits(runs)
    rows = {name: set(split[row.index]) for name, row in runs.groupby(list(by), dropna=False)}
    (first, expected), *others = rows.items()
    for name, splits in others:
        if splits != expected:
            a, b = (", ".join(map(str, row)) for row in (first, name))
            raise InputError(
                f"{sweep}: {a} is scored on {len(expected)} splits and {b} on {len(splits)}, of "
                f"which they share {len(expected & splits)}: train both on the same seeds and "
                "folds, or say partial=true to compare them nevertheless"
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
    """Return the runs of each row's best setting: highest F1 on validation.

    Settings that were tried with fewer seeds and folds than others do not count, since one of
    them could win by luck. Test scores play no part.
    """

    def rank(runs: pd.DataFrame) -> tuple[int, float]:
        return len(runs[repetition_settings(runs)].drop_duplicates()), validation_f1(runs)

    free = free_settings(runs, by)
    if not free:
        return runs
    best = [
        max((candidate for _, candidate in row.groupby(free, dropna=False)), key=rank)
        for _, row in runs.groupby(list(by), dropna=False, sort=False)
    ]
    return pd.concat(best, ignore_index=True)


def validation_f1(runs: pd.DataFrame) -> float:
    """F1 of one setting on validation: pooled over folds, then averaged over divisions or seeds."""
    return float(sample_scores(runs).val_f1.mean())


def score_table(runs: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean and standard deviation of the test scores of each row, the paper's beside them.

    Args:
        runs: Comparable runs.
        by: Settings whose combinations are the rows.

    Returns:
        ``by``, the chosen settings, number of ``seeds``, ``divisions`` and ``folds`` with the
        lowest and highest test F1 of a fold, ``val_f1``, and for each score its mean ``<score>``
        and ``<score>_std`` over ``divisions`` of the scene, or over seeds if there is one division,
        in percent (NaN for one); ``paper_<score>`` if rows are by dataset and augmentation, as the
        paper's are.
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


def add_floor(table: pd.DataFrame, floor: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Add a row for chance and for each detector below the score table.

    Args:
        table: See ``score_table``.
        floor: See ``measure_floor``.
        by: Settings whose combinations are the rows; the first names the floor.
    """
    lines = [
        {by[0]: f"{FLOOR_PREFIX}{name}"} | _scores(rows)
        for name, rows in floor.groupby(FLOOR, sort=False)
    ]
    added = pd.DataFrame(lines).reindex(columns=table.columns)
    added = added.astype(object).where(added.notna(), None)
    return pd.concat([table.astype(object), added], ignore_index=True)


def _scores(row: pd.DataFrame) -> dict[str, Any]:
    """Scores of one row in percent, over divisions of the scene or seeds."""
    scores = 100 * sample_scores(row)
    line: dict[str, Any] = {"seeds": row[SEED].nunique(), "divisions": count_divisions(row)}
    if FOLD in row and row[FOLD].nunique() > 1:
        f1 = 100 * row.test_f1.astype(float)
        lowest, highest = FOLD_RANGE
        line |= {"folds": row[FOLD].nunique(), lowest: f1.min(), highest: f1.max()}
    line["val_f1"] = scores.val_f1.mean()
    for name in SCORES:
        test = scores[f"test_{name}"]
        line |= {name: test.mean(), f"{name}_std": test.std()}
    return line


def format_scores(table: pd.DataFrame) -> pd.DataFrame:
    """The score table as text: mean ± standard deviation, percent."""
    text: dict[str, list[str]] = {}
    for name in table.columns:
        column = table[name]
        if name.endswith("_std") or name == FOLD_RANGE[1]:
            continue
        if name in SCORES:
            std = table.get(f"{name}_std", pd.Series(math.nan, index=table.index))
            cells = [_mean_and_std(*pair) for pair in zip(column, std, strict=True)]
        elif name == FOLD_RANGE[0]:
            ends = zip(*(table[end] for end in FOLD_RANGE), strict=True)
            cells = [f"{low:.2f} to {high:.2f}" for low, high in ends]
        elif name == "val_f1" or name.startswith("paper_"):
            cells = ["" if pd.isna(value) else f"{value:.2f}" for value in column]
        else:
            cells = ["" if pd.isna(value) else str(value) for value in column]
        heading = HEADINGS.get(name.removeprefix("paper_"), name)
        text[f"paper's {heading}" if name.startswith("paper_") else heading] = cells
    return pd.DataFrame(text)


def _mean_and_std(mean: float, std: float) -> str:
    """Two numbers as ``60.02 ± 1.10``; the mean alone if there is one replication; or nothing."""
    if pd.isna(mean):
        return ""
    return f"{mean:.2f}" if pd.isna(std) else f"{mean:.2f} ± {std:.2f}"


def format_ensembles(table: pd.DataFrame) -> pd.DataFrame:
    """A table of ensembles as text."""
    text = format_scores(table.drop(columns=["gain", "val_gain"]))
    text["gain, points"] = [f"{gain:+.2f}" for gain in table.gain]
    text["gain on validation"] = [f"{gain:+.2f}" for gain in table.val_gain]
    return text

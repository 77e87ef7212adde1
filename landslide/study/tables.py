"""The best setting of each row, chosen on validation, and its test scores over seeds."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from landslide.errors import InputError
from landslide.metrics import SCORES
from landslide.study.paper import TABLES
from landslide.study.runs import varying

SEED = "seed"

BASELINE = "baseline"
"""Level that the other levels of a setting are compared with; comes first."""

PROTOCOL = ("dataset.root", "trainer.max_epochs", "patch_size")
"""Settings, beside those of the split, that all runs of one comparison share."""

HEADINGS = {
    "val_f1": "validation F1",
    **SCORES,
    "model.filters": "filters",
    "batch_size": "batch",
}


def comparable(
    runs: pd.DataFrame, sweep: Path, by: Sequence[str], *, partial: bool
) -> pd.DataFrame:
    """The finished runs of a sweep, once it is known that they may be compared.

    Args:
        runs: All runs (see ``read_runs``).
        sweep: Their folder, for messages.
        by: Settings whose combinations are compared.
        partial: Whether runs that are not finished are left out rather than refused.

    Raises:
        InputError: Runs are not finished, do not have a setting, or differ in their split,
            scene or budget.
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
    protocol = [n for n in runs.columns if n.split(".")[0] == "split" or n in PROTOCOL]
    for name in protocol:
        if finished[name].nunique(dropna=False) > 1 and name not in by:
            values = " and ".join(sorted(map(str, finished[name].unique())))
            raise InputError(
                f"{sweep} mixes runs of {name} {values}: their scores cannot be compared; give "
                "each experiment a folder of its own (hydra.sweep.dir)"
            )
    return finished.reset_index(drop=True)


def free_settings(runs: pd.DataFrame, by: Sequence[str]) -> list[str]:
    """Settings among which one is chosen for each row: those that vary within rows."""
    others = [name for name in varying(runs) if name not in by and name != SEED]
    rows = runs.groupby(list(by), dropna=False)
    return [name for name in others if (rows[name].nunique(dropna=False) > 1).any()]


def selected(runs: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The runs of each row's best setting: highest mean F1 over seeds on validation.

    Among settings that were tried with as many seeds as any, lest one lucky seed decide.
    Test scores play no part.
    """

    def merit(runs: pd.DataFrame) -> tuple[int, float]:
        return runs[SEED].nunique(), float(runs.val_f1.astype(float).mean())

    free = free_settings(runs, by)
    if not free:
        return runs
    chosen = []
    for _, row in runs.groupby(list(by), dropna=False, sort=False):
        candidates = [runs for _, runs in row.groupby(free, dropna=False)]
        chosen.append(max(candidates, key=merit))
    return pd.concat(chosen, ignore_index=True)


def score_table(runs: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean and standard deviation of the test scores of each row, the paper's beside them.

    Args:
        runs: Comparable runs.
        by: Settings whose combinations are the rows.

    Returns:
        ``by``, the chosen settings, ``seeds``, ``val_f1``, and for each score ``<score>`` and
        ``<score>_std`` in percent (NaN for one seed); ``paper_<score>`` where rows are the
        paper's, by dataset and augmentation.
    """
    best = selected(runs, by)
    shown = [name for name in varying(runs) if name not in by and name != SEED]
    table = []
    for _, row in best.groupby(list(by), dropna=False, sort=False):
        first = row.iloc[0]
        line: dict[str, Any] = {name: first[name] for name in (*by, *shown)}
        line["seeds"] = row[SEED].nunique()
        line["val_f1"] = 100 * row.val_f1.astype(float).mean()
        for name in SCORES:
            scores = 100 * row[f"test_{name}"].astype(float)
            line[name], line[f"{name}_std"] = scores.mean(), scores.std(ddof=1)
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


def said(table: pd.DataFrame) -> pd.DataFrame:
    """The score table in words: mean ± standard deviation, percent."""
    words: dict[str, list[str]] = {}
    for name in table.columns:
        if name.endswith("_std"):
            continue
        if name == "val_f1":  # what rows are chosen by comes before the scores
            cells = [f"{value:.2f}" for value in table.val_f1]
        elif name in SCORES:
            spread = table.get(f"{name}_std", pd.Series(math.nan, index=table.index))
            cells = [mean_and_std(m, s) for m, s in zip(table[name], spread, strict=True)]
        elif name.startswith("paper_"):
            cells = ["" if math.isnan(value) else f"{value:.2f}" for value in table[name]]
        else:
            cells = ["" if value is None else str(value) for value in table[name]]
        words[heading(name)] = cells
    return pd.DataFrame(words)


def mean_and_std(mean: float, std: float) -> str:
    """Two numbers as ``60.02 ± 1.10``; the mean alone where there is one seed."""
    return f"{mean:.2f}" if math.isnan(std) else f"{mean:.2f} ± {std:.2f}"


def heading(name: str) -> str:
    """A column's heading in words."""
    if name.startswith("paper_"):
        return f"paper's {heading(name.removeprefix('paper_'))}"
    return HEADINGS.get(name, name)

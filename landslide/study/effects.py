"""Effects of choices: paired differences of test F1, with intervals and tests.

Two runs are a pair if they share everything but the choice. Choices are compared in all pairs,
or each with the one named ``baseline``. Runs of each row's chosen setting are paired by seed and
fold, and the differences within one split are averaged: the sample is of distinct splits. Splits
of one scene share training data, so that their differences are correlated; the variance is
corrected for it after Nadeau and Bengio (2003), and p-values for the number of effects after
Holm (1979). With fewer than five splits there is an interval and no p-value.

If all runs are of one split, the interval is over its seeds, and with one seed over all settings
that were tried: neither predicts another split, and neither has a p-value.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from landslide.study.replications import SEED, distinct_splits, repetition_settings
from landslide.study.tables import BASELINE, free_settings, select_best

CONFIDENCE = 0.95

FEWEST_SPLITS = 5
"""Distinct splits that a p-value needs."""

SPLIT = "distinct split"

COLUMNS = [
    *("factor", "difference", "where", "mean", "low", "high"),
    *("over", "units", "pairs", "p", "validation", "p_holm"),
]


def effects(runs: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Effects of every factor on test F1, over all runs and at each level of the others.

    Args:
        runs: Comparable runs.
        by: Settings whose combinations are compared; a dataset counts as its orbit and bands.

    Returns:
        ``factor``; ``difference`` (``flips - none``); ``where`` (the level of another factor,
        or ``all``); mean difference and its 95 % interval in percentage points, ``over`` so
        many ``units`` (``splits``, else ``seeds`` of one split, else ``settings`` of one run
        each) made of so many ``pairs`` of runs; ``p`` and ``p_holm``, NaN where there are fewer
        than five splits; mean difference on ``validation``, for choosing.
    """
    factors = _factors(runs, by)
    over, unit, runs = _sample(runs, by)
    names = {factor: _level_names(_levels(runs, factor)) for factor in factors}
    rows = []
    for factor in factors if unit else []:
        others = {other: names[other] for other in factors if other != factor}
        for levels in _level_pairs(_levels(runs, factor)):
            difference = " - ".join(names[factor][level] for level in levels)
            compared: list[pd.Index] = []
            for where, subset in _subsets(runs, others):
                pairs = _pairs(subset, factor, levels, factors, unit)
                if any(pairs.index.equals(other) for other in compared):
                    continue
                compared.append(pairs.index)
                per_unit = pairs.groupby(level=unit, dropna=False).mean()
                if len(per_unit) > 1:
                    ratio = _tested_to_trained(subset) if over == "splits" else 0.0
                    row: dict[str, Any] = {"factor": factor, "difference": difference}
                    row |= {"where": where, "over": over}
                    row |= {"pairs": len(pairs), "validation": per_unit.validation.mean()}
                    rows.append(row | _estimate(per_unit.f1, ratio))
    table = pd.DataFrame(rows, columns=COLUMNS[:-1])
    tested = (table.over == "splits") & (table.units >= FEWEST_SPLITS)
    table["p"] = table.p.where(tested).astype(float)
    return table.assign(p_holm=holm(table.p.to_numpy(dtype=float)))


def _sample(runs: pd.DataFrame, by: Sequence[str]) -> tuple[str, list[str], pd.DataFrame]:
    """What differences are a sample of, the columns that identify its members, and its runs."""
    if len(runs[repetition_settings(runs)].drop_duplicates()) == 1:
        return "settings", free_settings(runs, by), runs
    runs = select_best(runs, by)
    runs = runs.assign(**{SPLIT: distinct_splits(runs)})
    return ("splits", [SPLIT], runs) if runs[SPLIT].nunique() > 1 else ("seeds", [SEED], runs)


def _tested_to_trained(runs: pd.DataFrame) -> float:
    """Mean quotient of tested and trained patches."""
    return float((runs.test_patches.astype(float) / runs.train_patches.astype(float)).mean())


def _factors(runs: pd.DataFrame, by: Sequence[str]) -> list[str]:
    """The settings of ``by`` that vary; orbit and bands for datasets that are told apart by them.

    Bands tell datasets apart if of any two lists one has all bands of the other.
    """
    repetitions = repetition_settings(runs)
    factors = [n for n in by if runs[n].nunique(dropna=False) > 1 and n not in repetitions]
    parts = [p for p in ("dataset.orbit", "dataset.bands") if p in runs and runs[p].nunique() > 1]
    if "dataset" not in factors or not parts:
        return factors
    if (runs.groupby(parts).dataset.nunique() == 1).all() and _nested(runs, parts):
        return [*parts, *(name for name in factors if name != "dataset")]
    return factors


def _nested(runs: pd.DataFrame, parts: Sequence[str]) -> bool:
    """Whether of any two lists of bands one contains the other."""
    if "dataset.bands" not in parts:
        return True
    lists = [set(str(bands).split(", ")) for bands in runs["dataset.bands"].unique()]
    return all(a <= b or b <= a for a, b in combinations(lists, 2))


def _levels(runs: pd.DataFrame, factor: str) -> list[object]:
    """Levels of a factor; longer lists of bands first, so that differences are gains."""
    return sorted(runs[factor].unique(), key=lambda level: (-str(level).count(","), str(level)))


def _level_pairs(levels: Sequence[object]) -> list[tuple[object, object]]:
    """Pairs of levels: each with the baseline, or all pairs if there is none."""
    if BASELINE in levels:
        return [(level, BASELINE) for level in levels if level != BASELINE]
    return list(combinations(levels, 2))


def _level_names(levels: Sequence[object]) -> dict[object, str]:
    """Names of levels; of lists by what not all have: ``with vv_post2``, ``without vv_post2``."""
    items = [str(level).split(", ") for level in levels]
    if max(map(len, items)) == 1:
        return {level: str(level) for level in levels}
    common = set.intersection(*map(set, items))
    own = [", ".join(item for item in part if item not in common) for part in items]
    missing = " or ".join(dict.fromkeys(filter(None, own)))
    return {
        level: f"with {part}" if part else f"without {missing}"
        for level, part in zip(levels, own, strict=True)
    }


def _subsets(
    runs: pd.DataFrame, others: Mapping[str, Mapping[object, str]]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """All runs, then those at each level of every other factor."""
    yield "all", runs
    for factor, names in others.items():
        for level, name in names.items():
            yield f"{factor.split('.')[-1]} {name}", runs[runs[factor] == level]


def _pairs(
    runs: pd.DataFrame,
    factor: str,
    levels: tuple[object, object],
    factors: Sequence[str],
    unit: Sequence[str],
) -> pd.DataFrame:
    """Differences between paired runs in points: ``f1`` on test and ``validation``."""
    others = [name for name in factors if name != factor]
    keys = list(dict.fromkeys([*unit, *repetition_settings(runs), *others]))
    f1 = {"f1": 100 * runs.test_f1.astype(float), "validation": 100 * runs.val_f1.astype(float)}
    means = runs.assign(**f1).groupby([*keys, factor], dropna=False)[list(f1)].mean()
    first, second = (
        means[means.index.get_level_values(factor) == level].droplevel(factor) for level in levels
    )
    return (first - second).dropna()


def _estimate(differences: pd.Series, ratio: float) -> dict[str, float]:
    """Mean difference, its interval and p-value by the corrected resampled t-test.

    Variance of the mean: (1/J + n_test/n_train) s², s² that of the J differences (Nadeau and
    Bengio 2003, Inference for the generalization error, Machine Learning 52, 239-281, section
    3.1); Student's t with J - 1 degrees of freedom.

    Args:
        differences: One for each member of the sample, at least two.
        ratio: n_test/n_train; 0 for independent differences, which is Student's test.

    Returns:
        NaN for interval and p-value if all differences are the same, since their spread is then
        unknown.
    """
    units, mean = len(differences), float(differences.mean())
    std = float(differences.std(ddof=1))
    constant = std <= 1e-9 * max(1.0, abs(mean))  # up to rounding
    error = np.nan if constant else float(np.sqrt(1 / units + ratio)) * std
    reach = float(stats.t.ppf(0.5 + CONFIDENCE / 2, units - 1)) * error
    p = float(2 * stats.t.sf(abs(mean / error), units - 1))
    return {"mean": mean, "low": mean - reach, "high": mean + reach, "units": units, "p": p}


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correct p-values for their number after Holm (1979); NaN stays and does not count."""
    order = np.argsort(p)[: np.isfinite(p).sum()]
    stepped = p[order] * np.arange(len(order), 0, -1)
    corrected = np.full_like(p, np.nan)
    corrected[order] = np.maximum.accumulate(stepped).clip(max=1.0)
    return corrected


def format_effects(table: pd.DataFrame) -> pd.DataFrame:
    """The effects as text."""
    text = pd.DataFrame(
        {
            "difference": table.difference,
            "where": table["where"],
            "F1, points": [f"{mean:+.2f}" for mean in table["mean"]],
            "95 % interval": [
                f"{low:+.2f} to {high:+.2f}"
                for low, high in zip(table.low, table.high, strict=True)
            ],
            "on validation": [f"{mean:+.2f}" for mean in table.validation],
            "over": [f"{n} {over}" for n, over in zip(table.units, table.over, strict=True)],
        }
    )
    if table.p.isna().all():
        return text
    return text.assign(p=table.p.map(_p_value), **{"p (Holm)": table.p_holm.map(_p_value)})


def _p_value(p: float) -> str:
    if np.isnan(p):
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"

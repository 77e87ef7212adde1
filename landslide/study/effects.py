"""What a choice is worth: paired differences of test F1, with intervals and tests.

Two runs are a pair when they share everything but the choice. Choices are compared in all
pairs, or, where one of them is named ``baseline``, each with it. Over several seeds, the runs
of each row's chosen setting are paired by seed, which redraws weights and order, and the split
unless it has a seed of its own; with one seed, all settings that were tried are paired, and
the interval tells how the difference varies over settings, not over splits. Seeds are tested by
Student's paired t-test, its p-values corrected for the number of effects after Holm (1979);
settings of one split are no independent sample, and have no p-value.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from landslide.study.tables import BASELINE, SEED, free_settings, selected

CONFIDENCE = 0.95

COLUMNS = [
    *("factor", "difference", "where", "mean", "low", "high"),
    *("pairs", "p", "validation", "p_holm"),
]


def effects(runs: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Effects of every factor on test F1, over all runs and at each level of the others.

    Args:
        runs: Comparable runs.
        by: Settings whose combinations are compared; a dataset counts as its orbit and bands.

    Returns:
        ``factor``; ``difference`` (``flips - none``); ``where`` (the level of another factor,
        or ``all``); mean difference and its 95 % interval in percentage points; number of
        ``pairs`` (seeds, or settings with one seed); ``p`` and ``p_holm``, NaN with one seed;
        mean difference on ``validation``, for choosing.
    """
    factors = _factors(runs, by)
    tested = runs[SEED].nunique() > 1
    if tested:
        runs, match = selected(runs, by), [SEED]
    else:
        match = free_settings(runs, by)
    names = {factor: _names(_levels(runs, factor)) for factor in factors}
    rows = [
        {
            "factor": factor,
            "difference": f"{names[factor][first]} - {names[factor][second]}",
            "where": where,
            **_estimate(units),
            "validation": _differences(
                part, factor, (first, second), factors, match, "val_f1"
            ).mean(),
        }
        for factor in factors
        for first, second in _compared(_levels(runs, factor))
        for where, part in _parts(runs, {f: names[f] for f in factors if f != factor})
        if len(units := _differences(part, factor, (first, second), factors, match, "test_f1")) > 1
    ]
    table = pd.DataFrame(rows, columns=COLUMNS[:-1])
    if not tested:
        return table.assign(p=np.nan, p_holm=np.nan)
    return table.assign(p_holm=holm(table.p.to_numpy(dtype=float)))


def _factors(runs: pd.DataFrame, by: Sequence[str]) -> list[str]:
    """The settings of ``by`` that vary; a dataset as orbit and bands where these tell it."""
    factors = [name for name in by if runs[name].nunique(dropna=False) > 1]
    parts = [p for p in ("dataset.orbit", "dataset.bands") if runs[p].nunique() > 1]
    if "dataset" in factors and parts:
        told = (runs.groupby(parts).dataset.nunique() == 1).all()
        if told:
            factors = [*parts, *(name for name in factors if name != "dataset")]
    return factors


def _levels(runs: pd.DataFrame, factor: str) -> list[object]:
    """Levels of a factor; longer band lists first, so that a difference is what more bring."""
    return sorted(runs[factor].unique(), key=lambda level: (-str(level).count(","), str(level)))


def _compared(levels: Sequence[object]) -> list[tuple[object, object]]:
    """Pairs of levels: each with the baseline, or all of them where there is none."""
    if BASELINE in levels:
        return [(level, BASELINE) for level in levels if level != BASELINE]
    return list(combinations(levels, 2))


def _names(levels: Sequence[object]) -> dict[object, str]:
    """Levels in words; of lists, what not all have: ``with vv_post2``, ``without vv_post2``."""
    words = [str(level).split(", ") for level in levels]
    if max(map(len, words)) == 1:
        return {level: str(level) for level in levels}
    common = set.intersection(*map(set, words))
    own = [", ".join(word for word in part if word not in common) for part in words]
    missing = " or ".join(dict.fromkeys(filter(None, own)))
    return {
        level: f"with {part}" if part else f"without {missing}"
        for level, part in zip(levels, own, strict=True)
    }


def _parts(
    runs: pd.DataFrame, others: Mapping[str, Mapping[object, str]]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """All runs, then those at each level of every other factor."""
    yield "all", runs
    for factor, names in others.items():
        for level, name in names.items():
            yield f"{factor.split('.')[-1]} {name}", runs[runs[factor] == level]


def _differences(
    runs: pd.DataFrame,
    factor: str,
    levels: tuple[object, object],
    factors: Sequence[str],
    match: Sequence[str],
    score: str,
) -> NDArray[np.float64]:
    """Differences of a score between paired runs, in points: one a seed or a setting."""
    keys = [*match, *(name for name in factors if name != factor)]
    pairs = runs.assign(f1=100 * runs[score].astype(float)).pivot_table(
        index=keys or [SEED], columns=factor, values="f1", aggfunc="mean", observed=True
    )
    if any(level not in pairs.columns for level in levels):
        return np.array([])
    difference = (pairs[levels[0]] - pairs[levels[1]]).dropna()
    if match:
        difference = difference.groupby(level=list(match)).mean()
    return difference.to_numpy(dtype=float)


def _estimate(differences: NDArray[np.float64]) -> dict[str, float]:
    with np.errstate(invalid="ignore", divide="ignore"):
        test = stats.ttest_1samp(differences, 0.0)
        interval = test.confidence_interval(CONFIDENCE)
    return {
        "mean": float(differences.mean()),
        "low": float(interval.low),
        "high": float(interval.high),
        "pairs": len(differences),
        "p": float(test.pvalue),
    }


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """P-values corrected for their number after Holm (1979)."""
    order = np.argsort(p)
    stepped = p[order] * np.arange(len(p), 0, -1)
    corrected = np.empty_like(p)
    corrected[order] = np.maximum.accumulate(stepped).clip(max=1.0)
    return corrected


def said(table: pd.DataFrame) -> pd.DataFrame:
    """The effects in words."""
    words = pd.DataFrame(
        {
            "difference": table.difference,
            "where": table["where"],
            "F1, points": [f"{mean:+.2f}" for mean in table["mean"]],
            "95 % interval": [
                f"{low:+.2f} to {high:+.2f}"
                for low, high in zip(table.low, table.high, strict=True)
            ],
            "on validation": [f"{mean:+.2f}" for mean in table.validation],
            "pairs": table.pairs,
        }
    )
    if table.p.isna().all():
        return words
    return words.assign(p=table.p.map(_p_value), **{"p (Holm)": table.p_holm.map(_p_value)})


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"

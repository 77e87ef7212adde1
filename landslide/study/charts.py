"""Figures of a study."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from landslide.geo.cartography import BLUE, GREY, ORANGE, save_figure
from landslide.study.tables import (
    FLOOR_PREFIX,
    FOLD_RANGE,
    free_settings,
    select_best,
    validation_f1,
)


def scores(table: pd.DataFrame, by: Sequence[str], path: Path, *, title: str) -> None:
    """Test F1 of each row with its spread, the paper's beside it."""
    figure, axis = plt.subplots(figsize=(6.5, 0.42 * len(table) + 1.6), layout="constrained")
    y = np.arange(len(table))[::-1]
    floor = table[by[0]].astype(str).str.startswith(FLOOR_PREFIX).to_numpy()
    whiskers, meaning = _whiskers(table)
    for rows, color, label in ((~floor, BLUE, f"this study{meaning}"), (floor, GREY, "floor")):
        if rows.any():
            errors = None if whiskers is None else whiskers[..., rows]
            f1 = table.f1[rows].astype(float)
            axis.errorbar(f1, y[rows], xerr=errors, fmt="o", color=color, capsize=3, label=label)
    if "paper_f1" in table:
        axis.plot(table.paper_f1.astype(float), y, "D", color=ORANGE, label="Nava et al. (2022)")
    rows_by = table[list(by)].itertuples(index=False)
    names = [", ".join(str(value) for value in row if not pd.isna(value)) for row in rows_by]
    axis.set_yticks(y, names, fontsize=8)
    axis.set_xlabel("Test F1 (%)")
    axis.grid(alpha=0.3, axis="x")
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=2)
    axis.set_title(title, fontsize=9)
    save_figure(figure, path)


def _whiskers(table: pd.DataFrame) -> tuple[np.ndarray | None, str]:
    """Whiskers of F1 and what they show: the range of folds, or the standard deviation."""
    if FOLD_RANGE[0] in table:
        low, high = (table[name].to_numpy(dtype=float) for name in FOLD_RANGE)
        f1 = table.f1.to_numpy(dtype=float)
        ends = np.stack([f1 - low, high - f1]).clip(min=0)
        return ends, " (folds pooled; line: lowest to highest fold)"
    if "f1_std" in table:
        return table.f1_std.astype(float).fillna(0).to_numpy(), " (mean, std)"
    return None, ""


def panels(
    count: int,
    size: tuple[float, float],
    margins: tuple[float, float],
    **options: Any,  # noqa: ANN401
) -> tuple[Figure, NDArray[Any]]:
    """Make a figure of panels, at most four in a row.

    Args:
        count: Number of panels.
        size: Width and height of a panel, in inches.
        margins: Added to the width and height of the figure.
        options: Passed to ``plt.subplots``.

    Returns:
        The figure and its axes by row and column; those after ``count`` are not drawn.
    """
    columns = min(4, count)
    rows = -(-count // columns)
    width, height = size[0] * columns + margins[0], size[1] * rows + margins[1]
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, height), squeeze=False, layout="constrained", **options
    )
    for axis in list(axes.flat)[count:]:
        axis.remove()
    return figure, axes


def heat_maps(
    runs: pd.DataFrame, by: Sequence[str], settings: tuple[str, str], path: Path, *, title: str
) -> None:
    """Validation F1 over two settings, one map a row; the chosen setting is framed."""
    groups = list(runs.groupby(list(by), dropna=False))
    figure, axes = panels(len(groups), (2.7, 2.6), (0.8, 0.4))
    values = 100 * runs.val_f1.astype(float)
    for axis, (names, group) in zip(axes.flat, groups, strict=False):
        tried = group.groupby(list(settings), dropna=False)
        scores = pd.Series({setting: 100 * validation_f1(part) for setting, part in tried})
        grid: pd.DataFrame = scores.unstack().sort_index()
        image = axis.imshow(grid, cmap="viridis", vmin=values.min(), vmax=values.max())
        for (y, x), value in np.ndenumerate(grid.to_numpy()):
            light = value > values.min() + 0.6 * (values.max() - values.min())
            color = "black" if light else "white"
            axis.text(x, y, f"{value:.0f}", ha="center", va="center", fontsize=7, color=color)
        chosen = select_best(group, by).iloc[0]
        y, x = (
            list(axis_values).index(chosen[name])
            for axis_values, name in zip((grid.index, grid.columns), settings, strict=True)
        )
        frame = Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor="red", linewidth=1.5)
        axis.add_patch(frame)
        axis.set_xticks(range(len(grid.columns)), grid.columns, fontsize=7)
        axis.set_yticks(range(len(grid.index)), grid.index, fontsize=7)
        axis.set_title(", ".join(map(str, names)), fontsize=8)
        axis.set_xlabel(settings[1], fontsize=7)
        axis.set_ylabel(settings[0], fontsize=7)
    figure.colorbar(image, ax=axes, shrink=0.6, label="Validation F1 (%)")
    figure.suptitle(title, fontsize=9)
    save_figure(figure, path)


def forest(effects: pd.DataFrame, path: Path, *, title: str) -> None:
    """Paired differences of test F1 with their 95 % intervals."""
    figure, axis = plt.subplots(figsize=(7, 0.3 * len(effects) + 1.2), layout="constrained")
    positions = np.arange(len(effects))[::-1]
    rows = effects.to_dict("records")
    for y, row in zip(positions, rows, strict=True):
        color = BLUE if row["p_holm"] < 0.05 else GREY
        axis.plot([row["low"], row["high"]], [y, y], color=color)
        axis.plot(row["mean"], y, "o", color=color, markersize=5)
    axis.set_yticks(
        positions, [f"{row['difference']}  ({row['where']})" for row in rows], fontsize=7
    )
    axis.axvline(0, color="black", linewidth=0.8)
    tested = effects["p_holm"].notna().any()
    axis.set_xlabel(
        "Difference of test F1 (points)" + ("; blue: p (Holm) < 0.05" if tested else "")
    )
    axis.grid(alpha=0.3, axis="x")
    axis.set_title(title, fontsize=9)
    save_figure(figure, path)


def learning_curves(
    runs: pd.DataFrame, by: Sequence[str], sweep: Path, path: Path, *, title: str
) -> None:
    """F1 over the epochs of each row's chosen runs, a line a run."""
    groups = list(select_best(runs, by).groupby(list(by), dropna=False))
    figure, axes = panels(len(groups), (2.7, 2.3), (0.4, 0.4), sharex=True, sharey=True)
    for axis, (names, group) in zip(axes.flat, groups, strict=False):
        for run in group.run:
            history = pd.read_csv(sweep / run / "history.csv")
            axis.plot(history.epoch, 100 * history.train_f1, color=BLUE, alpha=0.4, linewidth=0.8)
            axis.plot(history.epoch, 100 * history.val_f1, color=ORANGE, alpha=0.9, linewidth=0.9)
        axis.set_title(", ".join(map(str, names)), fontsize=8)
        axis.grid(alpha=0.3)
    for axis in axes[-1]:
        axis.set_xlabel("Epoch", fontsize=8)
    for axis in axes[:, 0]:
        axis.set_ylabel("F1 (%)", fontsize=8)
    figure.suptitle(f"{title}: training (blue) and validation (orange)", fontsize=9)
    save_figure(figure, path)


def grid_settings(runs: pd.DataFrame, by: Sequence[str]) -> tuple[str, str] | None:
    """The two settings that a heat map can show: filters and batch size, or the only two."""
    free = free_settings(runs, by)
    if {"model.filters", "batch_size"} <= set(free):
        return "model.filters", "batch_size"
    return (free[0], free[1]) if len(free) == 2 else None

"""The runs of a sweep in order of validation F1, written anew whenever a run ends.

The folds of one setting and seed are one line, their pixels pooled: single folds are
validated on different ground. Test scores are left to the study: what is chosen here is
chosen on validation.
"""

import math
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from landslide.geo.cartography import BLUE, ORANGE, save_figure
from landslide.geo.files import write_text
from landslide.study.charts import panels
from landslide.study.replications import FOLD, replications
from landslide.study.runs import read_runs, varying_settings

PRINTED_RUNS = 20
"""Runs that are printed; the files hold all."""

FIGURE_PANELS = 8
"""Settings that the figure shows at most."""


def write_leaderboard(sweep: Path, *, figure: bool = True) -> None:
    """Write ``leaderboard.csv``, ``leaderboard.md`` and ``leaderboard.png`` into a sweep.

    Args:
        sweep: Folder of the sweep.
        figure: Whether the figure, which takes most of the time, is drawn too.
    """
    board, settings = _board(sweep)
    write_text(sweep / "leaderboard.csv", board.to_csv(index=False))
    counts = ", ".join(f"{n} {status}" for status, n in board.status.value_counts().items())
    table = markdown_table(_format_board(board))
    write_text(sweep / "leaderboard.md", f"# {sweep.name}\n\n{counts}\n\n{table}")
    if figure and (board.status == "finished").any():
        _figure(board[board.status == "finished"], settings, sweep / "leaderboard.png")


def print_leaderboard(sweep: Path) -> None:
    """Print the best runs of a sweep, and the failed ones."""
    board = _format_board(_board(sweep)[0])
    best, rest = board.iloc[:PRINTED_RUNS], board.iloc[PRINTED_RUNS:]
    rows = pd.concat([best, rest[rest.status == "failed"]])
    rows = rows.drop(columns=["run", "precision", "recall"])
    table = Table(title=f"Sweep: {len(board)} {'settings' if 'folds' in board else 'runs'}")
    for heading in rows.columns:
        table.add_column(heading, overflow="fold")
    for row in rows.itertuples(index=False):
        table.add_row(*(escape(str(value)) for value in row))
    console = Console(soft_wrap=True)
    console.print(table)
    console.print(f"Sweep folder: {sweep}")


def _board(sweep: Path) -> tuple[pd.DataFrame, list[str]]:
    """Runs from best to worst, then those without a score; and what differs between them.

    Folds are ranked once as many of them are finished as of any other line.
    """
    runs = read_runs(sweep)
    settings = varying_settings(runs)
    scores = [f"val_{name}" for name in ("f1", "iou", "precision", "recall", "average_precision")]
    order, first = ["val_f1"], ["run", "status"]
    if FOLD in settings:
        settings.remove(FOLD)
        order, first = ["folds", "val_f1"], ["run", "status", "folds"]
        lines = runs.groupby(settings, dropna=False) if settings else [((), runs)]
        runs = pd.DataFrame([_fold_line(folds) for _, folds in lines], dtype=object)
    board = runs.reindex(columns=[*first, *settings, *scores, "error"])
    board[scores] = board[scores].astype(float)
    # Not a column: the leaderboard is of one scene.
    board.attrs["simulated"] = "simulated" in runs and bool(runs.simulated.eq(True).any())
    return board.sort_values(order, ascending=False, na_position="last"), settings


def _fold_line(folds: pd.DataFrame) -> dict[str, Any]:
    """One line for the folds of a setting: pooled scores of those that are finished."""
    finished = folds[folds.status == "finished"]
    states = [state for state in ("failed", "unfinished") if (folds.status == state).any()]
    line: dict[str, Any] = dict((finished if len(finished) else folds).iloc[0])
    line |= {"run": " ".join(folds.run), "status": "finished", "folds": len(finished)}
    if len(finished):
        scores = replications(finished).drop(columns="division").iloc[0]
        line |= dict(scores) | {"folds": len(finished)}
    if states:
        errors = folds.error.dropna()
        line |= {"status": states[0], "error": errors.iloc[0] if len(errors) else None}
    return line


def _format_board(board: pd.DataFrame) -> pd.DataFrame:
    """The leaderboard as text, scores in percent."""
    text = board.drop(columns=["val_iou", "val_average_precision"])
    for column in ("val_f1", "val_precision", "val_recall"):
        text[column] = ["" if math.isnan(value) else f"{100 * value:.2f}" for value in text[column]]
    if not board.error.notna().any():
        text = text.drop(columns="error")
    headings = {"val_f1": "validation F1", "val_precision": "precision", "val_recall": "recall"}
    return text.astype(object).where(text.notna(), "").rename(columns=headings)


def markdown_table(table: pd.DataFrame) -> str:
    """A table in Markdown."""
    rows = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    cells = [[str(value).replace("|", r"\|").replace("\n", " ") for value in row] for row in rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def _figure(board: pd.DataFrame, settings: list[str], path: Path) -> None:
    """Validation F1 of every run over each setting, one panel a setting."""
    shown = settings[:FIGURE_PANELS] or ["status"]
    figure, axes = panels(len(shown), (2.9, 2.8), (0.6, 0), sharey=True)
    for axis, setting in zip(axes.flat, shown, strict=False):
        by_value = board.groupby(setting, dropna=False).val_f1
        groups = sorted(by_value, key=lambda group: _sort_key(group[0]))
        for x, (_, scores) in enumerate(groups):
            axis.plot([x] * len(scores), scores, "o", color=BLUE, alpha=0.4, markersize=4)
            axis.plot(x, scores.max(), "_", color=ORANGE, markersize=16, markeredgewidth=2)
        axis.set_xticks(range(len(groups)), [str(value) for value, _ in groups], fontsize=7)
        if max(len(str(value)) for value, _ in groups) > 6:
            axis.tick_params(axis="x", rotation=30)
        axis.set(xlim=(-0.6, len(groups) - 0.4))
        axis.set_xlabel(setting, fontsize=8)
        axis.grid(alpha=0.3, axis="y")
    for axis in axes[:, 0]:
        axis.set_ylabel("Validation F1")
    simulated = ", simulated backscatter" if board.attrs["simulated"] else ""
    figure.suptitle(
        f"{len(board)} finished runs{simulated}; the bar is the best of each", fontsize=9
    )
    save_figure(figure, path)


def _sort_key(value: object) -> tuple[bool, float, str]:
    """Sort numbers by size, then text."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return (not number, float(value) if number else 0.0, str(value))  # type: ignore[arg-type]

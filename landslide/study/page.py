"""A study as files: CSV, LaTeX, Markdown, and one page that stands alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import markdown
import pandas as pd

from landslide.geo.files import write_text
from landslide.geo.pages import embed_png, render_template
from landslide.study import charts
from landslide.study.effects import FEWEST_SPLITS, effects, format_effects
from landslide.study.leaderboard import markdown_table
from landslide.study.replications import (
    FOLD,
    SEED,
    count_divisions,
    distinct_splits,
    repetition_settings,
)
from landslide.study.runs import CODE
from landslide.study.tables import (
    add_floor,
    format_ensembles,
    format_scores,
    free_settings,
    score_table,
)


def write_study(
    runs: pd.DataFrame,
    by: Sequence[str],
    sweep: Path,
    output: Path,
    ensembles: pd.DataFrame | None = None,
    floor: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Write tables, figures and the page of a study.

    Args:
        runs: Comparable runs (see ``comparable_runs``).
        by: Settings whose combinations are the rows.
        sweep: Folder of the sweep.
        output: Folder to write.
        ensembles: Scores of ensembles and flips (see ``score_ensembles``), if wanted.
        floor: Scores of chance and detectors (see ``measure_floor``), if known.

    Returns:
        The score table, with the floor below.
    """
    table, differences = score_table(runs, by), effects(runs, by)
    if floor is not None:
        table = add_floor(table, floor, by)
    frames = {"table": table, "effects": differences, "runs": runs}
    formatted = {"scores": format_scores(table), "effects": format_effects(differences)}
    if ensembles is not None:
        frames["ensembles"] = ensembles
        formatted["ensembles"] = format_ensembles(ensembles)
    for name, frame in frames.items():
        write_text(output / f"{name}.csv", frame.to_csv(index=False))
    write_text(output / "tables.tex", "\n".join(map(_latex, formatted.values())))

    title = sweep.name + (" (simulated backscatter)" if runs.simulated.any() else "")
    captions = _draw_figures(table, differences, runs, by, sweep, output / "figures", title)
    facts = _facts(runs, by) | {
        "title": title,
        "tables": {name: markdown_table(frame).rstrip() for name, frame in formatted.items()},
        "sample": differences.over.iloc[0] if len(differences) else None,
        "captions": captions,
        "beside_paper": "paper_f1" in table,
        "floor": floor is not None,
    }
    links = {name: f"figures/{name}" for name in captions}
    embedded = {name: embed_png((output / link).read_bytes()) for name, link in links.items()}
    write_text(output / "study.md", _render("study.md", sources=links, **facts))
    text = _render("study.md", sources=embedded, **facts)
    body = markdown.markdown(text, extensions=["tables"])
    write_text(output / "study.html", _render("study.html", title=title, body=body))
    return table


def _draw_figures(
    table: pd.DataFrame,
    differences: pd.DataFrame,
    runs: pd.DataFrame,
    by: Sequence[str],
    sweep: Path,
    folder: Path,
    title: str,
) -> dict[str, str]:
    """Draw the figures that the runs allow; return their captions by file name."""
    captions = {}
    charts.scores(table, by, folder / "scores.png", title=title)
    captions["scores.png"] = "Test F1 of each row's chosen setting."
    settings = charts.grid_settings(runs, by)
    if settings:
        charts.heat_maps(runs, by, settings, folder / "grid.png", title=title)
        captions["grid.png"] = f"Validation F1 over {settings[0]} and {settings[1]}; chosen: red."
    if len(differences):
        charts.forest(differences, folder / "effects.png", title=title)
        captions["effects.png"] = "Paired differences of test F1 with 95 % intervals."
    charts.learning_curves(runs, by, sweep, folder / "curves.png", title=title)
    captions["curves.png"] = "F1 over the epochs, a line a run."
    return captions


def _facts(runs: pd.DataFrame, by: Sequence[str]) -> dict[str, Any]:
    """What the page says about the runs, their repetitions and their limits."""
    first, splits = runs.iloc[0], distinct_splits(runs)
    rows = list(runs.groupby(list(by), dropna=False))
    splits_of = {", ".join(map(str, row)): splits[part.index].nunique() for row, part in rows}
    codes = runs.groupby(CODE).run
    seeds = [name for name in repetition_settings(runs) if name != FOLD]
    return {
        "runs": len(runs),
        "seeds": runs[SEED].nunique(),
        "folds": runs[FOLD].nunique() if FOLD in runs else 1,
        "splits": splits.nunique(),
        "repetitions": len(runs[seeds].drop_duplicates()),
        "divisions": max(count_divisions(part) for _, part in rows),
        "scene": first["dataset.root"],
        "split": first["split"],
        "epochs": first["trainer.max_epochs"],
        "simulated": runs.simulated.any(),
        "chosen_settings": free_settings(runs, by),
        "fewest_splits": FEWEST_SPLITS,
        "rows_on_fewer_splits": [
            f"{row} on {count}" for row, count in splits_of.items() if count < splits.nunique()
        ],
        "quiet_runs": int(runs.test_f1.isna().sum()),
        "versions": [f"{len(names)} of {code} (such as {names.iloc[0]})" for code, names in codes],
    }


def _render(template: str, **facts: object) -> str:
    return render_template("landslide.study", template, escape=False, **facts)


def _latex(table: pd.DataFrame) -> str:
    """A booktabs table."""
    style = table.style.hide(axis="index").format(escape="latex")
    text: str = style.format_index(escape="latex", axis="columns").to_latex(hrules=True)
    return text.replace("±", r"$\pm$")

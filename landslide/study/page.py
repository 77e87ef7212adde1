"""A study as files: CSV, LaTeX, Markdown, and one page that stands alone."""

import base64
import html
import re
from collections.abc import Sequence
from pathlib import Path

import markdown as converter
import pandas as pd

from landslide.geo.files import replacing
from landslide.study import charts
from landslide.study.effects import FEWEST_SPLITS, effects, format_effects
from landslide.study.ensembles import format_ensembles
from landslide.study.leaderboard import markdown
from landslide.study.replications import (
    FOLD,
    SEED,
    count_divisions,
    distinct_splits,
    repetition_settings,
)
from landslide.study.runs import CODE
from landslide.study.tables import format_scores, free_settings, score_table

ABOUT = (
    "The same checkpoints, no training: one member is the mean over seeds, several are their mean "
    "probability; flips average it over the four flips of a patch. Gains are over one member "
    "without flips."
)

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-size: 13px; display: block; overflow-x: auto; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ccc; text-align: left; }
td { font-variant-numeric: tabular-nums; white-space: nowrap; }
img { max-width: 100%; }
"""


def write_study(
    runs: pd.DataFrame,
    by: Sequence[str],
    sweep: Path,
    output: Path,
    ensembles: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Write tables, figures and the page of a study.

    Args:
        runs: Comparable runs (see ``comparable_runs``).
        by: Settings whose combinations are the rows.
        sweep: Folder of the sweep.
        output: Folder to write.
        ensembles: Scores of ensembles and flips (see ``score_ensembles``), if wanted.

    Returns:
        The score table.
    """
    table, differences = score_table(runs, by), effects(runs, by)
    title = sweep.name + (" (simulated backscatter)" if runs.simulated.any() else "")
    pictures = _figures(table, differences, runs, by, sweep, output / "figures", title)
    frames = {"table": table, "effects": differences, "runs": runs}
    spoken = [format_scores(table), format_effects(differences)]
    if ensembles is not None:
        frames["ensembles"] = ensembles
        spoken.append(format_ensembles(ensembles))
    for name, frame in frames.items():
        with replacing(output / f"{name}.csv") as temporary:
            frame.to_csv(temporary, index=False)
    with replacing(output / "tables.tex") as temporary:
        temporary.write_text("\n".join(map(_latex, spoken)))
    text = _text(table, differences, ensembles, runs, by, title, pictures)
    with replacing(output / "study.md") as temporary:
        temporary.write_text(text)
    with replacing(output / "study.html") as temporary:
        temporary.write_text(_page(text, title, output))
    return table


def _figures(
    table: pd.DataFrame,
    differences: pd.DataFrame,
    runs: pd.DataFrame,
    by: Sequence[str],
    sweep: Path,
    folder: Path,
    title: str,
) -> dict[str, str]:
    """Draw what there is to see; return the captions by file name."""
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


def _text(
    table: pd.DataFrame,
    differences: pd.DataFrame,
    ensembles: pd.DataFrame | None,
    runs: pd.DataFrame,
    by: Sequence[str],
    title: str,
    pictures: dict[str, str],
) -> str:
    free = free_settings(runs, by)
    chosen = f"the best of {', '.join(free)} by validation F1" if free else "as set"
    parts = [
        f"# {title}",
        f"{len(runs)} runs: {_repetitions(runs)}; scene "
        f"{runs['dataset.root'].iloc[0]}; split `{runs['split'].iloc[0]}`; at most "
        f"{runs['trainer.max_epochs'].iloc[0]} epochs.",
        "## Scores on the test split",
        f"Percent, {_pooling(runs, by)} Settings of a row: {chosen}. Test scores chose nothing.",
        markdown(format_scores(table)),
        *(_effects_section(differences) if len(differences) else []),
        *(
            []
            if ensembles is None
            else ["## Ensembles and flips", ABOUT, markdown(format_ensembles(ensembles))]
        ),
        "## Figures",
        *(f"![{caption}](figures/{name})\n\n*{caption}*" for name, caption in pictures.items()),
        "## What these numbers cannot say",
        "\n".join(f"- {caveat}" for caveat in _caveats(runs, table, by)),
    ]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _repetitions(runs: pd.DataFrame) -> str:
    """How many seeds, folds and distinct splits stand behind the numbers."""
    folds = runs[FOLD].nunique() if FOLD in runs else 1
    parts = [_count(runs[SEED].nunique(), "seed")]
    parts += [_count(folds, "fold")] if folds > 1 else []
    return ", ".join([*parts, _count(distinct_splits(runs).nunique(), "distinct split")])


def _pooling(runs: pd.DataFrame, by: Sequence[str]) -> str:
    """What a score is pooled over, and what its spread is over."""
    pooled = "pixels pooled over the split"
    if FOLD in runs and runs[FOLD].nunique() > 1:
        pooled = (
            "pixels pooled over the folds of a seed, which together test every patch once where "
            "none is missing; average precision is the mean over folds"
        )
    repetitions = len(
        runs[[name for name in repetition_settings(runs) if name != FOLD]].drop_duplicates()
    )
    divisions = max(count_divisions(row) for _, row in runs.groupby(list(by), dropna=False))
    if repetitions == 1:
        return f"{pooled}; one repetition, so that there is no standard deviation."
    if divisions == 1:
        return f"{pooled}; mean ± standard deviation over seeds of one division of the scene."
    return (
        f"{pooled}; mean ± standard deviation over {divisions} divisions of the scene, for each of "
        "which the seeds are averaged."
    )


def _effects_section(differences: pd.DataFrame) -> list[str]:
    about = {
        "splits": "Differences of test F1 of each row's chosen setting between runs of one "
        "seed and fold, averaged within each distinct split; the mean over splits, whose interval "
        "is that of the corrected resampled t-test of Nadeau and Bengio (2003): splits of one "
        "scene share training data. There is no p-value below "
        f"{FEWEST_SPLITS} distinct splits; p (Holm) is corrected for the number of tests.",
        "seeds": "Differences of test F1 of each row's chosen setting, paired by seed, on one "
        "split. The interval is over seeds and tells of weights and order; what another split "
        "would show it cannot say, so there are no p-values.",
        "settings": "Differences of test F1 paired over all settings that were tried, on "
        "one split. The interval is of the mean over such settings; what another split would show "
        "it cannot say, so there are no p-values: train with several folds for them.",
    }[differences.over.iloc[0]] + " What is chosen is chosen by the mean difference on validation."
    return ["## Effects", about, markdown(format_effects(differences))]


def _caveats(runs: pd.DataFrame, table: pd.DataFrame, by: Sequence[str]) -> list[str]:
    caveats = [
        _of_splits(runs),
        *_of_uneven_rows(runs, by),
        *_of_quiet_tests(runs),
        *_of_code(runs),
    ]
    if runs.simulated.any():
        caveats.append("The backscatter is simulated: no number was measured on a real image.")
    if runs["split"].iloc[0] == "random":
        caveats.append(
            "Under the paper's split neighbouring patches are trained and tested on, and patches "
            "without landslides are never scored: the numbers flatter."
        )
    if "paper_f1" in table:
        caveats.append(
            "The paper's scores are means over batches of one model each, picked on test scores; "
            "ours are pooled, and picked on validation."
            + ("" if runs["split"].iloc[0] == "random" else " Theirs are of the random split.")
        )
    return caveats


def _of_splits(runs: pd.DataFrame) -> str:
    if distinct_splits(runs).nunique() > 1:
        return (
            "Splits of one scene share most of their ground: intervals and p-values allow for it, "
            "and say nothing of another scene, let alone of another event."
        )
    if runs[SEED].nunique() > 1:
        return (
            "Seeds redraw weights and order of one split: intervals say nothing of other ground, "
            "not even of the same scene, let alone of another event."
        )
    return (
        "One run for each setting: there is no telling how much is chance, nor what another split "
        "would show, let alone another event."
    )


def _of_uneven_rows(runs: pd.DataFrame, by: Sequence[str]) -> list[str]:
    """Name the rows that are scored on fewer splits than others."""
    splits = distinct_splits(runs)
    rows = {
        ", ".join(map(str, name)): splits[row.index].nunique()
        for name, row in runs.groupby(list(by), dropna=False)
    }
    most = splits.nunique()
    fewer = [f"{name} on {count}" for name, count in rows.items() if count < most]
    if not fewer:
        return []
    return [
        f"Of {most} distinct splits some rows are scored on fewer: {', '.join(fewer)}. Their "
        "scores are of other ground; the paired differences use shared splits only."
    ]


def _of_quiet_tests(runs: pd.DataFrame) -> list[str]:
    """Say which runs have no F1 of their own."""
    quiet = int(runs.test_f1.isna().sum())
    if not quiet:
        return []
    return [
        f"{_count(quiet, 'run')} had no landslide in the test split. Pooled scores count the false "
        "alarms there; paired differences, which need an F1 of each run, leave such runs out."
    ]


def _of_code(runs: pd.DataFrame) -> list[str]:
    """Name the versions of the program where there are several."""
    versions = runs.groupby(CODE).run.agg(["size", "first"])
    if len(versions) == 1:
        return []
    named = [
        f"{row.size_} of {row.Index} (such as {row.first})"
        for row in versions.rename(columns={"size": "size_"}).itertuples()
    ]
    return [
        f"The runs are of {len(versions)} versions of the program: {', '.join(named)}. Start the "
        "sweep again: it trains anew what is of another version."
    ]


def _latex(table: pd.DataFrame) -> str:
    """A booktabs table."""
    style = table.style.hide(axis="index").format(escape="latex")
    text: str = style.format_index(escape="latex", axis="columns").to_latex(hrules=True)
    return text.replace("±", r"$\pm$")


def _page(text: str, title: str, folder: Path) -> str:
    """The Markdown as a page with its figures inside."""

    def inline(match: re.Match[str]) -> str:
        data = base64.b64encode((folder / match[1]).read_bytes()).decode()
        return f'src="data:image/png;base64,{data}"'

    body = re.sub(r'src="([^"]+\.png)"', inline, converter.markdown(text, extensions=["tables"]))
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )

"""Tables and figures of a sweep: ``landslide study sweep=multirun/nava2022``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from landslide.config.checks import check
from landslide.config.imports import importing
from landslide.config.rules import STUDY
from landslide.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

OMITTED = ("precision", "recall", "IoU")
"""Scores that the terminal has no room for; the files hold them."""

FILE_WIDTH = 200
"""Characters of a line if the output is no terminal."""


def study(config: DictConfig) -> None:
    """Compare the runs of a sweep, write the study, print its table."""
    check(config, STUDY)
    with importing():
        from landslide.study.page import write_study
        from landslide.study.runs import read_runs
        from landslide.study.tables import comparable_runs, format_ensembles, format_scores

    sweep = Path(config.sweep)
    output = sweep / "study" if config.output is None else Path(config.output)
    by = [config.by] if isinstance(config.by, str) else list(config.by)
    runs = comparable_runs(read_runs(sweep), sweep, by, partial=config.partial)
    ensembles = None
    if config.ensembles:
        from landslide.study.ensembles import score_ensembles
        from landslide.training.network import choose_device

        ensembles = score_ensembles(runs, by, sweep, choose_device("auto"))
    console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else FILE_WIDTH)
    floor = None
    try:
        from landslide.study.floor import measure_floor

        floor = measure_floor(runs, sweep)
    except InputError as error:
        console.print(f"Without the floor of chance and detectors: {error}", markup=False)
    scores = format_scores(write_study(runs, by, sweep, output, ensembles, floor))
    console.print(_terminal_table(scores, by, f"{sweep.name}: test scores, percent"))
    if ensembles is not None:
        console.print(
            _terminal_table(format_ensembles(ensembles), by, "Ensembles and flips: percent")
        )
    console.print(f"Study: {output / 'study.html'}")


def _terminal_table(scores: "pd.DataFrame", by: list[str], title: str) -> Table:
    """Scores, one row for each combination of settings, as a table for the terminal."""
    table = Table(title=title)
    scores = scores.drop(columns=[name for name in scores.columns if name.endswith(OMITTED)])
    for heading in scores.columns:
        table.add_column(heading, no_wrap=heading in by)
    for row in scores.itertuples(index=False):
        table.add_row(*row)
    return table

"""Tables and figures of a sweep: ``landslide study sweep=multirun/nava2022``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from landslide.config.checks import check
from landslide.config.program import run_program
from landslide.config.rules import STUDY

if TYPE_CHECKING:
    import pandas as pd

HIDDEN = ("precision", "recall", "IoU")

WIDE = 200
"""Characters of a line where the output is no terminal."""


def study(config: DictConfig) -> None:
    """Compare the runs of a sweep, write the study, print its table."""
    check(config, STUDY)
    from landslide.study.ensembles import format_ensembles, score_ensembles
    from landslide.study.page import write_study
    from landslide.study.runs import read_runs
    from landslide.study.tables import comparable_runs, format_scores
    from landslide.training.network import choose_device

    sweep = Path(config.sweep)
    output = sweep / "study" if config.output is None else Path(config.output)
    by = [config.by] if isinstance(config.by, str) else list(config.by)
    runs = comparable_runs(read_runs(sweep), sweep, by, partial=config.partial)
    ensembles = None
    if config.ensembles:
        ensembles = score_ensembles(runs, by, sweep, choose_device("auto"))
    words = format_scores(write_study(runs, by, sweep, output, ensembles))
    # A file has no width to fit into.
    console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)
    console.print(_printed(words, by, f"{sweep.name}: test scores, percent"))
    if ensembles is not None:
        console.print(_printed(format_ensembles(ensembles), by, "Ensembles and flips: percent"))
    console.print(f"Study: {output / 'study.html'}")


def _printed(words: "pd.DataFrame", by: list[str], title: str) -> Table:
    """A table for the terminal, which is narrow; the files hold all scores."""
    table = Table(title=title)
    words = words.drop(columns=[name for name in words.columns if name.endswith(HIDDEN)])
    for heading in words.columns:
        table.add_column(heading, no_wrap=heading in by)
    for row in words.itertuples(index=False):
        table.add_row(*row)
    return table


def main() -> None:
    """Run the program."""
    run_program("study", study)

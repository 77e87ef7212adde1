"""Tables and figures of a sweep: ``python -m landslide.study sweep=multirun/nava2022``."""

from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from landslide.checks import check
from landslide.study.report import write_study
from landslide.study.runs import read_runs
from landslide.study.tables import comparable, said

HIDDEN = ("precision", "recall", "IoU")


@hydra.main(config_path="../../conf", config_name="study", version_base="1.3")
def main(config: DictConfig) -> None:
    """Compare the runs of a sweep, write the study, print its table."""
    check(config, {})
    sweep = Path(config.sweep)
    output = sweep / "study" if config.output is None else Path(config.output)
    by = [config.by] if isinstance(config.by, str) else list(config.by)
    runs = comparable(read_runs(sweep), sweep, by, partial=config.partial)
    words = said(write_study(runs, by, sweep, output))
    table = Table(title=f"{sweep.name}: test scores, percent")
    # The files hold all scores; a terminal is narrow.
    words = words.drop(columns=[name for name in words.columns if name.endswith(HIDDEN)])
    for heading in words.columns:
        table.add_column(heading, no_wrap=heading in by)
    for row in words.itertuples(index=False):
        table.add_row(*row)
    console = Console(soft_wrap=True)
    console.print(table)
    console.print(f"Study: {output / 'study.html'}")


if __name__ == "__main__":
    main()

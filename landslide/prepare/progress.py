"""Progress of the steps that take long."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Advance = Callable[..., None]
"""``advance(steps=1, stage=None)`` counts steps as done and names the current stage."""


@contextmanager
def progress_bar(console: Console | None, name: str, total: int) -> Iterator[Advance]:
    """Show a bar while the block runs; yield the function that moves it on."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=console is None) as bar:
        task = bar.add_task(name, total=total)

        def advance(steps: int = 1, stage: str | None = None) -> None:
            bar.update(task, advance=steps, description=f"{name}: {stage}" if stage else name)

        yield advance

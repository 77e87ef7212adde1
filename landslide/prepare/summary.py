"""The closing words of a preparation: bands, landslides, warnings, files."""

from collections.abc import Mapping
from typing import Literal

from rich.console import Console
from rich.table import Table

from landslide.prepare.prepare import Prepared
from landslide.prepare.quality import Histogram


def report(prepared: Prepared, console: Console) -> None:
    """Print what was written and what to look at."""
    name = "Simulated scene prepared" if prepared.info["simulated"] else "Scene prepared"
    console.print(f"{name}: {prepared.grid}", soft_wrap=True, highlight=False)
    for orbit, histograms in prepared.written.bands.items():
        console.print(_table(orbit, histograms, prepared.info["dates"][orbit]))
    _landslides(prepared, console)
    for note in prepared.notes:
        _say(console, note)
    for warning in prepared.warnings:
        console.print(f"[bold yellow]warning:[/] {warning}", soft_wrap=True, highlight=False)
    for path in sorted(prepared.root.rglob("*")):
        if path.is_file():
            _say(console, f"  {path}")


def _table(orbit: str, histograms: Mapping[str, Histogram], days: Mapping[str, str]) -> Table:
    """Bands of an orbit: backscatter in dB, terrain in degrees."""
    table = Table(title=f"{orbit} (dB, degrees)", title_justify="left")
    for column in ("band", "date", "mean", "5 %", "50 %", "95 %", "valid"):
        justify: Literal["left", "right"] = "left" if column in ("band", "date") else "right"
        table.add_column(column, justify=justify, no_wrap=True)
    for band, histogram in histograms.items():
        numbers = [histogram.mean, *(histogram.percentile(p) for p in (5, 50, 95))]
        # Means of codes and of directions say nothing.
        shown = [f"{n:.1f}" if band not in ("layover_shadow", "aspect") else "" for n in numbers]
        table.add_row(band, days.get(band, ""), *shown, f"{100 * histogram.valid_share:.1f} %")
    return table


def _landslides(prepared: Prepared, console: Console) -> None:
    found = prepared.info["landslides"]
    if found is None:
        _say(console, "no inventory: a scene to predict, not to train on")
        return
    area = found["pixel_area_m2"] / 1e6
    text = f"landslides: {100 * found['share']:.2f} % of the known area, {area:.3f} km² of pixels"
    if "polygons" in found:
        drawn = found["polygon_area_m2"] / 1e6
        text += f" against {drawn:.3f} km² of {found['polygons']:,} polygons ({area / drawn:.3f})"
    _say(console, text)


def _say(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False, markup=False)

"""The closing report of a preparation: bands, landslides, notes, warnings, files."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from landslide.prepare.prepare import Prepared
from landslide.prepare.quality import Histogram
from landslide.radar.unchanged import REPORTED_CHANGE_DB


def print_summary(prepared: Prepared, console: Console) -> None:
    """Print what was written and what needs attention."""
    info = prepared.info
    kind = "Simulated scene" if info["simulated"] else "Scene"
    console.print(f"{kind} prepared: {prepared.scene.inputs.grid}", soft_wrap=True, highlight=False)
    for orbit, histograms in prepared.scene.bands.items():
        console.print(_band_table(orbit, histograms, info["dates"][orbit]))
    for orbit, dates in info.get("stack", {}).items():
        console.print(_date_table(orbit, dates))
    for line in [_landslides(info["landslides"]), *info["notes"]]:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    for warning in info["warnings"]:
        console.print(f"[bold yellow]warning:[/] {warning}", soft_wrap=True, highlight=False)
    for path in sorted(prepared.root.rglob("*")):
        if path.is_file():
            console.print(f"  {path}", soft_wrap=True, highlight=False, markup=False)


def _band_table(orbit: str, histograms: Mapping[str, Histogram], days: Mapping[str, str]) -> Table:
    """Bands of an orbit: backscatter in dB, terrain in degrees."""
    table = Table(title=f"{orbit} (dB, degrees)", title_justify="left")
    for column in ("band", "date"):
        table.add_column(column, no_wrap=True)
    for column in ("mean", "5 %", "50 %", "95 %", "valid"):
        table.add_column(column, justify="right", no_wrap=True)
    for band, histogram in histograms.items():
        numbers = [histogram.mean, *(histogram.percentile(p) for p in (5, 50, 95))]
        # Means of codes and of directions have no meaning.
        form = ".3g" if histogram.any_range else ".1f"
        cells = [f"{n:{form}}" if band not in ("layover_shadow", "aspect") else "" for n in numbers]
        table.add_row(band, days.get(band, ""), *cells, f"{100 * histogram.valid_share:.1f} %")
    return table


def _date_table(orbit: str, dates: Sequence[Mapping[str, Any]]) -> Table:
    """Dates of a stack: how far they lie off, and how bright they are as a whole."""
    polarisations = next((list(d["offset_db"]) for d in dates if d["offset_db"]), [])
    table = Table(
        title=f"{orbit}: dates of the stack",
        title_justify="left",
        caption=(
            "off: from the other dates, * moved back; dB: brighter than the last date before, with "
            "the least and the most of 10 km where they differ"
        ),
    )
    for column in ("date", "side", "from"):
        table.add_column(column, no_wrap=True)
    for column in ("measured", "off east, north", *(f"{p} dB" for p in polarisations)):
        table.add_column(column, justify="right", no_wrap=True)
    for date in dates:
        shift = ", ".join(f"{metres:+.1f}" for metres in date["shift"] or ())
        table.add_row(
            *(date["date"], date["side"], date["platform"] or "", f"{date['coverage']:.1%}"),
            shift + " m" * bool(shift) + " *" * date["corrected"],
            *(_describe_offset(date, p) for p in polarisations),
        )
    return table


def _describe_offset(date: Mapping[str, Any], polarisation: str) -> str:
    """Offset of a date, and its range where the scene is not as bright everywhere."""
    if not date["offset_db"]:
        return ""
    whole = f"{date['offset_db'][polarisation]:+.1f}"
    tiles = np.array(date.get("tile_offset_db", {}).get(polarisation, [0.0]))
    if np.ptp(tiles) <= REPORTED_CHANGE_DB:
        return whole
    return f"{whole} ({tiles.min():+.1f} to {tiles.max():+.1f})"


def _landslides(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "no inventory: a scene to predict, not to train on"
    area = found["pixel_area_m2"] / 1e6
    text = f"landslides: {100 * found['share']:.2f} % of the known area, {area:.3f} km² of pixels"
    if "polygons" in found:
        drawn = found["polygon_area_m2"] / 1e6
        text += f" against {drawn:.3f} km² of {found['polygons']:,} polygons ({area / drawn:.3f})"
    return text

"""``report.html``: the map and its numbers on one page that needs no network."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from landslide.geo.cartography import VERMILION
from landslide.geo.files import write_text
from landslide.geo.pages import embed_png, render_template
from landslide.products.map import MapLabels
from landslide.training.scores import SCORES


def write_report(
    folder: Path,
    summary: Mapping[str, Any],
    metrics: Mapping[str, Any] | None,
    sizes: bytes | None,
    labels: MapLabels,
) -> None:
    """Write the page about a map.

    Args:
        folder: Folder of ``map.png`` and, with ground truth, ``outcome.png``.
        summary: Content of ``summary.json``.
        metrics: Content of ``metrics.json``, where there is ground truth.
        sizes: Histogram of the landslides' areas, see ``draw_sizes``.
        labels: Title and source line of the map.
    """
    page = render_template(
        "landslide.products",
        "report.html",
        title=labels.title.replace("\n", ". "),
        images=labels.images,
        source=labels.source,
        summary=summary,
        metrics=metrics,
        scores={name: words for name, words in SCORES.items() if name in (metrics or {})},
        map=embed_png((folder / "map.png").read_bytes()),
        outcome=embed_png((folder / "outcome.png").read_bytes()) if metrics else None,
        sizes=embed_png(sizes) if sizes else None,
    )
    write_text(folder / "report.html", page)


def draw_sizes(polygons: gpd.GeoDataFrame) -> bytes | None:
    """Histogram of landslide areas as PNG, logarithmic on both axes, as is usual; None of none."""
    if polygons.empty:
        return None
    area = polygons.area_m2.to_numpy()
    low, high = np.floor(np.log10(area.min())), np.ceil(np.log10(area.max() + 1))
    figure = Figure(figsize=(6, 3))
    axis = figure.add_axes((0.14, 0.17, 0.8, 0.8))
    bins = np.logspace(low, high, int(5 * (high - low)) + 1).tolist()
    counts, *_ = axis.hist(area, bins=bins, color=VERMILION)
    axis.set(xscale="log", yscale="log", xlabel="area (m²)", ylabel="number of landslides")
    axis.set_ylim(0.8, 10 ** np.ceil(np.log10(np.max(counts) + 1)))  # powers of ten are labelled
    for ticks in (axis.xaxis, axis.yaxis):
        # Powers of ten would need matplotlib's typesetting of formulas, which is slow to start.
        ticks.set_major_formatter("{x:,.10g}")
        ticks.set_minor_formatter(NullFormatter())
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    return picture.getvalue()

"""``report.html``: the map and its numbers on one page that needs no network."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import matplotlib.pyplot as plt
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from landslide.geo.cartography import VERMILION
from landslide.products.map import MapLabels
from landslide.training.metrics import SCORES


def write_report(
    folder: Path,
    summary: Mapping[str, Any],
    metrics: Mapping[str, Any] | None,
    polygons: gpd.GeoDataFrame,
    labels: MapLabels,
) -> None:
    """Write the page from what is in the folder already.

    Args:
        folder: Holds ``map.png`` and, with ground truth, ``outcome.png``.
        summary: Content of ``summary.json``.
        metrics: Content of ``metrics.json``, where there is ground truth.
        polygons: The mapped landslides.
        labels: Title and source line of the map.
    """
    pages = Environment(
        loader=PackageLoader("landslide.products"), autoescape=True, undefined=StrictUndefined
    )
    page = pages.get_template("report.html").render(
        title=labels.title.replace("\n", ". "),
        source=labels.source,
        simulated=summary["simulated"],
        map=_encoded((folder / "map.png").read_bytes()),
        numbers=_numbers(summary),
        sizes=_draw_sizes(polygons) if len(polygons) else None,
        scores=[(words, f"{100 * metrics[name]:.1f} %") for name, words in SCORES.items()]
        if metrics
        else [],
        objects=object_rows(metrics["objects"]) if metrics else [],
        outcome=_encoded((folder / "outcome.png").read_bytes()) if metrics else None,
        notes=[f"{note[0].upper()}{note[1:]}." for note in summary["notes"]],
        known_by=summary["not_observed_known_by"],
    )
    (folder / "report.html").write_text(page, encoding="utf-8")


def object_rows(
    objects: Mapping[str, Sequence[Mapping[str, Any]]],
) -> list[tuple[str, list[tuple[str, ...]]]]:
    """Rows of two tables by size: inventory landslides found, mapped polygons confirmed."""
    tables = []
    for name, key in (("inventory landslides found", "hit"), ("mapped polygons confirmed", "real")):
        rows = [
            (
                row["area"],
                f"{row['count']:,}",
                *(
                    f"{100 * row[part] / max(row['count'], 1):.0f} %"
                    for part in ("touched", "half")
                ),
            )
            for row in objects[key]
        ]
        tables.append((name, rows))
    return tables


def _numbers(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("landslides", f"{summary['landslides']:,}"),
        ("landslide area", f"{summary['landslide_area_m2'] / 1e6:,.2f} km²"),
        ("largest", f"{summary['largest_m2']:,.0f} m²"),
        ("observed area", f"{summary['observed_area_m2'] / 1e6:,.1f} km²"),
        ("observed share of the scene", f"{100 * summary['observed_share']:.1f} %"),
        ("landslide share of the observed area", f"{100 * summary['landslide_share']:.2f} %"),
        ("threshold of probability", f"{summary['threshold']:.3g}"),
    ]


def _encoded(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


def _draw_sizes(polygons: gpd.GeoDataFrame) -> str:
    """Histogram of the areas, logarithmic on both axes, as landslides are compared."""
    area = polygons.area_m2.to_numpy()
    low, high = np.floor(np.log10(area.min())), np.ceil(np.log10(area.max() + 1))
    figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
    bins = np.logspace(low, high, int(5 * (high - low)) + 1).tolist()
    axis.hist(area, bins=bins, color=VERMILION)
    axis.set(xscale="log", yscale="log", xlabel="area (m²)", ylabel="number of landslides")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    plt.close(figure)
    return _encoded(picture.getvalue())

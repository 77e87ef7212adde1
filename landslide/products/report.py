"""``report.html``: the map and its numbers on one page that needs no network."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import geopandas as gpd
import matplotlib.pyplot as plt
import numpy as np

from landslide.geo.cartography import VERMILION
from landslide.products.map import Lines
from landslide.training.metrics import SCORES

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1rem;
         color: #222; }}
  h1 {{ font-size: 1.5rem; line-height: 1.25; }}
  h2 {{ font-size: 1.15rem; margin-top: 2rem; }}
  img {{ max-width: 100%; height: auto; }}
  .wide {{ overflow-x: auto; }}
  table {{ border-collapse: collapse; margin-bottom: 1rem; }}
  th, td {{ padding: .25rem .75rem .25rem 0; text-align: right; border-bottom: 1px solid #ddd;
            white-space: nowrap; }}
  th:first-child, td:first-child {{ text-align: left; white-space: normal; }}
  .simulated {{ background: #fff3cd; border-left: .3rem solid #d55e00; padding: .5rem 1rem; }}
  footer {{ margin-top: 2rem; color: #666; font-size: .85rem; }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
<footer>{footer}</footer>
</body>
</html>
"""

_OBJECTS = (
    "Landslides are counted as connected pixels: in an inventory that is a raster, neighbours that "
    "touch are one and an outline that pixels part is several. Those without a pixel that is known "
    "and observed are left out."
)

_CAVEATS = (
    "The outlines are a model's, not an expert's: they have not been checked in the field or on "
    "optical images.",
    "Radar sees change. Harvest, felling, flooding and construction between the dates can look "
    "like landslides; small landslides and those along the radar's line of sight can be missed.",
    "“Not observed” is not “no landslide”: the image has no measurement there, or lies in layover "
    "or radar shadow, as far as these are known (here by {known_by}).",
    "A model trained on one event, terrain or season can be worse on another.",
)


def write_report(
    folder: Path,
    summary: Mapping[str, Any],
    metrics: Mapping[str, Any] | None,
    polygons: gpd.GeoDataFrame,
    lines: Lines,
) -> None:
    """Write the page from what is in the folder already.

    Args:
        folder: Holds ``map.png`` and, with ground truth, ``outcome.png``.
        summary: Content of ``summary.json``.
        metrics: Content of ``metrics.json``, where there is ground truth.
        polygons: The mapped landslides.
        lines: Title and source line of the map.
    """
    title = lines.title.replace("\n", ". ")
    parts = []
    if summary["simulated"]:
        parts.append('<p class="simulated">Made from SIMULATED data: no real landslide.</p>')
    parts += [_image(folder / "map.png", "Map of the landslides"), "<h2>Numbers</h2>"]
    parts.append(_table((), _numbers(summary)))
    if len(polygons):
        parts += ["<h2>Sizes</h2>", _sizes(polygons)]
    if metrics:
        rows = [(words, f"{100 * metrics[name]:.1f} %") for name, words in SCORES.items()]
        parts += ["<h2>Against the inventory, pixel by pixel</h2>", _table((), rows)]
        parts.append("<p>Flattering where the model was trained on a part of this scene.</p>")
        parts += ["<h2>Against the inventory, landslide by landslide</h2>"]
        parts += [object_table(metrics["objects"]), f"<p>{_OBJECTS}</p>"]
        parts.append(_image(folder / "outcome.png", "True and false positives and negatives"))
    notes = [f"{note[0].upper()}{note[1:]}." for note in summary["notes"]]
    told = [words.format(known_by=summary["not_observed_known_by"]) for words in _CAVEATS]
    caveats = "".join(f"<li>{escape(words)}</li>" for words in (*notes, *told))
    parts.append(f"<h2>Before you use this map</h2><ul>{caveats}</ul>")
    page = _PAGE.format(title=escape(title), body="\n".join(parts), footer=escape(lines.source))
    (folder / "report.html").write_text(page, encoding="utf-8")


def object_table(objects: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Two tables: inventory landslides that were hit, mapped polygons that are real."""
    tables = []
    for name, found in (("inventory landslides hit", "hit"), ("mapped polygons real", "real")):
        rows = [
            (
                row["area"],
                f"{row['count']:,}",
                *(f"{100 * row[key] / max(row['count'], 1):.0f} %" for key in ("touched", "half")),
            )
            for row in objects[found]
        ]
        tables.append(_table((name, "number", "touched", "at least half"), rows))
    return "\n".join(tables)


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


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(word)}</th>" for word in heading)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _image(path: Path, words: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<p><img src="data:image/png;base64,{data}" alt="{escape(words)}"></p>'


def _sizes(polygons: gpd.GeoDataFrame) -> str:
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
    data = base64.b64encode(picture.getvalue()).decode()
    return f'<p><img src="data:image/png;base64,{data}" alt="Histogram of landslide areas"></p>'

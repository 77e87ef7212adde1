"""``item.json``: a map as an item of a SpatioTemporal Asset Catalog (STAC)."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.enums import WktVersion
from shapely.geometry.base import BaseGeometry

import landslide
from landslide.geo.cartography import VERMILION
from landslide.geo.files import checksum, write_json
from landslide.geo.grid import Grid
from landslide.geo.rasters import UNKNOWN
from landslide.geo.stac import (
    ITEM,
    describe_file,
    make_item,
    outline_in_degrees,
    single_time,
    time_range,
)
from landslide.products.comparison import COLORS, OUTCOMES
from landslide.products.mapped import MappedScene

FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "probability.tif": ("Landslide probability", ("data",)),
    "score.tif": ("Score of a detector, no probability", ("data",)),
    "landslides.tif": ("Landslide mask", ("data",)),
    "landslides.gpkg": ("Landslide polygons, with the scene's images", ("data",)),
    "landslides.geojson": ("Landslide polygons in WGS 84", ("data",)),
    "copernicus_ems.zip": ("Layers for Copernicus EMS Rapid Mapping", ("data",)),
    "map.png": ("Map", ("thumbnail", "overview")),
    "map.pdf": ("Map for printing", ("overview",)),
    "outcome.tif": ("Outcome of each pixel against ground truth", ("data",)),
    "outcome.png": ("Map of outcomes against ground truth", ("overview",)),
    "metrics.json": ("Scores against ground truth", ("metadata",)),
    "report.html": ("Report", ("metadata", "overview")),
}
"""Title and roles of the products that an item names; ``summary.json``, which has the item's
checksum, is an asset without one."""

CLASSES = {
    "landslides.tif": [
        {"value": 0, "name": "none", "description": "No landslide"},
        {
            "value": 1,
            "name": "landslide",
            "description": "Landslide",
            "color_hint": VERMILION.removeprefix("#"),
        },
        {"value": UNKNOWN, "name": "unknown", "description": "Not observed"},
    ],
    "outcome.tif": [
        {
            "value": value,
            "name": name.replace(" ", "_"),
            "description": name.capitalize(),
            "color_hint": color.removeprefix("#"),
        }
        for value, (name, color) in enumerate(zip(OUTCOMES, COLORS, strict=True))
    ],
}
"""Values of the rasters of classes."""


def write_item(mapped: MappedScene, summary: Mapping[str, Any], folder: Path) -> None:
    """Write the item of a map; equal products have equal items.

    Args:
        mapped: The scene, its models and its threshold.
        summary: Content of ``summary.json``, without files and seconds.
        folder: Folder with the products.
    """
    mask = folder / "landslides.tif"
    assets = {
        name: describe_file(folder / name, title, roles, **_raster_fields(folder / name, summary))
        for name, (title, roles) in FILES.items()
        if (folder / name).exists()
    }
    assets["summary.json"] = {
        "href": "./summary.json",
        "title": "Counts, areas, models and checksums",
        "type": "application/json",
        "roles": ["metadata"],
    }
    item = make_item(
        f"{Path(mapped.record.scene).stem}_{checksum(mask)[:12]}",
        _describe_map(mapped, summary) | _time_of(mapped, mask) | describe_projection(mapped.grid),
        assets,
        outline_in_degrees(observed_outline(mask), mapped.grid.crs),
        ["classification", "file", "processing", "projection", "raster"],
    )
    write_json(folder / ITEM, item)


def _describe_map(mapped: MappedScene, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What was mapped, by what and from what."""
    labels, area, record = mapped.labels(), summary["landslide_area_m2"] / 1e6, mapped.record
    newest = max((image.date for image in record.images if image.date), default=None)
    model = record.models[0].rpartition(".")[2]
    # Maps of one event must be told apart by their titles.
    told_by = ", ".join(filter(None, (Path(record.scene).stem, newest, model)))
    measured = ("simulated", "measure", "threshold", "landslides", "landslide_area_m2")
    return {
        "title": f"{labels.title} ({told_by})".replace("\n", ": "),
        "description": (
            f"{summary['landslides']:,} landslides cover {area:.3f} km², "
            f"{100 * summary['landslide_share']:.2f} % of the observed ground."
        ),
        "processing:software": {"landslide-sar": landslide.__version__},
        "processing:level": "L4",
        "processing:lineage": labels.source,
        **{f"landslide:{name}": summary[name] for name in measured},
    }


def _time_of(mapped: MappedScene, mask: Path) -> dict[str, Any]:
    """From the first to the last image, or else that of the event, or of the scene's file."""
    record = mapped.record
    times = [image.time or image.date for image in record.images if image.date]
    happened = [record.event_time] if record.event_time else []
    if known := time_range(times) or time_range(happened):
        return known
    file = Path(record.scene) if Path(record.scene).exists() else mask
    return single_time(datetime.fromtimestamp(file.stat().st_mtime, UTC))


def describe_projection(grid: Grid) -> dict[str, Any]:
    """Properties of the grid that all rasters share."""
    authority = grid.crs.to_authority()
    code = ":".join(authority) if authority else None
    return {
        "proj:code": code,
        **({} if code else {"proj:wkt2": grid.crs.to_wkt(version=WktVersion.WKT2_2019)}),
        "proj:shape": [grid.height, grid.width],
        "proj:transform": list(grid.transform)[:6],
        "proj:bbox": list(grid.bounds),
    }


def _raster_fields(path: Path, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Bands, and the classes of a raster of classes; nothing for other files."""
    if path.suffix != ".tif":
        return {}
    valid = {"valid_percent": round(100 * summary["observed_share"], 3)}
    statistics = {} if path.stem == "outcome" else {"statistics": valid}
    with rasterio.open(path) as source:
        bands = [
            {
                "name": str(name).partition(":")[0],
                "data_type": dtype,
                "nodata": "nan" if math.isnan(source.nodata) else source.nodata,
                **statistics,
            }
            for name, dtype in zip(source.descriptions, source.dtypes, strict=True)
        ]
        resolution = source.transform.a
    classes = CLASSES.get(path.name)
    return {
        "bands": bands,
        "raster:spatial_resolution": resolution,
        "raster:sampling": "area",
        **({"classification:classes": classes} if classes else {}),
    }


def observed_outline(mask: Path) -> BaseGeometry:
    """Convex hull of the pixels that a map observed, in the CRS of its mask."""
    corners: list[NDArray[np.float64]] = []
    with rasterio.open(mask) as source:
        grid = Grid.of(source)
        for strip in grid.strips():
            seen = source.read(1, window=strip.to_rasterio()) != UNKNOWN
            rows = np.flatnonzero(seen.any(axis=1))
            west = seen[rows].argmax(axis=1)
            east = grid.width - seen[rows, ::-1].argmax(axis=1)
            for cols in (west, east):
                for lines in (rows, rows + 1):
                    corners.append(np.stack([cols, strip.row + lines], axis=1))
    x, y = grid.transform * np.concatenate(corners).T.astype(float)
    hull: BaseGeometry = shapely.MultiPoint(np.stack([x, y], axis=1)).convex_hull
    # The edges of a grid are not straight in degrees.
    return hull.segmentize(max(grid.height, grid.width) * grid.transform.a / 4)

"""STAC: items of maps and of models, and catalogues of items.

A SpatioTemporal Asset Catalog (stacspec.org, version 1.1) is a folder of JSON files that browsers
and libraries search. An item describes files, its assets, by time, footprint and content; each
extension adds fields with a prefix of its own.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import shapely
from rasterio.crs import CRS
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from landslide.geo.extent import reproject_shape
from landslide.geo.files import checksum, write_json

ITEM, CATALOG = "item.json", "catalog.json"

VERSION = "1.1.0"

WGS84 = CRS.from_epsg(4326)

EXTENSIONS = {
    name: f"https://stac-extensions.github.io/{name}/{version}/schema.json"
    for name, version in {
        "classification": "v1.1.0",
        "file": "v2.1.0",
        "mlm": "v1.5.0",
        "processing": "v1.1.0",
        "projection": "v2.0.0",
        "raster": "v2.0.0",
    }.items()
}
"""Schemas of the extensions that are written here, by name."""

MEDIA_TYPES = {
    ".geojson": "application/geo+json",
    ".gpkg": "application/geopackage+sqlite3",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".onnx": "application/octet-stream; framework=onnx",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".pt2": "application/octet-stream; framework=pytorch",
    ".tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    ".zip": "application/zip",
}
"""Media types by suffix; of others it is that of bytes."""

SHA256 = "1220"
"""Begin of a multihash that is a SHA-256, of 32 bytes."""


def describe_file(path: Path, title: str, roles: Sequence[str], **fields: object) -> dict[str, Any]:
    """An asset: a file beside its item, with its size and checksum.

    Args:
        path: The file.
        title: What it is.
        roles: What it is for, such as ``data``, ``metadata`` or ``thumbnail``.
        **fields: Further fields.
    """
    return {
        "href": f"./{path.name}",
        "title": title,
        "type": MEDIA_TYPES.get(path.suffix, "application/octet-stream"),
        "roles": list(roles),
        "file:size": path.stat().st_size,
        "file:checksum": SHA256 + checksum(path),
        **fields,
    }


def make_item(
    identity: str,
    properties: Mapping[str, Any],
    assets: Mapping[str, Any],
    footprint: BaseGeometry | None,
    extensions: Iterable[str],
) -> dict[str, Any]:
    """An item.

    Args:
        identity: Its name, which no other item of a catalogue has.
        properties: Its properties, with ``datetime``.
        assets: Its assets by key.
        footprint: Where it lies, in WGS 84 (see ``outline_in_degrees``); None where that is not
            known, and then there is no ``bbox`` either.
        extensions: Names of the extensions that it uses.
    """
    extent = {} if footprint is None else {"bbox": _bounds(footprint)}
    return {
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": [EXTENSIONS[name] for name in extensions],
        "id": identity,
        "geometry": None if footprint is None else shapely.geometry.mapping(_cut(footprint)),
        **extent,
        "properties": dict(properties),
        "links": [],
        "assets": dict(assets),
    }


def outline_in_degrees(shape: BaseGeometry, crs: CRS) -> BaseGeometry:
    """Convex hull of a shape in WGS 84; longitudes go on beyond 180 degrees.

    Args:
        shape: Less than half the Earth wide.
        crs: Its CRS.
    """
    return reproject_shape(shape, crs, WGS84).convex_hull


def _cut(shape: BaseGeometry) -> BaseGeometry:
    """A shape cut at the antimeridian, as RFC 7946 asks, to 1e-6 degrees (0.1 m)."""
    world = shapely.box(-180, -90, 180, 90)
    parts = [translate(shape, turn) & world for turn in (-360, 0, 360)]
    joined = shapely.orient_polygons(shapely.union_all([part for part in parts if part.area]))
    rounded: BaseGeometry = shapely.transform(joined, lambda points: points.round(6))
    return rounded


def _bounds(shape: BaseGeometry) -> list[float]:
    """West, south, east and north; the west is greater if the antimeridian lies between them."""
    west, south, east, north = shape.bounds
    west, east = (west + 180) % 360 - 180, 180 - (180 - east) % 360
    return [round(degrees, 6) for degrees in (west, south, east, north)]


def time_range(times: Iterable[str]) -> dict[str, Any]:
    """Properties of the time from the first to the last of several days or times of ISO 8601.

    A day lasts from its begin to its end, in UTC. What is no date is left out; without any the
    result is empty.
    """
    ends = [ends for text in times if (ends := _ends(text))]
    if not ends:
        return {}
    return {
        "datetime": None,
        "start_datetime": _format(min(start for start, _ in ends)),
        "end_datetime": _format(max(end for _, end in ends)),
    }


def single_time(when: datetime) -> dict[str, Any]:
    """Property of one time."""
    return {"datetime": _format(when)}


def _ends(text: str) -> tuple[datetime, datetime] | None:
    """Begin and end of a day, twice a time, None for anything else."""
    try:
        when = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    if len(text) > len("2018-09-06"):
        return when, when
    return when, datetime.combine(when, time(23, 59, 59), UTC)


def _format(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def find_items(folder: Path) -> list[Path]:
    """Items in a folder's folders, in order of their names; hidden folders are left out."""
    return sorted(folder.glob(f"[!.]*/{ITEM}"))


def write_catalog(folder: Path, title: str) -> None:
    """Write ``catalog.json`` over the items in a folder's folders, whole or not at all.

    Args:
        folder: The folder.
        title: What the catalogue is of.
    """
    links = [
        {
            "rel": "item",
            "href": f"./{path.parent.name}/{ITEM}",
            "type": "application/geo+json",
            "title": json.loads(path.read_text())["properties"]["title"],
        }
        for path in find_items(folder)
    ]
    root = {"rel": "root", "href": f"./{CATALOG}", "type": "application/json"}
    catalog = {
        "type": "Catalog",
        "stac_version": VERSION,
        "id": folder.resolve().name,
        "title": title,
        "description": f"{len(links)} maps of landslides",
        "links": [root, *links],
    }
    write_json(folder / CATALOG, catalog)

"""Polygons of landslides: what describes them, and the vector files that carry them."""

import sqlite3
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyogrio
import rasterio
import shapely

import landslide
from landslide.data.scene import Composite
from landslide.geo.grid import Grid
from landslide.geo.polygons import ZonalStatistics
from landslide.radar.bands import backscatter_bands

TERRAIN = ("slope", "aspect")
"""Bands whose means describe polygons, where the scene has them."""

EVENT_TYPE, OBJECT = "6-Mass movement", "Landslide"
"""Landslides in the domains of Copernicus EMS rapid mapping."""


def describe_polygons(
    polygons: gpd.GeoDataFrame, raster: Path, composite: Path | str, grid: Grid
) -> None:
    """Add ``id`` and statistics of the map's raster and of terrain to each polygon.

    Args:
        polygons: Polygons on pixel edges; columns are added.
        raster: Probability or score.
        composite: The scene's raster; ``slope`` and ``aspect`` are used where it has them.
        grid: Grid of the scene.
    """
    polygons.insert(0, "id", range(1, len(polygons) + 1))
    with rasterio.open(composite) as source:
        terrain = [band for band in TERRAIN if band in source.descriptions]
    heights = Composite(composite, terrain) if terrain else None
    with rasterio.open(raster) as source:
        names = [name.replace("spread", "probability_spread") for name in source.descriptions]
        statistics = ZonalStatistics(polygons, grid, [*names, *terrain])
        for block in grid.blocks() if len(polygons) else []:
            if statistics.touches(block):
                layers = list(source.read(window=block.to_rasterio()))
                if heights is not None:
                    layers += list(heights[grid.slices(block)]["image"].numpy())
                statistics.add(block, layers)
    for name, column in statistics.columns():
        polygons[name] = column


def simplify(polygons: gpd.GeoDataFrame, tolerance: float) -> gpd.GeoDataFrame:
    """Smooth the pixel steps of outlines; neighbours keep their shared edges.

    Args:
        polygons: Polygons that do not overlap.
        tolerance: Visvalingam-Whyatt removes triangles up to tolerance² m²; 0 keeps all.
    """
    if not tolerance or polygons.empty:
        return polygons
    simple = shapely.coverage_simplify(polygons.geometry.array, tolerance)
    return polygons.set_geometry(gpd.GeoSeries(simple, crs=polygons.crs))


def write_geojson(polygons: gpd.GeoDataFrame, path: Path) -> None:
    """Write polygons in WGS 84, as RFC 7946 requires."""
    polygons.to_crs("EPSG:4326").to_file(
        path, driver="GeoJSON", engine="pyogrio", RFC7946="YES", COORDINATE_PRECISION=6
    )


def write_geopackage(
    path: Path,
    polygons: gpd.GeoDataFrame,
    grid: Grid,
    bands: list[str],
    info: dict[str, Any],
    dates: dict[str, str],
) -> None:
    """Write the layers of a mapped scene.

    ``landslides`` has all columns and opens in QGIS with its style. ``observedEventA``,
    ``imageFootprintA`` and the table ``source`` have the names and attributes of the
    vector packages of Copernicus EMS rapid mapping (online manual, "Vector package").

    Args:
        path: A new GeoPackage.
        polygons: Described landslides in the scene's CRS.
        grid: Grid of the scene.
        bands: The network's input bands.
        info: Content of ``scene.json``.
        dates: Date (ISO 8601) of each backscatter band, where known.
    """
    simulated = bool(info.get("simulated", False))
    sources = _image_table(bands, grid, info, dates, simulated=simulated)
    last_image = sources["src_id"].max() if len(sources) else 0
    event = gpd.GeoDataFrame(
        {
            "event_type": EVENT_TYPE,
            "obj_desc": OBJECT,
            "det_method": "Automatic extraction",
            "notation": "SIMULATED data" if simulated else f"landslide-sar {landslide.__version__}",
            "or_src_id": last_image,
            "dmg_src_id": last_image,
            "area": polygons.area_m2,
        },
        geometry=polygons.geometry,
        crs=polygons.crs,
    )
    footprint = gpd.GeoDataFrame(
        {"obj_type": "Image Footprint", "or_src_id": sources["src_id"]},
        geometry=[shapely.box(*grid.bounds)] * len(sources),
        crs=grid.crs,
    )
    for layer, frame in (
        ("landslides", polygons.assign(simulated=simulated)),
        ("observedEventA", event),
        ("imageFootprintA", footprint),
    ):
        frame.to_file(path, layer=layer, driver="GPKG", geometry_type="Polygon")
    pyogrio.write_dataframe(sources, path, layer="source", driver="GPKG")
    _store_style(path, ["landslides", "observedEventA"])


def _image_table(
    bands: list[str], grid: Grid, info: dict[str, Any], dates: dict[str, str], *, simulated: bool
) -> pd.DataFrame:
    """One row for each radar image."""
    sensor = str(info.get("sensor") or "Sentinel-1")
    images = backscatter_bands(bands)
    days = [date.fromisoformat(dates[b][:10]) if dates.get(b) else None for b in images]
    return pd.DataFrame(
        {
            "source_nam": [f"{'SIMULATED ' if simulated else ''}{sensor} {b}" for b in images],
            "src_date": [day.strftime("%d/%m/%Y") if day else None for day in days],
            "source_tm": None,
            "sensor_gsd": f"{grid.transform.a:g} m",
            "eventphase": ["Pre-event" if "pre" in b else "Post-event" for b in images],
            "src_id": range(1, len(images) + 1),
        }
    )


def _store_style(path: Path, layers: list[str]) -> None:
    """Store the style in the table ``layer_styles``, where QGIS looks for it."""
    style = files(landslide).joinpath("products/templates/landslides.qml").read_text()
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE layer_styles (id INTEGER PRIMARY KEY AUTOINCREMENT, "
            "f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256), "
            "f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT, "
            "useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30), "
            "update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))"
        )
        for layer in layers:
            connection.execute(
                "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
                "f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, "
                "owner) VALUES ('', '', ?, 'geom', 'landslides', ?, '', 1, '', '')",
                (layer, style),
            )
        connection.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles')"
        )
    connection.close()

"""``landslides.gpkg``: polygons with their style, and the layers civil protection expects."""

import sqlite3
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyogrio
import shapely

import landslide
from landslide.geo.grid import Grid
from landslide.radar.bands import backscatter_bands

EVENT_TYPE, OBJECT = "6-Mass movement", "Landslide"
"""Landslides in the domains of Copernicus EMS rapid mapping."""

_STYLE = """<!DOCTYPE qgis>
<qgis version="3.28" styleCategories="Symbology">
  <renderer-v2 type="singleSymbol" symbollevels="0" enableorderby="0" forceraster="0">
    <symbols>
      <symbol type="fill" name="0" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="color" value="213,94,0,90"/>
            <Option type="QString" name="outline_color" value="213,94,0,255"/>
            <Option type="QString" name="outline_style" value="solid"/>
            <Option type="QString" name="outline_width" value="0.3"/>
            <Option type="QString" name="outline_width_unit" value="MM"/>
            <Option type="QString" name="style" value="solid"/>
          </Option>
        </layer>
      </symbol>
    </symbols>
  </renderer-v2>
  <blendMode>0</blendMode>
  <layerOpacity>1</layerOpacity>
</qgis>
"""


def write_geopackage(
    path: Path,
    polygons: gpd.GeoDataFrame,
    grid: Grid,
    bands: list[str],
    info: dict[str, Any],
    dates: dict[str, str],
) -> None:
    """Write the layers of a mapped scene.

    ``landslides`` carries all columns and opens in QGIS with its style. ``observedEventA``,
    ``imageFootprintA`` and the table ``source`` carry the names and attributes of the
    vector packages of Copernicus EMS rapid mapping (its online manual, "Vector package").

    Args:
        path: A new GeoPackage.
        polygons: Described landslides in the scene's CRS.
        grid: Grid of the scene.
        bands: Bands that the network saw.
        info: Content of ``scene.json``.
        dates: Date (ISO 8601) of each backscatter band, where known.
    """
    simulated = bool(info.get("simulated", False))
    sources = _sources(bands, grid, info, dates, simulated=simulated)
    last = sources["src_id"].max() if len(sources) else 0
    event = gpd.GeoDataFrame(
        {
            "event_type": EVENT_TYPE,
            "obj_desc": OBJECT,
            "det_method": "Automatic extraction",
            "notation": "SIMULATED data" if simulated else f"landslide-sar {landslide.__version__}",
            "or_src_id": last,
            "dmg_src_id": last,
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


def _sources(
    bands: list[str], grid: Grid, info: dict[str, Any], dates: dict[str, str], *, simulated: bool
) -> pd.DataFrame:
    """One row for each radar image."""
    sensor = str(info.get("sensor") or "Sentinel-1")
    images = backscatter_bands(bands)
    phases = ["Pre-event" if "pre" in band else "Post-event" for band in images]
    return pd.DataFrame(
        {
            "source_nam": [f"{'SIMULATED ' if simulated else ''}{sensor} {b}" for b in images],
            "src_date": [_day(dates.get(band)) for band in images],
            "source_tm": None,
            "sensor_gsd": f"{grid.transform.a:g} m",
            "eventphase": phases,
            "src_id": range(1, len(images) + 1),
        }
    )


def _day(iso: str | None) -> str | None:
    """``dd/mm/yyyy`` of an ISO date."""
    return date.fromisoformat(iso[:10]).strftime("%d/%m/%Y") if iso else None


def _store_style(path: Path, layers: list[str]) -> None:
    """Store the style where QGIS looks for it: the table ``layer_styles``."""
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
                (layer, _STYLE),
            )
        connection.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles')"
        )
    connection.close()

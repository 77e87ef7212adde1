"""Polygons of landslides: what describes them, and the vector files that carry them."""

import sqlite3
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import rasterio
import shapely
from numpy.typing import NDArray

import landslide
from landslide.data.readers import BandReader
from landslide.geo.ahead import read_ahead
from landslide.geo.grid import BLOCK_SIZE, Grid, Window
from landslide.geo.polygons import FIXED_DATE, ZonalStatistics, undated_geopackages
from landslide.products.images import Image
from landslide.products.mask import keep_landslides
from landslide.products.rapid_mapping import image_footprint, observed_event, source_table

Part = tuple[NDArray[np.int32], Window]

TERRAIN = ("slope", "aspect")
"""Bands whose means describe polygons, where the scene has them."""


def describe_polygons(
    polygons: gpd.GeoDataFrame, mask: Path, raster: Path, terrain: BandReader | None, grid: Grid
) -> None:
    """Add ``id`` and statistics of the map's raster and of terrain to each polygon.

    Landslides without a polygon are removed from the mask on the way.

    Args:
        polygons: Landslides of the mask, see ``outline_landslides``; columns are added.
        mask: ``landslides.tif``; is updated.
        raster: Probability or score.
        terrain: Those bands of ``TERRAIN`` that the scene has.
        grid: Grid of the scene.
    """
    polygons.insert(0, "id", range(1, len(polygons) + 1))
    with rasterio.open(raster) as source:
        names = [name.replace("spread", "probability_spread") for name in source.descriptions]
        statistics = ZonalStatistics(len(polygons), [*names, *(terrain.bands if terrain else [])])

        def parts() -> Iterator[Part]:
            """Parts that hold polygons, with the numbers of these."""
            for ids, strip in keep_landslides(mask, grid, polygons):
                # The tiles of a wide strip, of all bands, do not fit into GDAL's cache.
                for part in strip.columns(BLOCK_SIZE):
                    inside = ids[:, part.col : part.col + part.width]
                    if inside.any():
                        yield inside, part

        def read(part: Part) -> tuple[NDArray[np.int32], list[NDArray[np.float32]]]:
            inside, window = part
            layers = list(source.read(window=window.to_rasterio()))
            if terrain is not None:
                layers += list(terrain.read(window).numpy())
            return inside, layers

        for inside, layers in read_ahead(read, parts()):
            statistics.add(inside, layers)
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
    images: Sequence[Image],
    *,
    simulated: bool,
) -> None:
    """Write the layers of a mapped scene; the bytes depend on nothing but these.

    ``landslides`` has all columns and opens in QGIS with its style. ``observedEventA``,
    ``imageFootprintA`` and the table ``source`` are those of Copernicus EMS Rapid Mapping.

    Args:
        path: A new GeoPackage.
        polygons: Described landslides in the scene's CRS.
        grid: Grid of the scene.
        images: The map's radar images.
        simulated: Whether the scene is simulated.
    """
    with undated_geopackages():
        for layer, frame in (
            ("landslides", polygons.assign(simulated=simulated)),
            ("observedEventA", observed_event(polygons, images, simulated=simulated)),
            ("imageFootprintA", image_footprint(images, grid)),
        ):
            frame.to_file(path, layer=layer, driver="GPKG", geometry_type="Polygon")
        sources = source_table(images, grid, simulated=simulated)
        pyogrio.write_dataframe(sources, path, layer="source", driver="GPKG")
    _store_style(path, ["landslides", "observedEventA"])


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
                "owner, update_time) VALUES ('', '', ?, 'geom', 'landslides', ?, '', 1, '', '', ?)",
                (layer, style, FIXED_DATE),
            )
        connection.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, last_change) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles', ?)",
            (FIXED_DATE,),
        )
    connection.close()

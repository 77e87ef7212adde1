"""Layers and package of a delineation product of Copernicus EMS Rapid Mapping.

Names and attributes follow the Manual for CEMS Rapid Mapping Products (JRC Technical Report
JRC121741, status of 31 August 2020) and its online version (emergency.copernicus.eu/mapping/book,
pages "File naming" 138123, "Vector package" 138109, "Domains" 138130). Deliveries since 2023 name
their files with a version and without the release (``_v1``, not ``_r1_v1``) and show what was not
analysed in a layer of its own, ``notAnalysedA``; both are followed here. The manual has no such
layer: its ``obj_type`` is that of the styles in deliveries, and ``or_src_id`` that of
``imageFootprintA``. A package of the service also has ``.kmz``, ``.gpkg``, the ready-to-print map
and the summary table, which are not made.
"""

import tempfile
import zipfile
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyogrio
import shapely

import landslide
from landslide.geo.grid import Grid
from landslide.products.images import Image

EVENT_TYPE, OBJECT, METHOD = "6-Mass Movement", "Landslide", "Automatic extraction"
"""Landslides of this program in the domains ``event_type``, ``obj_desc`` and ``det_method``."""

PHASES = {"pre": "Pre-event", "post": "Post-event", None: "Not applicable"}
"""Domain ``eventphase``."""

PACKAGE_DATE = (1980, 1, 1, 0, 0, 0)
"""Date of every file, the first that a zip knows: a package depends on nothing but the map."""

SEGMENTS = 20
"""Parts that the sides of a scene are cut into: they are no straight lines in degrees."""


def source_table(images: Sequence[Image], grid: Grid, *, simulated: bool) -> pd.DataFrame:
    """Table A0, ``source``: one row for each radar image, numbered from 1; times are in UTC."""
    times = [_utc(image.time) if image.time else None for image in images]
    days = [
        time or (date.fromisoformat(image.date[:10]) if image.date else None)
        for time, image in zip(times, images, strict=True)
    ]
    return pd.DataFrame(
        {
            "source_nam": [f"{'SIMULATED ' if simulated else ''}{i.sensor}" for i in images],
            "src_date": [f"{day:%d/%m/%Y}" if day else None for day in days],
            "source_tm": [f"{time:T%H:%M:%SZ}" if time else None for time in times],
            "sensor_gsd": f"{grid.transform.a:g} m",
            "eventphase": [PHASES[image.phase] for image in images],
            "src_id": pd.RangeIndex(1, len(images) + 1).astype("int32"),
        }
    )


def _utc(time: str) -> datetime:
    """A time of ISO 8601 in UTC, in which one without an offset is already."""
    when = datetime.fromisoformat(time)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def observed_event(
    polygons: gpd.GeoDataFrame, images: Sequence[Image], *, simulated: bool
) -> gpd.GeoDataFrame:
    """Layer B1, ``observedEventA``: the landslides, with their area in hectares.

    Args:
        polygons: Described landslides.
        images: The map's images; the last one after the event is the landslides' source.
        simulated: Whether the scene is simulated, which the notation then says.
    """
    after = [number for number, image in enumerate(images, 1) if image.phase == "post"]
    last = max(
        after or range(1, len(images) + 1), default=0, key=lambda n: images[n - 1].date or ""
    )
    return gpd.GeoDataFrame(
        {
            "event_type": EVENT_TYPE,
            "obj_desc": OBJECT,
            "det_method": METHOD,
            "notation": "SIMULATED data" if simulated else f"landslide-sar {landslide.__version__}",
            "dmg_src_id": pd.Series(last, polygons.index, dtype="int32"),
            "area": polygons.area_m2 / 1e4,
        },
        geometry=polygons.geometry,
        crs=polygons.crs,
    )


def image_footprint(images: Sequence[Image], grid: Grid) -> gpd.GeoDataFrame:
    """Layer A2, ``imageFootprintA``: the part of each image that lies in the scene."""
    ids = pd.RangeIndex(1, len(images) + 1).astype("int32")
    frame = {"obj_type": "Image Footprint", "or_src_id": ids}
    return gpd.GeoDataFrame(frame, geometry=[_outline(grid)] * len(images), crs=grid.crs)


def _not_analysed(unobserved: gpd.GeoDataFrame, last_image: int) -> gpd.GeoDataFrame:
    """Layer ``notAnalysedA``: where the map has no measurement, or the radar cannot see."""
    ids = pd.Series(last_image, unobserved.index, dtype="int32")
    frame = {"obj_type": "Not Analysed", "or_src_id": ids}
    return gpd.GeoDataFrame(frame, geometry=unobserved.geometry, crs=unobserved.crs)


def _area_of_interest(grid: Grid, activation: str, area: str, event: str) -> gpd.GeoDataFrame:
    """Layer A1, ``areaOfInterestA``: the scene."""
    frame = {
        "emsr_id": [activation],
        "glide_no": [None],
        "area_id": [area],
        "locality": [event],
        "map_type": ["Delineation"],
    }
    return gpd.GeoDataFrame(frame, geometry=[_outline(grid)], crs=grid.crs)


def _outline(grid: Grid) -> shapely.Polygon:
    west, south, east, north = grid.bounds
    longest = max(east - west, north - south)
    return shapely.segmentize(shapely.box(*grid.bounds), longest / SEGMENTS)


def write_package(
    path: Path,
    polygons: gpd.GeoDataFrame,
    unobserved: gpd.GeoDataFrame,
    grid: Grid,
    images: Sequence[Image],
    *,
    event: str,
    simulated: bool,
    activation: str,
    area: int,
) -> None:
    """Write a zip with every layer as a shapefile and as GeoJSON, both in WGS 84.

    Args:
        path: Zip to write.
        polygons: Described landslides in the scene's CRS.
        unobserved: Areas that were not observed.
        grid: Grid of the scene.
        images: The map's images.
        event: Name of the event, which stands for the locality.
        simulated: Whether the scene is simulated.
        activation: Code of the activation, such as ``EMSR000``.
        area: Number of the area of interest, from 1.
    """
    landslides = observed_event(polygons, images, simulated=simulated)
    last = int(landslides.dmg_src_id.max()) if len(landslides) else len(images)
    layers: dict[str, pd.DataFrame] = {
        "source": source_table(images, grid, simulated=simulated),
        "areaOfInterestA": _area_of_interest(grid, activation, f"{area:02d}", event),
        "imageFootprintA": image_footprint(images, grid),
        "notAnalysedA": _not_analysed(unobserved, last),
        "observedEventA": landslides,
    }
    with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
        folder = Path(temporary)
        for layer, frame in layers.items():
            _write_layer(folder / f"{activation}_AOI{area:02d}_DEL_PRODUCT_{layer}_v1", frame)
        with zipfile.ZipFile(path, "w") as package:
            for file in sorted(folder.iterdir()):
                entry = zipfile.ZipInfo(file.name, PACKAGE_DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                package.writestr(entry, file.read_bytes())


def _write_layer(path: Path, frame: pd.DataFrame) -> None:
    """Write a layer, or a table, without a suffix in its path, as shapefile and GeoJSON."""
    options: dict[str, Any] = {}
    if isinstance(frame, gpd.GeoDataFrame):
        frame, options = frame.to_crs("EPSG:4326"), {"geometry_type": "Polygon"}
    year, month, day = PACKAGE_DATE[:3]
    stamp = f"{year}-{month:02d}-{day:02d}"
    # A table becomes a .dbf alone.
    shapefile = path.with_name(f"{path.name}.{'shp' if options else 'dbf'}")
    pyogrio.write_dataframe(
        frame,
        shapefile,
        driver="ESRI Shapefile",
        encoding="UTF-8",
        layer_options={"DBF_DATE_LAST_UPDATE": stamp},
        **options,
    )
    rfc = {"RFC7946": "YES", "COORDINATE_PRECISION": "6"}
    pyogrio.write_dataframe(
        frame,
        path.with_name(f"{path.name}.json"),
        driver="GeoJSON",
        layer_options=rfc if options else {},
        **options,
    )

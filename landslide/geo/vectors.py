"""Shapes in vector files of any format: finding the file and layer, and reading the geometry.

A layer is named as if the file were its folder: ``slides.gpkg/landslides``, ``slides.kml/*`` for
all layers, ``slides.zip/south/slides.shp`` within an archive.
"""

import warnings
import zipfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import geopandas as gpd
import pandas as pd
import pyogrio
import shapely
from shapely.geometry.base import BaseGeometry

from landslide.errors import InputError

POLYGON_TYPES = ("Polygon", "MultiPolygon")
POINT_TYPES = ("Point", "MultiPoint")
TABLE_SUFFIXES = (".csv", ".tsv")
COORDINATE_COLUMNS = {
    "X_POSSIBLE_NAMES": "longitude,lon,long,lng",
    "Y_POSSIBLE_NAMES": "latitude,lat",
}
"""Columns of tables with degrees in WGS 84."""

READ_ERRORS = (OSError, RuntimeError, ValueError)
"""Errors that libraries raise for a file that they cannot read."""


class VectorSource(NamedTuple):
    """Where to read shapes from.

    Attributes:
        path: File on the disk, or folder that is a geodatabase.
        gdal_path: Path of the file, or of the member of an archive, for GDAL.
        layer: Name of the layer, ``*`` for all, None where none is named.
    """

    path: Path
    gdal_path: str
    layer: str | None


class Shapes(NamedTuple):
    """Content of a vector file.

    Attributes:
        polygons: Valid polygons by feature.
        points: Points by feature, of features without a polygon.
        features: Number of features.
        repaired: Number of features whose invalid outline was repaired.
        kinds: Names of the geometry types, for messages.
    """

    polygons: gpd.GeoSeries
    points: gpd.GeoSeries
    features: int
    repaired: int
    kinds: str


def find_vector(path: Path, key: str) -> VectorSource:
    """Find the file, the member of an archive and the layer that a path names.

    Args:
        path: File, or file and layer: ``slides.gpkg/landslides``.
        key: Option that named the path, for messages.

    Raises:
        InputError: The file is missing, or an archive does not hold exactly one vector file of
            that name.
    """
    file = next((p for p in (path, *path.parents) if p.exists()), path)
    if not file.is_file() and not (file.is_dir() and file.suffix.lower() == ".gdb"):
        raise InputError(f"there is no file {path}, which {key} names")
    inner = "" if path == file else path.relative_to(file).as_posix()
    if file.suffix.lower() == ".zip":
        return _find_in_archive(file, inner, key)
    return VectorSource(file, str(file), inner or None)


def _find_in_archive(file: Path, inner: str, key: str) -> VectorSource:
    try:
        with zipfile.ZipFile(file) as archive:
            names = {PurePosixPath(name) for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{key}={file} cannot be read as a zip archive: {error}") from error
    names |= {folder for name in names for folder in name.parents if folder.suffix == ".gdb"}
    members = [
        name
        for name in sorted(names)
        if not any(part.startswith((".", "__MACOSX")) for part in name.parts)
        and name.suffix.lower() not in (".dbf", ".shx")
        and _layer_names(f"/vsizip/{file.absolute()}/{name}")
    ]
    chosen = [name for name in members if not inner or f"{inner}/".startswith(f"{name}/")]
    if len(chosen) != 1:
        choices = ", ".join(f"{file}/{name}" for name in members)
        raise InputError(
            f"{key}={file} holds several vector files: name one of {choices}"
            if members
            else f"{key}={file} holds no vector file: give an archive with outlines"
        )
    layer = inner.removeprefix(str(chosen[0])).strip("/")
    return VectorSource(file, f"/vsizip/{file.absolute()}/{chosen[0]}", layer or None)


def _layer_names(gdal_path: str) -> list[str]:
    """Layers that may have geometry; none where GDAL finds no vector file."""
    try:
        layers = pyogrio.list_layers(gdal_path)
    except READ_ERRORS:
        return []
    return [str(name) for name, kind in layers if kind is not None or _is_table(gdal_path)]


def _is_table(gdal_path: str) -> bool:
    return gdal_path.lower().endswith(TABLE_SUFFIXES)


def is_vector(path: Path, key: str) -> bool:
    """Whether a file holds shapes, by its content.

    Raises:
        InputError: See ``find_vector``.
    """
    return bool(_layer_names(find_vector(path, key).gdal_path))


def read_shapes(path: Path, key: str, *, points: bool = False) -> Shapes:
    """Read the geometry of the layer that a path names, or of the only one with shapes.

    Args:
        path: See ``find_vector``.
        key: Option that named the path, for messages.
        points: Whether points are wanted as well as polygons.

    Raises:
        InputError: The file cannot be read, has no feature or no CRS, or has several layers that
            could be meant.
    """
    source = find_vector(path, key)
    names = _layer_names(source.gdal_path)
    if not names:
        raise InputError(f"{key}={path} cannot be read as polygons: it is no vector file")
    if source.layer not in (None, "*", *names):
        raise InputError(
            f"{key}={source.path} has no layer {source.layer!r}: choose from {', '.join(names)}"
        )
    wanted = names if source.layer in (None, "*") else [source.layer]
    layers = {name: _read_layer(source, name, key) for name in wanted}
    if source.layer is None:
        layers = _choose_layer(layers, source, key, points=points)
    series = [shapes for shapes in layers.values() if len(shapes)]
    if not series:
        raise InputError(f"{key}={path} is empty: it has no feature")
    if any(shapes.crs is None for shapes in series):
        raise InputError(f"{key}={path} has no coordinate reference system: assign one")
    shapes = pd.concat([each.to_crs(series[0].crs) for each in series], ignore_index=True)
    kinds = ", ".join(sorted(set(shapes.geom_type.dropna()))) or "empty geometries"
    drawn = shapes[shapes.geom_type.isin(POLYGON_TYPES)]
    valid = shapely.make_valid(drawn.values, method="structure", keep_collapsed=False)
    polygons = gpd.GeoSeries(valid, drawn.index, drawn.crs)
    repaired = int((~drawn.is_valid & ~polygons.is_empty).sum())
    of_points = shapes[shapes.geom_type.isin(POINT_TYPES)]
    return Shapes(polygons[~polygons.is_empty], of_points, len(shapes), repaired, kinds)


def _choose_layer(
    layers: dict[str, gpd.GeoSeries], source: VectorSource, key: str, *, points: bool
) -> dict[str, gpd.GeoSeries]:
    """The one layer with usable shapes; all layers, for the message about them, where none has.

    Raises:
        InputError: Several layers have usable shapes.
    """
    types = (*POLYGON_TYPES, *POINT_TYPES) if points else POLYGON_TYPES
    usable = {name: shapes for name, shapes in layers.items() if shapes.geom_type.isin(types).any()}
    if len(usable) > 1:
        what = "outlines or points" if points else "outlines"
        names = ", ".join(repr(name) for name in usable)
        raise InputError(
            f"{key}={source.path} has {what} in {len(usable)} layers ({names}): name the one that "
            f"is meant, as in {key}='{source.path}/{next(iter(usable))}', or all of them with "
            f"{key}='{source.path}/*'"
        )
    return usable or layers


def _read_layer(source: VectorSource, layer: str, key: str) -> gpd.GeoSeries:
    """Geometry of a layer; None for features without geometry or with a ring beyond repair."""
    is_table = _is_table(source.gdal_path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # GDAL, on rings closed here
            frame = pyogrio.read_dataframe(
                source.gdal_path,
                layer=layer,
                columns=[],
                force_2d=True,
                on_invalid="fix",
                **(COORDINATE_COLUMNS if is_table else {}),
            )
    except READ_ERRORS as error:
        raise InputError(f"{key}={source.path} cannot be read as polygons: {error}") from error
    if not isinstance(frame, gpd.GeoDataFrame):
        raise InputError(
            f"{key}={source.path} has no geometry: a table needs columns named longitude and "
            "latitude, in degrees"
        )
    shapes = frame.geometry.map(_flatten)
    if is_table and shapes.crs is None and shapes.geom_type.isin(POINT_TYPES).all():
        shapes = shapes.set_crs("EPSG:4326")
    return shapes


def _flatten(shape: BaseGeometry | None) -> BaseGeometry | None:
    """The polygons of a collection or, without any, its points; None for an empty shape."""
    if shape is None or shape.is_empty:
        return None
    if shape.geom_type != "GeometryCollection":
        return shape
    parts = list(shapely.get_parts(shape))
    while any(part.geom_type.startswith(("GeometryCollection", "Multi")) for part in parts):
        parts = [inner for part in parts for inner in shapely.get_parts(part)]
    for kind, collect in (("Polygon", shapely.MultiPolygon), ("Point", shapely.MultiPoint)):
        if chosen := [part for part in parts if part.geom_type == kind]:
            collected: BaseGeometry = collect(chosen)
            return collected
    return shape

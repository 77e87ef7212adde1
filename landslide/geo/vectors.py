"""Shapes of vector files of any format: which file, which layer, and nothing but geometry.

A layer is named as if the file were its folder: ``slides.gpkg/landslides``, ``slides.kml/*`` for
all, ``slides.zip/south/slides.shp`` within an archive.
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
"""Columns of tables that hold degrees in WGS 84."""

READ_ERRORS = (OSError, RuntimeError, ValueError)
"""What libraries raise for a file that they cannot read."""


class VectorSource(NamedTuple):
    """Where shapes are read from.

    Attributes:
        path: File on the disk, or folder that is a geodatabase.
        address: What GDAL opens.
        layer: Name of the layer, ``*`` for all, None where none is named.
    """

    path: Path
    gdal_path: str
    layer: str | None


class Shapes(NamedTuple):
    """What a vector file holds.

    Attributes:
        polygons: Valid polygons by feature.
        points: Points by feature, of features without a polygon.
        features: Number of features.
        repaired: How many had an invalid outline, which was repaired.
        kinds: Names of the geometries there are, for messages.
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
        key: Option that named it, for messages.

    Raises:
        InputError: There is no such file, or an archive of which it is not clear what is meant.
    """
    file = next((p for p in (path, *path.parents) if p.exists()), path)
    geodatabase = file.suffix.lower() == ".gdb"
    if not file.is_file() and not (file.is_dir() and geodatabase):
        raise InputError(f"there is no file {path}, which {key} names")
    inner = path.relative_to(file).as_posix()
    inner = "" if inner == "." else inner
    if file.suffix.lower() == ".zip":
        return _find_in_archive(file, inner, key)
    return VectorSource(file, str(file), inner or None)


def _find_in_archive(file: Path, inner: str, key: str) -> VectorSource:
    try:
        with zipfile.ZipFile(file) as archive:
            names = [PurePosixPath(name) for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{key}={file} cannot be read as a zip archive: {error}") from error
    names += [folder for name in names for folder in name.parents if folder.suffix == ".gdb"]
    hidden, sidecars = (".", "__MACOSX"), (".dbf", ".shx")
    seen = sorted({n for n in names if not any(part.startswith(hidden) for part in n.parts)})
    members = [
        name
        for name in seen
        if name.suffix.lower() not in sidecars and _layer_names(f"/vsizip/{file.absolute()}/{name}")
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


def _layer_names(address: str) -> list[str]:
    """Layers that may have geometry; none where GDAL knows no vector file."""
    try:
        layers = pyogrio.list_layers(address)
    except READ_ERRORS:
        return []
    table = address.lower().endswith(TABLE_SUFFIXES)
    return [str(name) for name, kind in layers if kind is not None or table]


def is_vector(path: Path, key: str) -> bool:
    """Whether a file holds shapes, by its content.

    Raises:
        InputError: There is no such file.
    """
    return bool(_layer_names(find_vector(path, key).gdal_path))


def read_shapes(path: Path, key: str, *, points: bool = False) -> Shapes:
    """Read the geometry of one layer, or of all that are asked for.

    Args:
        path: See ``find_vector``.
        key: Option that named the file, for messages.
        points: Whether points are wanted as much as polygons.

    Raises:
        InputError: The file cannot be read, has no feature or no CRS, or several of its layers
            might be meant.
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
    if not any(len(shapes) for shapes in layers.values()):
        raise InputError(f"{key}={path} is empty: it has no feature")
    series = [shapes for shapes in layers.values() if len(shapes)]
    if any(shapes.crs is None for shapes in series):
        raise InputError(f"{key}={path} has no coordinate reference system: assign one")
    shapes = pd.concat([each.to_crs(series[0].crs) for each in series], ignore_index=True)
    kinds = ", ".join(sorted(set(shapes.geom_type.dropna()))) or "empty geometries"
    drawn = shapes[shapes.geom_type.isin(POLYGON_TYPES)]
    valid = shapely.make_valid(drawn.values, method="structure", keep_collapsed=False)
    polygons = gpd.GeoSeries(valid, drawn.index, drawn.crs)
    repaired = int((~drawn.is_valid & ~polygons.is_empty).sum())
    points = shapes[shapes.geom_type.isin(POINT_TYPES)]
    return Shapes(polygons[~polygons.is_empty], points, len(shapes), repaired, kinds)


def _choose_layer(
    layers: dict[str, gpd.GeoSeries], source: VectorSource, key: str, *, points: bool
) -> dict[str, gpd.GeoSeries]:
    """The one layer of use; all, for what is said of them, where none is.

    Raises:
        InputError: There are several.
    """
    of_use = (*POLYGON_TYPES, *POINT_TYPES) if points else POLYGON_TYPES
    useful = {
        name: shapes for name, shapes in layers.items() if shapes.geom_type.isin(of_use).any()
    }
    if len(useful) > 1:
        what = "outlines or points" if points else "outlines"
        names = ", ".join(repr(name) for name in useful)
        raise InputError(
            f"{key}={source.path} has {what} in {len(useful)} layers ({names}): name the one that "
            f"is meant, as in {key}='{source.path}/{next(iter(useful))}', or all of them with "
            f"{key}='{source.path}/*'"
        )
    return useful or layers


def _read_layer(source: VectorSource, layer: str, key: str) -> gpd.GeoSeries:
    """Geometry of a layer; None where there is none, or a broken ring that cannot be closed."""
    table = source.gdal_path.lower().endswith(TABLE_SUFFIXES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # GDAL on rings that are closed here
            frame = pyogrio.read_dataframe(
                source.gdal_path,
                layer=layer,
                columns=[],
                force_2d=True,
                on_invalid="fix",
                **(COORDINATE_COLUMNS if table else {}),
            )
    except READ_ERRORS as error:
        raise InputError(f"{key}={source.path} cannot be read as polygons: {error}") from error
    if not isinstance(frame, gpd.GeoDataFrame):
        raise InputError(
            f"{key}={source.path} has no geometry: a table needs columns named longitude and "
            "latitude, in degrees"
        )
    shapes = frame.geometry.map(_flatten)
    if table and shapes.crs is None and shapes.geom_type.isin(POINT_TYPES).all():
        shapes = shapes.set_crs("EPSG:4326")
    return shapes


def _flatten(shape: BaseGeometry | None) -> BaseGeometry | None:
    """Of a collection its polygons, else its points, as one shape; None for what is empty."""
    if shape is None or shape.is_empty:
        return None
    if shape.geom_type != "GeometryCollection":
        return shape
    parts = list(shapely.get_parts(shape))
    while any(
        part.geom_type == "GeometryCollection" or "Multi" in part.geom_type for part in parts
    ):
        parts = [inner for part in parts for inner in shapely.get_parts(part)]
    for kind, collect in (("Polygon", shapely.MultiPolygon), ("Point", shapely.MultiPoint)):
        if chosen := [part for part in parts if part.geom_type == kind]:
            made: BaseGeometry = collect(chosen)
            return made
    return shape

"""Where a scene lies: the area of interest and the grid over it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from pyproj import Transformer
from rasterio.crs import CRS
from rasterio.errors import CRSError
from shapely.geometry.base import BaseGeometry

from landslide.errors import InputError
from landslide.geo.extent import carry, covered
from landslide.geo.grid import EDGE_TOLERANCE, Grid, utm_crs
from landslide.geo.rasters import open_raster
from landslide.geo.scale import require_true_scale
from landslide.geo.vectors import read_shapes
from landslide.prepare.mosaic import open_georeferenced
from landslide.prepare.sources import Acquisition, Sources, Tile

DEGREES = CRS.from_epsg(4326)

SMALLEST = 64
"""Smallest side of a scene in pixels: one patch."""


def read_area(aoi: object) -> BaseGeometry | None:
    """Area of interest in EPSG:4326 from [west, south, east, north] or a vector file.

    Raises:
        InputError: Neither, or an area without extent.
    """
    if aoi is None:
        return None
    if isinstance(aoi, str):
        return _read_file(Path(aoi))
    numbers = OmegaConf.to_object(aoi) if OmegaConf.is_config(aoi) else aoi
    right = isinstance(numbers, list) and len(numbers) == 4
    if not right or not all(isinstance(n, int | float) for n in numbers):  # type: ignore[union-attr]
        raise InputError(f"aoi={aoi} is not [west,south,east,north] in degrees nor a polygon file")
    west, south, east, north = (float(n) for n in numbers)  # type: ignore[union-attr]
    inside = -180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90
    if not inside or not 0 < (east - west) % 360 < 180:
        raise InputError(
            f"aoi={numbers} is no area: give [west,south,east,north] in degrees, south below north "
            "and west below east, or above it where the 180th meridian lies between"
        )
    return shapely.box(west, south, west + (east - west) % 360, north)


def _read_file(path: Path) -> BaseGeometry:
    areas = read_shapes(path, "aoi").areas
    if areas.empty:
        raise InputError(f"aoi={path} has no polygon")
    parts = shapely.geometrycollections(areas.to_crs(DEGREES).values)
    area: BaseGeometry = shapely.union_all(shapely.get_parts(_continuous(parts)))
    west, _, east, _ = area.bounds
    if east - west >= 180:
        raise InputError(f"aoi={path} goes around half of the Earth: give a smaller area")
    return area


def _continuous(area: BaseGeometry) -> BaseGeometry:
    """Area in degrees without a jump at the 180th meridian, since vertices may lie on both sides.

    Longitudes begin after the widest gap between vertices, with one from -180 to 180.
    """
    longitudes = np.unique(shapely.get_coordinates(area)[:, 0] % 360)
    gaps = np.diff(longitudes, append=longitudes[0] + 360)
    first = longitudes[(gaps.argmax() + 1) % len(longitudes)]
    west = (first + 180) % 360 - 180

    def move(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([west + (points[:, 0] % 360 - first) % 360, points[:, 1]], axis=1)

    moved: BaseGeometry = shapely.transform(area, move)
    return moved


def footprint(tile: Tile, crs: CRS) -> BaseGeometry:
    """Outline of an image in another CRS, its edges bent as they fall there."""
    with open_georeferenced(tile) as source:
        west, south, east, north = source.bounds
        outline: BaseGeometry = shapely.box(west, south, east, north)
        if source.crs != crs:
            outline = outline.segmentize(max(east - west, north - south) / 20)
            outline = carry(outline, source.crs, crs)
    return outline


def common_footprint(sources: Sources, crs: CRS) -> BaseGeometry:
    """Area that every date of every orbit covers (by the extents of its files).

    Raises:
        InputError: There is none; names two inputs that do not overlap.
    """
    common, before = None, ""
    for orbit, dates in sources.orbits.items():
        for date, acquisition in dates.items():
            area = acquisition_footprint(acquisition, crs)
            common = area if common is None else common.intersection(area)
            if common.is_empty or common.area == 0:
                raise InputError(
                    f"the {orbit} image {date} ({_names(acquisition)}) does not overlap with "
                    f"{before}: give images of one area"
                )
            before = before or f"the {orbit} image {date} ({_names(acquisition)})"
    if common is None:
        raise InputError("there is no image")
    return common


def acquisition_footprint(acquisition: Acquisition, crs: CRS) -> BaseGeometry:
    """Area that the tiles of one date cover."""
    return shapely.union_all([footprint(tile, crs) for tile in acquisition.files])


def _names(acquisition: Acquisition) -> str:
    paths = sorted(str(tile.path) for tile in acquisition.files)
    return paths[0] + (", …" if len(paths) > 1 else "")


def choose_grid(options: DictConfig, area: BaseGeometry | None, sources: Sources) -> Grid:
    """Grid of the scene: that of ``grid.like``, or whole multiples of its resolution in UTM.

    Args:
        options: ``grid`` of ``conf/prepare.yaml``.
        area: Area of interest in EPSG:4326; the grid covers its bounding box. Without one the
            grid lies within the bounding box of what all images cover.
        sources: The images.

    Raises:
        InputError: No common area, one smaller than a patch, an unusable option, or a grid
            without true scale.
    """
    if options.like is not None:
        with open_raster(options.like) as source:
            turned = source.transform.b or source.transform.e > 0
            if source.crs is None or not _metric(source.crs) or turned:
                raise InputError(
                    f"grid.like={options.like} is not on a north-up grid in metres: name another"
                )
            like = Grid.of(source)
        require_true_scale(like, f"grid.like={options.like}")
        return like
    crs = _crs(options.crs) if options.crs is not None else _utm(area, sources)
    if area is None:
        outline = common_footprint(sources, crs)
    else:
        outline = carry(area.segmentize(0.01), DEGREES, crs)
    size = float(options.resolution)
    left, bottom, right, top = _whole(outline.bounds, size, inside=area is None)
    height, width = top - bottom, right - left
    if min(height, width) < SMALLEST:
        raise InputError(
            f"the area is {width} x {height} px of {size:g} m; a scene has at least {SMALLEST} a "
            "side: give a larger aoi, or images with a larger overlap"
        )
    grid = Grid(crs, Affine(size, 0, left * size, 0, -size, top * size), height, width)
    require_true_scale(grid, f"grid.crs={options.crs}" if options.crs else "the grid")
    return grid


def _utm(area: BaseGeometry | None, sources: Sources) -> CRS:
    """UTM zone that all images lie in, which spares their pixels; else that of the area's middle.

    Raises:
        InputError: The area reaches beyond UTM, towards a pole.
    """
    images = [tile for dates in sources.orbits.values() for a in dates.values() for tile in a.files]
    zones = set()
    for tile in images:
        with open_georeferenced(tile) as source:
            zones.add(source.crs)
    if len(zones) == 1 and 32601 <= (next(iter(zones)).to_epsg() or 0) <= 32760:
        zone: CRS = zones.pop()
        return zone
    if area is None:
        # Not the common area itself, which a zone is needed to intersect in.
        area = footprint(images[0], DEGREES)
    west, south, east, north = area.bounds
    if south < -80 or north > 84:
        raise InputError(
            f"the area reaches from {south:.1f} to {north:.1f} degrees north, but UTM only from "
            "-80 to 84: give a smaller aoi, or grid.crs= or grid.like= with another grid in metres"
        )
    return utm_crs((west, south, east, north))


def _whole(
    bounds: tuple[float, float, float, float], size: float, *, inside: bool
) -> tuple[int, int, int, int]:
    """Bounds in whole pixels, inside of or around those given; rounding errors cost no row."""
    west, south, east, north = (bound / size for bound in bounds)
    if inside:
        low, high = np.ceil, np.floor
        west, south, east, north = (
            west - EDGE_TOLERANCE,
            south - EDGE_TOLERANCE,
            east + EDGE_TOLERANCE,
            north + EDGE_TOLERANCE,
        )
    else:
        low, high = np.floor, np.ceil  # type: ignore[assignment]
        west, south, east, north = (
            west + EDGE_TOLERANCE,
            south + EDGE_TOLERANCE,
            east - EDGE_TOLERANCE,
            north - EDGE_TOLERANCE,
        )
    return int(low(west)), int(low(south)), int(high(east)), int(high(north))


def _crs(name: object) -> CRS:
    try:
        crs = CRS.from_user_input(name)
    except CRSError as error:
        raise InputError(f"grid.crs={name} is unknown: write it like EPSG:32654") from error
    if not _metric(crs):
        raise InputError(f"grid.crs={name} is not a projected CRS in metres: choose UTM")
    return crs


def _metric(crs: CRS) -> bool:
    return bool(crs.is_projected and crs.linear_units_factor[1] == 1)


def middle(grid: Grid) -> tuple[float, float]:
    """Longitude and latitude of a grid's middle."""
    west, south, east, north = grid.bounds
    to_degrees = Transformer.from_crs(grid.crs, DEGREES, always_xy=True)
    longitude, latitude = to_degrees.transform((west + east) / 2, (south + north) / 2)
    return float(longitude), float(latitude)


def require_overlap(tiles: Mapping[str, Iterable[Tile]], grid: Grid) -> None:
    """Check that inputs lie on the grid.

    Args:
        tiles: Tiles of each input by its name in words.
        grid: Grid of the scene.

    Raises:
        InputError: An input that does not touch the grid.
    """
    for name, parts in tiles.items():
        if not any(coverage(tile, grid).area for tile in parts):
            raise InputError(f"{name} does not overlap with the area ({grid}): give another")


def coverage(tile: Tile, grid: Grid) -> BaseGeometry:
    """Part of a grid's extent, in its CRS, that a raster's extent covers."""
    with open_georeferenced(tile) as source:
        return covered(source.bounds, source.crs, grid)

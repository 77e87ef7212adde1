"""The area of interest and the scene's grid over it."""

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
from landslide.geo.extent import covered_extent, reproject_shape
from landslide.geo.grid import EDGE_TOLERANCE, Grid, utm_crs
from landslide.geo.rasters import open_raster
from landslide.geo.scale import require_true_scale
from landslide.geo.vectors import read_shapes
from landslide.prepare.mosaic import open_georeferenced
from landslide.prepare.sources import DATES, Sources, Tile

DEGREES = CRS.from_epsg(4326)

MIN_SIDE = 64
"""Smallest side of a scene in pixels: one patch."""


def read_area(aoi: object) -> BaseGeometry | None:
    """Area of interest in EPSG:4326 from [west, south, east, north] or a vector file.

    Raises:
        InputError: Neither, or an area without extent.
    """
    if aoi is None:
        return None
    if isinstance(aoi, str):
        return _area_from_file(Path(aoi))
    values = OmegaConf.to_object(aoi) if OmegaConf.is_config(aoi) else aoi
    numbers = values if isinstance(values, list) else []
    if len(numbers) != 4 or not all(isinstance(number, int | float) for number in numbers):
        raise InputError(f"aoi={aoi} is not [west,south,east,north] in degrees and no polygon file")
    west, south, east, north = map(float, numbers)
    on_earth = -180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90
    if not on_earth or not 0 < (east - west) % 360 < 180:
        raise InputError(
            f"aoi={numbers} is no area: give [west,south,east,north] in degrees, south below north "
            "and west below east, or west above east if it crosses the 180th meridian"
        )
    return shapely.box(west, south, west + (east - west) % 360, north)


def _area_from_file(path: Path) -> BaseGeometry:
    areas = read_shapes(path, "aoi").polygons
    if areas.empty:
        raise InputError(f"aoi={path} has no polygon")
    parts = shapely.geometrycollections(areas.to_crs(DEGREES).values)
    area: BaseGeometry = shapely.union_all(shapely.get_parts(_unwrap_longitudes(parts)))
    west, _, east, _ = area.bounds
    if east - west >= 180:
        raise InputError(f"aoi={path} spans half of the Earth: give a smaller area")
    return area


def _unwrap_longitudes(area: BaseGeometry) -> BaseGeometry:
    """Area in degrees without a jump at the 180th meridian.

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
    """Outline of an image in another CRS, with curved edges."""
    with open_georeferenced(tile) as source:
        west, south, east, north = source.bounds
        outline: BaseGeometry = shapely.box(west, south, east, north)
        if source.crs != crs:
            outline = outline.segmentize(max(east - west, north - south) / 20)
            outline = reproject_shape(outline, source.crs, crs)
    return outline


def common_footprint(sources: Sources, crs: CRS) -> BaseGeometry:
    """Area that the paper's dates of every orbit cover (by the extents of their files).

    The further dates of a stack may cover it in part.

    Raises:
        InputError: There is none; names two inputs that do not overlap.
    """
    areas = {}
    for orbit, date, acquisition in sources.images():
        if date not in DATES:
            continue
        paths = sorted(str(tile.path) for tile in acquisition.files)
        name = f"the {orbit} image {date} ({paths[0]}{', …' * (len(paths) > 1)})"
        areas[name] = shapely.union_all([footprint(tile, crs) for tile in acquisition.files])
    (first, common), *others = areas.items()
    for name, area in others:
        common = common.intersection(area)
        if not common.area:
            raise InputError(f"{name} does not overlap with {first}: give images of one area")
    outline: BaseGeometry = common
    return outline


def choose_grid(options: DictConfig, area: BaseGeometry | None, sources: Sources) -> Grid:
    """Grid of the scene: that of ``grid.like``, or one on whole multiples of the resolution.

    Args:
        options: ``grid`` of ``conf/prepare.yaml``.
        area: Area of interest in EPSG:4326; the grid covers its bounding box. Without one the
            grid lies within the bounding box of the area that all images cover.
        sources: The images.

    Raises:
        InputError: No common area, one smaller than a patch, an unusable option, or a grid
            without true scale.
    """
    if options.like is not None:
        with open_raster(options.like) as source:
            not_north_up = source.transform.b or source.transform.e > 0
            if source.crs is None or not _is_metric(source.crs) or not_north_up:
                raise InputError(
                    f"grid.like={options.like} is not on a north-up grid in metres: name another"
                )
            like = Grid.of(source)
        require_true_scale(like, f"grid.like={options.like}")
        return like
    crs = _parse_crs(options.crs) if options.crs is not None else _choose_utm(area, sources)
    if area is None:
        outline = common_footprint(sources, crs)
    else:
        outline = reproject_shape(area.segmentize(0.01), DEGREES, crs)
    size = float(options.resolution)
    left, bottom, right, top = _whole_pixels(outline.bounds, size, inside=area is None)
    height, width = top - bottom, right - left
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"the area is {width} x {height} px of {size:g} m, and a scene has at least {MIN_SIDE} "
            "on each side: give a larger aoi, or images with a larger overlap"
        )
    grid = Grid(crs, Affine(size, 0, left * size, 0, -size, top * size), height, width)
    require_true_scale(grid, f"grid.crs={options.crs}" if options.crs else "the grid")
    return grid


def _choose_utm(area: BaseGeometry | None, sources: Sources) -> CRS:
    """UTM zone of all images, so that they need no warping, or that of the area's middle."""
    images = [tile for _, _, acquisition in sources.images() for tile in acquisition.files]
    zones = set()
    for tile in images:
        with open_georeferenced(tile) as source:
            zones.add(source.crs)
    if len(zones) == 1 and 32601 <= (next(iter(zones)).to_epsg() or 0) <= 32760:
        zone: CRS = zones.pop()
        return zone
    if area is None:
        # The common area is not known yet: footprints are intersected in the zone chosen here.
        area = footprint(images[0], DEGREES)
    west, south, east, north = area.bounds
    if south < -80 or north > 84:
        raise InputError(
            f"the area reaches from {south:.1f} to {north:.1f} degrees north, but UTM is defined "
            "from -80 to 84 only: give a smaller aoi, or another grid in metres with grid.crs= or "
            "grid.like="
        )
    return utm_crs((west, south, east, north))


def _whole_pixels(
    bounds: tuple[float, float, float, float], size: float, *, inside: bool
) -> tuple[int, int, int, int]:
    """Bounds in whole pixels, inside or around those given; rounding errors cost no row."""
    west, south, east, north = (bound / size for bound in bounds)
    low, high, slack = (
        (np.ceil, np.floor, -EDGE_TOLERANCE) if inside else (np.floor, np.ceil, EDGE_TOLERANCE)
    )
    return (
        int(low(west + slack)),
        int(low(south + slack)),
        int(high(east - slack)),
        int(high(north - slack)),
    )


def _parse_crs(name: object) -> CRS:
    try:
        crs = CRS.from_user_input(name)
    except CRSError as error:
        raise InputError(f"grid.crs={name} is unknown: write it like EPSG:32654") from error
    if not _is_metric(crs):
        raise InputError(f"grid.crs={name} is not a projected CRS in metres: choose UTM")
    return crs


def _is_metric(crs: CRS) -> bool:
    return bool(crs.is_projected and crs.linear_units_factor[1] == 1)


def grid_center(grid: Grid) -> tuple[float, float]:
    """Longitude and latitude of a grid's middle."""
    west, south, east, north = grid.bounds
    to_degrees = Transformer.from_crs(grid.crs, DEGREES, always_xy=True)
    longitude, latitude = to_degrees.transform((west + east) / 2, (south + north) / 2)
    return float(longitude), float(latitude)


def require_overlap(sources: Sources, grid: Grid) -> None:
    """Check that every image touches the scene's grid.

    Raises:
        InputError: One does not.
    """
    for orbit, date, acquisition in sources.images():
        if not any(extent_on_grid(tile, grid).area for tile in acquisition.files):
            raise InputError(
                f"the {orbit} image {date} does not overlap with the area ({grid}): give another"
            )


def extent_on_grid(tile: Tile, grid: Grid) -> BaseGeometry:
    """Part of a grid's extent, in its CRS, that a raster's extent covers."""
    with open_georeferenced(tile) as source:
        return covered_extent(source.bounds, source.crs, grid)

"""Where a scene lies: the area of interest and the grid over it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from omegaconf import DictConfig, OmegaConf
from pyproj import Transformer
from rasterio.crs import CRS
from rasterio.errors import CRSError
from shapely.geometry.base import BaseGeometry

from landslide.errors import InputError
from landslide.prepare.mosaic import open_georeferenced
from landslide.prepare.sources import Acquisition, Sources, Tile
from landslide.rasters import INSIDE, Grid, open_raster, utm_crs
from landslide.scale import require_true_scale

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
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise InputError(
            f"aoi={numbers} is no area: give [west,south,east,north] in degrees, west below east "
            "and south below north"
        )
    return shapely.box(west, south, east, north)


def _read_file(path: Path) -> BaseGeometry:
    if not path.exists():
        raise InputError(f"there is no file {path}, which aoi names")
    try:
        frame = gpd.read_file(path)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"aoi={path} cannot be read as polygons: {error}") from error
    if frame.crs is None:
        raise InputError(f"aoi={path} has no coordinate reference system: assign one")
    area: BaseGeometry = frame.geometry.to_crs(DEGREES).union_all()
    if area.area == 0:
        raise InputError(f"aoi={path} has no polygon")
    return area


def footprint(tile: Tile, crs: CRS) -> BaseGeometry:
    """Outline of a raster in another CRS, its edges bent as they fall there."""
    with open_georeferenced(tile) as source:
        west, south, east, north = source.bounds
        outline = shapely.box(west, south, east, north)
        outline = outline.segmentize(max(east - west, north - south) / 20)
        warped = gpd.GeoSeries([outline], crs=source.crs).to_crs(crs).make_valid()
    made: BaseGeometry = warped.iloc[0]
    return made


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
    tiles = {tile.path: tile for tiles in acquisition.tiles.values() for tile in tiles}
    return shapely.union_all([footprint(tile, crs) for tile in tiles.values()])


def _names(acquisition: Acquisition) -> str:
    paths = sorted({str(tile.path) for tiles in acquisition.tiles.values() for tile in tiles})
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
    outline = common_footprint(sources, DEGREES) if area is None else area
    crs = _crs(options.crs) if options.crs is not None else utm_crs(outline.bounds)
    if area is None:
        outline = common_footprint(sources, crs)
    else:
        outline = gpd.GeoSeries([area.segmentize(0.01)], crs=DEGREES).to_crs(crs).iloc[0]
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


def _whole(
    bounds: tuple[float, float, float, float], size: float, *, inside: bool
) -> tuple[int, int, int, int]:
    """Bounds in whole pixels, inside of or around those given; rounding errors cost no row."""
    west, south, east, north = (bound / size for bound in bounds)
    if inside:
        low, high = np.ceil, np.floor
        west, south, east, north = west - INSIDE, south - INSIDE, east + INSIDE, north + INSIDE
    else:
        low, high = np.floor, np.ceil  # type: ignore[assignment]
        west, south, east, north = west + INSIDE, south + INSIDE, east - INSIDE, north - INSIDE
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
    box = shapely.box(*grid.bounds)
    for name, parts in tiles.items():
        covered = shapely.union_all([footprint(tile, grid.crs) for tile in parts])
        if covered.intersection(box).area == 0:
            raise InputError(f"{name} does not overlap with the area ({grid}): give another")

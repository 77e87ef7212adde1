"""From raw products to local files of gamma nought on the scene's grid."""

import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import shapely
from numpy.typing import NDArray
from omegaconf import DictConfig
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.warp import transform_bounds
from rich.console import Console
from scipy.interpolate import griddata
from shapely.geometry.base import BaseGeometry

from landslide.errors import InputError
from landslide.geo.files import checksum
from landslide.geo.grid import Grid, Window
from landslide.geo.relief import Float
from landslide.prepare.area import choose_grid, grid_center
from landslide.prepare.dates import arrange_dates
from landslide.prepare.discovery import dem_from_option, images_from_options
from landslide.prepare.mosaic import Mosaic
from landslide.prepare.progress import progress_bar
from landslide.prepare.quality import check_dates
from landslide.prepare.safe.geocode import geocode
from landslide.prepare.safe.geoid import geoid_height
from landslide.prepare.safe.product import Product
from landslide.prepare.sources import OVERPASS, Acquisition, Dem, Event, Pass, Sources, Tile
from landslide.prepare.terrain import elevation_tiles, require_dem_coverage

METHOD = 2
"""Version of the geocoding; raising it makes the files in the cache out of date."""


def acquire_from_products(
    config: DictConfig,
    event: Event,
    area: BaseGeometry | None,
    console: Console | None = None,
) -> Sources:
    """Terrain-correct the products that ``sar.ascending`` and ``sar.descending`` name.

    Files in ``config.cache`` are used again. ``area`` is in EPSG:4326.

    Raises:
        InputError: There is no area; a product or the DEM cannot be used.
    """
    if find_spec("sarsen") is None:
        raise InputError('sar.source=safe needs sarsen: pip install -e ".[safe]"')
    if area is None and config.grid.like is None:
        raise InputError(
            "sar.source=safe needs an area, since a whole frame takes half an hour and more: give "
            "aoi=[west,south,east,north] in degrees, a polygon file, or grid.like"
        )
    products = _open_products(config, event, area)
    dem = dem_from_option(config.dem)
    if dem is None:
        raise InputError(
            "sar.source=safe corrects for terrain and needs elevation: set dem=dem.tif"
        )
    grid = choose_grid(config.grid, area, Sources({}, dem))
    described = {
        orbit: {date: _describe(frames, grid) for date, frames in dates.items()}
        for orbit, dates in products.items()
    }
    # Wrong dates and passes must show before the long work.
    check_dates(arrange_dates(Sources(described, dem), event), event)
    require_dem_coverage(dem, grid)
    correction = TerrainCorrection(config, dem, grid)
    total = sum(len(frames) for dates in products.values() for frames in dates.values())
    with (
        warnings.catch_warnings(),
        progress_bar(console, "terrain correction", total * len(grid.blocks())) as advance,
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        orbits = {
            orbit: {
                date: replace(
                    acquisition,
                    tiles=correction.tiles(_frames_over(products[orbit][date], grid), advance),
                )
                for date, acquisition in dates.items()
            }
            for orbit, dates in described.items()
        }
    raised = f"heights of the DEM were raised by {correction.geoid:.1f} m to the ellipsoid"
    return Sources(orbits, dem, notes=(f"terrain correction: {raised}",))


def _open_products(
    config: DictConfig, event: Event, area: BaseGeometry | None
) -> dict[Pass, dict[str, list[Product]]]:
    """Frames of each date, checked; of folders those that see the area, in EPSG:4326."""
    polarisations = [str(name).lower() for name in config.sar.polarisations]

    def describe(paths: Sequence[Path]) -> dict[Path, Acquisition]:
        frames = [Product(path, polarisations) for path in paths]
        return {f.path: _facts(f) for f in frames if area is None or _sees(f, area)}

    return {
        orbit: {date: [Product(p, polarisations) for p in paths] for date, paths in dates.items()}
        for orbit, dates in images_from_options(config, event, describe).items()
    }


def _facts(frame: Product) -> Acquisition:
    """What a product's metadata say of its date."""
    return Acquisition(
        {p: (Tile(frame.path),) for p in frame.polarisations},
        time=frame.time,
        direction=frame.direction,
        relative_orbit=frame.relative_orbit,
        platform=frame.platform,
    )


class TerrainCorrection:
    """Writes products as gamma nought on a grid, each once.

    The cache's folder is named after everything that the files depend on.

    Attributes:
        geoid: Metres from the ellipsoid up to the DEM's zero.
    """

    def __init__(self, config: DictConfig, dem: Dem, grid: Grid) -> None:
        self.dem = dem
        self.grid = grid
        self.geoid = geoid_height(dem, grid, config.terrain.geoid)
        placement = [str(grid.crs), list(grid.transform), grid.height, grid.width]
        libraries = [version(name) for name in ("sarsen", "xarray-sentinel")]
        sums = [checksum(tile.path) for tile in dem.tiles]
        identity = json.dumps([METHOD, libraries, placement, sums, self.geoid])
        key = hashlib.sha256(identity.encode()).hexdigest()[:16]
        self.folder = Path(config.cache) / "safe" / key

    def tiles(
        self, frames: Sequence[Product], advance: Callable[[int], None]
    ) -> dict[str, tuple[Tile, ...]]:
        """Files of a date's frames by polarisation."""
        paths = [self.correct(frame, advance) for frame in frames]
        return {
            polarisation: tuple(Tile(path, band) for path in paths)
            for band, polarisation in enumerate(frames[0].polarisations, 1)
        }

    def correct(self, frame: Product, advance: Callable[[int], None]) -> Path:
        """File of a frame, which is written unless it exists."""
        path = self.folder / f"{frame.fingerprint}.tif"
        if path.exists():
            advance(len(self.grid.blocks()))
            return path
        self.folder.mkdir(parents=True, exist_ok=True)
        with (
            TemporaryDirectory(prefix=".part-", dir=self.folder) as temporary,
            Mosaic(elevation_tiles(self.dem), Resampling.cubic) as source,
        ):

            def heights(window: Window) -> Float:
                return source.read(self.grid, window) + np.float32(self.geoid)

            folder = frame.unpack(Path(temporary))
            geocode(folder, frame.files, heights, self.grid, path, lambda: advance(1))
        return path


def _describe(frames: Sequence[Product], grid: Grid) -> Acquisition:
    """Acquisition by the metadata of a date's frames."""
    first = min(frames, key=lambda frame: frame.time)
    for frame in frames:
        apart = frame.time - first.time
        if frame.relative_orbit != first.relative_orbit or apart > OVERPASS:
            raise InputError(
                f"{first.path} and {frame.path} are not frames of one overpass: "
                "give each date as its own product or list"
            )
    _frames_over(frames, grid)
    longitude, latitude = grid_center(grid)
    points = [frame.tie_points for frame in frames]
    # Longitudes are counted from the middle, away from the antimeridian.
    east = np.concatenate([_wrap(each.longitude - longitude) for each in points])
    north = np.concatenate([each.latitude - latitude for each in points])
    angles = np.concatenate([each.incidence for each in points])
    incidence = griddata((east, north), angles, (0.0, 0.0))
    return Acquisition(
        {p: tuple(Tile(frame.path) for frame in frames) for p in first.polarisations},
        time=first.time,
        direction=first.direction,
        relative_orbit=first.relative_orbit,
        platform=first.platform,
        units="power",
        product=f"gamma0, terrain-flattened with sarsen {version('sarsen')}, with thermal noise",
        incidence=None if np.isnan(incidence) else float(incidence),
        items=tuple(frame.name for frame in frames),
    )


def _frames_over(frames: Sequence[Product], grid: Grid) -> list[Product]:
    """Frames that lie over a grid."""
    west, south, east, north = transform_bounds(grid.crs, "EPSG:4326", *grid.bounds)
    area = shapely.box(west, south, west + (east - west) % 360, north)
    over = [frame for frame in frames if _sees(frame, area)]
    if not over:
        points = frames[0].tie_points
        raise InputError(
            f"{frames[0].path} does not overlap with the area ({grid}): it lies from "
            f"{points.longitude.min():.2f} to {points.longitude.max():.2f} E and from "
            f"{points.latitude.min():.2f} to {points.latitude.max():.2f} N"
        )
    return over


def _sees(frame: Product, area: BaseGeometry) -> bool:
    """Whether a frame lies over an area in EPSG:4326."""
    points, west = frame.tie_points, area.bounds[0]
    corners = np.stack([west + _wrap(points.longitude - west), points.latitude], 1)
    hull: BaseGeometry = shapely.MultiPoint(corners).convex_hull
    return bool(hull.intersects(area))


def _wrap(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Differences of longitude in [-180, 180)."""
    return (degrees + 180) % 360 - 180

"""From raw products to local files of gamma nought on the scene's grid."""

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Self

import numpy as np
import shapely
from numpy.typing import NDArray
from omegaconf import DictConfig
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.warp import transform_bounds
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from scipy.interpolate import griddata
from shapely.geometry.base import BaseGeometry

from landslide.errors import InputError
from landslide.geo.files import checksum
from landslide.geo.grid import Grid, Window
from landslide.geo.relief import Float
from landslide.prepare.area import choose_grid, middle
from landslide.prepare.files import given_dates, local_dem
from landslide.prepare.mosaic import Mosaic
from landslide.prepare.quality import check_dates
from landslide.prepare.safe.geocode import geocode
from landslide.prepare.safe.geoid import undulation
from landslide.prepare.safe.product import Product
from landslide.prepare.sources import OVERPASS, Acquisition, Dem, Event, Pass, Sources, Tile
from landslide.prepare.terrain import elevations, require_cover

METHOD = 1
"""Number of the way images are geocoded; a change makes files in the cache out of date."""


def acquire(
    config: DictConfig,
    event: Event,
    area: BaseGeometry | None,
    console: Console | None = None,
) -> Sources:
    """Terrain-correct the products that ``sar.ascending`` and ``sar.descending`` name.

    Files that are in ``config.cache`` are not made again.

    Args:
        config: Configuration of ``conf/prepare.yaml``.
        event: What is to be mapped.
        area: Area of interest in EPSG:4326.
        console: Shows progress; None is silent.

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
    products = _open(config)
    dem = local_dem(config.dem)
    grid = choose_grid(config.grid, area, Sources({}, dem))
    known = {
        direction: {date: _describe(frames, grid) for date, frames in dates.items()}
        for direction, dates in products.items()
    }
    # Wrong dates and passes show before the long work.
    check_dates(Sources(known, dem), event)
    require_cover(dem, grid)
    make = Maker.of(config, dem, grid)
    total = sum(len(frames) for dates in products.values() for frames in dates.values())
    with _bar(console, total * len(grid.blocks())) as advance:
        orbits = {
            direction: {
                date: replace(acquisition, tiles=_tiles(products[direction][date], make, advance))
                for date, acquisition in dates.items()
            }
            for direction, dates in known.items()
        }
    raised = f"heights of the DEM were raised by {make.geoid:.1f} m to the ellipsoid"
    return Sources(orbits, dem, notes=(f"terrain correction: {raised}",))


def _open(config: DictConfig) -> dict[Pass, dict[str, list[Product]]]:
    """Frames of each date, checked."""
    polarisations = [str(name).lower() for name in config.sar.polarisations]
    return {
        direction: {d: [Product(p, polarisations) for p in paths] for d, paths in dates.items()}
        for direction, dates in given_dates(config).items()
    }


class Maker(NamedTuple):
    """Makes files of gamma nought, each once.

    Attributes:
        dem: Elevation.
        grid: Grid of the scene.
        geoid: Metres from the ellipsoid up to the DEM's zero.
        folder: Where files are kept.
    """

    dem: Dem
    grid: Grid
    geoid: float
    folder: Path

    @classmethod
    def of(cls, config: DictConfig, dem: Dem, grid: Grid) -> Self:
        """Make files of a grid; their folder is named after all that they depend on."""
        geoid = undulation(dem, grid, config.terrain.geoid)
        place = [str(grid.crs), list(grid.transform), grid.height, grid.width]
        libraries = [version(name) for name in ("sarsen", "xarray-sentinel")]
        depends = [METHOD, libraries, place, [checksum(tile.path) for tile in dem.tiles], geoid]
        key = hashlib.sha256(json.dumps(depends).encode()).hexdigest()[:16]
        return cls(dem, grid, geoid, Path(config.cache) / "safe" / key)

    def __call__(self, frame: Product, advance: Callable[[int], None]) -> Path:
        """Return the file of a frame, made if it is not there."""
        path = self.folder / f"{frame.fingerprint}.tif"
        if path.exists():
            advance(len(self.grid.blocks()))
            return path
        self.folder.mkdir(parents=True, exist_ok=True)
        with (
            TemporaryDirectory(prefix=".part-", dir=self.folder) as temporary,
            Mosaic(elevations(self.dem), Resampling.cubic) as source,
        ):
            folder = frame.unpack(Path(temporary))

            def heights(window: Window) -> Float:
                return source.read(self.grid, window) + np.float32(self.geoid)

            geocode(folder, frame.files, heights, self.grid, path, lambda: advance(1))
        return path


def _tiles(
    frames: Sequence[Product], make: Maker, advance: Callable[[int], None]
) -> dict[str, tuple[Tile, ...]]:
    """Files of a date's frames, made where they are not there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        paths = [make(frame, advance) for frame in _over(frames, make.grid)]
    return {
        polarisation: tuple(Tile(path, band) for path in paths)
        for band, polarisation in enumerate(frames[0].polarisations, 1)
    }


def _describe(frames: Sequence[Product], grid: Grid) -> Acquisition:
    """What the metadata of a date's frames tell.

    Raises:
        InputError: They are not of one overpass, or none lies over the grid.
    """
    first = min(frames, key=lambda frame: frame.time)
    for frame in frames:
        apart = frame.time - first.time
        if frame.relative_orbit != first.relative_orbit or apart > OVERPASS:
            raise InputError(
                f"{first.path} and {frame.path} are not frames of one overpass: "
                "give each date as its own product or list"
            )
    _over(frames, grid)
    longitude, latitude = middle(grid)
    tie = [frame.points for frame in frames]
    # Longitudes from the middle, which the antimeridian does not part.
    east = np.concatenate([_wrapped(points.longitude - longitude) for points in tie])
    north = np.concatenate([points.latitude - latitude for points in tie])
    angles = np.concatenate([points.incidence for points in tie])
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


def _over(frames: Sequence[Product], grid: Grid) -> list[Product]:
    """Frames that lie over a grid.

    Raises:
        InputError: None does.
    """
    west, south, east, north = transform_bounds(grid.crs, "EPSG:4326", *grid.bounds)
    area = shapely.box(0, south, (east - west) % 360, north)
    over = []
    for frame in frames:
        corners = np.stack([_wrapped(frame.points.longitude - west), frame.points.latitude], 1)
        if shapely.MultiPoint(corners).convex_hull.intersects(area):
            over.append(frame)
    if not over:
        points = frames[0].points
        raise InputError(
            f"{frames[0].path} does not overlap with the area ({grid}): it lies from "
            f"{points.longitude.min():.2f} to {points.longitude.max():.2f} E and from "
            f"{points.latitude.min():.2f} to {points.latitude.max():.2f} N"
        )
    return over


def _wrapped(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Differences of longitude in [-180, 180)."""
    return (degrees + 180) % 360 - 180


@contextmanager
def _bar(console: Console | None, total: int) -> Iterator[Callable[[int], None]]:
    """Progress in blocks."""
    columns = (
        TextColumn("terrain correction"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=console is None) as bar:
        task = bar.add_task("terrain correction", total=total)
        yield lambda blocks: bar.advance(task, blocks)

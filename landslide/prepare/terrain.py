"""Slope, aspect and radar geometry from a DEM at its own resolution.

The DEM is differentiated on a grid in metres at its own posting, as the paper does, and only
then brought to the scene's grid. A DEM in degrees, or in a projection that distorts lengths
(Web Mercator), is first warped to the scene's CRS by cubic interpolation. A DEM finer than the
scene is first brought to the scene's pixels, since the radar sees no finer slopes (GDAL widens
its cubic kernel there, so that nothing is skipped).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Proj
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.fill import fillnodata
from rasterio.warp import calculate_default_transform, transform_bounds
from scipy import ndimage

from landslide.errors import InputError
from landslide.polygons import raster_window
from landslide.prepare.area import footprint, middle
from landslide.prepare.mosaic import Mosaic, as_is, open_georeferenced
from landslide.prepare.sources import Acquisition, Dem, Pass, Tile
from landslide.radar import ALTITUDE, EARTH, Orbit, distortion, local_incidence
from landslide.rasters import Grid, Window, raster_profile
from landslide.relief import Float, aspect_degrees, gradient
from landslide.scale import TRUE_SCALE, length_error

LOWEST, HIGHEST = -500.0, 9000.0
"""Elevations on land in metres; others are fill, such as -32768 that no tag declares."""

BANDS = ("slope", "south", "east")
"""Bands of the raster on the DEM's grid; then two of each orbit whose geometry is known."""

INCLINATION, PERIOD, DAY = 98.18, 98.74 * 60, 86164.1
"""Sentinel-1's orbit: inclination in degrees, revolution in seconds; a sidereal day."""


class Terrain(NamedTuple):
    """Terrain on the DEM's own grid, on disk, to be warped to the scene.

    Attributes:
        path: Raster with ``BANDS`` and, per orbit, local incidence and layover/shadow.
        grid: Its grid.
        orbits: Orbits that have geometry, in the order of their bands.
        convergence: Degrees from true to grid north in the middle of the scene.
        filled: Share of the DEM's cells in the area that were voids and were filled.
    """

    path: Path
    grid: Grid
    orbits: Mapping[Pass, Orbit]
    convergence: float
    filled: float


def elevation(pixels: NDArray[Any], valid: NDArray[np.bool_]) -> Float:
    """Elevations in metres, NaN in voids."""
    metres = pixels.astype(np.float32)
    with np.errstate(invalid="ignore"):
        valid = valid & (metres > LOWEST) & (metres < HIGHEST)
    return np.where(valid, metres, np.float32(np.nan))


def without_voids(z: Float) -> Float:
    """Elevations with each void as high as the nearest cell; as they are without any cell."""
    void = np.isnan(z)
    if void.all() or not void.any():
        return z
    nearest = ndimage.distance_transform_edt(void, return_distances=False, return_indices=True)
    filled: Float = z[tuple(nearest)]
    return filled


def require_cover(dem: Dem, grid: Grid) -> float:
    """Share of the scene that the DEM's files cover.

    Raises:
        InputError: A DEM given as files leaves out more than a hundredth of the scene.
    """
    posting = abs(dem_grid(dem, grid).transform.a)
    covered = shapely.union_all([footprint(tile, grid.crs) for tile in dem.tiles])
    box = shapely.box(*grid.bounds)
    share = float(covered.buffer(1.5 * posting).intersection(box).area / box.area)
    if share < 0.99 and dem.provider == "files":
        bounds = shapely.intersection(covered, box).bounds
        if not len(bounds) or share == 0:
            raise InputError(
                f"dem={dem.tiles[0].path} does not overlap with the area ({grid}): give another"
            )
        smaller = transform_bounds(grid.crs, "EPSG:4326", *bounds)
        raise InputError(
            f"dem={dem.tiles[0].path} covers only {100 * share:.1f} % of the area: give more tiles "
            "as a list, or a smaller area, aoi=["
            + ",".join(f"{degrees:.4f}" for degrees in smaller)
            + "]"
        )
    return share


def dem_grid(dem: Dem, grid: Grid) -> Grid:
    """Grid in metres at the DEM's posting (not finer than the scene's) that covers a scene.

    Where the DEM lies on such a grid already, its own pixels; else the scene's CRS with square
    pixels of the same diagonal.
    """
    with open_georeferenced(dem.tiles[0]) as source:
        own = Grid.of(source)
        crs, transform = own.crs, own.transform
        if _true_to_scale(own, grid) and transform.a >= 0.999 * grid.transform.a:
            west, north = transform.c, transform.f
            bounds = transform_bounds(grid.crs, crs, *grid.bounds)
        else:
            crs, bounds = grid.crs, grid.bounds
            posting = max(_posting(dem, crs), grid.transform.a)
            transform = Affine(posting, 0, 0, 0, -posting, 0)
            west, north = 0.0, 0.0
    x, y = transform.a, -transform.e
    left, right = np.floor((bounds[0] - west) / x) - 3, np.ceil((bounds[2] - west) / x) + 3
    top, bottom = np.floor((north - bounds[3]) / y) - 3, np.ceil((north - bounds[1]) / y) + 3
    origin = Affine(x, 0, west + left * x, 0, -y, north - top * y)
    return Grid(crs, origin, int(bottom - top), int(right - left))


def _posting(dem: Dem, crs: CRS) -> float:
    """Side in CRS units of square pixels with the diagonal of the DEM's."""
    with open_georeferenced(dem.tiles[0]) as source:
        own = Grid.of(source)
    side: float = calculate_default_transform(own.crs, crs, own.width, own.height, *own.bounds)[0].a
    return side


def _true_to_scale(own: Grid, grid: Grid) -> bool:
    """Whether lengths on the DEM's grid are metres on the ground, as ``TRUE_SCALE`` has it."""
    crs, t = own.crs, own.transform
    if not crs.is_projected or crs.linear_units_factor[1] != 1 or t.e >= 0 or t.a <= 0:
        return False
    if abs(t.a + t.e) > 1e-6 * t.a:
        return False
    return length_error(crs, grid) <= TRUE_SCALE


def north_convergence(grid: Grid) -> float:
    """Degrees, clockwise positive, from true north to grid north in a grid's middle."""
    return float(Proj(grid.crs).get_factors(*middle(grid)).meridian_convergence)


def radar_orbit(name: Pass, dates: Mapping[str, Acquisition], grid: Grid) -> Orbit | None:
    """Geometry of an orbit at the middle of a scene, relative to grid north.

    The look is that at the target: meridians converge between it and the satellite's track.

    Returns:
        None where no acquisition tells the incidence angle.
    """
    angles = [a.incidence for a in dates.values() if a.incidence is not None]
    if not angles:
        return None
    incidence = float(np.mean(angles))
    headings = [a.heading for a in dates.values() if a.heading is not None]
    latitude = middle(grid)[1]
    heading = headings[0] if headings else sentinel_heading(name, latitude)
    theta = np.radians(incidence)
    angle = incidence - np.degrees(np.arcsin(EARTH / (EARTH + ALTITUDE) * np.sin(theta)))
    look = np.radians(heading + 90)
    turn = angle * np.sin(look) * np.tan(np.radians(latitude))
    return Orbit((heading + float(turn) - north_convergence(grid)) % 360, incidence)


def sentinel_heading(name: Pass, latitude: float) -> float:
    """Heading of Sentinel-1 in degrees clockwise from north, from its orbit.

    On a sphere that turns below a circular orbit; 0.2 degrees from annotated headings.
    """
    phi = np.radians(min(max(latitude, -80.0), 80.0))
    azimuth = np.arcsin(np.cos(np.radians(INCLINATION)) / np.cos(phi))
    speed, spin = 2 * np.pi / PERIOD, 2 * np.pi / DAY
    north, east = speed * np.cos(azimuth), speed * np.sin(azimuth) - spin * np.cos(phi)
    if name == "descending":
        north = -north
    return float(np.degrees(np.arctan2(east, north)) % 360)


def derive(
    dem: Dem, grid: Grid, orbits: Mapping[Pass, Orbit], void_distance: int, folder: Path
) -> Terrain:
    """Write slope, gradient and radar geometry on the DEM's grid, block by block.

    Args:
        dem: Elevation.
        grid: Grid of the scene.
        orbits: Geometry of orbits, relative to the scene's grid north.
        void_distance: Voids are filled from cells up to this many away; 0 leaves them.
        folder: Where to write the intermediate raster.
    """
    own = dem_grid(dem, grid)
    turn = north_convergence(own) - north_convergence(grid)
    local = {name: o._replace(heading=(o.heading - turn) % 360) for name, o in orbits.items()}
    path = folder / "terrain.tif"
    count = len(BANDS) + 2 * len(orbits)
    profile = raster_profile(own, "float32", count, np.nan) | {"compress": None, "predictor": 1}
    resampling = Resampling.nearest if _same_pixels(dem, own) else Resampling.cubic
    widen = _posting(dem, own.crs) < 0.6 * own.transform.a
    filled = 0
    with (
        Mosaic([(tile, elevation) for tile in dem.tiles], resampling, widen=widen) as source,
        rasterio.open(path, "w", **profile) as sink,
    ):
        halo = _halo(source, own, local, void_distance)
        for block in own.blocks():
            wide = Window(
                block.row - halo, block.col - halo, block.height + 2 * halo, block.width + 2 * halo
            )
            z = source.read(own, wide)
            inner = np.s_[halo : halo + block.height, halo : halo + block.width]
            if void_distance:
                voids = np.isnan(z)
                z = fillnodata(z, ~voids, max_search_distance=void_distance)
                filled += int((voids & np.isfinite(z))[inner].sum())
            bands = _bands(z, own, local, _reach(own, grid, wide, local))
            sink.write(bands[(slice(None), *inner)], window=raster_window(block))
    share = filled / (own.height * own.width)
    return Terrain(path, own, orbits, north_convergence(grid), share)


def _bands(z: Float, own: Grid, orbits: Mapping[Pass, Orbit], reach: Mapping[Pass, float]) -> Float:
    """Bands of one block with its halo."""
    spacing = own.transform.a
    south, east = gradient(z, spacing)
    bands = [np.degrees(np.arctan(np.hypot(south, east))), south, east]
    void = np.isnan(z)
    if orbits:
        z = without_voids(z)
    for name, orbit in orbits.items():
        if void.all():
            bands += [np.full_like(z, np.nan)] * 2
            continue
        hidden = distortion(z, spacing, orbit, reach[name])
        code = hidden.layover + np.float32(2) * hidden.shadow
        angle = local_incidence(z, spacing, orbit, reach[name])
        bands += [np.where(np.isnan(south), np.nan, angle), np.where(void, np.nan, code)]
    return np.stack(bands).astype(np.float32)


def _reach(own: Grid, grid: Grid, wide: Window, orbits: Mapping[Pass, Orbit]) -> dict[Pass, float]:
    """Metres along each look from the middle of the scene to that of a window."""
    x = own.transform.c + (wide.col + wide.width / 2) * own.transform.a
    y = own.transform.f + (wide.row + wide.height / 2) * own.transform.e
    west, south, east, north = transform_bounds(grid.crs, own.crs, *grid.bounds)
    right, up = x - (west + east) / 2, y - (south + north) / 2
    looks = {name: np.radians(orbit.look) for name, orbit in orbits.items()}
    return {name: float(right * np.sin(a) + up * np.cos(a)) for name, a in looks.items()}


def _halo(source: Mosaic, own: Grid, orbits: Mapping[Pass, Orbit], void_distance: int) -> int:
    """Cells around a block that it depends on: how far relief casts shadow or is laid over."""
    least = 2 + 2 * void_distance
    if not orbits:
        return least
    low, high = np.inf, -np.inf
    for block in own.blocks():
        z = source.read(own, block)
        if np.isfinite(z).any():
            low, high = min(low, float(np.nanmin(z))), max(high, float(np.nanmax(z)))
    relief = max(high - low, 0.0) if np.isfinite(high) else 0.0
    steepest = min(orbit.incidence for orbit in orbits.values()) - 6
    flattest = max(orbit.incidence for orbit in orbits.values()) + 6
    tangents = np.tan(np.radians([max(steepest, 15.0), min(flattest, 60.0)]))
    return least + int(np.ceil(relief * max(1 / tangents[0], tangents[1]) / own.transform.a))


def _same_pixels(dem: Dem, own: Grid) -> bool:
    """Whether all tiles lie on the pixels of the grid, so that nothing is interpolated."""
    for tile in dem.tiles:
        with open_georeferenced(tile) as source:
            shift = ~own.transform @ source.transform
            corner = np.array([shift.c, shift.f])
            scaled = abs(shift.a - 1) > 1e-6 or abs(shift.e - 1) > 1e-6
            if source.crs != own.crs or scaled or np.abs(corner - corner.round()).max() > 1e-3:
                return False
    return True


class Geometry:
    """Terrain bands on the scene's grid, window by window.

    Args:
        terrain: Terrain on the DEM's grid.
        slope: Resampling of everything continuous (the paper: cubic).
        mask: Resampling of layover and shadow.
    """

    def __init__(self, terrain: Terrain, slope: Resampling, mask: Resampling) -> None:
        def band(number: int, resampling: Resampling) -> Mosaic:
            return Mosaic([(Tile(terrain.path, number), as_is)], resampling)

        self.terrain = terrain
        self.continuous = [band(number, slope) for number in (1, 2, 3)]
        first = len(BANDS) + 1
        self.angle = {n: band(first + 2 * i, slope) for i, n in enumerate(terrain.orbits)}
        self.hidden = {n: band(first + 2 * i + 1, mask) for i, n in enumerate(terrain.orbits)}

    def read(self, grid: Grid, window: Window, name: Pass) -> dict[str, Float]:
        """Bands of an orbit in a window, by their names in the scene's files."""
        slope, south, east = (self._warp(mosaic, grid, window) for mosaic in self.continuous)
        # On the DEM's grid aspect is told from grid north.
        aspect = aspect_degrees(south, east) + np.float32(north_convergence(self.terrain.grid))
        flat = (south == 0) & (east == 0)
        bands = {
            "slope": slope.clip(0, 90),
            "aspect": np.where(flat, np.float32(0), aspect % np.float32(360)),
        }
        if name in self.angle:
            bands["local_incidence_angle"] = self._warp(self.angle[name], grid, window).clip(0, 180)
            bands["layover_shadow"] = self._warp(self.hidden[name], grid, window)
        return bands

    @staticmethod
    def _warp(mosaic: Mosaic, grid: Grid, window: Window) -> Float:
        with mosaic:
            return mosaic.read(grid, window)

"""Slope, aspect and radar geometry from a DEM at its own resolution.

The DEM is differentiated on a grid in metres at its own posting, as in the paper, and only then
brought to the scene's grid. A DEM in degrees, or in a projection that distorts lengths (Web
Mercator), is first warped to the scene's CRS by cubic interpolation. A DEM finer than the scene is
first brought to the scene's pixels, since the radar resolves no finer slopes (GDAL widens its
cubic kernel there, so every cell counts).
"""

from collections.abc import Mapping
from itertools import starmap
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
import shapely
from affine import Affine
from pyproj import Proj
from rasterio.enums import Resampling
from rasterio.fill import fillnodata
from rasterio.warp import transform_bounds

from landslide.errors import InputError
from landslide.geo.elevation import ElevationUnit
from landslide.geo.extent import pixel_jacobian
from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import raster_profile
from landslide.geo.relief import Float, aspect_degrees, fill_from_nearest, gradient
from landslide.geo.scale import MAX_LENGTH_ERROR, length_error
from landslide.prepare.area import extent_on_grid, grid_center
from landslide.prepare.mosaic import Mosaic, keep_values, open_georeferenced
from landslide.prepare.sources import Dem, Pass, Tile
from landslide.radar.geometry import RadarGeometry, distortion, local_incidence

TERRAIN_BANDS = ("slope", "aspect", "local_incidence_angle", "layover_shadow")
"""Bands of terrain in the order of a composite; the last two where the geometry is known."""

GRADIENT_BANDS = ("slope", "south", "east")
"""First bands of the raster on the DEM's grid; two of each orbit with known geometry follow."""


class Terrain(NamedTuple):
    """Terrain on the DEM's own grid, on disk, to be warped to the scene.

    Attributes:
        path: Raster with ``GRADIENT_BANDS`` and, per orbit, local incidence and layover/shadow.
        grid: Its grid.
        orbits: Orbits that have geometry, in the order of their bands.
        convergence: Degrees from true to grid north in the middle of the scene.
        filled: Share of the DEM's cells in the area that were voids and were filled.
    """

    path: Path
    grid: Grid
    orbits: Mapping[Pass, RadarGeometry]
    convergence: float
    filled: float


def elevation_tiles(dem: Dem) -> list[tuple[Tile, ElevationUnit]]:
    """Tiles of a DEM, each with its conversion to metres.

    Raises:
        InputError: A tile cannot be used or declares an unknown unit.
    """
    found = []
    for tile in dem.tiles:
        with open_georeferenced(tile) as source:
            found.append((tile, ElevationUnit.of(source, tile.band)))
    return found


def dem_notes(dem: Dem) -> list[str]:
    """Notes on the units that a DEM's files declare."""
    units = {e.unit: e.metres for _, e in elevation_tiles(dem) if e.metres != 1}
    return [
        f"the DEM declares its elevations in {unit!r}: they were converted, {metres:.10g} m each"
        for unit, metres in units.items()
    ]


def warn_zero_nodata(dem: Dem, valid_share: float) -> list[str]:
    """Warn where slope is missing and a DEM declares 0, which is also the sea's height, nodata."""
    for tile in dem.tiles:
        with open_georeferenced(tile) as source:
            if valid_share < 0.99 and source.nodatavals[tile.band - 1] == 0:
                return [
                    f"slope is valid in {100 * valid_share:.1f} % of the area: {tile.path} "
                    "declares 0 as nodata, which is also the height of the sea and the coast; "
                    "where it is no void, undeclare it (gdal_edit.py -unsetnodata) and prepare anew"
                ]
    return []


def require_dem_coverage(dem: Dem, grid: Grid) -> float:
    """Share of the scene that the DEM's files cover.

    Raises:
        InputError: A DEM given as files leaves out more than a hundredth of the scene.
    """
    posting = abs(dem_grid(dem, grid).transform.a)
    extent = shapely.union_all([extent_on_grid(tile, grid) for tile in dem.tiles])
    scene = shapely.box(*grid.bounds)
    share = float(extent.buffer(1.5 * posting).intersection(scene).area / scene.area)
    if share < 0.99 and dem.provider == "files":
        bounds = shapely.intersection(extent, scene).bounds
        if not len(bounds) or share == 0:
            raise InputError(
                f"dem={dem.tiles[0].path} does not overlap with the area ({grid}): give another"
            )
        degrees = transform_bounds(grid.crs, "EPSG:4326", *bounds)
        raise InputError(
            f"dem={dem.tiles[0].path} covers only {100 * share:.1f} % of the area: give more tiles "
            f"as a list, or a smaller area, aoi=[{','.join(f'{edge:.4f}' for edge in degrees)}]"
        )
    return share


def dem_grid(dem: Dem, grid: Grid) -> Grid:
    """Grid in metres at the DEM's posting (not finer than the scene's) that covers a scene.

    Where the DEM lies on such a grid already, these are its own pixels; otherwise square pixels
    of the same area in the scene's CRS.
    """
    finest = _finest_grid(dem, grid)
    if _is_true_to_scale(finest, grid) and finest.transform.a >= 0.999 * grid.transform.a:
        crs, transform = finest.crs, finest.transform
        bounds = transform_bounds(grid.crs, crs, *grid.bounds)
    else:
        crs, bounds = grid.crs, grid.bounds
        posting = max(_posting(finest, grid), grid.transform.a)
        transform = Affine(posting, 0, 0, 0, -posting, 0)
    west, north, x, y = transform.c, transform.f, transform.a, -transform.e
    left, right = np.floor((bounds[0] - west) / x) - 3, np.ceil((bounds[2] - west) / x) + 3
    top, bottom = np.floor((north - bounds[3]) / y) - 3, np.ceil((north - bounds[1]) / y) + 3
    origin = Affine(x, 0, west + left * x, 0, -y, north - top * y)
    return Grid(crs, origin, int(bottom - top), int(right - left))


def _finest_grid(dem: Dem, grid: Grid) -> Grid:
    """Grid of the DEM's finest tile; of the first among equals."""
    grids = []
    for tile in dem.tiles:
        with open_georeferenced(tile) as source:
            grids.append(Grid.of(source))
    return min(grids, key=lambda tile_grid: round(_posting(tile_grid, grid), 3))


def _posting(tile_grid: Grid, grid: Grid) -> float:
    """Side in metres, in the scene's middle, of square pixels with the area of a DEM's."""
    return float(grid.transform.a / np.sqrt(abs(np.linalg.det(pixel_jacobian(tile_grid, grid)))))


def _is_true_to_scale(tile_grid: Grid, grid: Grid) -> bool:
    """Whether lengths on the DEM's grid are metres on the ground to ``TRUE_SCALE``."""
    crs, t = tile_grid.crs, tile_grid.transform
    if not crs.is_projected or crs.linear_units_factor[1] != 1 or t.e >= 0 or t.a <= 0:
        return False
    return abs(t.a + t.e) <= 1e-6 * t.a and length_error(crs, grid) <= MAX_LENGTH_ERROR


def north_convergence(grid: Grid) -> float:
    """Degrees, clockwise positive, from true north to grid north in a grid's middle."""
    return float(Proj(grid.crs).get_factors(*grid_center(grid)).meridian_convergence)


def write_terrain(
    dem: Dem, grid: Grid, orbits: Mapping[Pass, RadarGeometry], void_distance: int, folder: Path
) -> Terrain:
    """Write slope, gradient and radar geometry on the DEM's grid, block by block.

    Orbits are relative to the scene's grid north; voids are filled from cells up to
    ``void_distance`` away (0 leaves them).
    """
    own = dem_grid(dem, grid)
    turn = north_convergence(own) - north_convergence(grid)
    local = {name: o._replace(heading=(o.heading - turn) % 360) for name, o in orbits.items()}
    path = folder / "terrain.tif"
    count = len(GRADIENT_BANDS) + 2 * len(orbits)
    profile = raster_profile(own, "float32", count, np.nan) | {"compress": None, "predictor": 1}
    widen = _posting(_finest_grid(dem, grid), grid) < 0.6 * own.transform.a
    filled = 0
    with (
        Mosaic(elevation_tiles(dem), Resampling.cubic, widen=widen) as source,
        rasterio.open(path, "w", **profile) as sink,
    ):
        halo = _halo(source, own, local, void_distance)
        for block in own.blocks():
            wide = block.padded(halo)
            z = source.read(own, wide)
            inner = block.within(wide)
            if void_distance:
                voids = np.isnan(z)
                z = fillnodata(z, ~voids, max_search_distance=void_distance)
                filled += int((voids & np.isfinite(z))[inner].sum())
            bands = _terrain_bands(z, own, local, _distances_along_look(own, grid, wide, local))
            sink.write(bands[(slice(None), *inner)], window=block.to_rasterio())
    share = filled / (own.height * own.width)
    return Terrain(path, own, orbits, north_convergence(grid), share)


def _terrain_bands(
    z: Float, own: Grid, orbits: Mapping[Pass, RadarGeometry], distances: Mapping[Pass, float]
) -> Float:
    """Bands of one block with its halo."""
    spacing = own.transform.a
    south, east = gradient(z, spacing)
    bands = [np.degrees(np.arctan(np.hypot(south, east))), south, east]
    void = np.isnan(z)
    if orbits:
        z = fill_from_nearest(z)
    for name, orbit in orbits.items():
        if void.all():
            bands += [np.full_like(z, np.nan)] * 2
            continue
        hidden = distortion(z, spacing, orbit, distances[name])
        code = hidden.layover + np.float32(2) * hidden.shadow
        angle = local_incidence(z, spacing, orbit, distances[name])
        bands += [np.where(np.isnan(south), np.nan, angle), np.where(void, np.nan, code)]
    return np.stack(bands).astype(np.float32)


def _distances_along_look(
    own: Grid, grid: Grid, window: Window, orbits: Mapping[Pass, RadarGeometry]
) -> dict[Pass, float]:
    """Metres along each look from the middle of the scene to that of a window."""
    x, y = own.transform @ (window.col + window.width / 2, window.row + window.height / 2)
    west, south, east, north = transform_bounds(grid.crs, own.crs, *grid.bounds)
    right, up = x - (west + east) / 2, y - (south + north) / 2
    looks = {name: np.radians(orbit.look_azimuth) for name, orbit in orbits.items()}
    return {name: float(right * np.sin(a) + up * np.cos(a)) for name, a in looks.items()}


def _halo(
    source: Mosaic, own: Grid, orbits: Mapping[Pass, RadarGeometry], void_distance: int
) -> int:
    """Cells around a block that affect it: the reach of the relief's shadow and layover."""
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


class TerrainBands:
    """Terrain bands on the scene's grid, window by window.

    ``slope`` is the resampling of everything continuous (the paper: cubic), ``mask`` that of
    layover and shadow.
    """

    def __init__(self, terrain: Terrain, slope: Resampling, mask: Resampling) -> None:
        def band(number: int, resampling: Resampling) -> tuple[Tile, Resampling]:
            return Tile(terrain.path, number), resampling

        self.terrain = terrain
        self.continuous = [band(number, slope) for number in (1, 2, 3)]
        first = len(GRADIENT_BANDS) + 1
        self.angle = {n: band(first + 2 * i, slope) for i, n in enumerate(terrain.orbits)}
        self.hidden = {n: band(first + 2 * i + 1, mask) for i, n in enumerate(terrain.orbits)}

    def names(self, orbit: Pass) -> tuple[str, ...]:
        """Bands of an orbit, in the order of its composite."""
        return TERRAIN_BANDS if orbit in self.angle else TERRAIN_BANDS[:2]

    def read(self, grid: Grid, window: Window, name: Pass) -> dict[str, Float]:
        """Bands of an orbit in a window, by their names in the scene's files."""

        def warp(tile: Tile, resampling: Resampling) -> Float:
            with Mosaic([(tile, keep_values)], resampling) as mosaic:  # threads share none
                return mosaic.read(grid, window)

        slope, south, east = starmap(warp, self.continuous)
        # The gradient, and hence this aspect, refers to the north of the DEM's grid.
        aspect = aspect_degrees(south, east) + np.float32(north_convergence(self.terrain.grid))
        flat = (south == 0) & (east == 0)
        bands = {
            "slope": slope.clip(0, 90),
            "aspect": np.where(flat, np.float32(0), aspect % np.float32(360)),
        }
        if name in self.angle:
            bands["local_incidence_angle"] = warp(*self.angle[name]).clip(0, 180)
            bands["layover_shadow"] = warp(*self.hidden[name])
        return bands

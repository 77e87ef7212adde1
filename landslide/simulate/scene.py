"""A simulated scene: two orbits, three dates each, landslides and their inventory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import geopandas as gpd
import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from scipy import ndimage

from landslide.errors import InputError
from landslide.radar import Orbit, distortion, local_incidence, projected_area
from landslide.rasters import Grid
from landslide.relief import Float, slope_degrees
from landslide.simulate.backscatter import Radar, RadarGrid, speckle
from landslide.simulate.inputs import SPACING, read_dem, read_landslides
from landslide.simulate.landcover import land_cover
from landslide.simulate.options import Options, Terrain, check
from landslide.simulate.scattering import Ground, Scars, from_decibel
from landslide.simulate.slides import coverage, draw_landslides, first_covering, map_inventory
from landslide.simulate.terrain import hills

HEADINGS = {"ascending": 348.0, "descending": 192.0}
"""Headings of Sentinel-1 over Hokkaido in degrees clockwise from north."""
DAYS = {"ascending": (5.74, 17.74, 29.74), "descending": (1.24, 13.24, 25.24)}
"""Acquisitions by day of September 2018 (JST), Table 2 of Nava et al. (2022)."""
EPICENTRE_UTM = (582_400.0, 4_727_000.0)
"""Epicentre of the Eastern Iburi earthquake in EPSG:32654, to 100 m."""
STAGES = ("terrain", "slides", "inventory", "cover", "ground", "ascending", "descending")

Progress = Callable[[str], None]


class Scene(NamedTuple):
    """A simulated scene in memory.

    Attributes:
        grid: Grid of all arrays.
        elevation: (H, W) in metres.
        backscatter: (3, H, W) gamma nought, linear power, by orbit; NaN where invalid.
        slope: (H, W) in degrees; NaN where invalid.
        mask: (H, W) uint8 inventory: 0, 1, 255 unknown.
        truth: (H, W) share of the pixel that slid.
        inventory: Polygons with ``area_m2``.
        shadow: Share of valid pixels in radar shadow by orbit.
        layover: Share of valid pixels in layover by orbit.
    """

    grid: Grid
    elevation: Float
    backscatter: Mapping[str, Float]
    slope: Float
    mask: NDArray[np.uint8]
    truth: Float
    inventory: gpd.GeoDataFrame
    shadow: Mapping[str, float]
    layover: Mapping[str, float]


def simulate(
    size: Sequence[int] | None = (1024, 1536),
    seed: int = 0,
    dem: Path | str | None = None,
    landslides: Path | str | None = None,
    options: Options | None = None,
    progress: Progress = lambda stage: None,
) -> Scene:
    """Simulate a scene in memory.

    Args:
        size: (rows, cols) at 10 m, each at least 64; None only with ``dem``, for its extent.
        seed: Every seed is another scene; the same one gives the same bytes.
        dem: Real DEM to use instead of simulated terrain.
        landslides: Real mask or polygons to use instead of simulated landslides.
        options: Physical parameters.
        progress: Called with the name of each stage as it starts.

    Raises:
        InputError: An option out of range, or an input that cannot be used.
    """
    options = options or Options()
    check(size, seed, dem, landslides, options)
    shape = None if size is None else (int(size[0]), int(size[1]))
    draws = dict(zip(STAGES, np.random.default_rng(seed).spawn(len(STAGES)), strict=True))
    progress("terrain")
    elevation, valid, grid = _terrain(shape, dem, options.terrain, draws["terrain"])
    progress("landslides")
    truth, inventory, known = _landslides(elevation, valid, grid, landslides, options, draws)
    slope = slope_degrees(elevation, SPACING)
    scars = _scars(truth, slope, grid)
    progress("land cover")
    cover = land_cover(elevation, SPACING, options.changes, draws["cover"])
    ground = Ground(cover, scars, options.scattering, options.changes, SPACING, draws["ground"])
    backscatter, shadow, layover = {}, {}, {}
    for name in HEADINGS:
        progress(name)
        orbit = Orbit(HEADINGS[name], options.radar.incidence)
        hidden = distortion(elevation, SPACING, orbit)
        images = _acquire(ground, elevation, hidden.shadow, orbit, name, options.radar, draws[name])
        backscatter[name] = np.where(valid, images, np.float32(np.nan))
        shadow[name] = float(hidden.shadow[valid].mean())
        layover[name] = float(hidden.layover[valid].mean())
    mask = (first_covering(inventory, grid) > 0).astype(np.uint8)
    mask[~(valid & known)] = 255
    slope = np.where(valid, slope, np.float32(np.nan))
    return Scene(grid, elevation, backscatter, slope, mask, scars.share, inventory, shadow, layover)


def _terrain(
    size: tuple[int, int] | None, dem: Path | str | None, options: Terrain, rng: np.random.Generator
) -> tuple[Float, NDArray[np.bool_], Grid]:
    """Elevation without voids, valid pixels, grid."""
    if dem is not None:
        elevation, valid, grid = read_dem(dem, size)
        nearest = ndimage.distance_transform_edt(
            ~valid, return_distances=False, return_indices=True
        )
        # Slope looks one pixel around: next to a void it would measure the filling.
        return (
            elevation[tuple(nearest)],
            ndimage.binary_erosion(valid, np.ones((3, 3)), border_value=1),
            grid,
        )
    if size is None:
        raise InputError("size is missing; give size=[rows,cols] at 10 m.")
    elevation = hills(size, SPACING, rng, **asdict(options))
    west = EPICENTRE_UTM[0] - size[1] // 2 * SPACING
    north = EPICENTRE_UTM[1] + size[0] // 2 * SPACING
    grid = Grid(CRS.from_epsg(32654), Affine(SPACING, 0, west, 0, -SPACING, north), *size)
    return elevation, np.ones(size, bool), grid


def _landslides(
    elevation: Float,
    valid: NDArray[np.bool_],
    grid: Grid,
    source: Path | str | None,
    options: Options,
    draws: Mapping[str, np.random.Generator],
) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame, NDArray[np.bool_]]:
    """True outlines, the inventory, and the pixels where the inventory knows."""
    if source is not None:
        inventory, known = read_landslides(source, grid)
        return inventory, inventory, known
    truth = draw_landslides(elevation, valid, grid, options.slides, draws["slides"])
    inventory = map_inventory(truth, grid, options.slides, draws["inventory"])
    return truth, inventory, np.ones_like(valid)


def _scars(truth: gpd.GeoDataFrame, slope: Float, grid: Grid) -> Scars:
    """Raster truth; debris comes to rest where the slope is below about 11 degrees."""
    debris = 1 / (1 + np.exp((ndimage.gaussian_filter(slope, 1) - 11) / 2))
    return Scars(coverage(truth, grid), first_covering(truth, grid), debris.astype(np.float32))


def _acquire(
    ground: Ground,
    elevation: Float,
    shadow: NDArray[np.bool_],
    orbit: Orbit,
    name: str,
    radar: Radar,
    rng: np.random.Generator,
) -> Float:
    """(3, H, W) gamma nought of the three dates of an orbit, on the ellipsoid."""
    geometry = RadarGrid(elevation, SPACING, orbit)
    incidence = local_incidence(elevation, SPACING, orbit)
    area = np.where(shadow, 0, projected_area(elevation, SPACING, orbit)).astype(np.float32)
    noise = from_decibel(radar.noise - 10 * np.log10(np.cos(np.radians(orbit.incidence))))
    images = []
    for day, draw in zip(DAYS[name], rng.spawn(3), strict=True):
        power = geometry.image(area * ground.gamma(day, incidence, draw))
        error = draw.normal(0, radar.geolocation / SPACING, 2)
        images.append(geometry.geocode(speckle(power + noise, radar, SPACING, draw), error))
    return np.stack(images)

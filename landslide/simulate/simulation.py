"""The simulation of a scene: two orbits of three or more dates, landslides and their inventory."""

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
from landslide.geo.grid import Grid
from landslide.geo.rasters import UNKNOWN
from landslide.geo.relief import (
    Float,
    aspect_degrees,
    fill_from_nearest,
    gradient,
    slope_degrees,
)
from landslide.radar.geometry import RadarGeometry, distortion
from landslide.simulate.acquisition import (
    Orbit,
    PlannedDate,
    RadarImager,
    SimulatedStack,
    mask_invalid,
    plan_further_dates,
)
from landslide.simulate.hills import hills
from landslide.simulate.inputs import SPACING, read_dem, read_landslides
from landslide.simulate.landcover import land_cover
from landslide.simulate.options import (
    DEMO_SIZE,
    PAPER_DATES,
    Dates,
    Options,
    TerrainOptions,
    check_dates,
    check_options,
    check_polarisations,
    default_options,
)
from landslide.simulate.scattering import Ground, Scars, draw_date_shifts
from landslide.simulate.slides import coverage, draw_landslides, first_covering, map_inventory

FLIGHT_HEADINGS = {"ascending": 348.0, "descending": 192.0}
"""Headings of Sentinel-1 over Hokkaido in degrees clockwise from north."""
ACQUISITION_DAYS = {"ascending": (5.74, 17.74, 29.74), "descending": (1.24, 13.24, 25.24)}
"""Days of the acquisitions in September 2018 (JST), Table 2 of Nava et al. (2022)."""
EPICENTRE_UTM = (582_400.0, 4_727_000.0)
"""Epicentre of the Eastern Iburi earthquake in EPSG:32654, to 100 m."""
RANDOM_STREAMS = (
    *("terrain", "slides", "inventory", "cover", "ground", "ascending", "descending", "cross"),
    *("dates", "stacks"),
)
"""Names of independent random streams; a new one goes last, so that the others stay the same."""

Progress = Callable[[str], None]


class SimulatedScene(NamedTuple):
    """A simulated scene in memory.

    Attributes:
        grid: Grid of all arrays.
        elevation: (H, W) in metres.
        backscatter: (3, H, W) gamma nought by orbit, linear power, NaN where invalid; with VH
            (6, H, W), its three dates after VV's.
        slope: (H, W) in degrees; NaN where invalid.
        mask: (H, W) uint8 inventory: 0, 1, 255 unknown.
        slid_share: (H, W) share of each pixel that slid, [0, 1].
        inventory: Polygons with ``area_m2``.
        aspect: (H, W) in degrees clockwise from north, 0 on flat ground; NaN where invalid.
        layover_shadow: (H, W) by orbit: 0 clear, 1 layover, 2 shadow, 3 both; NaN where invalid.
        date_shifts: (3, 2) by orbit: shift in dB of each whole date in VV and in VH.
        stacks: All dates by orbit, those of ``backscatter`` among them; none unless there are
            more.
    """

    grid: Grid
    elevation: Float
    backscatter: Mapping[str, Float]
    slope: Float
    mask: NDArray[np.uint8]
    slid_share: Float
    inventory: gpd.GeoDataFrame
    aspect: Float
    layover_shadow: Mapping[str, Float]
    date_shifts: Mapping[str, Float]
    stacks: Mapping[str, SimulatedStack]


def simulate(
    size: Sequence[int] | None = DEMO_SIZE,
    seed: int = 0,
    dem: Path | str | None = None,
    landslides: Path | str | None = None,
    options: Options | None = None,
    progress: Progress = lambda stage: None,
    polarisations: Sequence[str] = ("vv",),
    dates: Dates = PAPER_DATES,
) -> SimulatedScene:
    """Simulate a scene in memory.

    Args:
        size: (rows, cols) at 10 m, each at least 64; None, only with ``dem``, for its extent.
        seed: Seed of all randomness; the same seed gives the same bytes.
        dem: Real DEM to use instead of simulated terrain.
        landslides: Real mask or polygons to use instead of simulated landslides.
        options: Physical parameters; those of ``conf/simulate.yaml`` by default.
        progress: Function that is called with the name of each stage as it starts.
        polarisations: ``vv``, or ``vv`` and ``vh``; VH does not change VV.
        dates: Number of dates of each orbit; further ones do not change the paper's.

    Raises:
        InputError: An option is out of range, or an input cannot be used.
    """
    options = options or default_options()
    check_options(size, seed, dem, landslides, options)
    check_polarisations(polarisations)
    check_dates(dates)
    shape = None if size is None else (int(size[0]), int(size[1]))
    streams = np.random.default_rng(seed).spawn(len(RANDOM_STREAMS))
    draws = dict(zip(RANDOM_STREAMS, streams, strict=True))
    progress("terrain")
    elevation, valid, grid = _terrain(shape, dem, options.terrain, draws["terrain"])
    progress("landslides")
    truth, inventory, known = _landslides(elevation, valid, grid, landslides, options, draws)
    slope = slope_degrees(elevation, SPACING)
    aspect = aspect_degrees(*gradient(elevation, SPACING))
    scars = _scars(truth, slope, grid)
    progress("land cover")
    cover = land_cover(elevation, SPACING, options.changes, draws["cover"])
    ground = Ground(cover, scars, options.scattering, options.changes, SPACING, draws["ground"])
    lasting, *cross_draws = draws["cross"].spawn(1 + len(FLIGHT_HEADINGS))
    cross = ground.cross_ratio(lasting) if "vh" in polarisations else None
    backscatter, layover_shadow, date_shifts, stacks = {}, {}, {}, {}
    stack_draws = draws["stacks"].spawn(len(FLIGHT_HEADINGS))
    for index, (name, heading) in enumerate(FLIGHT_HEADINGS.items()):
        progress(name)
        geometry = RadarGeometry(heading, options.radar.incidence)
        shadow, layover = distortion(elevation, SPACING, geometry)
        imager = RadarImager(elevation, shadow, geometry, options.radar)
        orbit = Orbit(ground, imager, valid, cross)
        rain = options.changes.whole_date
        planned = _plan_paper_dates(name, rain, draws, cross_draws[index])
        date_shifts[name] = np.stack([date.offset for date in planned])
        acquired = [orbit.acquire(date) for date in planned]
        backscatter[name] = np.stack(
            [date.images[polarisation] for polarisation in polarisations for date in acquired]
        )
        if dates != PAPER_DATES:
            further = plan_further_dates(ACQUISITION_DAYS[name], dates, rain, stack_draws[index])
            stacks[name] = SimulatedStack(orbit, [*acquired, *further])
        layover_shadow[name] = mask_invalid(layover + np.float32(2) * shadow, valid)
    mask = (first_covering(inventory, grid) > 0).astype(np.uint8)
    mask[~(valid & known)] = UNKNOWN
    return SimulatedScene(
        grid=grid,
        elevation=elevation,
        backscatter=backscatter,
        slope=mask_invalid(slope, valid),
        mask=mask,
        slid_share=scars.share,
        inventory=inventory,
        aspect=mask_invalid(aspect, valid),
        layover_shadow=layover_shadow,
        date_shifts=date_shifts,
        stacks=stacks,
    )


def _plan_paper_dates(
    orbit: str,
    whole_date: float,
    draws: Mapping[str, np.random.Generator],
    cross_draw: np.random.Generator,
) -> list[PlannedDate]:
    """The dates of Nava et al. (2022), one before the earthquake and two after it."""
    days = ACQUISITION_DAYS[orbit]
    offsets = draw_date_shifts(whole_date, len(days), draws["dates"])
    streams = draws[orbit].spawn(len(days)), cross_draw.spawn(len(days))
    return [PlannedDate(*date) for date in zip(days, offsets, *streams, strict=True)]


def _terrain(
    size: tuple[int, int] | None,
    dem: Path | str | None,
    options: TerrainOptions,
    rng: np.random.Generator,
) -> tuple[Float, NDArray[np.bool_], Grid]:
    """Elevation without voids, valid pixels, grid."""
    if dem is not None:
        elevation, valid, grid = read_dem(dem, size)
        # The slope of a pixel next to a void would be that of the filling.
        valid = ndimage.binary_erosion(valid, np.ones((3, 3)), border_value=1)
        return fill_from_nearest(elevation), valid, grid
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
    """True outlines, the inventory, and the pixels that the inventory covers."""
    if source is not None:
        inventory, known = read_landslides(source, grid)
        return inventory, inventory, known
    truth = draw_landslides(elevation, valid, grid, options.slides, draws["slides"])
    inventory = map_inventory(truth, grid, options.slides, draws["inventory"])
    return truth, inventory, np.ones_like(valid)


def _scars(truth: gpd.GeoDataFrame, slope: Float, grid: Grid) -> Scars:
    """Rasterised truth; debris comes to rest where the slope is below about 11 degrees."""
    debris = 1 / (1 + np.exp((ndimage.gaussian_filter(slope, 1) - 11) / 2))
    return Scars(coverage(truth, grid), first_covering(truth, grid), debris.astype(np.float32))

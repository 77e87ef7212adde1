"""The simulation of a scene: two orbits of three dates each, landslides and their inventory."""

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
from landslide.radar.geometry import RadarGeometry, distortion, local_incidence, projected_area
from landslide.simulate.backscatter import Radar, RadarGrid, speckle
from landslide.simulate.hills import hills
from landslide.simulate.inputs import SPACING, read_dem, read_landslides
from landslide.simulate.landcover import land_cover
from landslide.simulate.options import (
    DEMO_SIZE,
    Options,
    TerrainOptions,
    check_options,
    check_polarisations,
    default_options,
)
from landslide.simulate.scattering import (
    CrossRatio,
    Ground,
    Scars,
    draw_date_shifts,
    from_decibel,
)
from landslide.simulate.slides import coverage, draw_landslides, first_covering, map_inventory

FLIGHT_HEADINGS = {"ascending": 348.0, "descending": 192.0}
"""Headings of Sentinel-1 over Hokkaido in degrees clockwise from north."""
ACQUISITION_DAYS = {"ascending": (5.74, 17.74, 29.74), "descending": (1.24, 13.24, 25.24)}
"""Days of the acquisitions in September 2018 (JST), Table 2 of Nava et al. (2022)."""
EPICENTRE_UTM = (582_400.0, 4_727_000.0)
"""Epicentre of the Eastern Iburi earthquake in EPSG:32654, to 100 m."""
RANDOM_STREAMS = (
    *("terrain", "slides", "inventory", "cover", "ground", "ascending", "descending", "cross"),
    "dates",
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


def simulate(
    size: Sequence[int] | None = DEMO_SIZE,
    seed: int = 0,
    dem: Path | str | None = None,
    landslides: Path | str | None = None,
    options: Options | None = None,
    progress: Progress = lambda stage: None,
    polarisations: Sequence[str] = ("vv",),
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

    Raises:
        InputError: An option is out of range, or an input cannot be used.
    """
    options = options or default_options()
    check_options(size, seed, dem, landslides, options)
    check_polarisations(polarisations)
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
    backscatter, layover_shadow, date_shifts = {}, {}, {}
    for (name, heading), cross_draw in zip(FLIGHT_HEADINGS.items(), cross_draws, strict=True):
        progress(name)
        geometry = RadarGeometry(heading, options.radar.incidence)
        shadow, layover = distortion(elevation, SPACING, geometry)
        imager = RadarImager(elevation, shadow, geometry, options.radar)
        days = ACQUISITION_DAYS[name]
        shifts = draw_date_shifts(options.changes.whole_date, len(days), draws["dates"])
        images = _acquire(ground, imager, days, shifts, draws[name], cross, cross_draw)
        backscatter[name] = _mask_invalid(images, valid)
        layover_shadow[name] = _mask_invalid(layover + np.float32(2) * shadow, valid)
        date_shifts[name] = shifts
    mask = (first_covering(inventory, grid) > 0).astype(np.uint8)
    mask[~(valid & known)] = UNKNOWN
    return SimulatedScene(
        grid=grid,
        elevation=elevation,
        backscatter=backscatter,
        slope=_mask_invalid(slope, valid),
        mask=mask,
        slid_share=scars.share,
        inventory=inventory,
        aspect=_mask_invalid(aspect, valid),
        layover_shadow=layover_shadow,
        date_shifts=date_shifts,
    )


def _mask_invalid(image: Float, valid: NDArray[np.bool_]) -> Float:
    return np.where(valid, image, np.float32(np.nan))


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


class RadarImager:
    """Images a scene from one orbit: from brightness of the ground to an image with speckle.

    Args:
        elevation: (H, W) in metres, without NaN.
        shadow: (H, W) pixels in radar shadow.
        geometry: Geometry of the orbit.
        radar: Properties of the radar.
    """

    def __init__(
        self, elevation: Float, shadow: NDArray[np.bool_], geometry: RadarGeometry, radar: Radar
    ) -> None:
        self.radar = radar
        self.grid = RadarGrid(elevation, SPACING, geometry)
        self.incidence = local_incidence(elevation, SPACING, geometry)
        area = projected_area(elevation, SPACING, geometry)
        self.area = np.where(shadow, 0, area).astype(np.float32)
        flat = np.cos(np.radians(geometry.incidence))
        self.noise = from_decibel(radar.noise - 10 * np.log10(flat))

    def image(self, gamma: Float, error: NDArray[np.float64], rng: np.random.Generator) -> Float:
        """Image (H, W) of gamma nought on the ellipsoid.

        Args:
            gamma: (H, W) gamma nought of the ground.
            error: Geolocation error in pixels, (2,).
            rng: Source of randomness.
        """
        power = self.grid.image(self.area * gamma)
        speckled = speckle(power + self.noise, self.radar, SPACING, rng)
        return self.grid.geocode(speckled, error)


def _acquire(
    ground: Ground,
    imager: RadarImager,
    days: Sequence[float],
    shifts: Float,
    rng: np.random.Generator,
    cross: CrossRatio | None,
    cross_rng: np.random.Generator,
) -> Float:
    """Images of an orbit's D dates in VV (D, H, W), or in VV and then VH (2 D, H, W).

    A date's polarisations share the ground and the geolocation error. Their speckle is
    independent: over ground that is symmetric to the plane of incidence their amplitudes do
    not correlate (Nghiem et al. 1992).
    """
    vv, vh = [], []
    dates = zip(
        days, from_decibel(shifts), rng.spawn(len(days)), cross_rng.spawn(len(days)), strict=True
    )
    for day, gains, draw, cross_draw in dates:
        weather = ground.weather(day, draw)
        error = draw.normal(0, imager.radar.geolocation / SPACING, 2)
        gamma = ground.gamma(weather, imager.incidence)
        vv.append(imager.image(gains[0] * gamma, error, draw))
        if cross is not None:
            gamma = ground.gamma(weather, imager.incidence, cross)
            vh.append(imager.image(gains[1] * gamma, error, cross_draw))
    return np.stack([*vv, *vh])

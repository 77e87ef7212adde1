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
from landslide.geo.grid import Grid
from landslide.geo.relief import Float, aspect_degrees, gradient, slope_degrees
from landslide.radar.geometry import RadarGeometry, distortion, local_incidence, projected_area
from landslide.simulate.backscatter import Radar, RadarGrid, speckle
from landslide.simulate.hills import hills
from landslide.simulate.inputs import SPACING, read_dem, read_landslides
from landslide.simulate.landcover import land_cover
from landslide.simulate.options import (
    DEMO_SIZE,
    Options,
    Terrain,
    check_options,
    check_polarisations,
    default_options,
)
from landslide.simulate.scattering import (
    CrossRatio,
    Ground,
    Scars,
    Weather,
    draw_date_shifts,
    from_decibel,
)
from landslide.simulate.slides import coverage, draw_landslides, first_covering, map_inventory

HEADINGS = {"ascending": 348.0, "descending": 192.0}
"""Headings of Sentinel-1 over Hokkaido in degrees clockwise from north."""
DAYS = {"ascending": (5.74, 17.74, 29.74), "descending": (1.24, 13.24, 25.24)}
"""Acquisitions by day of September 2018 (JST), Table 2 of Nava et al. (2022)."""
EPICENTRE_UTM = (582_400.0, 4_727_000.0)
"""Epicentre of the Eastern Iburi earthquake in EPSG:32654, to 100 m."""
RANDOM_STREAMS = (
    *("terrain", "slides", "inventory", "cover", "ground", "ascending", "descending", "cross"),
    "dates",
)
"""Each draws from a stream of its own; a new one goes last, lest the others change."""

Progress = Callable[[str], None]


class SimulatedScene(NamedTuple):
    """A simulated scene in memory.

    Attributes:
        grid: Grid of all arrays.
        elevation: (H, W) in metres.
        backscatter: (3, H, W) gamma nought, linear power, by orbit; NaN where invalid; with
            VH (6, H, W), its three dates after VV's.
        slope: (H, W) in degrees; NaN where invalid.
        mask: (H, W) uint8 inventory: 0, 1, 255 unknown.
        slid_share: (H, W) share of the pixel that slid.
        inventory: Polygons with ``area_m2``.
        aspect: (H, W) in degrees clockwise from north, 0 on flat ground; NaN where invalid.
        layover_shadow: (H, W) by orbit: 0 clear, 1 layover, 2 shadow, 3 both; NaN where invalid.
        date_shifts: (3, 2) by orbit: dB by which each date moves all the ground in VV and in VH.
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
        size: (rows, cols) at 10 m, each at least 64; None only with ``dem``, for its extent.
        seed: Every seed is another scene; the same one gives the same bytes.
        dem: Real DEM to use instead of simulated terrain.
        landslides: Real mask or polygons to use instead of simulated landslides.
        options: Physical parameters; those of ``conf/simulate.yaml`` by default.
        progress: Called with the name of each stage as it starts.
        polarisations: ``vv``, or ``vv`` and ``vh``; VV is the same with VH as without.

    Raises:
        InputError: An option out of range, or an input that cannot be used.
    """
    options = options or default_options()
    check_options(size, seed, dem, landslides, options)
    check_polarisations(polarisations)
    shape = None if size is None else (int(size[0]), int(size[1]))
    draws = dict(
        zip(RANDOM_STREAMS, np.random.default_rng(seed).spawn(len(RANDOM_STREAMS)), strict=True)
    )
    progress("terrain")
    elevation, valid, grid = _terrain(shape, dem, options.terrain, draws["terrain"])
    progress("landslides")
    truth, inventory, known = _landslides(elevation, valid, grid, landslides, options, draws)
    slope = slope_degrees(elevation, SPACING)
    scars = _scars(truth, slope, grid)
    progress("land cover")
    cover = land_cover(elevation, SPACING, options.changes, draws["cover"])
    ground = Ground(cover, scars, options.scattering, options.changes, SPACING, draws["ground"])
    lasting, *speckles = draws["cross"].spawn(1 + len(HEADINGS))
    cross = ground.cross_ratio(lasting) if "vh" in polarisations else None
    backscatter, layover_shadow, date_shifts = {}, {}, {}
    for name, speckled in zip(HEADINGS, speckles, strict=True):
        progress(name)
        orbit = RadarGeometry(HEADINGS[name], options.radar.incidence)
        places = distortion(elevation, SPACING, orbit)
        imager = RadarImager(elevation, places.shadow, orbit, options.radar)
        date_shifts[name] = draw_date_shifts(
            options.changes.whole_date, len(DAYS[name]), draws["dates"]
        )
        gains = from_decibel(date_shifts[name])
        states, images = _acquire(ground, imager, DAYS[name], gains[:, 0], draws[name])
        if cross is not None:
            crossed = _acquire_cross(ground, imager, states, cross, gains[:, 1], speckled)
            images = np.concatenate([images, crossed])
        backscatter[name] = np.where(valid, images, np.float32(np.nan))
        layover_shadow[name] = np.where(valid, places.layover + 2 * places.shadow, np.nan).astype(
            np.float32
        )
    mask = (first_covering(inventory, grid) > 0).astype(np.uint8)
    mask[~(valid & known)] = 255
    slope, aspect = (
        np.where(valid, band, np.float32(np.nan))
        for band in (slope, aspect_degrees(*gradient(elevation, SPACING)))
    )
    return SimulatedScene(
        grid,
        elevation,
        backscatter,
        slope,
        mask,
        scars.share,
        inventory,
        aspect,
        layover_shadow,
        date_shifts,
    )


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


class RadarImager:
    """An orbit's view of a scene: from brightness of the ground to an image with speckle.

    Args:
        elevation: (H, W) in metres, without NaN.
        shadow: (H, W) where the radar does not see.
        orbit: Geometry.
        radar: What governs the images.
    """

    def __init__(
        self, elevation: Float, shadow: NDArray[np.bool_], orbit: RadarGeometry, radar: Radar
    ) -> None:
        self.radar = radar
        self.geometry = RadarGrid(elevation, SPACING, orbit)
        self.incidence = local_incidence(elevation, SPACING, orbit)
        area = projected_area(elevation, SPACING, orbit)
        self.area = np.where(shadow, 0, area).astype(np.float32)
        self.noise = from_decibel(radar.noise - 10 * np.log10(np.cos(np.radians(orbit.incidence))))

    def image(
        self, gamma: Float, rng: np.random.Generator, error: NDArray[np.float64] | None = None
    ) -> tuple[Float, NDArray[np.float64]]:
        """One image (H, W) of gamma nought on the ellipsoid, and how far it is off in pixels.

        Args:
            gamma: (H, W) gamma nought of the ground.
            rng: Source of randomness.
            error: Where the image is off as another one is; drawn if None.
        """
        power = self.geometry.image(self.area * gamma)
        if error is None:
            error = rng.normal(0, self.radar.geolocation / SPACING, 2)
        speckled = speckle(power + self.noise, self.radar, SPACING, rng)
        return self.geometry.geocode(speckled, error), error


def _acquire(
    ground: Ground,
    view: RadarImager,
    days: Sequence[float],
    gains: Float,
    rng: np.random.Generator,
) -> tuple[list[tuple[Weather, NDArray[np.float64]]], Float]:
    """Weather and geolocation error of the three dates of an orbit; (3, H, W) images in VV."""
    states, images = [], []
    for day, gain, draw in zip(days, gains, rng.spawn(3), strict=True):
        weather = ground.weather(day, draw)
        image, error = view.image(gain * ground.gamma(weather, view.incidence), draw)
        states.append((weather, error))
        images.append(image)
    return states, np.stack(images)


def _acquire_cross(
    ground: Ground,
    view: RadarImager,
    states: Sequence[tuple[Weather, NDArray[np.float64]]],
    cross: CrossRatio,
    gains: Float,
    rng: np.random.Generator,
) -> Float:
    """The same acquisitions in VH (3, H, W): same ground and place, speckle of its own.

    The two polarisations' speckle is independent: over ground that is symmetric to the
    plane of incidence their amplitudes do not correlate (Nghiem et al. 1992).
    """
    return np.stack(
        [
            view.image(gain * ground.gamma(weather, view.incidence, cross), draw, error)[0]
            for (weather, error), gain, draw in zip(states, gains, rng.spawn(3), strict=True)
        ]
    )

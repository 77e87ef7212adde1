"""A simulated scene: two orbits, three dates each, landslides and their inventory."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from scipy import ndimage

from landslide import __version__
from landslide.errors import InputError
from landslide.rasters import Grid, write_raster
from landslide.simulate.backscatter import Radar, RadarGrid, speckle
from landslide.simulate.inputs import SPACING, read_dem, read_landslides
from landslide.simulate.landcover import Changes, land_cover
from landslide.simulate.noise import Float
from landslide.simulate.radar import Orbit, distortion, local_incidence, projected_area
from landslide.simulate.scattering import Ground, Scars, Scattering, from_decibel
from landslide.simulate.slides import (
    Slides,
    coverage,
    draw_landslides,
    first_covering,
    map_inventory,
)
from landslide.simulate.terrain import hills, slope_degrees

BANDS = ("vv_pre", "vv_post1", "vv_post2", "slope")
HEADINGS = {"ascending": 348.0, "descending": 192.0}
DAYS = {"ascending": (5.74, 17.74, 29.74), "descending": (1.24, 13.24, 25.24)}
"""Acquisitions by day of September 2018 (JST), Table 2 of Nava et al. (2022)."""
EPICENTRE = (42.6908, 142.0067)
"""Latitude and longitude of the Eastern Iburi earthquake's epicentre."""
EPICENTRE_UTM = (582_400.0, 4_727_000.0)
"""The same in EPSG:32654, to 100 m."""
SMALLEST = 64
STAGES = ("terrain", "slides", "inventory", "cover", "ground", "ascending", "descending")

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Terrain:
    """What governs simulated terrain (a given DEM replaces it).

    Attributes:
        mean_slope: Mean slope of the scene in degrees, (0, 40).
        valley_share: Share of the scene under valley floors, [0, 0.9].
    """

    mean_slope: float = 14.5
    valley_share: float = 0.27


@dataclass(frozen=True)
class Options:
    """Everything physical that can be turned; see each class for units."""

    terrain: Terrain = field(default_factory=Terrain)
    slides: Slides = field(default_factory=Slides)
    changes: Changes = field(default_factory=Changes)
    scattering: Scattering = field(default_factory=Scattering)
    radar: Radar = field(default_factory=Radar)


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
    size: tuple[int, int] | None = (1024, 1536),
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
    check(size, dem, landslides, options)
    draws = dict(zip(STAGES, np.random.default_rng(seed).spawn(len(STAGES)), strict=True))
    progress("terrain")
    elevation, valid, grid = _terrain(size, dem, options.terrain, draws["terrain"])
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


def check(
    size: tuple[int, int] | None,
    dem: Path | str | None,
    landslides: Path | str | None,
    options: Options,
) -> None:
    """Refuse what cannot be simulated.

    Raises:
        InputError: Names the key, what is wrong and what to do.
    """
    if size is None and dem is None:
        raise InputError("size is missing; give size=[rows,cols] at 10 m, or a DEM with dem=.")
    if size is not None and (len(size) != 2 or min(size) < SMALLEST):
        raise InputError(
            f"size={list(size)} is not usable; give [rows,cols], each at least {SMALLEST}."
        )
    if landslides is not None and dem is None:
        raise InputError("landslides= needs the terrain they happened on; add dem=.")
    s, c, r = options.slides, options.changes, options.radar
    for key, value, low, high in (
        ("terrain.mean_slope", options.terrain.mean_slope, 1, 35),
        ("terrain.valley_share", options.terrain.valley_share, 0, 0.9),
        ("slides.share", s.share, 0.001, 0.3),
        ("slides.mean_area", s.mean_area, 500, 100_000),
        ("slides.slope", s.slope, 5, 60),
        ("slides.slope_spread", s.slope_spread, 1, 30),
        ("slides.aspect_preference", s.aspect_preference, 0, 1),
        ("slides.minimum_area", s.minimum_area, 0, s.mean_area),
        ("slides.boundary_error", s.boundary_error, 0, 50),
        ("slides.missed", s.missed, 0, 0.9),
        ("changes.forest", c.forest, 0, 10),
        ("changes.farmland", c.farmland, 0, 10),
        ("changes.moisture", c.moisture, 0, 10),
        ("changes.harvested", c.harvested, 0, 1),
        ("changes.flooded", c.flooded, 0, 1),
        ("changes.felled", c.felled, 0, 0.3),
        ("scattering.trees", options.scattering.trees, 0, 0.95),
        ("radar.incidence", r.incidence, 15, 60),
        ("radar.looks", r.looks, 1, 100),
        ("radar.resolution", r.resolution, 5, 80),
        ("radar.geolocation", r.geolocation, 0, 50),
    ):
        if not low <= value <= high:
            raise InputError(
                f"{key}={value:g} is out of range; choose between {low:g} and {high:g}."
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
    inventory = map_inventory(truth, options.slides, draws["inventory"])
    return truth, inventory.clip(grid.bounds).reset_index(drop=True), np.ones_like(valid)


def _scars(truth: gpd.GeoDataFrame, slope: Float, grid: Grid) -> Scars:
    """Raster truth; debris comes to rest where the slope is below about 15 degrees."""
    debris = 1 / (1 + np.exp((ndimage.gaussian_filter(slope, 1) - 15) / 2))
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


def simulate_scene(
    root: Path | str,
    *,
    size: Sequence[int] | None = (1024, 1536),
    seed: int = 0,
    dem: Path | str | None = None,
    landslides: Path | str | None = None,
    overwrite: bool = False,
    options: Options | None = None,
    progress: Progress = lambda stage: None,
) -> Scene:
    """Simulate a scene and write its folder, whole or not at all.

    Args:
        root: Folder to write; ``ascending.tif``, ``descending.tif`` (VV gamma nought in
            linear power and slope in degrees, nodata NaN), ``landslides.tif`` (0, 1, 255),
            ``landslides.gpkg``, ``scene.json`` and ``figures/scene.png``.
        size: As in ``simulate``.
        seed: As in ``simulate``.
        dem: As in ``simulate``.
        landslides: As in ``simulate``.
        overwrite: Replace a scene that is there.
        options: As in ``simulate``.
        progress: As in ``simulate``.

    Returns:
        The scene in memory.

    Raises:
        InputError: ``root`` is taken, or as in ``simulate``.
    """
    root, options = Path(root), options or Options()
    if root.exists() and not (overwrite and _replaceable(root)):
        raise InputError(_taken(root))
    shape = None if size is None else (int(size[0]), int(size[1])) if len(size) == 2 else (0, 0)
    scene = simulate(shape, seed, dem, landslides, options, progress)
    made = {
        "seed": seed,
        "size": [scene.grid.height, scene.grid.width],
        "dem": None if dem is None else Path(dem).name,
        "landslides": None if landslides is None else Path(landslides).name,
        **asdict(options),
    }
    progress("writing")
    with _folder(root) as folder:
        write_scene(folder, scene, made)
    return scene


def _replaceable(root: Path) -> bool:
    return (root / "scene.json").exists() or (root.is_dir() and not any(root.iterdir()))


def _taken(root: Path) -> str:
    if (root / "scene.json").exists():
        return f"{root} already holds a scene; choose another root or add overwrite=true."
    return f"{root} already exists and is not a scene; choose another root."


@contextmanager
def _folder(root: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``root`` that takes its place when all went well."""
    root.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".part-", dir=root.parent))
    try:
        yield folder
        folder.chmod(0o755)
        if root.exists():
            shutil.rmtree(root)
        folder.replace(root)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_scene(folder: Path, scene: Scene, made: Mapping[str, Any]) -> None:
    """Write the files of a scene into an existing folder."""
    from landslide.simulate.overview import draw_overview

    tags = {"simulated": "true", "seed": str(made["seed"]), "version": __version__}
    for name, images in scene.backscatter.items():
        stack = np.concatenate([images, scene.slope[None]])
        units = "vv: gamma nought on the ellipsoid, linear power; slope: degrees"
        write_raster(
            folder / f"{name}.tif", stack, scene.grid, BANDS, float("nan"), units=units, **tags
        )
    write_raster(folder / "landslides.tif", scene.mask, scene.grid, ["landslides"], 255, **tags)
    inventory = scene.inventory.assign(simulated=True)
    inventory.to_file(folder / "landslides.gpkg", layer="simulated_landslides", driver="GPKG")
    text = json.dumps(describe(scene, made), indent=2, allow_nan=False)
    (folder / "scene.json").write_text(text + "\n", encoding="utf-8")
    draw_overview(scene, folder / "figures" / "scene.png")


def describe(scene: Scene, made: Mapping[str, Any]) -> dict[str, Any]:
    """What ``scene.json`` says."""
    dates = {
        name: {band: f"2018-09-{int(day):02d}" for band, day in zip(BANDS[:3], days, strict=True)}
        for name, days in DAYS.items()
    }
    return {
        "simulated": True,
        "event": {
            "name": "Simulated earthquake after the Hokkaido Eastern Iburi earthquake of 2018",
            "time": "2018-09-06T03:07:00+09:00",
            "epicentre": {"latitude": EPICENTRE[0], "longitude": EPICENTRE[1]},
        },
        "dates": dates,
        "geometry": {
            name: {
                "heading": heading,
                "incidence": made["radar"]["incidence"],
                "shadow_share": round(scene.shadow[name], 6),
                "layover_share": round(scene.layover[name], 6),
            }
            for name, heading in HEADINGS.items()
        },
        "units": {
            "vv": "gamma nought on the ellipsoid, not flattened for terrain, linear power",
            "slope": "degrees, Horn's method at 10 m on a DEM resampled by cubic convolution",
        },
        "sources": {
            "dem": made["dem"] or "simulated",
            "landslides": made["landslides"] or "simulated",
            "backscatter": "simulated",
        },
        "landslides": len(scene.inventory),
        "made_by": {"program": "landslide.simulate", "version": __version__},
        "options": dict(made),
    }

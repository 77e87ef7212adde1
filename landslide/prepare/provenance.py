"""What a scene documents about itself: notes for its user, ``scene.json``, tags."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyproj
import rasterio
import shapely
from omegaconf import DictConfig

import landslide
from landslide.geo.files import checksum
from landslide.geo.grid import Grid
from landslide.geo.metadata import is_simulated
from landslide.geo.vectors import find_vector
from landslide.prepare.area import grid_center
from landslide.prepare.calibration import CalibratedBands, KnownBy
from landslide.prepare.inventory_mask import InventoryMask
from landslide.prepare.layers import Layer
from landslide.prepare.options import options_of_scene
from landslide.prepare.orbit import known_tracks
from landslide.prepare.quality import Histogram
from landslide.prepare.sources import Acquisition, Event, Pass, Sources
from landslide.prepare.stack import Stack
from landslide.prepare.stack_report import describe_stacks, stack_notes
from landslide.prepare.terrain import Terrain, dem_notes

NO_TERRAIN = (
    "without a DEM slope, aspect, local_incidence_angle and layover_shadow are left out: networks "
    "and detectors that use them cannot map this scene"
)


@dataclass(frozen=True)
class SceneInputs:
    """What a scene is made of, checked.

    ``dem_coverage`` is the share of the scene that the DEM's files cover, 0 without one.
    """

    event: Event
    sources: Sources
    calibrations: Mapping[Pass, CalibratedBands]
    grid: Grid
    dem_coverage: float
    inventory: InventoryMask | None
    warnings: list[str]
    layers: Sequence[Layer] = ()


@dataclass(frozen=True)
class SceneRecord:
    """What was found while a scene was written.

    ``mask_pixels`` counts mask pixels that are 0, 1 and 255; it is empty without an inventory.
    ``stacks`` holds the orbits of which all dates were written; ``terrain`` is None without a DEM.
    """

    inputs: SceneInputs
    terrain: Terrain | None
    bands: Mapping[Pass, Mapping[str, Histogram]]
    mask_pixels: Mapping[int, int]
    stacks: Mapping[Pass, Stack] = field(default_factory=dict)

    @property
    def valid_slope(self) -> float:
        """Share of pixels with a valid slope."""
        return next(iter(self.bands.values()))["slope"].valid_share


def collect_notes(scene: SceneRecord) -> list[str]:
    """Notes on the decisions that were made for the user."""
    sources, inventory, terrain = scene.inputs.sources, scene.inputs.inventory, scene.terrain
    notes = [*sources.notes, *(inventory.notes if inventory else ())]
    notes += dem_notes(sources.dem) if sources.dem else [NO_TERRAIN]
    for name, dates in sources.orbits.items():
        notes += [f"{name}: {date}: {note}" for date, a in dates.items() for note in a.notes]
        notes += _geometry_notes(name, dates, terrain) if terrain else []
        notes += _track_notes(name, dates)
    for name, stack in scene.stacks.items():
        notes += stack_notes(name, stack)
    for name, calibrated in scene.inputs.calibrations.items():
        for band, images in calibrated.items():
            zeros = max((c.zeros for _, c in images if c.zero_is_fill), default=0.0)
            if zeros:
                notes.append(
                    f"{name}: {band} has zeros that are not declared nodata "
                    f"({100 * zeros:.1f} %); they are taken for no measurement"
                )
    return notes + (_terrain_notes(scene, terrain) if terrain else [])


def _terrain_notes(scene: SceneRecord, terrain: Terrain) -> list[str]:
    """What the DEM leaves open."""
    notes = []
    if (share := scene.inputs.dem_coverage) < 0.99:
        notes.append(f"the DEM covers {100 * share:.1f} % of the area; the rest is invalid")
    if terrain.filled:
        notes.append(f"voids of the DEM were filled: {100 * terrain.filled:.2f} % of its cells")
    if (valid := scene.valid_slope) < 1:
        notes.append(
            f"slope is invalid at voids and edges of the DEM: {100 * (1 - valid):.2f} % of the area"
        )
    return notes


def _geometry_notes(
    name: Pass, dates: Mapping[str, Acquisition], terrain: Terrain
) -> Iterator[str]:
    """How the geometry of an orbit is known."""
    tracks = known_tracks(dates)
    if name not in terrain.orbits:
        yield (
            f"{name}: neither the incidence angle nor a track that sees the area is known, so "
            "local_incidence_angle and layover_shadow are left out: give "
            f"sar.relative_orbit.{name}=, or sar.incidence.{name}=, degrees at the middle"
        )
    elif all(a.incidence is None for a in dates.values()):
        yield (
            f"{name}: the incidence angle ({terrain.orbits[name].incidence:.1f} degrees at the "
            f"middle) follows from track {' and '.join(map(str, tracks))}"
        )
    elif not tracks and all(a.heading is None for a in dates.values()):
        yield f"{name}: the heading is that of Sentinel-1's orbit at this latitude"


def _track_notes(name: Pass, dates: Mapping[str, Acquisition]) -> Iterator[str]:
    """Dates of which the track is not known."""
    unknown = [
        date + (f" ({a.platform})" if a.platform else "")
        for date, a in dates.items()
        if a.relative_orbit is None
    ]
    if unknown:
        yield (
            f"{name}: the track of {', '.join(unknown)} is not known, so whether all dates are of "
            f"one track was not checked: check it, and give sar.relative_orbit.{name}="
        )


def scene_metadata(scene: SceneRecord, config: DictConfig) -> dict[str, Any]:
    """Content of ``scene.json``: everything that the scene depends on, and no time of day."""
    event, sources, grid = scene.inputs.event, scene.inputs.sources, scene.inputs.grid
    orbits, calibrations = sources.orbits, scene.inputs.calibrations
    layers = scene.inputs.layers
    longitude, latitude = grid_center(grid)
    return {
        "simulated": any(is_simulated(t.path) for _, _, a in sources.images() for t in a.files),
        "event": {"name": event.name, "time": _format_time(event)},
        "dates": {name: _days(dates, scene.bands[name]) for name, dates in orbits.items()},
        "grid": {
            "crs": str(grid.crs),
            "transform": list(grid.transform)[:6],
            "size": [grid.height, grid.width],
            "middle": {"latitude": round(latitude, 5), "longitude": round(longitude, 5)},
        },
        "geometry": {n: _geometry(scene.terrain, n, scene.bands[n]) for n in orbits},
        "units": {
            "backscatter": "linear power",
            "slope": "degrees, Horn's method at the DEM's resolution in metres",
            "aspect": "degrees clockwise from true north, 0 on flat ground",
            "local_incidence_angle": "degrees",
            "layover_shadow": "0 clear, 1 layover, 2 shadow, 3 both",
            **{layer.name: layer.units for layer in layers if layer.units},
        },
        "images": {n: _images(dates, calibrations[n]) for n, dates in orbits.items()},
        "dem": sources.dem and {"provider": sources.dem.provider, "items": list(sources.dem.items)},
        **({"layers": {layer.name: layer.describe() for layer in layers}} if layers else {}),
        "landslides": _landslides(scene),
        "bands": {
            name: {band: histogram.summary() for band, histogram in bands.items()}
            for name, bands in scene.bands.items()
        },
        **describe_stacks(scene.stacks),
        "inputs": {
            what: [{"file": str(path), "sha256": checksum(path)} for path in paths]
            for what, paths in _input_files(scene.inputs, config).items()
        },
        "made_by": {
            "program": "landslide.prepare",
            "version": landslide.__version__,
            "gdal": rasterio.__gdal_version__,
            "proj": pyproj.proj_version_str,
            "numpy": np.__version__,
            "rasterio": rasterio.__version__,
            "shapely": shapely.__version__,
        },
        "options": options_of_scene(config),
    }


def raster_tags(info: Mapping[str, Any], stem: str) -> dict[str, str]:
    """Tags of one of the scene's rasters."""
    return {
        "SIMULATED": "yes" if info["simulated"] else "no",
        "SOFTWARE": f"landslide-sar {landslide.__version__}",
        "EVENT": f"{info['event']['name']}, {info['event']['time']}",
        "DATES": ", ".join(f"{b} {day}" for b, day in info["dates"].get(stem, {}).items()),
    }


def _format_time(what: Event | Acquisition) -> str | None:
    if what.time is None:
        return None
    return what.time.strftime("%Y-%m-%dT%H:%M:%SZ" if what.exact else "%Y-%m-%d")


def _days(dates: Mapping[str, Acquisition], bands: Mapping[str, Histogram]) -> dict[str, str]:
    """Day of each backscatter band, where it is known."""
    days = {date: f"{a.time:%Y-%m-%d}" for date, a in dates.items() if a.time}
    return {band: days[date] for band in bands if (date := band.rpartition("_")[2]) in days}


def _geometry(terrain: Terrain | None, name: Pass, bands: Mapping[str, Histogram]) -> Any:  # noqa: ANN401
    """Look of an orbit relative to true north; None if it is not known."""
    if terrain is None or (orbit := terrain.orbits.get(name)) is None:
        return None
    codes = bands["layover_shadow"]
    return {
        "incidence": round(orbit.incidence, 3),
        "look": round((orbit.look_azimuth + terrain.convergence) % 360, 3),
        "layover_or_shadow_share": round(1 - codes.counts[0] / max(codes.valid, 1), 6),
    }


def _images(dates: Mapping[str, Acquisition], calibrated: CalibratedBands) -> dict[str, Any]:
    """Description of the images of an orbit, by date."""
    units: dict[str, dict[str, Any]] = {date: {} for date in dates}
    for band, images in calibrated.items():
        polarisation, _, date = band.rpartition("_")
        weakest = max((c.known_by for _, c in images), key=get_args(KnownBy).index)
        units[date][polarisation] = {"units": images[0][1].units, "known_by": weakest}
    return {
        date: {
            "time": _format_time(image),
            "relative_orbit": image.relative_orbit,
            "direction": image.direction,
            "platform": image.platform,
            "product": image.product,
            "provider": image.provider,
            "items": list(image.items),
            "units": units[date],
        }
        for date, image in dates.items()
    }


def _landslides(scene: SceneRecord) -> dict[str, Any] | None:
    inventory, grid = scene.inputs.inventory, scene.inputs.grid
    if inventory is None:
        return None
    pixels, outlines = scene.mask_pixels[1], inventory.outlines
    known = scene.mask_pixels[0] + pixels
    found: dict[str, Any] = {
        "pixels": pixels,
        "known_pixels": known,
        "share": round(pixels / known, 6),
        "pixel_area_m2": pixels * grid.pixel_area,
    }
    if outlines is not None:
        # Overlaps are counted once.
        within = shapely.union_all(outlines.geometry.clip(shapely.box(*grid.bounds)))
        found |= {"polygons": len(outlines), "polygon_area_m2": round(float(within.area), 1)}
    return found


def _input_files(inputs: SceneInputs, options: DictConfig) -> dict[str, list[Path]]:
    """All files that a scene depends on, by what they are."""
    sources = inputs.sources
    files = {
        f"{orbit} {date}": [tile.path for tile in acquisition.files]
        for orbit, date, acquisition in sources.images()
    }
    if sources.dem:
        files["dem"] = list(dict.fromkeys(tile.path for tile in sources.dem.tiles))
    files |= {f"layer {layer.name}": [t.path for t in layer.tiles] for layer in inputs.layers}
    vectors = {
        "inventory": options.inventory.file,
        "mapped_area": options.inventory.mapped_area,
        "aoi": options.aoi if isinstance(options.aoi, str) else None,
    }
    for what, path in vectors.items():
        if path is not None:
            # A geodatabase is a folder of files.
            found = find_vector(Path(path), "the scene").path
            files[what] = sorted(file for file in (found, *found.rglob("*")) if file.is_file())
    if options.grid.like is not None:
        files["grid.like"] = [Path(options.grid.like)]
    return files

"""What a scene tells of itself: notes for its user, ``scene.json``, tags."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import pyproj
import rasterio
import shapely
from omegaconf import DictConfig, OmegaConf

import landslide
from landslide.geo.files import checksum
from landslide.geo.grid import Grid
from landslide.geo.metadata import is_simulated
from landslide.geo.vectors import locate
from landslide.prepare.area import middle
from landslide.prepare.calibration import Calibrated, Calibration, KnownBy
from landslide.prepare.composite import Written
from landslide.prepare.ground_truth import Truth, mapped_area_m2
from landslide.prepare.orbit import tracks_of
from landslide.prepare.quality import Histogram
from landslide.prepare.sources import Acquisition, Event, Pass, Sources, Tile
from landslide.prepare.terrain import Terrain, dem_notes


def notes_of(
    sources: Sources, terrain: Terrain, truth: Truth | None, cover: float, written: Written
) -> list[str]:
    """What was decided for the user."""
    notes = [*sources.notes, *(truth.notes if truth else ()), *dem_notes(sources.dem)]
    for name, dates in sources.orbits.items():
        notes += [f"{name}: {date}: {note}" for date, a in dates.items() for note in a.notes]
        notes += _geometry_notes(name, dates, terrain)
    for name, calibrated in written.calibrations.items():
        for band, images in calibrated.items():
            zeros = max((c.zeros for _, c in images if c.zero_is_fill), default=0.0)
            if zeros:
                notes.append(
                    f"{name}: {band} has zeros that are not declared nodata "
                    f"({100 * zeros:.1f} %); they are taken for no measurement"
                )
    if cover < 0.99:
        notes.append(f"the DEM covers {100 * cover:.1f} % of the area; the rest is invalid")
    if terrain.filled:
        notes.append(f"voids of the DEM were filled: {100 * terrain.filled:.2f} % of its cells")
    slope = next(iter(written.bands.values()))["slope"].valid_share
    if slope < 1:
        notes.append(
            f"slope is invalid at voids and edges of the DEM: {100 * (1 - slope):.2f} % of the area"
        )
    return notes


def _geometry_notes(
    name: Pass, dates: Mapping[str, Acquisition], terrain: Terrain
) -> Iterator[str]:
    """How the geometry of an orbit is known."""
    tracks = tracks_of(dates)
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
    unknown = [
        date + (f" ({a.platform})" if a.platform else "")
        for date, a in dates.items()
        if a.relative_orbit is None
    ]
    if unknown:
        yield (
            f"{name}: the track of {', '.join(unknown)} is not known, so that nobody can tell "
            f"whether all dates are of one: see to it, and give sar.relative_orbit.{name}="
        )


def describe(
    config: DictConfig,
    event: Event,
    sources: Sources,
    terrain: Terrain,
    truth: Truth | None,
    written: Written,
    grid: Grid,
) -> dict[str, Any]:
    """What ``scene.json`` says: everything that the scene depends on, and no time of day."""
    moment = event.time.strftime("%Y-%m-%dT%H:%M:%SZ" if event.exact else "%Y-%m-%d")
    longitude, latitude = middle(grid)
    inputs = _inputs_of(sources, config)
    return {
        "simulated": _any_simulated(sources),
        "event": {"name": event.name, "time": moment},
        "dates": {n: _days(sources, n, list(written.bands[n])) for n in sources.orbits},
        "grid": {
            "crs": str(grid.crs),
            "transform": list(grid.transform)[:6],
            "size": [grid.height, grid.width],
            "middle": {"latitude": round(latitude, 5), "longitude": round(longitude, 5)},
        },
        "geometry": {n: _describe_geometry(terrain, n, written.bands[n]) for n in sources.orbits},
        "units": {
            "backscatter": "linear power",
            "slope": "degrees, Horn's method at the DEM's resolution in metres",
            "aspect": "degrees clockwise from true north, 0 on flat ground",
            "local_incidence_angle": "degrees",
            "layover_shadow": "0 clear, 1 layover, 2 shadow, 3 both",
        },
        "images": {
            n: _describe_orbit(d, written.calibrations[n]) for n, d in sources.orbits.items()
        },
        "dem": {"provider": sources.dem.provider, "items": list(sources.dem.items)},
        "landslides": _landslides(truth, written, grid),
        "bands": {
            n: {band: h.summary() for band, h in bands.items()}
            for n, bands in written.bands.items()
        },
        "inputs": {
            what: [{"file": str(path), "sha256": checksum(path)} for path in paths]
            for what, paths in inputs.items()
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
        "options": _plain(config),
    }


def _days(sources: Sources, name: Pass, bands: list[str]) -> dict[str, str]:
    """Day of each backscatter band, where it is known."""
    times = {date: a.time for date, a in sources.orbits[name].items()}
    parts = {band: band.rpartition("_")[2] for band in bands}
    return {band: f"{time:%Y-%m-%d}" for band, date in parts.items() if (time := times.get(date))}


def _landslides(truth: Truth | None, written: Written, grid: Grid) -> dict[str, Any] | None:
    if truth is None:
        return None
    pixels = written.pixels
    known = pixels[0] + pixels[1]
    found: dict[str, Any] = {
        "pixels": pixels[1],
        "known_pixels": known,
        "share": round(pixels[1] / known, 6),
        "pixel_area_m2": pixels[1] * grid.pixel_area,
    }
    if truth.outlines is not None:
        found["polygons"] = len(truth.outlines)
        found["polygon_area_m2"] = round(mapped_area_m2(truth.outlines, grid), 1)
    return found


def tags_of(info: Mapping[str, Any], stem: str) -> dict[str, str]:
    """Tags of one of the scene's rasters."""
    return {
        "SIMULATED": "yes" if info["simulated"] else "no",
        "SOFTWARE": f"landslide-sar {landslide.__version__}",
        "EVENT": f"{info['event']['name']}, {info['event']['time']}",
        "DATES": ", ".join(f"{b} {day}" for b, day in info["dates"].get(stem, {}).items()),
    }


def _inputs_of(sources: Sources, options: DictConfig) -> dict[str, list[Path]]:
    """All files that a scene depends on, by what they are."""
    files: dict[str, list[Path]] = {}
    for name, dates in sources.orbits.items():
        for date, acquisition in dates.items():
            tiles = [tile for tiles in acquisition.tiles.values() for tile in tiles]
            files[f"{name} {date}"] = _paths(tiles)
    files["dem"] = _paths(sources.dem.tiles)
    for key in ("file", "mapped_area"):
        if options.inventory[key] is not None:
            files["inventory" if key == "file" else key] = _vector(options.inventory[key])
    if isinstance(options.aoi, str):
        files["aoi"] = _vector(options.aoi)
    if options.grid.like is not None:
        files["grid.like"] = [Path(options.grid.like)]
    return files


def _vector(path: str) -> list[Path]:
    """The file of a vector layer, or the files of a geodatabase."""
    found = locate(Path(path), "the scene").path
    return sorted(file for file in (found, *found.rglob("*")) if file.is_file())


def _paths(tiles: list[Tile] | tuple[Tile, ...]) -> list[Path]:
    return list(dict.fromkeys(tile.path for tile in tiles))


def _any_simulated(sources: Sources) -> bool:
    """Whether any image's tags say that it is simulated."""
    return any(
        is_simulated(tile.path)
        for dates in sources.orbits.values()
        for acquisition in dates.values()
        for tiles in acquisition.tiles.values()
        for tile in tiles
    )


def _units(images: Sequence[tuple[Tile, Calibration]]) -> dict[str, str]:
    """Units of a band's tiles, and the weakest of what tells them."""
    weakest = max((c.known_by for _, c in images), key=get_args(KnownBy).index)
    return {"units": images[0][1].units, "known_by": weakest}


def _describe_orbit(dates: Mapping[str, Acquisition], found: Calibrated) -> Any:  # noqa: ANN401
    """What ``scene.json`` says of the images of an orbit."""
    return {
        date: {
            "time": _iso(acquisition),
            "relative_orbit": acquisition.relative_orbit,
            "direction": acquisition.direction,
            "platform": acquisition.platform,
            "product": acquisition.product,
            "provider": acquisition.provider,
            "items": list(acquisition.items),
            "units": {
                band.removesuffix(f"_{date}"): _units(images)
                for band, images in found.items()
                if band.endswith(f"_{date}")
            },
        }
        for date, acquisition in dates.items()
    }


def _iso(acquisition: Acquisition) -> str | None:
    if acquisition.time is None:
        return None
    if not acquisition.exact:
        return f"{acquisition.time:%Y-%m-%d}"
    return f"{acquisition.time:%Y-%m-%dT%H:%M:%SZ}"


def _describe_geometry(terrain: Terrain, name: Pass, shown: Mapping[str, Histogram]) -> Any:  # noqa: ANN401
    """What ``scene.json`` says of an orbit's look, relative to true north; None if not known."""
    orbit = terrain.orbits.get(name)
    if orbit is None:
        return None
    counts = shown["layover_shadow"]
    return {
        "incidence": round(orbit.incidence, 3),
        "look": round((orbit.look + terrain.convergence) % 360, 3),
        "layover_or_shadow_share": round(1 - counts.counts[0] / max(counts.valid, 1), 6),
    }


def _plain(config: DictConfig) -> dict[str, Any]:
    """Options as they go into ``scene.json``: where the scene is written is left out."""
    options = OmegaConf.to_container(config, resolve=True)
    kept = cast(dict[str, Any], options)
    return {k: v for k, v in kept.items() if k not in ("root", "overwrite", "plan", "cache")}

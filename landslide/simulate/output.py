"""A simulated scene on disk."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from landslide import __version__
from landslide.geo.folders import replacing_scene, require_free_folder
from landslide.geo.polygons import write_polygons
from landslide.geo.rasters import UNKNOWN, write_raster
from landslide.geo.relief import Float
from landslide.radar.geometry import RadarGeometry
from landslide.radar.stack import dates_path
from landslide.simulate.options import (
    DEMO_SIZE,
    PAPER_DATES,
    Dates,
    Options,
    default_options,
)
from landslide.simulate.preview import draw_overview
from landslide.simulate.simulation import (
    ACQUISITION_DAYS,
    FLIGHT_HEADINGS,
    Progress,
    SimulatedScene,
    simulate,
)
from landslide.simulate.stack_files import write_stack

DATE_NAMES = ("pre", "post1", "post2")
EPICENTRE = (42.6908, 142.0067)
"""Latitude and longitude of the Eastern Iburi earthquake's epicentre."""


def simulate_scene(
    root: Path | str,
    *,
    size: Sequence[int] | None = DEMO_SIZE,
    seed: int = 0,
    dem: Path | str | None = None,
    landslides: Path | str | None = None,
    overwrite: bool = False,
    options: Options | None = None,
    progress: Progress = lambda stage: None,
    polarisations: Sequence[str] = ("vv",),
    dates: Dates = PAPER_DATES,
) -> SimulatedScene:
    """Simulate a scene and write its folder, whole or not at all; see also ``simulate``.

    Args:
        root: Folder to write; ``ascending.tif``, ``descending.tif`` (VV gamma nought in
            linear power, slope and aspect in degrees, layover and shadow as in
            ``SimulatedScene.layover_shadow``, and VH if wanted, nodata NaN),
            ``landslides.tif`` (0, 1, 255), ``landslides.gpkg``, ``scene.json`` and
            ``figures/scene.png``; with more dates than the paper's also the bands of
            ``stack_bands`` and ``dates/``.
        size: As in ``simulate``.
        seed: As in ``simulate``.
        dem: As in ``simulate``.
        landslides: As in ``simulate``.
        overwrite: Replace a scene that is there.
        options: As in ``simulate``.
        progress: As in ``simulate``.
        polarisations: As in ``simulate``.
        dates: As in ``simulate``.

    Returns:
        The scene in memory.

    Raises:
        InputError: ``root`` is taken, or as in ``simulate``.
    """
    root, options = Path(root), options or default_options()
    require_free_folder(root, overwrite=overwrite)
    scene = simulate(size, seed, dem, landslides, options, progress, polarisations, dates)
    settings = {
        "seed": seed,
        "size": [scene.grid.height, scene.grid.width],
        "dem": None if dem is None else Path(dem).name,
        "landslides": None if landslides is None else Path(landslides).name,
        **asdict(options),
    }
    if "vh" in polarisations:
        settings["polarisations"] = list(polarisations)
    if dates != PAPER_DATES:
        settings["dates"] = dates._asdict()
    progress("writing")
    with replacing_scene(root) as folder:
        write_scene(folder, scene, settings, progress)
    return scene


def write_scene(
    folder: Path, scene: SimulatedScene, settings: Mapping[str, Any], progress: Progress
) -> None:
    """Write the files of a scene into an existing folder."""
    tags = {"simulated": "true", "seed": str(settings["seed"]), "version": __version__}
    stacks: dict[str, list[dict[str, Any]]] = {}
    for name in scene.backscatter:
        bands = orbit_bands(scene, name)
        if name in scene.stacks:
            progress(f"dates of {name}")
            path = dates_path(folder, name)
            written = write_stack(path, scene.stacks[name], scene.grid, tags)
            bands, stacks[name] = bands | written.bands, written.dates
        measured = "vv, vh" if "vh_pre" in bands else "vv"
        units = f"{measured}: gamma nought on the ellipsoid, linear power; slope, aspect: degrees"
        images, path = np.stack(list(bands.values())), folder / f"{name}.tif"
        write_raster(path, images, scene.grid, list(bands), float("nan"), units=units, **tags)
    write_raster(folder / "landslides.tif", scene.mask, scene.grid, ["landslides"], UNKNOWN, **tags)
    inventory = scene.inventory.assign(simulated=True)
    write_polygons(folder / "landslides.gpkg", inventory, "simulated_landslides")
    metadata = scene_metadata(scene, settings) | ({"stack": stacks} if stacks else {})
    text = json.dumps(metadata, indent=2, allow_nan=False)
    (folder / "scene.json").write_text(text + "\n", encoding="utf-8")
    draw_overview(scene, folder / "figures" / "scene.png")


def orbit_bands(scene: SimulatedScene, orbit: str) -> dict[str, Float]:
    """Images of an orbit by band, in the order of its file: VV, terrain, VH."""
    vv, vh = scene.backscatter[orbit][:3], scene.backscatter[orbit][3:]
    return {
        **{f"vv_{date}": image for date, image in zip(DATE_NAMES, vv, strict=True)},
        "slope": scene.slope,
        "aspect": scene.aspect,
        "layover_shadow": scene.layover_shadow[orbit],
        **{f"vh_{date}": image for date, image in zip(DATE_NAMES, vh, strict=False)},
    }


def scene_metadata(scene: SimulatedScene, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Content of ``scene.json``."""
    polarisations = settings.get("polarisations", ["vv"])
    bands = [f"{polarisation}_{date}" for polarisation in polarisations for date in DATE_NAMES]
    dates, shifts, geometry = {}, {}, {}
    for name, days in ACQUISITION_DAYS.items():
        days_of_bands = [f"2018-09-{int(day):02d}" for day in days] * len(polarisations)
        dates[name] = dict(zip(bands, days_of_bands, strict=True))
        by_band = zip(bands, scene.date_shifts[name].T.ravel(), strict=False)
        shifts[name] = {band: round(float(shift), 3) for band, shift in by_band}
        orbit = RadarGeometry(FLIGHT_HEADINGS[name], settings["radar"]["incidence"])
        hidden = scene.layover_shadow[name]
        geometry[name] = {
            "incidence": orbit.incidence,
            "look": orbit.look_azimuth,
            "layover_or_shadow_share": round(float((hidden[np.isfinite(hidden)] > 0).mean()), 6),
        }
    gamma = "gamma nought on the ellipsoid, not flattened for terrain, linear power"
    return {
        "simulated": True,
        "event": {
            "name": "Simulated earthquake after the Hokkaido Eastern Iburi earthquake of 2018",
            "time": "2018-09-06T03:07:00+09:00",
            "epicentre": {"latitude": EPICENTRE[0], "longitude": EPICENTRE[1]},
        },
        "dates": dates,
        "whole_dates_moved_db": shifts,
        "geometry": geometry,
        "units": {
            **dict.fromkeys(polarisations, gamma),
            "slope": "degrees, Horn's method at 10 m on a DEM resampled by cubic interpolation",
            "aspect": "degrees clockwise from grid north, 0 on flat ground",
            "layover_shadow": "0 clear, 1 layover, 2 shadow, 3 both",
        },
        "sources": {
            "dem": settings["dem"] or "simulated",
            "landslides": settings["landslides"] or "simulated",
            "backscatter": "simulated",
        },
        "landslides": len(scene.inventory),
        "made_by": {"program": "landslide.simulate", "version": __version__},
        "options": dict(settings),
    }

"""A scene of implants on disk, for a look, for other programs and for tests."""

from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from landslide import __version__
from landslide.data.implanted_scene import ImplantedScene
from landslide.errors import InputError
from landslide.geo.files import write_json
from landslide.geo.folders import SCENE_INFO, replacing_scene, require_free_folder
from landslide.geo.metadata import scene_info
from landslide.geo.polygons import outline_mask, write_polygons
from landslide.geo.rasters import UNKNOWN, write_raster
from landslide.implant.figure import draw_implants
from landslide.implant.past import DRAWN, Implants, position_after
from landslide.radar.bands import described_bands


class ImplantsWritten(NamedTuple):
    """What was written.

    Attributes:
        outlines: Number of outlines in the inventory; scars that touch are one.
        share: Share of the known pixels that are landslide.
        before: Dates that stand for those before the event.
        after: Dates that stand for those after it.
    """

    outlines: int
    share: float
    before: list[date]
    after: list[date]


def implant_scene(
    root: Path,
    output: Path,
    orbit: str,
    implants: Implants,
    *,
    seed: int = 0,
    scars: int | None = None,
    overwrite: bool = False,
) -> ImplantsWritten:
    """Implant landslides into the quiet past of a scene and write a scene folder.

    Args:
        root: Scene folder with its dates before the event.
        output: Folder to write, whole or not at all: ``<orbit>.tif`` with the bands of the scene
            that quiet dates can give, ``landslides.tif``, ``landslides.gpkg``, ``scene.json`` and
            ``figures/implants.png``.
        orbit: ``ascending`` or ``descending``.
        implants: What is implanted.
        seed: Seed of dates and landslides.
        scars: Number of landslides that are started; None for as many as in training.
        overwrite: Replace a scene that is there.

    Raises:
        InputError: ``output`` is taken, or the scene has no quiet past (see ``ImplantedScene``).
    """
    require_free_folder(output, overwrite=overwrite)
    bands = _bands(root / f"{orbit}.tif", implants.after)
    source = ImplantedScene(root, orbit, bands, implants, limit=2**31, balanced=False)
    grid, track = source.scene.grid, source.past.tracks[None]
    sample, choices = source.draw_with_dates(grid.full_window, [seed], "view", scars=scars)
    before, after = (
        [track.dates.days[number] for number in numbers] for numbers in choices[None][:2]
    )
    image, mask = sample["image"].numpy(), sample["mask"].numpy()
    with replacing_scene(output) as folder:
        tags = {"implanted": "true", "seed": str(seed), "version": __version__}
        write_raster(folder / f"{orbit}.tif", image, grid, bands, np.nan, **tags)
        write_raster(folder / "landslides.tif", mask, grid, ["landslides"], UNKNOWN, **tags)
        outlines, _ = outline_mask(folder / "landslides.tif", grid)
        write_polygons(folder / "landslides.gpkg", outlines.assign(implanted=True), "implants")
        facts = {"seed": seed, "dates_before": _texts(before), "dates_after": _texts(after)}
        facts |= asdict(implants)
        write_json(folder / SCENE_INFO, _metadata(root, orbit, facts))
        draw_implants(folder / "figures" / "implants.png", image, bands, mask, grid)
    known = int((mask != UNKNOWN).sum())
    return ImplantsWritten(len(outlines), float((mask == 1).sum() / max(known, 1)), before, after)


def _bands(composite: Path, after: int | None) -> list[str]:
    """Bands of a composite that quiet dates can give, or that are read as they are."""
    matches = {band: DRAWN.fullmatch(band) for band in described_bands(composite)}
    bands = [
        band
        for band, match in matches.items()
        if match is None or position_after(match) <= (after or position_after(match))
    ]
    if not any(matches[band] for band in bands):
        raise InputError(
            f"{composite} has no band such as vv_pre or vv_post_mean that quiet dates can give: "
            "prepare or simulate the scene anew"
        )
    return bands


def _metadata(root: Path, orbit: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Content of ``scene.json``: the scene's own, but for dates and event."""
    info = scene_info(root)
    kept = {key: info[key] for key in ("simulated", "geometry", "units", "sources") if key in info}
    return kept | {
        "implanted": True,
        "event": {"name": f"Implanted landslides in {root.name}", "time": facts["dates_after"][0]},
        "orbit": orbit,
        "implants": facts,
        "made_by": {"program": "landslide implant", "version": __version__},
    }


def _texts(days: list[date]) -> list[str]:
    return [day.isoformat() for day in days]

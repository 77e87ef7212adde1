"""One map: what its raster was made of and by, its threshold, and the text that accompanies it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from os.path import relpath
from pathlib import Path, PurePosixPath
from typing import Any, Self

import geopandas as gpd

import landslide
from landslide.data.scene import Scene
from landslide.geo.grid import Grid
from landslide.geo.states import State, file_state, raster_states
from landslide.prediction.inputs import SceneInput
from landslide.products.images import Image, dates_of, describe_images, list_images
from landslide.products.map import MapLabels, Shades
from landslide.products.threshold import NOT_CHOSEN, Threshold
from landslide.radar.balance import Levels, describe_level_changes, mean_levels
from landslide.radar.bands import ORBITS, naming_notes, source_bands
from landslide.radar.visibility import NODATA_ONLY
from landslide.training.member import Member

DERIVED = (".aux.xml", ".ovr")
"""Endings of what viewers write beside a raster."""


@dataclass(frozen=True)
class Record:
    """What a map's raster was made of and by.

    ``summary.json`` keeps it under these names. With it, the raster and the scene, every other
    product can be made again without the model.

    Attributes:
        scene: Path or URL of the scene's raster, without a signature.
        scene_files: State of each file of the scene, see ``scene_files``.
        simulated: Whether the scene is simulated.
        event: Name of the event.
        event_time: Its day or time (ISO 8601), where it is known.
        dates: ISO 8601 date of each radar image, where ``scene.json`` has it.
        images: The radar images as they were acquired.
        inventory: Ground truth, if there is any.
        inventory_file: State of its file; None where that is not known.
        not_observed_known_by: How the scene tells where the radar cannot see.
        measure: What is mapped: ``probability``, or ``score (dB)`` of a detector that was not
            fitted.
        model: Settings of the first model.
        models: Class of every member of an ensemble.
        bands: Input bands of the models.
        notes: Reasons why the model may not fit the scene, for readers of the map.
        levels_db: Mean brightness of whole dates.
    """

    scene: str
    scene_files: dict[str, State | None]
    simulated: bool
    event: str
    event_time: str | None
    dates: dict[str, str]
    images: list[Image]
    inventory: str | None
    inventory_file: State | None
    not_observed_known_by: str
    measure: str
    model: dict[str, Any]
    models: list[str]
    bands: list[str]
    notes: list[str]
    levels_db: dict[str, float]

    @classmethod
    def of(
        cls,
        members: Sequence[Member],
        source: SceneInput,
        levels: Levels,
        inventory: Path | None,
    ) -> Self:
        """Record of checkpoints and an opened scene.

        Args:
            members: The checkpoints or the detector; several are an ensemble.
            source: The scene, with its dates balanced where the checkpoints want it.
            levels: Measured brightness of whole dates.
            inventory: Ground truth, if there is any.
        """
        scene, info, first = source.scene, source.info, members[0]
        path = without_signature(str(scene.path))
        simulated = bool(info.get("simulated", False))
        event = info.get("event") or Path(path).stem
        name, time = (
            (event.get("name", ""), event.get("time"))
            if isinstance(event, Mapping)
            else (event, None)
        )
        measure = f"score ({first.unit})" if first.measure == "score" else first.measure
        return cls(
            scene=path,
            scene_files=scene_files(scene),
            simulated=simulated,
            event=str(name),
            event_time=time,
            dates=dates_of(first.bands, info, Path(path).stem),
            images=list_images(first.bands, info, Path(path).stem),
            inventory=without_signature(str(inventory)) if inventory else None,
            inventory_file=file_state(str(inventory)) if inventory else None,
            not_observed_known_by=scene.visibility.known_by,
            measure=measure,
            model=first.model_settings,
            models=[str(member.model_settings["_target_"]) for member in members],
            bands=list(first.bands),
            notes=_notes(members, scene, levels, measure, Path(path).stem, simulated=simulated),
            levels_db=mean_levels(levels),
        )

    @classmethod
    def read(cls, summary: Mapping[str, Any]) -> Self:
        """Read the record from the content of ``summary.json``.

        Raises:
            KeyError: An earlier version of the program made the map.
        """
        kept = {field.name: summary[field.name] for field in fields(cls)}
        kept["images"] = [Image(**image) for image in kept["images"]]
        own = _threshold_note(kept["measure"], Threshold.read(summary))
        kept["notes"] = [note for note in kept["notes"] if note != own]
        return cls(**kept)


def scene_files(scene: Scene) -> dict[str, State | None]:
    """State of each file that a scene's bands are read from; None where it cannot be told.

    Local files are named from the folder of the scene's raster, so that a scene may move.
    """
    folder = Path(scene.path).parent
    return {
        relpath(name, folder)
        if Path(name).exists()
        else PurePosixPath(without_signature(name)).name: state
        for name, state in raster_states(scene.files).items()
        if not name.endswith(DERIVED)
    }


def without_signature(path: str) -> str:
    """A path, or a URL without its query, which may be a signature."""
    return path.partition("?")[0] if "://" in path else path


def _notes(
    members: Sequence[Member],
    scene: Scene,
    levels: Levels,
    measure: str,
    mapped: str,
    *,
    simulated: bool,
) -> list[str]:
    """Reasons why the model may not fit the scene."""
    notes = []
    if measure != "probability":
        notes.append(f"the map is made of a {measure}, which ranks ground and is no probability")
    if any(member.implanted for member in members):
        notes.append("the model was trained on IMPLANTED landslides in quiet images")
    if any(member.simulated for member in members) and not simulated:
        notes.append("the model was trained on SIMULATED images and is unproven on real ones")
    if mapped in ORBITS and mapped != members[0].orbit:
        notes.append(f"the model was trained on {members[0].orbit} images, these are {mapped}")
    if changes := describe_level_changes(levels):
        answer = (
            "taken out before mapping"
            if scene.balance
            else "the model does not balance dates and may take that for landslides"
        )
        notes.append(f"whole images differ, {changes}: {answer}")
    if scene.visibility.known_by == NODATA_ONLY.known_by:
        notes.append("layover and shadow are not known, and are mapped like the rest")
    return notes + naming_notes(scene.bands)


def _threshold_note(measure: str, threshold: Threshold) -> str | None:
    """Where the threshold of a score comes from; that of a probability needs no note."""
    if measure == "probability":
        return None
    return f"threshold {threshold.value:.3g}: {threshold.origin}"


@dataclass(frozen=True)
class MappedScene:
    """A scene with the record of its map and the threshold.

    Attributes:
        scene: The scene.
        record: What the map's raster was made of and by.
        threshold: Value above which a pixel is landslide, once the scene is predicted.
    """

    scene: Scene
    record: Record
    threshold: Threshold = NOT_CHOSEN

    @property
    def grid(self) -> Grid:
        """Grid of the scene and of its map."""
        return self.scene.grid

    @property
    def notes(self) -> list[str]:
        """What readers of the map should know."""
        own = _threshold_note(self.record.measure, self.threshold)
        return self.record.notes + ([own] if own else [])

    def tags(self) -> dict[str, str]:
        """Metadata of the rasters: how they were made."""
        return {
            "SIMULATED": "yes" if self.record.simulated else "no",
            "SOFTWARE": f"landslide-sar {landslide.__version__}",
            "MODEL": ", ".join(self.record.models),
            "BANDS": ", ".join(self.record.bands),
            "SCENE": self.record.scene,
            "MEASURE": self.record.measure,
        }

    def threshold_tag(self) -> dict[str, str]:
        """Metadata of the rasters that depend on the threshold."""
        return {"THRESHOLD": f"{self.threshold.value:g}"}

    def labels(self) -> MapLabels:
        """Title and source line of the map."""
        record = self.record
        simulated = "SIMULATED data: " if record.simulated else ""
        images = [self._dated(band) for band in record.bands]
        day = (record.event_time or "")[:10]
        day = f", {day}" if day and day not in record.event else ""
        model, members = record.models[0].rsplit(".", 1)[-1], len(record.models)
        models = f"ensemble of {members} {model}" if members > 1 else model
        return MapLabels(
            title=f"Landslides mapped from radar\n{simulated}{record.event}{day}",
            images=describe_images(record.images),
            source=(
                f"{simulated}{Path(record.scene).stem}, {', '.join(images)}; {models}, "
                f"threshold {self.threshold.value:.3g}; landslide-sar {landslide.__version__}"
                + "".join(f". NOTE: {note}" for note in self.notes)
            ),
            dates=record.dates,
            shades=self._shades(),
        )

    def _shades(self) -> Shades:
        measure, value = self.record.measure, self.threshold.value
        if measure == "probability":
            return Shades(measure, least=0.1, low=0, high=1, threshold=value)
        return Shades(measure, least=value, low=value / 2, high=2 * value, threshold=value)

    def _dated(self, band: str) -> str:
        """A band with the date of its image, or the dates of a ratio's images."""
        dates = self.record.dates
        days = [dates[part] for part in source_bands(band) if part in dates]
        return f"{band} {'/'.join(days)}" if days else band

    def summary(self, polygons: gpd.GeoDataFrame, observed_pixels: int) -> dict[str, Any]:
        """The record with counts, areas and threshold of the map, for ``summary.json``.

        Args:
            polygons: The mapped landslides.
            observed_pixels: Number of observed pixels.
        """
        observed = observed_pixels * self.grid.pixel_area
        area = float(polygons.area_m2.sum())
        return {
            **asdict(self.record),
            "images": [image._asdict() for image in self.record.images],
            "landslides": len(polygons),
            "landslide_area_m2": area,
            "observed_area_m2": observed,
            "observed_share": observed_pixels / (self.grid.height * self.grid.width),
            "landslide_share": area / observed if observed else 0.0,
            "largest_m2": float(polygons.area_m2.max()) if len(polygons) else 0.0,
            **self.threshold.summary(),
            "members": len(self.record.models),
            "version": landslide.__version__,
            "notes": self.notes,
        }

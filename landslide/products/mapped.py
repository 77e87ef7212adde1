"""One map: its checkpoints, scene and threshold, and the text that accompanies it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import geopandas as gpd

import landslide
from landslide.data.scene import Scene
from landslide.geo.grid import Grid
from landslide.products.map import MapLabels, Shades
from landslide.products.threshold import NOT_CHOSEN, Threshold
from landslide.radar.balance import Levels, describe_level_changes, mean_levels
from landslide.radar.bands import (
    ORBITS,
    backscatter_bands,
    band_description,
    naming_notes,
    orbit_of,
    source_bands,
)
from landslide.radar.visibility import NODATA_ONLY
from landslide.training.member import Member


@dataclass(frozen=True)
class MappedScene:
    """A scene with the checkpoints and the threshold that map it.

    Attributes:
        tasks: The checkpoints or the detector; several are an ensemble.
        scene: The scene, with its dates balanced where the checkpoints want it.
        info: Content of ``scene.json``.
        levels: Measured brightness of whole dates.
        threshold: Value above which a pixel is landslide, once the scene is predicted.
    """

    tasks: Sequence[Member]
    scene: Scene
    info: dict[str, Any]
    levels: Levels
    threshold: Threshold = NOT_CHOSEN

    @property
    def measure(self) -> str:
        """What is mapped: ``probability``, or ``score (dB)`` of a detector that was not fitted."""
        task = self.tasks[0]
        return f"score ({task.unit})" if task.measure == "score" else task.measure

    @property
    def bands(self) -> list[str]:
        """Input bands of the checkpoints."""
        return self.tasks[0].bands

    @property
    def grid(self) -> Grid:
        """Grid of the scene and of its map."""
        return self.scene.grid

    @property
    def simulated(self) -> bool:
        """Whether the scene is simulated."""
        return bool(self.info.get("simulated", False))

    @property
    def source(self) -> str:
        """The scene's path or URL, without a signature."""
        path = str(self.scene.path)
        return path.partition("?")[0] if "://" in path else path

    @cached_property
    def dates(self) -> dict[str, str]:
        """ISO 8601 date of each radar image, where ``scene.json`` has it."""
        known, orbit = self.info.get("dates") or {}, Path(self.source).stem
        dates = {
            image: (known.get(orbit_of(image) or orbit) or {}).get(band_description(image))
            for image in backscatter_bands(self.bands)
        }
        return {image: date for image, date in dates.items() if date}

    @cached_property
    def notes(self) -> list[str]:
        """Reasons why the model may not fit the scene, for readers of the map."""
        trained, mapped = self.tasks[0].orbit, Path(self.source).stem
        notes = []
        if self.measure != "probability":
            notes.append(
                f"the map is made of a {self.measure}, which ranks ground and is no probability"
            )
            notes.append(f"threshold {self.threshold.value:.3g}: {self.threshold.origin}")
        if any(task.implanted for task in self.tasks):
            notes.append("the model was trained on IMPLANTED landslides in quiet images")
        if any(task.simulated for task in self.tasks) and not self.simulated:
            notes.append("the model was trained on SIMULATED images and is unproven on real ones")
        if mapped in ORBITS and mapped != trained:
            notes.append(f"the model was trained on {trained} images, these are {mapped}")
        if changes := describe_level_changes(self.levels):
            answer = (
                "taken out before mapping"
                if self.scene.balance
                else "the model does not balance dates and may take that for landslides"
            )
            notes.append(f"whole images differ, {changes}: {answer}")
        if self.scene.visibility.known_by == NODATA_ONLY.known_by:
            notes.append("layover and shadow are not known, and are mapped like the rest")
        return notes + naming_notes(self.scene.bands)

    def tags(self) -> dict[str, str]:
        """Metadata of the rasters: how they were made."""
        models = (str(task.model_settings["_target_"]) for task in self.tasks)
        return {
            "SIMULATED": "yes" if self.simulated else "no",
            "SOFTWARE": f"landslide-sar {landslide.__version__}",
            "MODEL": ", ".join(models),
            "BANDS": ", ".join(self.bands),
            "SCENE": self.source,
            "MEASURE": self.measure,
            "THRESHOLD": f"{self.threshold.value:g}",
        }

    def labels(self) -> MapLabels:
        """Title and source line of the map."""
        event = self.info.get("event") or Path(self.source).stem
        name = event.get("name", "") if isinstance(event, dict) else str(event)
        simulated = "SIMULATED data: " if self.simulated else ""
        images = [self._dated(band) for band in self.bands]
        model = str(self.tasks[0].model_settings["_target_"]).rsplit(".", 1)[-1]
        members = f"ensemble of {len(self.tasks)} {model}" if len(self.tasks) > 1 else model
        return MapLabels(
            title=f"Landslides mapped from radar\n{simulated}{name}",
            source=(
                f"{simulated}{Path(self.source).stem}, {', '.join(images)}; {members}, "
                f"threshold {self.threshold.value:.3g}; landslide-sar {landslide.__version__}"
                + "".join(f". NOTE: {note}" for note in self.notes)
            ),
            dates=self.dates,
            shades=self._shades(),
        )

    def _shades(self) -> Shades:
        if self.measure == "probability":
            return Shades(self.measure, least=0.1, low=0, high=1)
        value = self.threshold.value
        return Shades(self.measure, least=value, low=value / 2, high=2 * value)

    def _dated(self, band: str) -> str:
        """A band with the date of its image, or the dates of a ratio's images."""
        days = [self.dates[part] for part in source_bands(band) if part in self.dates]
        return f"{band} {'/'.join(days)}" if days else band

    def summary(self, polygons: gpd.GeoDataFrame, observed_pixels: int) -> dict[str, Any]:
        """Counts and areas of the map, its model and its notes, for ``summary.json``.

        Args:
            polygons: The mapped landslides.
            observed_pixels: Number of observed pixels.
        """
        observed = observed_pixels * self.grid.pixel_area
        area = float(polygons.area_m2.sum())
        return {
            "scene": self.source,
            "simulated": self.simulated,
            "landslides": len(polygons),
            "landslide_area_m2": area,
            "observed_area_m2": observed,
            "observed_share": observed_pixels / (self.grid.height * self.grid.width),
            "not_observed_known_by": self.scene.visibility.known_by,
            "landslide_share": area / observed if observed else 0.0,
            "largest_m2": float(polygons.area_m2.max()) if len(polygons) else 0.0,
            "measure": self.measure,
            "threshold": self.threshold.value,
            "threshold_origin": self.threshold.origin,
            "false_alarms": self.threshold.false_alarms,
            "model": self.tasks[0].model_settings,
            "members": len(self.tasks),
            "bands": self.bands,
            "version": landslide.__version__,
            "notes": self.notes,
            "levels_db": mean_levels(self.levels),
        }

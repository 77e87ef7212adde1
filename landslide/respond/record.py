"""The record of a response: what is watched, what is due, and the maps that were made."""

import json
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from shapely.geometry.base import BaseGeometry

from landslide.errors import InputError
from landslide.geo.files import write_json
from landslide.geo.folders import BASIS
from landslide.prepare.sources import Event, Pass
from landslide.respond.outlook import Watch


def format_time(time: datetime) -> str:
    """A time in UTC, to the minute."""
    return f"{time:%Y-%m-%d %H:%M} UTC"


class Record:
    """``response.json``, and the maps beside it.

    The maps' folders say themselves what they rest on, so that a run which was killed before it
    wrote the record finds its map.

    Args:
        path: The file.
        maps: Folder of the maps.
        event: The event.
        area: Its area, in EPSG:4326.

    Attributes:
        tracks: Track that is watched in each direction of flight.

    Raises:
        InputError: The file is damaged, or it or a map is of another event.
    """

    def __init__(self, path: Path, maps: Path, event: Event, area: BaseGeometry) -> None:
        self.path, self.maps, self.event, self.area = path, maps, event, area
        self._watches: Sequence[Watch] = ()
        content: dict[str, Any] = {}
        if path.exists():
            try:
                content = json.loads(path.read_text())
                self.tracks: dict[Pass, int] = {
                    w["direction"]: w["track"] for w in content["tracks"]
                }
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{path} is damaged: remove it, and the response goes on from its folders"
                ) from error
            if content["event"]["time"] != self._time:
                raise InputError(
                    f"{path} is of the event at {content['event']['time']}, not {self._time}: "
                    "choose another root"
                )
        else:
            self.tracks = {}
        for folder in self.maps_made:
            if _basis(folder).get("event") != self.described:
                raise InputError(
                    f"{folder} is a map of another event or area: choose another folder with maps="
                )

    @property
    def described(self) -> dict[str, Any]:
        """Time and area of the event, as maps keep it."""
        return {"time": self._time, "area": list(self.area.bounds)}

    @property
    def _time(self) -> str:
        return self.event.time.strftime("%Y-%m-%dT%H:%M:%SZ" if self.event.exact else "%Y-%m-%d")

    @property
    def maps_made(self) -> list[Path]:
        """Folders of the complete maps, in order of their making."""
        found = [path.parent for path in self.maps.glob(f"[!.]*/{BASIS}")]
        return sorted(found, key=lambda folder: _basis(folder)["number"])

    @property
    def last_map(self) -> Path | None:
        """Folder of the map that was made last."""
        return next(reversed(self.maps_made), None)

    @property
    def next_number(self) -> int:
        """Number of the next map."""
        return 1 + max((_basis(folder)["number"] for folder in self.maps_made), default=0)

    def has(self, made_from: str) -> bool:
        """Whether there is a map that was made from these inputs."""
        return any(_basis(folder)["made_from"] == made_from for folder in self.maps_made)

    def free_folder(self, day: date) -> Path:
        """Folder for a map whose newest image is of a day."""
        names = [f"{day}", *(f"{day}_{number}" for number in range(2, len(self.maps_made) + 3))]
        return next(self.maps / name for name in names if not (self.maps / name).exists())

    def watch(self, watches: Sequence[Watch]) -> None:
        """Keep to these tracks from now on."""
        self._watches = watches
        self.tracks = {watch.direction: watch.track for watch in watches}
        self.write()

    def write(self) -> dict[str, Any]:
        """Write the file, whole or not at all; return its content."""
        content = {
            "event": {"name": self.event.name, "time": self._time},
            "tracks": [_describe(watch) for watch in self._watches],
            "maps": [{"folder": str(folder), **_basis(folder)} for folder in self.maps_made],
        }
        write_json(self.path, content)
        return content


def _basis(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / BASIS).read_text())
    return found


def _describe(watch: Watch) -> dict[str, Any]:
    return {
        "direction": watch.direction,
        "track": watch.track,
        "before": [format_time(flown.time) for flown in watch.before],
        "after": [format_time(flown.time) for flown in watch.after],
        "left_out": [
            {"time": format_time(flown.time), "coverage": flown.coverage}
            for flown in watch.left_out
        ],
        "due": format_time(watch.due),
        "due_platform": watch.platform,
    }

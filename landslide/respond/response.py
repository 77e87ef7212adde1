"""One run of a response: what can be done now is done, and what is due is said."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig
from rich.console import Console

from landslide.config.paths import is_model_name
from landslide.geo.files import checksum
from landslide.geo.stac import write_catalog
from landslide.prepare.area import read_area
from landslide.prepare.options import check_options, options_of_scene
from landslide.prepare.sources import PASSES, Event, Pass
from landslide.respond.outlook import (
    Flown,
    Watch,
    check_event,
    digest,
    images_of,
    look,
    name_by_inputs,
)
from landslide.respond.page import write_page
from landslide.respond.record import Record, format_time
from landslide.respond.steps import (
    FUSED,
    compose_program,
    make_map,
    make_scene,
    orbits_of_map,
    train_network,
)
from landslide.respond.views import show_views

FEWEST_BEFORE = 5
"""Dates before the event from which a network can be trained on the past: two that stand for those
before, and one after in training, validation and test each."""


def respond_to_event(config: DictConfig, now: datetime | None = None) -> bool:
    """Take an event as far as the archive allows.

    Args:
        config: Composed from ``conf/respond.yaml``.
        now: The present; that of the clock.

    Returns:
        Whether there is a map; False while no image to map is there, or another run responds. A
        plan is True.

    Raises:
        InputError: The event, the area or an option cannot be used, or the archive fails. What was
            complete is kept.
    """
    root = Path(config.root)
    name = config.event.name or f"event of {str(config.event.date)[:10]}"
    event = Event.of(str(name), str(config.event.date))
    now = now or datetime.now(UTC)
    area = check_event(event, read_area(config.aoi), now)
    if config.plan:
        preparation = _compose_preparation(config, {})
        table = show_views(preparation, event, area, config.slopes, root / "views.png")
        Console().print(table, f"Map of the best two tracks: {root / 'views.png'}")
        return True
    maps = Path(config.maps or Path("maps") / root.resolve().name)
    for folder in (root, maps):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(root / ".lock", timeout=0), FileLock(maps / ".lock", timeout=0):
            record = Record(root / "response.json", maps, event, area)
            preparation = _compose_preparation(config, record.tracks)
            watches = look(preparation, event, area)
            for watch in watches:  # folders are named by their options
                preparation.sar.relative_orbit[watch.direction] = watch.track
            return Response(config, preparation, watches, record, now).run()
    except Timeout:
        Console(stderr=True, soft_wrap=True).print(f"Another run responds in {root} or {maps}.")
        return False


def _compose_preparation(config: DictConfig, tracks: Mapping[Pass, int]) -> DictConfig:
    """Configuration of ``landslide prepare``, on the tracks that are watched already."""
    words = ["sar.source=stac", "sar.polarisations=[vv,vh]", "event=none", *config.prepare]
    preparation = compose_program("prepare", words)
    preparation.event, preparation.aoi = config.event, config.aoi
    preparation.sar.before, preparation.sar.after = config.before, config.after
    preparation.root = config.root
    for direction, track in tracks.items():
        preparation.sar.relative_orbit[direction] = track
    check_options(preparation)
    return preparation


class Response:
    """The steps of one run.

    Args:
        config: Composed from ``conf/respond.yaml``.
        preparation: Composed from ``conf/prepare.yaml``.
        watches: What the archive has.
        record: What was done before.
        now: The present.
    """

    def __init__(
        self,
        config: DictConfig,
        preparation: DictConfig,
        watches: Sequence[Watch],
        record: Record,
        now: datetime,
    ) -> None:
        self.config, self.preparation, self.record = config, preparation, record
        self.now = now
        self.watches = sorted(watches, key=lambda watch: watch.due)
        self.root = Path(config.root)
        self.thin: list[Watch] = []
        if config.checkpoint is None:
            self.thin = [watch for watch in self.watches if len(watch.before) < FEWEST_BEFORE]
        # Without any better direction, training says what it lacks.
        used = [watch for watch in self.watches if watch not in self.thin] or self.watches
        self.used: list[Pass] = [watch.direction for watch in used]
        after = {watch.direction for watch in used if watch.after}
        self.seen: list[Pass] = [p for p in PASSES if p in after]
        self.console = Console(soft_wrap=True, highlight=False)

    def run(self) -> bool:
        """Map what is there, or train while nothing is; return whether there is a map."""
        self.record.watch(self.watches)
        for watch in self.thin:
            self.console.print(
                f"{watch.direction} track {watch.track} is left out: it has {len(watch.before)} "
                f"dates before the event, and training needs {FEWEST_BEFORE}"
            )
        if not self.seen:
            if self.config.checkpoint is None:
                self._train_ahead()
            self._say_what_is_due("No image to map is there yet")
            return bool(self.record.maps_made)
        checkpoint = self.config.checkpoint or str(self._network(self._kind()))
        orbits = orbits_of_map(checkpoint, self.seen)
        if not set(orbits) <= set(self.seen):
            self._say_what_is_due(f"{checkpoint} reads an orbit without an image after the event")
            return bool(self.record.maps_made)
        self._map(checkpoint, orbits)
        self._say_what_is_due("Mapped what is there")
        return True

    def _kind(self) -> str:
        """The network for the images that are there."""
        return FUSED if len(self.seen) > 1 else self.seen[0]

    def _train_ahead(self) -> None:
        """Train for whichever image comes, that of the track that is flown next first."""
        for kind in self.used:
            self._network(kind)
        if len(self.used) > 1:
            self._network(FUSED)

    def _network(self, kind: str) -> Path:
        """The network of an orbit, or of both, trained on the past."""
        words, images = list(self.config.train), images_of(self.watches, after=False)
        orbits = PASSES if kind == FUSED else [kind]
        read = {orbit: images[orbit] for orbit in orbits if orbit in images}
        folder = self.root / "networks" / name_by_inputs(kind, self._options(orbits), read, words)
        past = name_by_inputs("past", self._options(PASSES), images)
        scene = self.root / "scenes" / past
        if not (folder / "metrics.json").exists():
            make_scene(self.preparation, scene, 0, self.console)
            self.console.print(f"Training {folder} on the past")
        return train_network(scene, kind, words, folder)

    def _options(self, orbits: Sequence[str]) -> dict[str, Any]:
        """Options of a scene on which the dates before the event depend in these orbits."""
        options = options_of_scene(self.preparation)
        sar = {key: value for key, value in options["sar"].items() if key != "after"}
        tracks = {orbit: sar["relative_orbit"][orbit] for orbit in orbits}
        return {**options, "sar": {**sar, "relative_orbit": tracks}}

    def _map(self, checkpoint: str, orbits: Sequence[str]) -> None:
        """Make the map of the images that are there, unless there is one."""
        images = images_of(self.watches, after=True)
        name = name_by_inputs("scene", options_of_scene(self.preparation), images)
        identity = checkpoint if is_model_name(checkpoint) else checksum(Path(checkpoint))
        # An image of an orbit that the checkpoint does not read makes no other map.
        read = {orbit: images[orbit] for orbit in orbits}
        made_from = digest(self._options(orbits), read, identity, list(self.config.predict))
        if self.record.has(made_from):
            return
        scene = self.root / "scenes" / name
        make_scene(self.preparation, scene, self.config.after, self.console)
        used = [(w, flown) for w in self.watches if w.direction in orbits for flown in w.after]
        basis = {
            "number": self.record.next_number,
            "event": self.record.described,
            "made_from": made_from,
            "checkpoint": checkpoint,
            "orbits": orbits,
            "scene": str(scene),
            "images_after": [_describe(watch, flown) for watch, flown in used],
        }
        newest = max(flown.time for _, flown in used)
        output = self.record.free_folder(newest.date())
        self.console.print(f"Mapping {output}")
        make_map(scene, list(self.config.predict), output, basis, self.record.last_map)

    def _say_what_is_due(self, sentence: str) -> None:
        """Print and record when images are expected."""
        write_page(self.record.write(), self.record.maps / "index.html")
        if self.record.maps_made:
            write_catalog(self.record.maps, self.record.event.name)
        for watch in self.watches:
            for flown in watch.left_out:
                self.console.print(
                    f"{watch.direction} track {watch.track}: the image of "
                    f"{format_time(flown.time)} is left out, because it covers "
                    f"{flown.coverage:.0%} of the area, less than those before the event"
                )
        due = "; ".join(
            f"{w.direction} track {w.track} {'since' if w.due < self.now else 'on'} "
            f"{format_time(w.due)} ({w.platform})"
            for w in self.watches
            if len(w.after) < self.config.after
        )
        self.console.print(
            f"{sentence}. " + (f"Due: {due}." if due else "Nothing more is waited for.")
        )


def _describe(watch: Watch, flown: Flown) -> dict[str, Any]:
    return {
        "direction": watch.direction,
        "track": watch.track,
        "time": format_time(flown.time),
        "platform": flown.platform,
    }

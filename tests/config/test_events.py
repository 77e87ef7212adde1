"""The events of ``conf/event``: real, of Sentinel-1's time, with sources."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from commands import CONF
from omegaconf import OmegaConf

from landslide.prepare.area import read_area
from landslide.prepare.sources import Event

FILES = sorted(path for path in (CONF / "event").glob("*.yaml") if path.stem != "none")


def test_there_are_events_of_both_hemispheres_and_of_storms() -> None:
    south = [f for f in FILES if OmegaConf.load(f).aoi[3] < 0]
    west = [f for f in FILES if OmegaConf.load(f).aoi[0] < 0]
    assert len(FILES) >= 10
    assert len(south) >= 3
    assert len(west) >= 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_event_is_ready_to_run(path: Path) -> None:
    content = OmegaConf.load(path)
    event = Event.of(content.event.name, content.event.date)
    assert datetime(2014, 10, 1, tzinfo=UTC) < event.time < datetime(2026, 11, 1, tzinfo=UTC)
    assert str(event.time.year) in path.stem
    assert str(event.time.year) in event.name
    west, south, east, north = read_area(content.aoi).bounds
    assert 0.1 <= east - west <= 1.2
    assert 0.1 <= north - south <= 1.0
    assert -60 < south < north < 75
    head, _, area = path.read_text().partition("\nevent:")
    assert path.read_text().startswith("# @package _global_\n# ")
    assert head.count("#") == 2
    assert "\n# " in area

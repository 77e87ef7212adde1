"""The picture of what was flown, what is due, and what each map rests on."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from landslide.respond.timeline import draw_timeline


def test_maps_of_the_same_hours_do_not_hide_each_other_beside_half_a_year(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    months = [f"2023-{month:02d}-20 20:55 UTC" for month in range(6, 13)]
    after = ["2024-01-02 08:53 UTC", "2024-01-02 20:55 UTC", "2024-01-06 20:55 UTC"]
    track = {"direction": "ascending", "track": 112, "before": months, "after": after}
    other = {"direction": "descending", "track": 17, "before": months, "after": []}
    images = [{"direction": "ascending", "time": time} for time in after]
    record = {
        "event": {"name": "Test", "time": "2024-01-01T07:10:09Z"},
        "tracks": [
            {**other, "due": "2024-01-08 08:53 UTC"},
            {**track, "due": "2024-01-18 08:53 UTC"},
        ],
        "maps": [{"images_after": images[:count]} for count in (1, 2, 3)],
    }
    drawn: list[Figure] = []
    monkeypatch.setattr("landslide.respond.timeline.save_figure", lambda f, _: drawn.append(f))
    draw_timeline(record, tmp_path / "timeline.png")
    [figure] = drawn
    figure.draw_without_rendering()
    [axis] = figure.axes
    rows = [label.get_text().replace("\n", " ") for label in axis.get_yticklabels()]
    assert rows == ["ascending track 112", "descending track 17", "map 1", "map 2", "map 3"]
    maps = [line for line in axis.lines if line.get_marker() == "s" and len(line.get_xdata())]
    assert [len(line.get_xdata()) for line in maps] == [1, 2, 3]
    newest = [axis.transData.transform(line.get_xydata()[-1]) for line in maps]
    size = maps[0].get_markersize() * figure.dpi / 72
    assert all(np.abs(one - other).max() > size for one, other in combinations(newest, 2))

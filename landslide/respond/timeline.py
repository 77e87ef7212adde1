"""The timeline of a response: what was flown, what is due, and what each map rested on."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib import dates as mdates
from matplotlib.axes import Axes

from landslide.geo.cartography import BLUE, GREY, ORANGE, VERMILION, save_figure

TIME = "%Y-%m-%d %H:%M UTC"
"""How ``response.json`` writes times."""

MARKS = (("before the event", GREY, GREY), ("after it", BLUE, BLUE), ("due", BLUE, "white"))
"""Label, edge and face of the marks of images."""

MAP: dict[str, Any] = {"marker": "s", "linewidth": 1.5, "color": ORANGE}
"""Style of a map: a mark below each image after the event that it rests on."""


def draw_timeline(record: Mapping[str, Any], path: Path) -> None:
    """Draw a row for each track, and below them one for each map.

    Args:
        record: Content of ``response.json``.
        path: Picture to write.
    """
    # The record has them in the order in which they are due, which changes from run to run.
    tracks = sorted(record["tracks"], key=lambda track: str(track["direction"]))
    maps = record["maps"]
    rows = [f"{track['direction']}\ntrack {track['track']}" for track in tracks]
    rows += [f"map {number}" for number in range(1, len(maps) + 1)]
    figure, axis = plt.subplots(figsize=(9, 1.4 + 0.5 * len(rows)), layout="constrained")
    for row, track in enumerate(tracks):
        for times, (_, color, face) in zip(
            (track["before"], track["after"], [track["due"]]), MARKS, strict=True
        ):
            days = [_day(time) for time in times]
            axis.plot(days, [row] * len(days), "o", color=color, markerfacecolor=face)
    for row, made in enumerate(maps, len(tracks)):
        days = sorted(_day(image["time"]) for image in made["images_after"])
        axis.plot(days, [row] * len(days), **MAP)
    event = _to_number(datetime.fromisoformat(record["event"]["time"]))
    axis.axvline(event, color=VERMILION, linewidth=1.2)
    axis.annotate(
        "event",
        (event, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 2),
        textcoords="offset points",
        color=VERMILION,
        ha="center",
        fontsize=8,
    )
    axis.set_yticks(range(len(rows)), rows, fontsize=8)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.xaxis_date()
    axis.tick_params(axis="x", labelsize=8)
    axis.grid(axis="x", alpha=0.3)
    axis.spines[["top", "right", "left"]].set_visible(False)
    figure.suptitle(f"{record['event']['name']}: images and maps", fontsize=10)
    _label(axis)
    save_figure(figure, path)


def _label(axis: Axes) -> None:
    for label, color, face in MARKS:
        axis.plot([], [], "o", color=color, markerfacecolor=face, label=label)
    axis.plot([], [], **MAP, label="images of a map")
    axis.figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8)


def _day(text: str) -> float:
    """Number of a time of ``response.json`` on the axis."""
    return _to_number(datetime.strptime(text, TIME))


def _to_number(time: datetime) -> float:
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return float(mdates.date2num(aware))  # type: ignore[no-untyped-call]

"""The timeline of a response: what was flown, what is due, and what each map rested on."""

from collections.abc import Mapping, Sequence
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


def draw_timeline(record: Mapping[str, Any], path: Path) -> None:
    """Draw one row for each track and one for the maps.

    Args:
        record: Content of ``response.json``.
        path: Picture to write.
    """
    tracks, maps = record["tracks"], record["maps"]
    rows = [f"{track['direction']}\ntrack {track['track']}" for track in tracks]
    rows += ["maps"] if maps else []
    figure, axis = plt.subplots(figsize=(9, 1.4 + 0.7 * len(rows)), layout="constrained")
    for row, track in enumerate(tracks):
        for times, (_, color, face) in zip(
            (track["before"], track["after"], [track["due"]]), MARKS, strict=True
        ):
            days = [_day(time) for time in times]
            axis.plot(days, [row] * len(days), "o", color=color, markerfacecolor=face)
    for number, made in enumerate(maps, 1):
        _draw_map(axis, number, made, tracks, len(rows) - 1)
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


def _draw_map(
    axis: Axes, number: int, made: Mapping[str, Any], tracks: Sequence[Mapping[str, Any]], row: int
) -> None:
    """A numbered mark of a map, with lines to the images after the event that it rests on."""
    used = [(image["direction"], _day(image["time"])) for image in made["images_after"]]
    newest = max(time for _, time in used)
    order = [track["direction"] for track in tracks]
    for direction, time in used:
        place = order.index(direction)
        axis.plot([time, newest], [place, row], color=ORANGE, linewidth=0.8, zorder=0)
    axis.plot([newest], [row], marker="s", markersize=13, color=ORANGE)
    axis.annotate(str(number), (newest, row), ha="center", va="center", fontsize=8)


def _label(axis: Axes) -> None:
    for label, color, face in MARKS:
        axis.plot([], [], "o", color=color, markerfacecolor=face, label=label)
    axis.plot(
        [], [], linestyle="", marker="s", color=ORANGE, label="map, and the images it rests on"
    )
    axis.figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8)


def _day(text: str) -> float:
    """Number of a time of ``response.json`` on the axis."""
    return _to_number(datetime.strptime(text, TIME))


def _to_number(time: datetime) -> float:
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return float(mdates.date2num(aware))  # type: ignore[no-untyped-call]

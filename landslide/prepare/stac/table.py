"""The plan as a table: which images there are, and which are taken."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from landslide.prepare.sources import DATES, Event, Pass
from landslide.prepare.stac.archive import Archive
from landslide.prepare.stac.overpasses import Choice, Overpass, Track, side

SHOWN = (3, 4)
"""Overpasses shown of each track: how many before the event, how many after it."""


def table_of(
    tracks: Sequence[Track], choices: Mapping[Pass, Choice], event: Event, archive: Archive
) -> Table:
    """Lay out the tracks with their dates, and what is chosen.

    Args:
        tracks: All tracks that see the area.
        choices: What is chosen, by pass direction.
        event: What is to be mapped.
        archive: Where the images are.
    """
    when = f"{event.time:%Y-%m-%d %H:%M} UTC" if event.exact else f"{event.time:%Y-%m-%d}"
    table = Table(
        title=f"Sentinel-1 images around {event.name or 'the event'}, {when}",
        caption=f"{archive.collection} of {archive.endpoint}",
    )
    table.add_column("pass")
    table.add_column("track", justify="right")
    table.add_column("date (UTC)")
    table.add_column("days", justify="right")
    table.add_column("satellite")
    table.add_column("items")
    table.add_column("coverage", justify="right")
    table.add_column("use")
    for track in tracks:
        choice = choices.get(track.direction)
        taken = {}
        if choice is not None and choice.track is track:
            taken = {overpass: name for name, overpass in choice.overpasses.items()}
        for overpass in _shown(track, event, taken):
            table.add_row(*_row(track, overpass, event, archive, taken.get(overpass)))
        if len([each for each in track.overpasses if side(event, each.time) == "after"]) < 2:
            time, platform = track.next
            days = f"{event.days_after(time):+.0f}"
            moment = f"{time:%Y-%m-%d %H:%M}"
            table.add_row(
                track.direction,
                str(track.relative_orbit),
                moment,
                days,
                platform,
                "",
                "",
                "due",
            )
        table.add_section()
    return table


def _shown(track: Track, event: Event, taken: Mapping[Overpass, str]) -> list[Overpass]:
    """The overpasses nearest to the event, and those that are taken."""
    before = [each for each in track.overpasses if side(event, each.time) == "before"]
    later = [each for each in track.overpasses if side(event, each.time) != "before"]
    near = [*before[-SHOWN[0] :], *later[: SHOWN[1]]]
    return [each for each in track.overpasses if each in near or each in taken]


def _row(
    track: Track, overpass: Overpass, event: Event, archive: Archive, name: str | None
) -> tuple[str, ...]:
    """One overpass as a row; ``name`` is which of ``DATES`` it is taken for."""
    assets = [set(item.assets) for item in overpass.slices]
    held = [key.upper() for key, asset in archive.assets.items() if all(asset in a for a in assets)]
    days = event.days_after(overpass.time)
    remark = ""
    if overpass not in track.complete:
        remark = "incomplete"
    elif side(event, overpass.time) == "unsure":
        remark = "before or after?"
    return (
        track.direction,
        str(track.relative_orbit),
        f"{overpass.time:%Y-%m-%d %H:%M}",
        f"{days:+.1f}" if event.exact else f"{days:+.0f}",
        overpass.platform,
        f"{len(overpass.slices)} x {'+'.join(held) or '-'}",
        f"{overpass.coverage:.0%}",
        f"[bold]{name}[/bold]" if name in DATES else remark,
    )

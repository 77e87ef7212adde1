"""The plan as a table: the images that the archive has, and those that would be used."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from landslide.prepare.sources import DATES, Event, Pass
from landslide.prepare.stac.archive import Archive
from landslide.prepare.stac.overpasses import Overpass, Track, TrackChoice

SHOWN_BEFORE, SHOWN_AFTER = 3, 4
"""Overpasses shown of each track."""


def plan_table(
    tracks: Sequence[Track], choices: Mapping[Pass, TrackChoice], event: Event, archive: Archive
) -> Table:
    """Lay out the tracks with their dates, and what is chosen."""
    when = f"{event.time:%Y-%m-%d %H:%M} UTC" if event.exact else f"{event.time:%Y-%m-%d}"
    table = Table(
        title=f"Sentinel-1 images around {event.name or 'the event'}, {when}",
        caption=f"{archive.collection} of {archive.endpoint}",
    )
    for column in ("pass", "track", "date (UTC)", "days", "satellite", "items", "coverage", "use"):
        right = column in ("track", "days", "coverage")
        table.add_column(column, justify="right" if right else "left")
    for track in tracks:
        label = (track.direction, str(track.relative_orbit))
        choice = choices.get(track.direction)
        names = {}
        if choice is not None and choice.track is track:
            names = {overpass: name for name, overpass in choice.overpasses.items()}
        for overpass in _nearest(track, event, names):
            table.add_row(*label, *_cells(track, overpass, event, archive, names.get(overpass)))
        after = [o for o in track.overpasses if event.side_of(o.time) == "after"]
        if len(after) < 2:
            time, platform = track.next_overpass(event)
            days = f"{event.days_after(time):+.0f}"
            table.add_row(*label, f"{time:%Y-%m-%d %H:%M}", days, platform, "", "", "due")
        table.add_section()
    return table


def _nearest(track: Track, event: Event, chosen: Mapping[Overpass, str]) -> list[Overpass]:
    """The overpasses nearest to the event, and those that are chosen."""
    before = [o for o in track.overpasses if event.side_of(o.time) == "before"]
    later = [o for o in track.overpasses if o not in before]
    near = [*before[-SHOWN_BEFORE:], *later[:SHOWN_AFTER]]
    return [overpass for overpass in track.overpasses if overpass in near or overpass in chosen]


def _cells(
    track: Track, overpass: Overpass, event: Event, archive: Archive, name: str | None
) -> tuple[str, ...]:
    """One overpass from its date on; ``name`` is that of ``name_dates`` if it is chosen."""
    assets = [set(item.assets) for item in overpass.slices]
    held = [key.upper() for key, asset in archive.assets.items() if all(asset in a for a in assets)]
    days = event.days_after(overpass.time)
    use = f"[bold]{name if name in DATES else 'stack'}[/bold]" if name else ""
    if not name and overpass not in track.complete(event):
        use = "incomplete"
    elif not name and event.side_of(overpass.time) == "unsure":
        use = "before or after?"
    return (
        f"{overpass.time:%Y-%m-%d %H:%M}",
        f"{days:+.1f}" if event.exact else f"{days:+.0f}",
        overpass.platform,
        f"{len(overpass.slices)} x {'+'.join(held) or '-'}",
        f"{overpass.coverage:.0%}",
        use,
    )

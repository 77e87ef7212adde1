"""What a scene says about the dates of its stacks."""

from collections.abc import Mapping
from typing import Any

from landslide.geo.grid import Grid
from landslide.prepare.shifts import LARGE
from landslide.prepare.sources import Pass
from landslide.prepare.stack import Stack, StackDate

PARTLY = 0.99
"""Share of the scene below which a date is said to cover it in part."""


def describe_stacks(stacks: Mapping[Pass, Stack]) -> dict[str, Any]:
    """The entry ``stack`` of ``scene.json``; nothing without a stack."""
    entries = {name: [_describe(date) for date in stack.dates] for name, stack in stacks.items()}
    return {"stack": entries} if entries else {}


def _describe(date: StackDate) -> dict[str, Any]:
    time, shift = date.image.time, date.shift
    return {
        "date": str(date.image.day),
        "time": f"{time:%Y-%m-%dT%H:%M:%SZ}" if date.image.exact else None,
        "side": date.side,
        "platform": date.image.platform,
        "coverage": round(date.coverage, 4),
        "shift": [round(metres, 1) for metres in shift] if shift else None,
        "corrected": date.corrected,
        "offset_db": date.offsets,
        **({"tile_offset_db": date.tile_offsets} if date.tile_offsets else {}),
    }


def stack_notes(orbit: Pass, stack: Stack) -> list[str]:
    """Notes on what is not there yet, on satellites, and on dates that need attention."""
    notes = []
    if not stack.has_dates_after:
        notes.append(
            f"{orbit}: no image after the event is there yet, so the bands post1, post2, post_mean "
            "and post_count are left out: train on the past with experiment=tonight, and prepare "
            "again with overwrite=true when an image has come"
        )
    satellites = sorted({date.image.platform or "an unknown one" for date in stack.dates})
    if len(satellites) > 1:
        notes.append(f"{orbit}: the dates of the stack are of {' and '.join(satellites)}")
    if partly := [date for date in stack.dates if date.coverage < PARTLY]:
        shares = ", ".join(f"{date.image.day} {100 * date.coverage:.1f} %" for date in partly)
        notes.append(
            f"{orbit}: dates that measured a part of the scene: {shares}; means and scatter are "
            "of the dates that measured a pixel, which pre_count and post_count tell"
        )
    if corrected := [date for date in stack.dates if date.corrected]:
        notes.append(
            f"{orbit}: {_name_shifts(corrected)}: moved back within the resampling; smaller shifts "
            "are within the error of the measurement"
        )
    if stack.despeckled:
        notes.append(
            f"{orbit}: the dates of the stack were despeckled {stack.despeckled}; the single dates "
            "and the bands of the stack are made from them"
        )
    return notes


def warn_shifts(orbit: Pass, stack: Stack, grid: Grid) -> list[str]:
    """Warn of dates that lie more than a third of a pixel off and were not corrected."""
    large = [
        date
        for date in stack.dates
        if date.shift and not date.corrected and date.shift.length > LARGE * grid.transform.a
    ]
    if not large:
        return []
    return [
        f"{orbit}: {_name_shifts(large)} off the other dates, which looks like change on slopes: "
        "correct it with sar.coregister=correct"
    ]


def _name_shifts(dates: list[StackDate]) -> str:
    shifts = ", ".join(f"{d.image.day} by {d.shift.length:.1f} m" for d in dates if d.shift)
    return f"{len(dates)} dates lie ({shifts})" if len(dates) > 1 else f"a date lies ({shifts})"

"""The stack of a simulated orbit on disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio

from landslide.geo.grid import Grid
from landslide.geo.rasters import raster_profile
from landslide.geo.relief import Float
from landslide.radar.stack import StackStatistics, date_band
from landslide.simulate.acquisition import Acquisition, SimulatedStack, local_time


class WrittenStack(NamedTuple):
    """What the dates of an orbit leave besides their file.

    Attributes:
        bands: (H, W) bands of the stack by name, for the composite of the orbit.
        dates: What is known of each date, for ``scene.json``.
    """

    bands: dict[str, Float]
    dates: list[dict[str, Any]]


def write_stack(
    path: Path, stack: SimulatedStack, grid: Grid, tags: Mapping[str, str]
) -> WrittenStack:
    """Image an orbit date by date and write all of them to one file.

    Args:
        path: GeoTIFF to write.
        stack: Dates of the orbit.
        grid: Grid of the scene.
        tags: Tags of the file.
    """
    path.parent.mkdir(exist_ok=True)
    bands = [date_band(p, local_time(day)) for day in stack.days for p in stack.polarisations]
    # The bands are written one after another, as the dates are imaged.
    profile = raster_profile(grid, "float32", len(bands), np.nan) | {"interleave": "band"}
    statistics = StackStatistics((grid.height, grid.width), stack.polarisations)
    dates = []
    with rasterio.open(path, "w", **profile) as sink:
        sink.descriptions = tuple(bands)
        units = "gamma nought on the ellipsoid, linear power"
        sink.update_tags(units=units, **tags)
        for acquired in stack:
            described = _describe(acquired, stack.reference_offset)
            statistics.add(acquired.side, acquired.images, described["offset_db"])
            for polarisation, image in acquired.images.items():
                band = date_band(polarisation, local_time(acquired.day))
                sink.write(image, bands.index(band) + 1)
            dates.append(described)
    return WrittenStack(statistics.bands(), dates)


def _describe(acquired: Acquisition, reference: Float) -> dict[str, Any]:
    """Truth about a date, in the form of what is measured on real ones."""
    time, offset = local_time(acquired.day), acquired.offset - reference
    covered = np.isfinite(acquired.images["vv"]).mean()
    return {
        "date": time.date().isoformat(),
        "time": time.isoformat(),
        "side": acquired.side,
        "coverage": round(float(covered), 4),
        "shift": [round(metres, 2) for metres in acquired.displacement],
        "corrected": False,
        "offset_db": {p: round(float(offset[i]), 3) for i, p in enumerate(acquired.images)},
    }

"""The band ``anomaly`` of a scene, from its dates: balanced, at 30 m, on the scene's grid."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rich.progress import track
from torch import nn

from landslide.config.paths import require_scene
from landslide.errors import InputError
from landslide.geo.files import replacing
from landslide.geo.grid import Grid, Window
from landslide.geo.metadata import scene_info
from landslide.geo.rasters import raster_profile, read_reduced
from landslide.geo.relief import Float
from landslide.models.anomaly import POLARISATIONS, POSTING, load_transformer, measure_anomaly
from landslide.models.detectors import ANOMALY
from landslide.radar.bands import ORBITS
from landslide.radar.stack import Side, dates_path, read_dates
from landslide.radar.unchanged import unchanged_difference

TILE, HALO = 256, 32
"""Side of a tile at 30 m and the pixels around it that despeckling and windows of 16 px need."""

SAMPLE_SIDE, LOOKS = 1024, 4
"""Longest side of the reduced images that whole dates are balanced by, and the least number of
pixels along a side that one of theirs averages, so that speckle hides no unchanged ground."""


def add_anomaly(root: Path) -> list[Path]:
    """Write the band ``anomaly`` to every orbit of a scene that keeps its dates.

    Args:
        root: Scene folder. An earlier band is replaced; the composite is written anew.

    Returns:
        The composites that have the band now.

    Raises:
        InputError: The package of the network is missing, or no orbit has dates in VV and VH, two
            before the event and one after it.
    """
    require_scene(root)
    network, written = load_transformer(), []
    for orbit in ORBITS:
        if not dates_path(root, orbit).exists():
            continue
        with rasterio.open(dates_path(root, orbit)) as dates:
            sides = _sides(root, orbit, dates)
            if len(sides["pre"]) < 2 or not sides["post"]:
                continue
            _rewrite(root / f"{orbit}.tif", dates, sides, network)
        written.append(root / f"{orbit}.tif")
    if not written:
        raise InputError(
            f"{root} has no dates/<orbit>.tif with two dates before the event and one after it in "
            "VV and VH: prepare it with sar.before=3 or more and sar.polarisations=[vv,vh]"
        )
    return written


def _sides(root: Path, orbit: str, dates: DatasetReader) -> dict[Side, list[dict[str, int]]]:
    """Band numbers by polarisation of the dates before and after the event, in order of time."""
    entries = (scene_info(root).get("stack") or {}).get(orbit) or []
    sides = {entry["date"][:10]: entry["side"] for entry in entries}
    found: dict[Side, list[dict[str, int]]] = {"pre": [], "post": []}
    for day, names in read_dates(dates.descriptions).items():
        if set(POLARISATIONS) <= set(names) and (side := sides.get(day.isoformat())) in found:
            numbers = {p: dates.descriptions.index(names[p]) + 1 for p in POLARISATIONS}
            found[side].append(numbers)
    return found


def _rewrite(
    composite: Path,
    dates: DatasetReader,
    sides: Mapping[Side, Sequence[Mapping[str, int]]],
    network: nn.Module,
) -> None:
    """Write a composite anew with its anomaly as the last band."""
    offsets = _offsets(dates, sides)
    with ExitStack() as files:
        source = files.enter_context(rasterio.open(composite))
        kept = [i for i, name in enumerate(source.descriptions, start=1) if name != ANOMALY]
        grid = Grid.of(source)
        profile = raster_profile(grid, "float32", len(kept) + 1, np.nan)
        temporary = files.enter_context(replacing(composite))
        with rasterio.open(temporary, "w", **profile) as sink:
            sink.descriptions = (*(source.descriptions[i - 1] for i in kept), ANOMALY)
            sink.update_tags(**source.tags())
            factor = max(1, round(POSTING / grid.pixel_area**0.5))
            for tile in track(grid.blocks(TILE * factor), "Anomaly", transient=True):
                window = tile.to_rasterio()
                values = _tile(dates, sides, offsets, (tile, grid, factor), network)
                bands = [*source.read(kept, window=window), values]
                sink.write(np.stack(bands).astype(np.float32), window=window)


def _offsets(
    dates: DatasetReader, sides: Mapping[Side, Sequence[Mapping[str, int]]]
) -> dict[int, float]:
    """Brightness in dB of every band of dates against the mean of the dates before."""
    offsets, side = {}, min(SAMPLE_SIDE, max(dates.shape) // LOOKS)
    for p in POLARISATIONS:
        reduced = {
            date[p]: _decibels(read_reduced(dates, date[p], side, Resampling.average))
            for date in (*sides["pre"], *sides["post"])
        }
        with np.errstate(invalid="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # pixels that no date measured
            reference = np.nanmean([reduced[date[p]] for date in sides["pre"]], axis=0)
        for number, image in reduced.items():
            difference = (image - reference)[np.isfinite(image - reference)]
            if not difference.size:
                raise InputError(
                    f"{dates.name}: {dates.descriptions[number - 1]} shares no ground with the "
                    "dates before the event and cannot be balanced: leave that date out"
                )
            offsets[number] = unchanged_difference(difference)
    return offsets


def _decibels(power: np.ma.MaskedArray[Any, Any]) -> Float:
    filled = power.filled(np.nan)
    return 10 * np.log10(np.where(filled > 0, filled, np.nan))


def _tile(
    dates: DatasetReader,
    sides: Mapping[Side, Sequence[Mapping[str, int]]],
    offsets: Mapping[int, float],
    place: tuple[Window, Grid, int],
    network: nn.Module,
) -> Float:
    """Anomaly of a tile of the scene, computed at 30 m with a halo."""
    tile, grid, factor = place
    top, left = (max(0, start - HALO * factor) for start in (tile.row, tile.col))
    bottom = min(grid.height, tile.row + tile.height + HALO * factor)
    right = min(grid.width, tile.col + tile.width + HALO * factor)
    around = Window(top, left, bottom - top, right - left)

    def read(side: Side) -> Iterator[dict[str, Float]]:
        for date in sides[side]:
            yield {
                p: _average(
                    dates.read(n, window=around.to_rasterio()) / 10 ** (offsets[n] / 10), factor
                )
                for p, n in date.items()
            }

    coarse = measure_anomaly(network, list(read("pre")), list(read("post")))
    fine = coarse.repeat(factor, axis=0).repeat(factor, axis=1)
    return fine[tile.within(around)]


def _average(power: Float, factor: int) -> Float:
    """Means of blocks of pixels that were measured; NaN where none was."""
    if factor == 1:
        return power
    rows, cols = (-side % factor for side in power.shape)
    padded = np.pad(power, ((0, rows), (0, cols)), constant_values=np.nan)
    height, width = (side // factor for side in padded.shape)
    blocks = padded.reshape(height, factor, width, factor)
    measured = np.isfinite(blocks) & (blocks > 0)
    total = np.where(measured, blocks, 0).sum(axis=(1, 3))
    count = measured.sum(axis=(1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)

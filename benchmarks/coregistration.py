"""False change over quiet ground where dates are displaced, and where that is corrected.

    LANDSLIDE_SHARED_DATA=folder python benchmarks/coregistration.py --seeds 0 1 2

Real images, if the folder is named: every third date of the four quiet bursts in
``opera_rtc_quiet`` (OPERA RTC-S1, VV, 30 m) is displaced eastwards, by cubic interpolation, and
compared with all other dates of its burst.

Simulated scenes of 512 x 768 px of 10 m, both orbits, VV, eight dates before the earthquake and
two after it. Speckle, weather and rain are the same in every row; only the dates after it are
imaged with a displacement, each in its own direction. Quiet ground is slopes above 10 degrees more
than 50 m from any landslide, without layover and shadow.

The change is that of ``log_ratio``: means over the dates and over 3 x 3 px, in decibels, less its
median.
"""

import argparse
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import rasterio
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from landslide.geo.relief import Float
from landslide.radar.coregistration import measure_shift, shift_image
from landslide.simulate import SimulatedScene, default_options, simulate
from landslide.simulate.acquisition import Acquisition
from landslide.simulate.inputs import SPACING
from landslide.simulate.options import Dates

SIZE, BEFORE, AFTER = (512, 768), 8, 2
DISPLACEMENTS = (0.0, 0.5, 1.0)
LIMIT = 3.0
STEEP = 25.0


def simulate_dates(seed: int, geolocation: float, before: int) -> SimulatedScene:
    """A scene whose images lie off by ``geolocation`` metres, times their own random numbers."""
    options = default_options()
    options = replace(options, radar=replace(options.radar, geolocation=geolocation))
    return simulate(SIZE, seed, options=options, dates=Dates(before, AFTER))


def dates_after(scene: SimulatedScene, orbit: str) -> list[Acquisition]:
    """Dates after the earthquake of an orbit."""
    return [date for date in scene.stacks[orbit] if date.side == "post"]


def displaced(seed: int, pixels: float) -> Iterator[tuple[str, list[Float]]]:
    """Images after the earthquake by orbit, each displaced by ``pixels`` in its own direction."""
    unit = simulate_dates(seed, SPACING, 2)
    for orbit in unit.stacks:
        images = []
        for index, date in enumerate(dates_after(unit, orbit)):
            geolocation = pixels * SPACING**2 / float(np.hypot(*date.displacement))
            moved = simulate_dates(seed, geolocation, 2)
            images.append(dates_after(moved, orbit)[index].images["vv"])
        yield orbit, images


def false_change(before: Float, after: Float, quiet: np.ndarray) -> float:
    """Share of quiet ground of which the smoothed change exceeds the limit."""
    # The running sum of the filter would carry NaN along.
    one, two = (ndimage.uniform_filter(np.nan_to_num(power), 3) for power in (before, after))
    change = 10 * np.log10(two[quiet] / one[quiet])
    return float((np.abs(change - np.median(change)) > LIMIT).mean())


def correct(image: Float, reference: Float) -> tuple[Float, float]:
    """The image moved onto the reference, and the shift that was measured in pixels."""
    shift = measure_shift(image[None], reference[None])
    assert shift is not None
    return shift_image(image, -shift.rows, -shift.cols), shift.distance


def read_burst(folder: Path) -> Float:
    """All dates (D, H, W) of a burst in VV."""
    images = []
    for path in sorted(folder.glob("*_VV.tif")):
        with rasterio.open(path) as source:
            images.append(source.read(1))
    return np.stack(images)


def measure_burst(images: Float) -> Iterator[tuple[float, dict[str, float]]]:
    """Percentages of each displacement and every third date of a burst."""
    inner = np.zeros(images.shape[1:], bool)
    inner[6:-6, 6:-6] = True
    for index in range(0, len(images), 3):
        others = np.delete(images, index, axis=0)
        before, reference = others.mean(axis=0), np.exp(np.log(others).mean(axis=0))
        for pixels in DISPLACEMENTS:
            image = shift_image(images[index], 0, pixels) if pixels else images[index]
            corrected, measured = correct(image, reference)
            yield (
                pixels,
                {
                    "measured": measured,
                    "delivered": 100 * false_change(before, image, inner),
                    "corrected": 100 * false_change(before, corrected, inner),
                },
            )


def measure_scene(seed: int) -> Iterator[tuple[float, dict[str, float]]]:
    """Percentages of each displacement and orbit of a scene."""
    scene = simulate_dates(seed, 0.0, BEFORE)
    slid = scene.slid_share > 0
    far = ndimage.distance_transform_edt(~slid) * SPACING > 50
    inner = np.zeros(SIZE, bool)
    inner[8:-8, 8:-8] = True
    stacks = {
        orbit: np.stack([date.images["vv"] for date in stack if date.side == "pre"])
        for orbit, stack in scene.stacks.items()
    }
    for pixels in DISPLACEMENTS:
        for orbit, images in displaced(seed, pixels):
            quiet = far & inner & (scene.slope > 10) & (scene.layover_shadow[orbit] == 0)
            before = stacks[orbit]
            corrected = [correct(image, np.exp(np.log(before).mean(axis=0))) for image in images]
            found: dict[str, float] = {"measured": float(np.mean([d for _, d in corrected]))}
            moved = [image for image, _ in corrected]
            for name, ground in (("", quiet), (", steep", quiet & (scene.slope > STEEP))):
                for label, after in (("delivered", images), ("corrected", moved)):
                    means = before.mean(axis=0), np.mean(after, axis=0)
                    found[label + name] = 100 * false_change(*means, ground)
            yield pixels, found


def print_table(title: str, rows: Iterable[tuple[float, dict[str, float]]]) -> None:
    """Print means over all rows of a displacement."""
    found: dict[float, list[dict[str, float]]] = {}
    for pixels, row in rows:
        found.setdefault(pixels, []).append(row)
    columns = list(found[0.0][0])
    table = Table(title=f"{title} that changes above {LIMIT:g} dB, percent")
    for heading in ("displaced, px", *columns):
        table.add_column(heading, justify="right")
    for pixels, each in found.items():
        means = (np.mean([row[column] for row in each]) for column in columns)
        table.add_row(f"{pixels:g}", *(f"{mean:.2f}" for mean in means))
    Console(width=120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    seeds = parser.parse_args().seeds
    if root := os.environ.get("LANDSLIDE_SHARED_DATA"):
        bursts = map(read_burst, sorted(Path(root, "opera_rtc_quiet").glob("T*")))
        print_table("Real quiet ground", chain.from_iterable(map(measure_burst, bursts)))
    print_table("Simulated quiet ground", chain.from_iterable(map(measure_scene, seeds)))


if __name__ == "__main__":
    main()

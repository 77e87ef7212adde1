"""Change of a checkpoint's map when whole dates are brighter or darker, as after rain.

    python benchmarks/date_shifts.py outputs/demo/checkpoints/best.ckpt data/demo

The scene is copied with the dates after the event, the one before it, or all of them raised and
lowered by 3 dB, and mapped; ``changed`` is the share of the pixels mapped without a shift
that are gained or lost (|A xor B| / |A|).
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from landslide.geo.rasters import UNKNOWN
from landslide.products.mapping import map_scene
from landslide.radar.bands import is_backscatter

CONF = Path(__file__).parents[1] / "conf"
SHIFTS = (
    ("none", 0.0),
    *((dates, db) for dates in ("after", "before", "all") for db in (3.0, -3.0)),
)


def shift_dates(scene: Path, copy: Path, dates: str, decibels: float) -> Path:
    """Copy a scene's orbits with whole dates brighter; ``dates`` is after, before, all or none."""
    copy.mkdir()
    for orbit in scene.glob("*cending.tif"):
        with rasterio.open(orbit) as source:
            image, profile, names = source.read(), source.profile, source.descriptions
        for band, name in zip(image, names, strict=True):
            when = "before" if name.endswith("_pre") else "after"
            if is_backscatter(name) and dates in (when, "all"):
                band *= 10 ** (decibels / 10)
        with rasterio.open(copy / orbit.name, "w", **profile) as sink:
            sink.write(image)
            sink.descriptions = names
    (copy / "scene.json").write_text((scene / "scene.json").read_text())
    return copy


def map_mask(checkpoint: str, scene: Path, output: Path) -> NDArray[np.uint8]:
    """Map a scene and return its mask, with single pixels."""
    overrides = [f"checkpoint={checkpoint}", f"scene={scene}", f"output={output}", "min_area=0"]
    map_scene(compose("predict", overrides))
    with rasterio.open(output / "landslides.tif") as source:
        mask: NDArray[np.uint8] = source.read(1)
    return mask


def score_mask(found: NDArray[np.uint8], truth: NDArray[np.uint8]) -> tuple[float, float, float]:
    """Precision, recall and F1 in percent."""
    known = (found != UNKNOWN) & (truth != UNKNOWN)
    hit = float(((found == 1) & (truth == 1))[known].sum())
    positive, real = float((found == 1)[known].sum()), float((truth == 1)[known].sum())
    return 100 * hit / max(positive, 1), 100 * hit / real, 200 * hit / (positive + real)


def main() -> None:
    checkpoint, root = sys.argv[1], Path(sys.argv[2])
    with rasterio.open(root / "landslides.tif") as source:
        truth = source.read(1)
    table = Table(title=f"{checkpoint} on {root}: percent")
    for heading in ("dates", "dB", "mapped", "precision", "recall", "F1", "changed"):
        table.add_column(heading, justify="right")
    with (
        tempfile.TemporaryDirectory() as folder,
        initialize_config_dir(str(CONF.resolve()), version_base="1.3"),
    ):
        masks = []
        for number, (dates, decibels) in enumerate(SHIFTS):
            scene = shift_dates(root, Path(folder) / f"scene{number}", dates, decibels)
            found = map_mask(checkpoint, scene, Path(folder) / "map")
            masks.append(found == 1)
            share = 100 * (found == 1).sum() / (found != UNKNOWN).sum()
            changed = 100 * (masks[0] ^ masks[-1]).sum() / max(masks[0].sum(), 1)
            numbers = (share, *score_mask(found, truth), changed)
            table.add_row(dates, f"{decibels:+g}", *(f"{value:.2f}" for value in numbers))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()

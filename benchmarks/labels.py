"""What labels add to training on the quiet past, on simulated events.

``python benchmarks/labels.py [--seeds 1 2 3] [--epochs 30] [--windows 800] [--size 1024 1536]
[--work FOLDER]``

Each seed is an event of its own terrain, weather and landslides (``EVENTS``), which come from the
radar simulator and not from the implants. Every map is of its eastern half, where nobody has a
label, and is scored there:

- the floor, ``log_ratio`` and ``change_z``;
- trained on the event's quiet past without a label (``experiment=tonight``);
- the same with some hundred labelled landslides of a square in the western half, which are a third
  of the training windows;
- trained on all labels of the western half;
- trained on all labels of the next event.

Every network has the same bands, filters and number of training windows.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from landslide.config.paths import configuration_folder
from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import UNKNOWN, write_raster
from landslide.products.mapping import map_scene
from landslide.programs.simulate import simulate
from landslide.training.run import train

EVENTS = (
    (),
    (
        "terrain.mean_slope=21",
        "terrain.valley_share=0.12",
        "slides.mean_area=12000",
        "slides.aspect=250",
        "changes.whole_date=2.5",
        "changes.moisture=2",
    ),
    (
        "terrain.mean_slope=11",
        "slides.share=0.03",
        "slides.mean_area=4000",
        "slides.aspect_preference=0.1",
        "changes.forest=0.8",
        "scattering.scar=-9.5",
        "scattering.scar_spread=2.5",
    ),
)
"""Terrain, weather and landslides of the events, in turn: the simulator's own; steeper and wet with
large landslides; gentler with few small ones that darken less."""

BANDS = "quiet_ascending"
GAP = 64
"""Pixels between the halves, so that no landslide lies in both."""

LABELLED = 100
"""Landslides of the square that was mapped first."""

SHARE = 1 / 3
"""Share of the training windows that show them."""

SCORES = ("average_precision", "f1", "precision", "recall")

LEARNING = (
    f"dataset={BANDS}",
    "split=blocks",
    "normalization=zscore",
    "threshold=calibrated",
    "model.filters=16",
    "sampler._target_=landslide.data.samplers.WindowSampler",
)
"""Training on labels, with as many windows of an epoch as training on the past has."""


PAST = ("experiment=tonight", f"dataset={BANDS}", "split=time", "trainer.max_time=null")


def composed(name: str, *overrides: str) -> Any:  # noqa: ANN401
    """Configuration of a program."""
    with initialize_config_dir(str(configuration_folder()), version_base="1.3"):
        return compose(name, list(overrides))


def simulated(work: Path, seed: int, size: list[int]) -> Path:
    """Simulate the event of a seed, unless it is there."""
    root = work / f"event_{seed}"
    if not root.exists():
        words = [f"root={root}", f"seed={seed}", f"size=[{size[0]},{size[1]}]", "dates.before=12"]
        words += ["dates.after=2", "polarisations=[vv,vh]"]
        simulate(composed("simulate", *words, *EVENTS[seed % len(EVENTS)]))
    return root


def halves(root: Path) -> tuple[Path, Path]:
    """Write the western and the eastern half of a scene as scenes of their own."""
    with rasterio.open(root / "ascending.tif") as source:
        grid = Grid.of(source)
    width = (grid.width - GAP) // 2
    west = crop(root, root.with_name(f"{root.name}_west"), Window(0, 0, grid.height, width))
    start = grid.width - width
    east = crop(root, root.with_name(f"{root.name}_east"), Window(0, start, grid.height, width))
    return west, east


def crop(root: Path, output: Path, window: Window) -> Path:
    """Write a part of a scene, as far as the ascending orbit needs it."""
    for name in ("ascending.tif", "dates/ascending.tif", "landslides.tif"):
        with rasterio.open(root / name) as source:
            transform = source.window_transform(window.to_rasterio())
            grid = Grid(source.crs, transform, window.height, window.width)
            image = source.read(window=window.to_rasterio())
            bands = list(source.descriptions)
            write_raster(output / name, image, grid, bands, source.nodata)
    (output / "scene.json").write_text((root / "scene.json").read_text())
    return output


def mapped_first(root: Path) -> tuple[Path, int]:
    """The scene with ground truth in a square of the western half alone, and its landslides."""
    output = root.with_name(f"{root.name}_mapped_first")
    with rasterio.open(root / "landslides.tif") as source:
        mask, grid = source.read(1), Grid.of(source)
    square, count = labelled_square(mask)
    known = np.full_like(mask, UNKNOWN)
    known[square] = mask[square]
    write_raster(output / "landslides.tif", known[None], grid, ["landslides"], UNKNOWN)
    for name in ("ascending.tif", "dates", "scene.json"):
        if not (output / name).exists():
            (output / name).symlink_to((root / name).resolve())
    return output, count


def labelled_square(mask: NDArray[np.uint8]) -> tuple[tuple[slice, slice], int]:
    """The smallest square in the middle of the western half that holds enough landslides."""
    height, width = mask.shape
    middle = np.array([height // 2, (width - GAP) // 4])
    square, count = (slice(0), slice(0)), 0
    for half in range(32, int(middle.min()) + 1, 8):
        low, high = middle - half, middle + half
        square = slice(*map(int, (low[0], high[0]))), slice(*map(int, (low[1], high[1])))
        count = ndimage.label(mask[square] == 1)[1]
        if count >= LABELLED:
            break
    return square, count


def trained(output: Path, epochs: int, seed: int, *overrides: str) -> Path:
    """Train a network, unless it is there, and return its checkpoint."""
    checkpoint = output / "checkpoints" / "best.ckpt"
    if not (output / "metrics.json").exists():
        words = ["trainer=cpu", f"trainer.max_epochs={epochs}", f"seed={seed}"]
        train(composed("train", *overrides, *words, f"output_dir={output}"))
    return checkpoint


def score(checkpoint: str | Path, scene: Path, output: Path) -> dict[str, Any]:
    """Map a scene, and score the map where its ground truth is known."""
    words = [f"checkpoint={checkpoint}", f"scene={scene}", f"output={output}"]
    map_scene(composed("predict", *words))
    metrics: dict[str, Any] = json.loads((output / "metrics.json").read_text())
    return metrics


def rows_of(
    work: Path, seed: int, size: list[int], epochs: int, windows: int
) -> list[dict[str, Any]]:
    """Scores of every map of one event."""
    root, other = simulated(work, seed, size), simulated(work, seed + 1, size)
    west, east = halves(root)
    partly, count = mapped_first(root)
    past = (*PAST, f"datamodule.windows={windows}")
    learning = (*LEARNING, f"+sampler.windows={windows}")
    ways: dict[str, tuple[str, ...]] = {
        "tonight, no label": (*past, f"dataset.root={root}"),
        f"tonight, {count} labels": (
            *past,
            f"dataset.root={partly}",
            f"datamodule.labels={SHARE:.3f}",
        ),
        "labels of the other half": (*learning, f"dataset.root={west}"),
        "labels of another event": (*learning, f"dataset.root={other}"),
    }
    models: dict[str, str | Path] = {name: name for name in ("log_ratio", "change_z")}
    for number, (name, words) in enumerate(ways.items()):
        models[name] = trained(work / f"run_{seed}_{number}", epochs, seed, *words)
    return [
        {"event": seed, "map": name} | score(model, east, work / f"map_{seed}_{number}")
        for number, (name, model) in enumerate(models.items())
    ]


def main() -> None:
    """Simulate, train, map, score, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=30, help="of each training")
    parser.add_argument("--windows", type=int, default=800, help="of each epoch")
    parser.add_argument("--size", type=int, nargs=2, default=[1024, 1536])
    parser.add_argument("--work", type=Path, help="folder that keeps scenes and runs")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp())
    table = Table(title=f"Half of a simulated event, {options.epochs} epochs, percent")
    for heading in ("event", "map", "AP", "F1", "precision", "recall", "landslides"):
        table.add_column(heading)
    rows: list[dict[str, Any]] = []
    for seed in options.seeds:
        rows += rows_of(work, seed, options.size, options.epochs, options.windows)
        if options.output:  # after every event, so that an interrupted run has shown something
            options.output.write_text(json.dumps(rows, indent=1))
    for row in rows:
        pixels = sum(row[count] for count in ("tp", "fp", "fn", "tn"))
        values = [*(row[name] for name in SCORES), (row["tp"] + row["fn"]) / pixels]
        table.add_row(str(row["event"]), row["map"], *(f"{100 * value:.1f}" for value in values))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()

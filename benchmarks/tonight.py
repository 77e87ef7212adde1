"""Networks trained on the quiet past of real hills, beside detectors on the same pixels.

``python benchmarks/tonight.py [--seeds 0 1 2 3 4] [--epochs 30] [--bands both|vv|paper]
[--before 8]``

The images are 21 dates of four hilly bursts on which nothing failed (OPERA RTC-S1,
``opera_rtc_quiet`` in the folder that LANDSLIDE_SHARED_DATA names). A network is trained on the
first 13 dates of three bursts with implanted landslides, and tried on the eight later dates of the
same hills and of the fourth burst, which it has never seen: how much quiet ground it maps, and
which implants it finds. ``--null`` trains on implants without any change, which must not be found;
``--bands`` and ``--before`` train and try with fewer polarisations or dates.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from torchmetrics.functional.classification import binary_average_precision

from landslide.config.paths import configuration_folder
from landslide.data.implanted_scene import ImplantedScene
from landslide.data.normalization import Normalization
from landslide.geo.files import write_json
from landslide.geo.metadata import scene_info
from landslide.geo.rasters import UNKNOWN
from landslide.implant.past import Implants
from landslide.models.detectors import ChangeZ, Detector, LogRatio
from landslide.prepare.prepare import prepare_scene
from landslide.training.run import train
from landslide.training.task import LandslideTask, load_task

EVENT, LATER = "2023-10-10", 8
"""Day of the pretended event, after 13 dates, and the number of dates after it."""

VV = ("vv_pre_mean", "vv_post_mean", "vv_pre_std")

BANDS = {
    "both": (*VV, *(band.replace("vv", "vh") for band in VV)),
    "vv": VV,
    "paper": ("vv_pre", "vv_post1", "vv_post2"),  # the bursts have no DEM, and so no slope
}
"""Bands by the name of their set."""

MEAN_AREA = 20_000.0
"""Mean area in m² of all landslides; at 30 m smaller ones are below three pixels."""

DRAWS = 30
"""Implanted images of a burst that are scored."""

SIZES = (0, 10_000, 30_000, 100_000, np.inf)
"""Bounds in m² of the sizes of scars whose recall is told apart."""


class Variant(NamedTuple):
    """What a network is given.

    Attributes:
        bands: Descriptions of the bands.
        before: Dates before the pretended event; None for eight on the dates that are scored and
            all that are free in training.
    """

    bands: list[str]
    before: int | None

    @property
    def after(self) -> int:
        """Dates after the pretended event."""
        return 2 if "vv_post2" in self.bands else 1

    @classmethod
    def of(cls, options: argparse.Namespace) -> "Variant":
        """The variant of the command line, without the scatter that one date does not have."""
        bands = [band for band in BANDS[options.bands] if options.before != 1 or "std" not in band]
        return cls(bands, options.before)


class Images(NamedTuple):
    """Images of one burst on its later dates.

    Attributes:
        quiet: One (C, H, W) for every date.
        implanted: (N, C, H, W) with implants.
        masks: (N, H, W) of these.
    """

    quiet: list[torch.Tensor]
    implanted: torch.Tensor
    masks: torch.Tensor


def composed(name: str, *overrides: str) -> Any:  # noqa: ANN401
    """Configuration of a program."""
    with initialize_config_dir(str(configuration_folder()), version_base="1.3"):
        return compose(name, list(overrides))


def prepare(burst: Path, root: Path) -> Path:
    """Prepare the scene of a burst with all of its dates."""
    prepare_scene(
        composed(
            "prepare",
            f"root={root}",
            f"event.date={EVENT}",
            f"sar.ascending={burst}",
            "sar.before=13",
            f"sar.after={LATER}",
            "sar.polarisations=[vv,vh]",
            "dem=none",
            "grid.resolution=30",
        )
    )
    return root


def later_images(root: Path, variant: Variant) -> Images:
    """Images of the dates after the event, which are quiet too."""
    info = scene_info(root)
    for entry in info["stack"]["ascending"]:
        entry["side"] = "pre"
    write_json(root / "scene.json", info)
    implants = Implants(mean_area=MEAN_AREA, before=variant.before or 8, after=variant.after)
    scene = ImplantedScene(root, "ascending", variant.bands, implants, limit=2**30, balanced=True)
    scene.past.tracks[None].calendar.held_out = 2 * LATER  # the test's dates are the last half
    window = scene.scene.grid.full_window
    quiet: dict[int, torch.Tensor] = {}
    number = 0
    while len(quiet) < LATER + 1 - variant.after:
        sample, choices = scene.draw_with_dates(window, [number], "test", quiet=True)
        quiet[int(choices[None].after[0])] = sample["image"]
        number += 1
    drawn = [scene.draw(window, [1, number], "test") for number in range(DRAWS)]
    return Images(
        [quiet[date] for date in sorted(quiet)],
        torch.stack([sample["image"] for sample in drawn]),
        torch.stack([sample["mask"] for sample in drawn]),
    )


def apply(task: LandslideTask | Detector, images: torch.Tensor, bands: list[str]) -> torch.Tensor:
    """Probability of a network or score of a detector (N, H, W) of whole images."""
    N, C, H, W = images.shape
    size = 16 * -(-max(H, W) // 16)
    padded = torch.full((N, C, size, size), torch.nan)
    padded[..., :H, :W] = images
    with torch.inference_mode():
        if isinstance(task, Detector):
            output = task.score(Normalization(bands)(padded)).nan_to_num(nan=-1e3)
        else:
            output = torch.cat([task(image[None])[:, 0].sigmoid() for image in padded])
    return output[:, :H, :W]


def score(output: torch.Tensor, masks: torch.Tensor, threshold: float | None) -> dict[str, Any]:
    """Scores of all pixels of a burst pooled, and recall of scars by their size."""
    known = masks != UNKNOWN
    truth, values = masks[known].long(), output[known]
    scores: dict[str, Any] = {
        "average_precision": float(
            binary_average_precision(values - values.min(), truth, validate_args=False)
        ),
        "share": float(truth.double().mean()),
    }
    if threshold is None:
        return scores
    mapped = values > threshold
    hits = int((mapped & (truth == 1)).sum())
    scores["f1"] = 2 * hits / max(int(mapped.sum()) + int(truth.sum()), 1)
    scores["found"] = _found_by_size(output.numpy() > threshold, masks.numpy())
    return scores


def _found_by_size(
    mapped: NDArray[np.bool_], masks: NDArray[np.uint8]
) -> dict[str, tuple[int, int]]:
    """Scars of each size, and those of which a third is mapped."""
    counts = {_size_name(i): [0, 0] for i in range(len(SIZES) - 1)}
    for image, mask in zip(mapped, masks, strict=True):
        labels, count = ndimage.label(mask == 1)
        areas = np.bincount(labels.ravel())[1:] * 900
        shares = ndimage.mean(image, labels, np.arange(1, count + 1))
        for area, share in zip(areas, shares, strict=True):
            name = _size_name(int(np.searchsorted(SIZES, area, side="right")) - 1)
            counts[name][0] += int(share >= 1 / 3)
            counts[name][1] += 1
    return {name: (found, total) for name, (found, total) in counts.items()}


def _size_name(index: int) -> str:
    low, high = SIZES[index], SIZES[index + 1]
    return f"{low / 1e4:g} to {high / 1e4:g} ha" if np.isfinite(high) else f"above {low / 1e4:g} ha"


def train_network(
    roots: list[Path], variant: Variant, seed: int, output: Path, epochs: int, *, null: bool
) -> LandslideTask:
    """Train on the quiet past of bursts."""
    config = composed(
        "train",
        "experiment=tonight",
        "split=time",
        "patch_size=48",
        "trainer=cpu",
        "trainer.max_time=null",
        f"trainer.max_epochs={epochs}",
        f"dataset.root=[{','.join(map(str, roots))}]",
        f"dataset.bands=[{','.join(variant.bands)}]",
        "dataset.name=opera",
        f"datamodule.implants.mean_area={MEAN_AREA}",
        f"datamodule.implants.before={variant.before or 'null'}",
        f"datamodule.implants.after={variant.after}",
        f"+datamodule.implants.strength={0 if null else 1}",
        f"seed={seed}",
        f"output_dir={output}",
    )
    train(config)
    return load_task(output / "checkpoints" / "best.ckpt")


def main() -> None:
    """Prepare, train, score, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=30, help="of 800 windows")
    parser.add_argument("--bands", choices=list(BANDS), default="both")
    parser.add_argument("--before", type=int, help="dates before; default: 8, all free in training")
    parser.add_argument("--null", action="store_true")
    parser.add_argument("--work", type=Path, help="folder that keeps scenes and runs")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    variant = Variant.of(options)
    work = options.work or Path(tempfile.mkdtemp())
    data = Path(os.environ["LANDSLIDE_SHARED_DATA"]) / "opera_rtc_quiet"
    bursts = sorted(path for path in data.iterdir() if path.is_dir())
    scenes, images = [], []
    for burst in bursts:
        for part in ("past", "later"):
            root = work / part / burst.name
            if not root.exists():
                prepare(burst, root)
            if part == "past":
                scenes.append(root)
            else:
                images.append(later_images(root, variant))
    models: dict[str, tuple[LandslideTask | Detector, float | None]] = {
        "log_ratio": (LogRatio(variant.bands, min_slope=0), None),
    }
    if "vv_pre_std" in variant.bands:
        models["change_z"] = ChangeZ(variant.bands, min_slope=0), None
    for seed in options.seeds:
        name = f"{options.bands}_{options.before}_{seed}{'null' if options.null else ''}"
        folder = work / name
        task = train_network(scenes[:3], variant, seed, folder, options.epochs, null=options.null)
        models[f"tonight, seed {seed}"] = task, task.threshold
    rows = []
    for name, (model, threshold) in models.items():
        for burst, later in zip(bursts, images, strict=True):
            row: dict[str, Any] = {"model": name, "burst": burst.name}
            row |= score(apply(model, later.implanted, variant.bands), later.masks, threshold)
            if threshold is not None:
                maps = apply(model, torch.stack(later.quiet), variant.bands) > threshold
                row["quiet"] = maps.double().mean(dim=(1, 2)).tolist()
            rows.append(row)
    title = f"Later dates, {options.bands}, before={options.before}"
    table = Table(title=f"{title}; percent")
    for heading in ("model", "burst", "quiet mapped (worst)", "AP", "F1", "found by size"):
        table.add_column(heading)
    for row in rows:
        quiet = row.get("quiet")
        table.add_row(
            row["model"],
            row["burst"],
            f"{100 * np.mean(quiet):.3f} ({100 * max(quiet):.3f})" if quiet else "",
            f"{100 * row['average_precision']:.1f} of {100 * row['share']:.1f}",
            f"{100 * row['f1']:.1f}" if "f1" in row else "",
            "; ".join(f"{n}: {a}/{b}" for n, (a, b) in row.get("found", {}).items()),
        )
    Console(width=220).print(table)
    if options.output:
        options.output.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()

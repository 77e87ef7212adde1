"""Scores of maps beside each other: ``landslide compare maps=[maps/network,maps/log_ratio]``."""

import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from landslide.config.checks import check
from landslide.errors import InputError
from landslide.training.scores import SCORES

SHOWN = ("average_precision", "f1", "precision", "recall")


def compare(config: DictConfig) -> None:
    """Print one row of scores for every map."""
    check(config, {})
    named = [config.maps] if isinstance(config.maps, str) else config.maps
    maps = [(folder, *_read(Path(folder))) for folder in named]
    simulated = any(summary["simulated"] for _, summary, _ in maps)
    title = "Maps against ground truth" + (" of simulated scenes" if simulated else "")
    table = Table(title=f"{title}, percent")
    for heading in ("map", "model"):
        table.add_column(heading, no_wrap=True)
    for name in SHOWN:
        table.add_column(SCORES[name], justify="right")
    grounds: dict[tuple[int, int], list[str]] = {}
    for folder, summary, metrics in maps:
        model = summary["model"]["_target_"].rpartition(".")[2]
        table.add_row(folder, model, *(f"{100 * metrics[name]:.1f}" for name in SHOWN))
        landslide = metrics["tp"] + metrics["fn"]
        pixels = landslide + metrics["fp"] + metrics["tn"]
        grounds.setdefault((landslide, pixels), []).append(folder)
    console = Console(soft_wrap=True)
    console.print(table)
    for (landslide, pixels), folders in grounds.items():
        console.print(
            f"{', '.join(folders)}: landslides are {100 * landslide / pixels:.1f} % of the "
            f"{pixels:,} pixels, which is the average precision of chance."
        )


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Summary and metrics of a map.

    Raises:
        InputError: The folder holds no finished map, or the map was made without ground truth.
    """
    if not (folder / "summary.json").is_file():
        raise InputError(f"maps: {folder} holds no finished map: make one with predict.py")
    if not (folder / "metrics.json").is_file():
        raise InputError(
            f"maps: {folder} was mapped without ground truth: name it to predict.py as inventory="
        )
    summary, metrics = (
        json.loads((folder / name).read_text()) for name in ("summary.json", "metrics.json")
    )
    return summary, metrics

"""The runs of a sweep as one table.

Each run is a folder with ``settings.json``; ``metrics.json`` is there once it is finished,
``error.txt`` where it failed.
"""

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd

from landslide.errors import InputError
from landslide.study.sweeps import ERROR, METRICS, SETTINGS
from landslide.training.scores import COUNTS, SCORES

SPLITS = ("val", "test")

VARIANT = "variant"
"""Config group that sets other groups."""

DIGEST, CODE, DATA = "split digest", "code", "data"
"""Columns of what a run recorded: its division of patches, its code, its files."""

FLOOR = "floor"
"""Column of what takes the place of a network (see ``landslide.study.floor``)."""

RESULTS = {"run", "status", "error", "simulated", "test_patches", "train_patches"}
RESULTS |= {DIGEST, CODE, DATA}
RESULTS |= {f"{split}_{name}" for split in SPLITS for name in (*SCORES, *COUNTS)}
"""Columns that are not settings."""


def read_runs(sweep: Path) -> pd.DataFrame:
    """Read every run of a sweep.

    Args:
        sweep: Folder of the sweep, the one that ``hydra.sweep.dir`` named.

    Returns:
        A row per run: ``run`` (its folder's name), ``status`` (finished, failed or unfinished),
        ``error``, its settings, and for finished runs ``val_f1`` and so on for all scores
        (fractions) and counts of both splits, ``test_patches``, ``train_patches``,
        ``simulated``, ``split digest``, ``code`` and ``data``.

    Raises:
        InputError: There is no such folder, no run in it, or a file that cannot be read.
    """
    if not sweep.is_dir():
        raise InputError(f"there is no sweep folder {sweep}: name one that train.py -m wrote")
    folders = sorted(path.parent for path in sweep.glob(f"*/{SETTINGS}"))
    if not folders:
        raise InputError(
            f"{sweep} holds no run of a sweep (no */{SETTINGS}): name the folder that "
            "`python train.py -m …` wrote, or was given as hydra.sweep.dir"
        )
    return pd.DataFrame([_row(folder) for folder in folders], dtype=object)


def _row(folder: Path) -> dict[str, Any]:
    settings = _read_json(folder / SETTINGS)
    row: dict[str, Any] = {"run": folder.name, "status": _status(folder), "error": None}
    # Lists become text, which can be compared and sorted.
    row |= {n: ", ".join(map(str, v)) if isinstance(v, list) else v for n, v in settings.items()}
    if row["status"] == "failed":
        row["error"] = (folder / ERROR).read_text().rstrip().splitlines()[-1]
    if row["status"] == "finished":
        metrics = read_metrics(folder)
        row |= flatten_metrics(metrics) | {
            "test_patches": metrics["test"]["patches"],
            "train_patches": metrics["train_patches"],
            "simulated": bool(metrics.get("simulated")),
            DIGEST: metrics["tested"],
            CODE: metrics["code"],
            DATA: metrics["data"],
        }
    return row


def _status(folder: Path) -> str:
    if (folder / METRICS).exists():
        return "finished"
    return "failed" if (folder / ERROR).exists() else "unfinished"


def flatten_metrics(metrics: dict[str, Any]) -> dict[str, Any]:
    """Scores and counts of both splits as ``test_f1``, ``val_tp``, …; NaN without a landslide."""
    flat = {f"{s}_{name}": metrics[s][name] for s in SPLITS for name in (*SCORES, *COUNTS)}
    return {name: math.nan if value is None else value for name, value in flat.items()}


def read_metrics(folder: Path) -> dict[str, Any]:
    """Read the metrics of a finished run.

    Raises:
        InputError: The file is not what ``train.py`` writes.
    """
    metrics = _read_json(folder / METRICS)
    for split in SPLITS:
        part = metrics.get(split)
        required = (*SCORES, *COUNTS, "patches")
        missing = [name for name in required if not isinstance(part, dict) or name not in part]
        if missing:
            raise InputError(
                f"{folder / METRICS} has no {missing[0]} of the {split} split: remove the run's "
                "folder and start the sweep again"
            )
    for name in ("split", "tested", "train_patches", CODE, DATA):
        if name not in metrics:
            raise InputError(
                f"{folder / METRICS} has no {name}, so that an older version wrote it: start the "
                "sweep again, which trains its runs anew"
            )
    return metrics


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is not readable JSON ({error}): remove the run's folder and start the "
            "sweep again"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a JSON object: remove the run's folder")
    return content


def varying_settings(runs: pd.DataFrame) -> list[str]:
    """Settings that differ between runs, without repetition: config groups, then values.

    A value that follows from the chosen option of its group (``dataset.orbit`` from
    ``dataset``) is left out, and so is all that follows from the ``variant``.
    """
    settings = [name for name in runs.columns if name not in RESULTS]
    differing = [name for name in settings if runs[name].nunique(dropna=False) > 1]
    return [name for name in differing if not _follows(runs, name, differing)]


def _follows(runs: pd.DataFrame, name: str, differing: list[str]) -> bool:
    groups = {name.split(".")[0], VARIANT} - {name}
    return any(
        (runs.groupby(group, dropna=False)[name].nunique(dropna=False) == 1).all()
        for group in groups.intersection(differing)
    )

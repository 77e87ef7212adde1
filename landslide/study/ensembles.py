"""Gains of averaging several seeds and of flips at test time, without any training.

The checkpoints of finished runs are scored as ``predict.py`` would use them, on the patches
of their own validation and test splits.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from rich.progress import track

from landslide.data.datamodule import LandslideDataModule
from landslide.data.memory import SceneMemory
from landslide.errors import InputError
from landslide.study.replications import SEED
from landslide.study.runs import flatten_metrics, read_metrics
from landslide.study.tables import BASELINE, select_best
from landslide.training.evaluation import Results, evaluate_network
from landslide.training.network import FLIPS, Network
from landslide.training.scores import SCORES
from landslide.training.task import LandslideTask, load_task

BATCH_SIZE = 32
"""Patches in one pass; it changes no score."""


def score_ensembles(
    runs: pd.DataFrame, by: Sequence[str], sweep: Path, device: torch.device
) -> pd.DataFrame:
    """Score each row's runs alone and together, with flips and without.

    Args:
        runs: Comparable runs (see ``comparable_runs``).
        by: Settings whose combinations are the rows of the study.
        sweep: Folder of the sweep.
        device: Where the networks run.

    Returns:
        ``by``; number of averaged ``members``; ``flips`` (yes, no); ``val_f1`` and the test scores
        in percent, for single members the mean over seeds with ``<score>_std``; ``gain`` and
        ``val_gain``, F1 above that of single members without flips, in points.

    Raises:
        InputError: Runs of a row do not share their split, or their scene has changed.
    """
    best = select_best(runs, by)
    rows = sorted(best.groupby(list(by), dropna=False), key=lambda row: BASELINE not in row[0])
    tables = []
    memory = SceneMemory()  # rows mostly share their scene
    for _, row in track(rows, "Scoring ensembles", transient=True):
        folders = [sweep / run for run in row.sort_values(SEED).run]
        names = {name: row.iloc[0][name] for name in by}
        lines = pd.DataFrame([names | line for line in _lines(folders, device, memory)])
        for gain, f1 in (("gain", "f1"), ("val_gain", "val_f1")):
            lines[gain] = lines[f1] - lines[f1][0]
        tables.append(lines)
    return pd.concat(tables, ignore_index=True)


def _lines(
    folders: Sequence[Path], device: torch.device, memory: SceneMemory
) -> Iterator[dict[str, Any]]:
    """Scores of the members alone and averaged, without flips, then with."""
    data = shared_data(folders, memory)
    tasks = [load_task(folder / "checkpoints" / "best.ckpt") for folder in folders]
    for tta in FLIPS:
        if tta == "none":
            alone = [read_metrics(folder) for folder in folders]
        else:
            alone = [_score([task], data, device, tta) for task in tasks]
        flips = {"flips": "no" if tta == "none" else "yes"}
        yield {"members": 1} | flips | _summary(alone)
        if len(tasks) > 1:
            yield {"members": len(tasks)} | flips | _summary([_score(tasks, data, device, tta)])


def _score(
    tasks: Sequence[LandslideTask], data: LandslideDataModule, device: torch.device, tta: str
) -> Results:
    # As predict.py: the first member's threshold.
    return evaluate_network(Network(tasks, device, tta), data, tasks[0].threshold)  # type: ignore[arg-type]


def _summary(results: Sequence[Results]) -> dict[str, float]:
    """Mean and standard deviation in percent."""
    scored = pd.DataFrame([flatten_metrics(r) for r in results], dtype=float)
    line: dict[str, float] = {"val_f1": 100 * float(scored.val_f1.mean())}
    for name in SCORES:
        scores = 100 * scored[f"test_{name}"].to_numpy()
        line[name] = float(np.mean(scores))
        line[f"{name}_std"] = float(np.std(scores, ddof=1)) if len(scores) > 1 else np.nan
    return line


def shared_data(folders: Sequence[Path], memory: SceneMemory) -> LandslideDataModule:
    """Return the patches that all these runs were validated and tested on.

    Raises:
        InputError: The runs do not share their patches, or the scene has changed.
    """
    metrics = [read_metrics(folder) for folder in folders]
    if len({run["split"] for run in metrics}) > 1:
        raise InputError(
            f"{folders[0]} and {folders[-1]} do not share their split, so that an ensemble would "
            "be tested on what members were trained on: sweep the seeds with split.seed=0 and one "
            "split.fold"
        )
    settings = folders[0] / ".hydra" / "config.yaml"
    if not settings.is_file():
        raise InputError(
            f"{settings} is missing, which names the run's scene and split: start the sweep again"
        )
    config = OmegaConf.load(settings)
    config.batch_size = BATCH_SIZE
    data: LandslideDataModule = instantiate(config.datamodule)
    data.memory = memory
    changed = data.identity.data.items() ^ metrics[0]["data"].items()
    if changed:
        raise InputError(
            f"{min(file for file, _ in changed)} is not what {folders[0]} was trained on: restore "
            "it or start the sweep again"
        )
    data.setup()
    if data.split_digest != metrics[0]["split"]:
        raise InputError(
            f"{folders[0]} was scored on other patches than this version of the program makes: "
            "start the sweep again"
        )
    return data

"""One run: it is trained unless a sweep has finished it before.

In a sweep, a finished run is kept and an interrupted one goes on from its last checkpoint. A run
of another version of the program, or of a scene that has changed since, is trained anew.
"""

import shutil
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console

from landslide.data.datamodule import LandslideDataModule
from landslide.data.identity import IDENTITY, Identity
from landslide.data.memory import SceneMemory
from landslide.geo.files import write_json
from landslide.study.runs import read_metrics
from landslide.study.sweeps import ERROR, METRICS, SETTINGS, settings_of
from landslide.training.model import is_readable
from landslide.training.run import train

MEMORY = SceneMemory()
"""Memory that all runs of this process share: Hydra hands them nothing but a configuration."""


def run(config: DictConfig) -> float:
    """Train; in a sweep, keep a finished run and resume an interrupted one.

    Args:
        config: Composed from ``conf/train.yaml`` by ``hydra.main``.

    Returns:
        F1 on the validation split.

    Raises:
        InputError: The data or the configuration cannot be used.
    """
    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN:
        return train(config, MEMORY)
    settings = settings_of(config, hydra.runtime.choices)  # before Hydra resolves what follows
    folder = Path(config.output_dir)
    console = Console(soft_wrap=True)
    data: LandslideDataModule = instantiate(config.datamodule)
    data.memory = MEMORY
    if reason := _why_stale(folder, data.identity):
        data.setup()  # fails before a finished run is removed for a scene that cannot be used
        console.print(f"Trained anew: {folder} {reason}", markup=False, highlight=False)
        _clear(folder, keep=hydra.output_subdir)
    if (folder / METRICS).exists():
        console.print(f"Finished before: {folder}")
        return float(read_metrics(folder)["val"]["f1"] or 0)
    (folder / ERROR).unlink(missing_ok=True)
    write_json(folder / SETTINGS, settings)
    last = folder / "checkpoints" / "last.ckpt"
    if config.ckpt_path is None and is_readable(last):
        console.print(f"Goes on from {last}")
        config.ckpt_path = str(last)
    return train(config, MEMORY)


def _why_stale(folder: Path, now: Identity) -> str | None:
    """Say why an earlier run's results are out of date; None if they are not, or do not exist."""
    if not (folder / METRICS).exists() and not (folder / "checkpoints").exists():
        return None
    before = Identity.read(folder)
    if before is None:
        return f"has no {IDENTITY}, which names the code and the data that it was trained with"
    changes = before.changes(now)
    return f"was trained {' and '.join(changes)}" if changes else None


def _clear(folder: Path, *, keep: str | None) -> None:
    """Remove a run's files except Hydra's new ones: its metrics first, its identity last."""
    order = {METRICS: 0, IDENTITY: 2}
    for path in sorted(folder.iterdir(), key=lambda path: order.get(path.name, 1)):
        if path.name != keep:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

"""One training run, from configuration to metrics and figures."""

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from lightning import Trainer, seed_everything
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from landslide import figures
from landslide.checks import CALIBRATED, TRAIN, check
from landslide.cpu import tune_cpu
from landslide.datamodule import LandslideDataModule
from landslide.datasets import scene_info
from landslide.errors import InputError
from landslide.evaluation import best_threshold, evaluate, print_results
from landslide.identity import Identity
from landslide.rasters import write_json
from landslide.task import LandslideTask, load_task, set_threshold


def train(config: DictConfig) -> float:
    """Fit, score the best checkpoint on validation and test, write the run folder.

    Args:
        config: Composed from ``conf/train.yaml``.

    Returns:
        F1 on the validation split, for a sweeper to maximise.

    Raises:
        InputError: The data or the configuration cannot be used.
    """
    check(config, TRAIN)
    _quiet_lightning()
    tune_cpu()
    # Deterministic mode would fill every new tensor first, a tenth of a step's time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    seed_everything(config.seed, workers=True, verbose=False)
    output = Path(config.output_dir)
    resumed = _resumable(config)
    datamodule: LandslideDataModule = instantiate(config.datamodule)
    identity = Identity.of(datamodule.files)  # before they are read
    datamodule.setup()
    identity.write(output)
    datamodule.write_splits(output / "splits.geojson")
    calibrated = config.threshold == CALIBRATED
    simulated = any(scene_info(root).get("simulated") for root in datamodule.roots)
    settings: dict[str, Any] = OmegaConf.to_container(config.task, resolve=True)  # type: ignore[assignment]
    settings |= {"simulated": simulated} | ({"threshold": 0.5} if calibrated else {})
    task = LandslideTask(**settings)
    trainer: Trainer = instantiate(
        config.trainer,
        callbacks=list(instantiate(config.callbacks).values()),
        logger=instantiate(config.logger),
        default_root_dir=output,
    )
    trainer.fit(task, datamodule, ckpt_path=resumed)

    # The best checkpoint, as anyone would load it; one process scores every patch once.
    checkpoint = output / "checkpoints" / "best.ckpt"
    best = load_task(checkpoint)
    scorer: Trainer = instantiate(
        config.trainer,
        devices=1,
        strategy="auto",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    if calibrated:
        set_threshold(checkpoint, best_threshold(scorer, best, datamodule))
        best = load_task(checkpoint)
    results, curve = evaluate(scorer, best, datamodule)
    # Simulated data is always called simulated.
    what = config.dataset.name + (", simulated backscatter" if simulated else "")
    figures.training_curves(output / "history.csv", output / "figures" / "training.png", title=what)
    figures.samples(best, datamodule, output / "figures" / "samples.png", title=what)
    test = results["test"]
    figures.precision_recall(
        curve,
        (test["precision"], test["recall"]),
        best.threshold,
        output / "figures" / "precision_recall.png",
        title=f"{what}: test split",
    )
    # Last: a run with metrics is finished.
    facts = {
        "seed": config.seed,
        "simulated": bool(simulated),
        "split": datamodule.split_digest,
        "train_patches": len(datamodule.patches_of("train")),
    }
    write_json(output / "metrics.json", {**results, **facts, **identity._asdict()})
    print_results(results, f"{what}, seed {config.seed}: best checkpoint, percent")
    Console(soft_wrap=True).print(f"Run folder: {output}")
    return results["val"]["f1"]


def _quiet_lightning() -> None:
    """Leave out what Lightning says of itself and of torch's deprecations."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    # A resumed run goes on in its folder.
    warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
    # Scenes in memory are sliced in microseconds: worker processes would only cost.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")


def _resumable(config: DictConfig) -> str | None:
    """Path of the checkpoint to resume from, once it is known to fit."""
    if config.ckpt_path is None:
        return None
    path = Path(config.ckpt_path)
    if not path.is_file():
        raise InputError(
            f"ckpt_path={path} does not exist: name the checkpoints/last.ckpt of a run folder"
        )
    bands = load_task(path).bands
    if bands != list(config.dataset.bands):
        raise InputError(
            f"ckpt_path={path} was trained on {', '.join(bands)}, not on "
            f"{', '.join(config.dataset.bands)}: resume with the run's own settings"
        )
    return str(path)

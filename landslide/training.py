"""One training run, from configuration to metrics and figures."""

import logging
import warnings
from pathlib import Path

import torch
from hydra.utils import instantiate
from lightning import Trainer, seed_everything
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from landslide import figures
from landslide.allocator import keep_memory
from landslide.datamodule import LandslideDataModule
from landslide.datasets import scene_info
from landslide.errors import InputError
from landslide.evaluation import evaluate, print_results
from landslide.rasters import write_json
from landslide.task import LandslideTask, load_task, store_halo


def train(config: DictConfig) -> float:
    """Fit, score the best checkpoint on validation and test, write the run folder.

    Args:
        config: Composed from ``conf/train.yaml``.

    Returns:
        F1 on the validation split, for a sweeper to maximise.

    Raises:
        InputError: The data or the configuration cannot be used.
    """
    _quiet_lightning()
    keep_memory()
    # Deterministic mode would fill every new tensor first, a tenth of a step's time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    seed_everything(config.seed, workers=True, verbose=False)
    output = Path(config.output_dir)
    resumed = _existing(config.ckpt_path)
    datamodule: LandslideDataModule = instantiate(config.datamodule)
    datamodule.setup()
    datamodule.write_splits(output / "splits.geojson")
    task = LandslideTask(**OmegaConf.to_container(config.task, resolve=True))  # type: ignore[arg-type]
    trainer: Trainer = instantiate(
        config.trainer,
        callbacks=list(instantiate(config.callbacks).values()),
        logger=instantiate(config.logger),
        default_root_dir=output,
    )
    trainer.fit(task, datamodule, ckpt_path=resumed)

    # The best checkpoint, as anyone would load it; one process scores every patch once.
    path = output / "checkpoints" / "best.ckpt"
    best = load_task(path)
    store_halo(path, best)
    scorer: Trainer = instantiate(
        config.trainer,
        devices=1,
        strategy="auto",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    results, curve = evaluate(scorer, best, datamodule)
    write_json(output / "metrics.json", {**results, "seed": config.seed})
    what = f"{config.dataset.name}, {_nature(datamodule)}"
    figures.training_curves(output / "history.csv", output / "figures" / "training.png")
    figures.samples(best, datamodule, output / "figures" / "samples.png", title=what)
    test = results["test"]
    figures.precision_recall(
        curve,
        (test["precision"], test["recall"]),
        best.threshold,
        output / "figures" / "precision_recall.png",
    )
    print_results(results, f"{what}, seed {config.seed}: best checkpoint, percent")
    Console(soft_wrap=True).print(f"Run folder: {output}")
    return results["val"]["f1"]


def _quiet_lightning() -> None:
    """Leave out what Lightning says of itself and of torch's deprecations."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    # Scenes in memory are sliced in microseconds: worker processes would only cost.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")


def _existing(checkpoint: str | None) -> str | None:
    if checkpoint is not None and not Path(checkpoint).is_file():
        raise InputError(
            f"ckpt_path={checkpoint} does not exist: name the checkpoints/last.ckpt of a run folder"
        )
    return checkpoint


def _nature(datamodule: LandslideDataModule) -> str:
    """Say of which nature the scenes are: simulated data is always called simulated."""
    simulated = [bool(scene_info(root).get("simulated")) for root in datamodule.roots]
    return "simulated backscatter" if any(simulated) else "measured backscatter"

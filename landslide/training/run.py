"""One training run, from configuration to metrics and figures."""

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning import Trainer, seed_everything
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from landslide.config.checks import CALIBRATED, TRAIN, check, flatten
from landslide.data.datamodule import LandslideDataModule
from landslide.data.memory import SceneMemory
from landslide.errors import InputError
from landslide.geo.files import write_json
from landslide.geo.metadata import scene_info
from landslide.training import figures
from landslide.training.checkpoint import WholeCheckpoints
from landslide.training.cpu import tune_cpu
from landslide.training.evaluation import best_threshold, evaluate, print_results
from landslide.training.task import LandslideTask, load_task, set_threshold


def train(config: DictConfig, memory: SceneMemory | None = None) -> float:
    """Fit, score the best checkpoint on validation and test, write the run folder.

    Args:
        config: Composed from ``conf/train.yaml``.
        memory: Scenes that earlier runs have read, for this one to use and to add to.

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
    datamodule.memory = memory or datamodule.memory
    identity = datamodule.identity  # of the files before they are read
    datamodule.setup()
    if resumed is not None:
        _require_same_data(resumed, datamodule)
    calibrated = config.threshold == CALIBRATED
    simulated = any(scene_info(root).get("simulated") for root in datamodule.roots)
    settings: dict[str, Any] = OmegaConf.to_container(config.task, resolve=True)  # type: ignore[assignment]
    settings |= {"simulated": simulated} | ({"threshold": 0.5} if calibrated else {})
    task = LandslideTask(**settings)
    task.normalization.fit(datamodule.training_images())
    trainer = _trainer(
        config,
        callbacks=list(instantiate(config.callbacks).values()),
        logger=instantiate(config.logger),
        plugins=[WholeCheckpoints()],
        default_root_dir=output,
    )
    identity.write(output)
    datamodule.write_splits(output / "splits.geojson")
    trainer.fit(task, datamodule, ckpt_path=resumed)

    # The best checkpoint, as anyone would load it; one process scores every patch once.
    checkpoint = output / "checkpoints" / "best.ckpt"
    best = load_task(checkpoint)
    scorer = _trainer(
        config,
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
    if test["precision"] is not None and test["recall"] is not None:
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
        "tested": datamodule.tested_digest,
        "train_patches": len(datamodule.patches_of("train")),
    }
    write_json(output / "metrics.json", {**results, **facts, **identity._asdict()})
    print_results(results, f"{what}, seed {config.seed}: best checkpoint, percent")
    Console(soft_wrap=True).print(f"Run folder: {output}")
    return float(results["val"]["f1"] or 0)


def _trainer(config: DictConfig, **options: object) -> Trainer:
    """Build the trainer.

    Raises:
        InputError: The device is not there, or options contradict each other.
    """
    try:
        trainer: Trainer = instantiate(config.trainer, **options)
    except InstantiationException as error:
        if not isinstance(error.__cause__, MisconfigurationException):
            raise
        raise InputError(
            f"trainer: {str(error.__cause__).rstrip('.!')}: choose another, such as trainer=cpu"
        ) from error
    return trainer


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
    settings: dict[str, Any] = OmegaConf.to_container(config.task, resolve=True)  # type: ignore[assignment]
    wanted, trained = dict(flatten(settings)), dict(flatten(load_task(path).hparams))
    for name, value in wanted.items():
        # Encoder weights were a start only; checkpoints forget them.
        if name not in ("threshold", "model.encoder_weights") and trained.get(name) != value:
            raise InputError(
                f"ckpt_path={path} was trained with {name}={trained.get(name)}, not {value}: "
                "resume with the run's own settings"
            )
    return str(path)


def _require_same_data(checkpoint: str, datamodule: LandslideDataModule) -> None:
    """Check before anything is written what Lightning would check when it resumes.

    Raises:
        InputError: The checkpoint is of other data, or does not tell of which.
    """
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    state = content.get(type(datamodule).__qualname__)
    if state is None:
        raise InputError(
            f"ckpt_path={checkpoint} does not tell which patches it was trained on, so that it "
            "might be tested on them: train anew"
        )
    datamodule.load_state_dict(state)

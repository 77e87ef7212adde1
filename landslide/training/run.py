"""One training run, from configuration to metrics and figures."""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning import Trainer, seed_everything
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from landslide.config.checks import check, flatten
from landslide.config.rules import CALIBRATED, TRAIN
from landslide.data.datamodule import LandslideDataModule, Split
from landslide.data.memory import SceneMemory
from landslide.errors import InputError
from landslide.geo.files import write_json
from landslide.geo.metadata import scene_info
from landslide.models.detectors import Detector
from landslide.training import figures
from landslide.training.callbacks import WholeCheckpoints, describe_lag
from landslide.training.cpu import tune_cpu
from landslide.training.evaluation import (
    Predictions,
    best_threshold,
    evaluate,
    mapped_share,
    predict_splits,
    print_results,
    quiet_threshold,
)
from landslide.training.logistic import fit_detector
from landslide.training.reliability import calibration, hit_by_size
from landslide.training.task import LandslideTask, load_task, set_threshold
from landslide.training.weights import start_from


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
    _prepare_process(config.seed)
    resumed = _resumable(config)
    datamodule: LandslideDataModule = instantiate(config.datamodule)
    if config.false_alarms is not None and not (
        datamodule.implanted and config.threshold == CALIBRATED
    ):
        raise InputError(
            "false_alarms= needs quiet dates and threshold=calibrated, as experiment=tonight has: "
            "leave it out"
        )
    datamodule.memory = memory or datamodule.memory
    identity = datamodule.identity  # of the files before they are read
    datamodule.setup()
    if resumed is not None:
        _require_same_data(resumed, datamodule)
    output = Path(config.output_dir)
    simulated = any(scene_info(root).get("simulated") for root in datamodule.roots)

    _fit(config, datamodule, simulated, resumed)
    best, predictions, quiet = _load_best(config, datamodule)
    results = evaluate(predictions, best.threshold)

    title = config.dataset.name + (", simulated backscatter" if simulated else "")
    title += ", implanted landslides" if datamodule.implanted else ""
    _draw_figures(best, datamodule, predictions["test"], results["test"], title, output)
    facts = {
        "seed": config.seed,
        "simulated": simulated,
        "split": datamodule.split_digest,
        "tested": datamodule.tested_digest,
        "train_patches": len(datamodule.patches_of("train")),
        "calibration": calibration(predictions["test"]),
        "objects": {"hit": hit_by_size(predictions["test"], best.threshold)},
    }
    if quiet:
        found = mapped_share(quiet["test"], best.threshold)
        facts |= {"implanted": True, "quiet": found}
    # The metrics come last: a run that has them is finished.
    write_json(output / "metrics.json", {**results, **facts, **identity._asdict()})
    print_results(results, f"{title}, seed {config.seed}: best checkpoint, percent")
    if quiet:
        Console().print(
            f"Quiet ground on the test's dates: {100 * found['mapped']:.3f} % is mapped"
        )
    console = Console(soft_wrap=True)
    if lag := describe_lag(output / "history.csv"):
        console.print(f"Note: {lag}")
    console.print(f"Run folder: {output}")
    return float(results["val"]["f1"] or 0)


def _prepare_process(seed: int) -> None:
    """Seed, and set up torch and Lightning."""
    # Lightning's advertisements, and warnings that do not apply: the folder of a resumed run
    # is not empty; scenes in memory are sliced in microseconds and need no worker processes; one
    # process on a cluster's machine needs no srun.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    messages = (
        "LeafSpec",
        "exists and is not empty",
        "does not have many workers",
        "`srun` command",
    )
    for message in (*messages, "this fit will run with no optimizer"):
        warnings.filterwarnings("ignore", message=f".*{message}.*")
    tune_cpu()
    # Deterministic mode would fill every new tensor first, a tenth of a step's time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    seed_everything(seed, workers=True, verbose=False)


def _fit(
    config: DictConfig, datamodule: LandslideDataModule, simulated: bool, resumed: str | None
) -> None:
    """Train a task; its best and last checkpoints are in the run folder."""
    settings: dict[str, Any] = OmegaConf.to_container(config.task, resolve=True)  # type: ignore[assignment]
    if config.threshold == CALIBRATED:
        settings["threshold"] = 0.5  # until training is over
    task = LandslideTask(**settings, simulated=simulated, implanted=datamodule.implanted)
    if config.weights is not None:
        start_from(task, Path(config.weights))
    task.normalization.fit(datamodule.training_images())
    # A detector is fitted at once. The epoch that follows only validates it.
    budget = {}
    if isinstance(task.model, Detector):
        samples = datamodule.samples(datamodule.patches_of("train"))
        fit_detector(task.model, task.normalization, samples)
        budget = {"max_epochs": 1}
    trainer = _trainer(
        config,
        **budget,
        callbacks=list(instantiate(config.callbacks).values()),
        logger=instantiate(config.logger),
        plugins=[WholeCheckpoints()],
        default_root_dir=config.output_dir,
    )
    datamodule.identity.write(Path(config.output_dir))
    datamodule.write_splits(Path(config.output_dir) / "splits.geojson")
    trainer.fit(task, datamodule, ckpt_path=resumed)


def _load_best(
    config: DictConfig, datamodule: LandslideDataModule
) -> tuple[LandslideTask, dict[Split, Predictions], dict[Split, Predictions]]:
    """Load the best checkpoint from its file, and apply it to validation, test and quiet ground.

    A calibrated threshold is chosen on validation, so high that at most ``false_alarms`` of its
    quiet ground are mapped, and written into the checkpoint.
    """
    path = Path(config.output_dir) / "checkpoints" / "best.ckpt"
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    # One process scores every patch once.
    trainer = _trainer(config, devices=1, strategy="auto", **options)
    best = load_task(path)
    predictions = predict_splits(trainer, best, datamodule)
    quiet: dict[Split, Predictions] = {
        split: Predictions.join(trainer.predict(best, loader) or [])  # type: ignore[arg-type]
        for split in predictions
        if (loader := datamodule.quiet_dataloader(split)) is not None
    }
    if config.threshold == CALIBRATED:
        threshold = best_threshold(predictions["val"])
        if quiet and config.false_alarms is not None:
            threshold = max(threshold, quiet_threshold(quiet["val"], config.false_alarms))
        set_threshold(path, threshold)
        best = load_task(path)
    return best, predictions, quiet


def _draw_figures(
    best: LandslideTask,
    datamodule: LandslideDataModule,
    predictions: Predictions,
    scores: Mapping[str, float | None],
    title: str,
    output: Path,
) -> None:
    """Draw the training, sample patches, and the test split's precision and recall."""
    folder = output / "figures"
    figures.training_curves(output / "history.csv", folder / "training.png", title=title)
    figures.samples(best, datamodule, folder / "samples.png", title=title)
    if scores["precision"] is not None:
        path, title = folder / "precision_recall.png", f"{title}: test split"
        figures.precision_recall(predictions, scores, path, title=title)


def _trainer(config: DictConfig, **options: object) -> Trainer:
    """Build the trainer.

    Raises:
        InputError: The device is missing, or options contradict each other.
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


def _resumable(config: DictConfig) -> str | None:
    """Return the path of the checkpoint to resume from after checking that it fits."""
    if config.ckpt_path is None:
        return None
    path = Path(config.ckpt_path)
    if not path.is_file():
        raise InputError(
            f"ckpt_path={path} does not exist: name the checkpoints/last.ckpt of a run folder"
        )
    settings: dict[str, Any] = OmegaConf.to_container(config.task, resolve=True)  # type: ignore[assignment]
    trained = dict(flatten(load_task(path).hparams))
    for name, value in flatten(settings):
        # Encoder weights are only a start; checkpoints do not keep them.
        if name not in ("threshold", "model.encoder_weights") and trained.get(name) != value:
            raise InputError(
                f"ckpt_path={path} was trained with {name}={trained.get(name)}, not {value}: "
                "resume with the run's own settings"
            )
    return str(path)


def _require_same_data(checkpoint: str, datamodule: LandslideDataModule) -> None:
    """Check, before anything is written, what Lightning would check when it resumes.

    Raises:
        InputError: The checkpoint is of other data, or does not say which.
    """
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    state = content.get(type(datamodule).__qualname__)
    if state is None:
        raise InputError(
            f"ckpt_path={checkpoint} does not say which patches it was trained on, so that it "
            "might be tested on them: train from the start"
        )
    datamodule.load_state_dict(state)

"""Normalisation, model, loss, metrics and optimiser in one LightningModule."""

import pickle
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import MetricCollection

import landslide
from landslide.config.paths import require_checkpoints
from landslide.data.normalization import Normalization
from landslide.data.scene import Sample
from landslide.errors import InputError
from landslide.models.detectors import Detector
from landslide.models.halo import Halo, measure_halo
from landslide.models.sizes import size_multiple
from landslide.training.checkpoint import write_checkpoint
from landslide.training.losses import PixelLoss, PixelMean, at_least_float32
from landslide.training.metrics import pixel_metrics

Config = dict[str, Any]

Measure = Literal["probability", "score"]

FORMAT = "landslide_version"
"""Key of our checkpoints; holds the version of the program that wrote it."""

MOVED_MODULES = {
    "landslide.normalization": "landslide.data.normalization",
    "landslide.losses": "landslide.training.losses",
}
"""Modules whose classes older checkpoints name, and where these classes are now."""


class LandslideTask(LightningModule):
    """Segment landslides.

    All settings are plain values, so that the checkpoint holds everything prediction
    needs and loads with ``weights_only=True``.

    Args:
        model: ``_target_`` and arguments of an ``nn.Module``: (B, C, H, W) to logits
            (B, 1, H, W).
        loss: The same of a loss of logits (B, 1, H, W) and mask (B, H, W), a ``PixelLoss`` or
            any other.
        normalization: The same of a ``Normalization``, which is given ``bands``.
        optimizer: The same of an optimiser, which is given the parameters.
        scheduler: The same of a learning-rate scheduler, which is given the optimiser
            and stepped every epoch with ``val_loss`` if it asks for a metric.
        bands: Names of the input channels.
        orbit: Orbit of the training scenes.
        patch_size: Side in pixels of a training window: a patch with its context.
        threshold: Probability above which a pixel counts as landslide.
        simulated: Whether it was trained on simulated images.
        implanted: Whether it was trained on implanted landslides.
        halo: ``[grid, size]`` in pixels that makes windows exact (see ``Halo``); empty for a
            network that has none; None to measure it before a scene is mapped.
    """

    model: nn.Module
    normalization: Normalization

    def __init__(
        self,
        *,
        model: Config,
        loss: Config,
        normalization: Config,
        optimizer: Config,
        scheduler: Config | None = None,
        bands: Sequence[str],
        orbit: str,
        patch_size: int,
        threshold: float = 0.5,
        simulated: bool = False,
        implanted: bool = False,
        halo: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.bands, self.orbit = list(bands), orbit
        self.patch_size, self.threshold = patch_size, threshold
        self.simulated, self.implanted = simulated, implanted
        self.normalization = _module(normalization, bands=self.bands)  # type: ignore[assignment]
        # Convolutions are fastest in this layout.
        self.model = _module(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.size_multiple = size_multiple(self.model)
        self._require_size(patch_size, patch_size)
        criterion = _module(loss)
        self.loss = criterion if isinstance(criterion, PixelLoss) else PixelMean(criterion)
        self.train_metrics = pixel_metrics(
            threshold, average_precision=False, loss=self.loss, prefix="train_"
        )
        self.val_metrics = pixel_metrics(threshold, loss=self.loss, prefix="val_")
        self.test_metrics = pixel_metrics(threshold, loss=self.loss, prefix="test_")

    @property
    def measure(self) -> Measure:
        """What the model's output is: the logit of a probability, or a detector's score."""
        unfitted = isinstance(self.model, Detector) and not self.model.fitted
        return "score" if unfitted else "probability"

    @property
    def unit(self) -> str | None:
        """Unit of a detector's score; None for other models."""
        return self.model.unit if isinstance(self.model, Detector) else None

    @property
    def model_settings(self) -> Config:
        """``_target_`` and arguments of the model."""
        return self.hparams["model"]  # type: ignore[no-any-return]

    @property
    def balance(self) -> bool:
        """Whether it was trained on scenes whose dates are balanced."""
        return self.normalization.balance

    @property
    def per_window(self) -> bool:
        """Whether it scales each window by itself."""
        return self.normalization.per_window

    def measure_halo(self) -> Halo | None:
        """Return the halo that makes windows exact, or None; measure it if it is not known."""
        known = self.hparams["halo"]
        if known is None:
            return measure_halo(self.model, len(self.bands))
        return Halo(*known) if known else None

    def forward(self, image: Tensor) -> Tensor:
        """Map measurements (B, C, H, W), NaN where invalid, to logits (B, 1, H, W).

        Raises:
            InputError: The model does not take patches of this size, or does not return one
                logit per pixel.
        """
        x = self.normalization(image).contiguous(memory_format=torch.channels_last)
        B, _, H, W = image.shape
        self._require_size(H, W)
        logits = at_least_float32(self.model(x))
        if logits.shape != (B, 1, H, W):
            cure = "one output channel" if logits.shape[-2:] == (H, W) else "padded convolutions"
            raise InputError(
                f"the model {self.hparams['model']['_target_']} returns {tuple(logits.shape)} "
                f"where logits of shape {(B, 1, H, W)} are needed: give it {cure}"
            )
        return logits

    def _require_size(self, height: int, width: int) -> None:
        multiple = self.size_multiple
        if height % multiple or width % multiple:
            raise InputError(
                f"{height} x {width} px is no multiple of {multiple} px, which "
                f"{self.hparams['model']['_target_']} needs: choose another patch_size, "
                "datamodule.window_size or window.size"
            )

    def training_step(self, batch: Sample, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        return self._step(batch, self.train_metrics)

    def validation_step(self, batch: Sample, batch_idx: int) -> None:
        """Add a batch to the validation metrics."""
        self._step(batch, self.val_metrics)

    def test_step(self, batch: Sample, batch_idx: int) -> None:
        """Add a batch to the test metrics."""
        self._step(batch, self.test_metrics)

    def predict_step(self, batch: Sample, batch_idx: int) -> tuple[Tensor, Tensor]:
        """Return the probabilities and the mask of a batch, both (B, H, W)."""
        return torch.sigmoid(self(batch["image"]).squeeze(1)), batch["mask"]

    def _step(self, batch: Sample, metrics: MetricCollection) -> Tensor:
        mask = batch["mask"]
        logits = self(batch["image"])
        sums = self.loss.sums(logits, mask)
        metrics.update(preds=torch.sigmoid(logits.detach().squeeze(1)), target=mask, sums=sums)
        return self.loss.value(sums)

    def on_fit_start(self) -> None:
        """Remember the run's seed.

        Raises:
            InputError: The normalisation has no statistics.
        """
        if not self.normalization.fitted:
            raise InputError(
                "the normalisation has no statistics of the training split: give them with "
                "task.normalization.fit(images) before training"
            )
        self._seed = torch.initial_seed() + self.global_rank

    def on_train_epoch_start(self) -> None:
        """Log the epoch's metrics; seed the epoch, so that resuming changes nothing."""
        self._log_metrics(self.train_metrics)
        torch.manual_seed(self._seed + 1000 * (self.current_epoch + 1))

    def on_validation_epoch_start(self) -> None:
        """Log the validation metrics."""
        self._log_metrics(self.val_metrics)

    def on_test_epoch_start(self) -> None:
        """Log the test metrics."""
        self._log_metrics(self.test_metrics)

    def _log_metrics(self, metrics: MetricCollection) -> None:
        """Let Lightning compute, log and reset the metrics at the end of the epoch.

        They are logged once an epoch: at every step Lightning would visit all batches that
        average precision keeps.
        """
        for name, metric in metrics.items(copy_state=False):
            self.log(str(name), metric, prog_bar=name.endswith(("_loss", "_f1")))

    def on_validation_epoch_end(self) -> None:
        """Check that training has not diverged.

        Raises:
            InputError: The loss is not a finite number.
        """
        if not self.trainer.callback_metrics["val_loss"].isfinite():
            raise InputError(
                f"training diverged: after epoch {self.current_epoch} the validation loss is "
                "not a finite number: choose a smaller learning_rate"
            )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimiser and the scheduler, if there is one; a detector has neither."""
        if isinstance(self.model, Detector):
            return None
        optimizer = instantiate(self.hparams["optimizer"], params=self.parameters())
        if self.hparams["scheduler"] is None:
            return optimizer  # type: ignore[no-any-return]
        scheduler = instantiate(self.hparams["scheduler"], optimizer=optimizer)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "epoch", "monitor": "val_loss"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Mark the checkpoint as ours, and let it load without a download of encoder weights."""
        checkpoint[FORMAT] = landslide.__version__
        model = dict(checkpoint.get("hyper_parameters", {}).get("model", {}))
        if "encoder_weights" in model:
            checkpoint["hyper_parameters"]["model"] = model | {"encoder_weights": None}


def save_task(task: LandslideTask, path: Path) -> None:
    """Write a checkpoint of weights and settings, without the state of a training."""
    content: dict[str, Any] = {
        "state_dict": task.state_dict(),
        "hyper_parameters": dict(task.hparams),
        "pytorch-lightning_version": lightning.__version__,
    }
    task.on_save_checkpoint(content)
    write_checkpoint(content, path)


def set_threshold(path: Path, threshold: float) -> None:
    """Replace the threshold that a checkpoint holds."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    checkpoint["hyper_parameters"]["threshold"] = threshold
    write_checkpoint(checkpoint, path)


def load_task(path: Path) -> LandslideTask:
    """Load a checkpoint for inference on the CPU.

    Raises:
        InputError: The file is missing, truncated, or was not written by this project.
    """
    require_checkpoints([str(path)])
    try:
        if not zipfile.is_zipfile(path):  # on other files torch fails in many ways
            raise pickle.UnpicklingError(f"{path} is not in torch's format")
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise InputError(
            f"{path} is not a readable checkpoint (truncated, or of another program): name one "
            "that train.py wrote, such as checkpoints/best.ckpt of a run folder"
        ) from error
    if not isinstance(checkpoint, Mapping) or FORMAT not in checkpoint:
        raise InputError(
            f"{path} was not written by this program: weights of the authors' Keras program are "
            "converted with `landslide keras`"
        )
    try:
        settings = checkpoint["hyper_parameters"]
        for part in ("loss", "normalization"):
            settings[part] = _with_current_path(settings[part])
        task = LandslideTask(**settings)
        task.load_state_dict(checkpoint["state_dict"])
    except (InputError, KeyError, TypeError, RuntimeError, ImportError) as error:
        raise InputError(
            f"{path} does not fit this version of the program, or its model's class is missing: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return task.eval()


def is_readable(path: Path) -> bool:
    """Whether a checkpoint exists and is complete."""
    try:
        load_task(path)
    except InputError:
        return False
    return True


def _with_current_path(config: Config) -> Config:
    """Name the class where it is now, though its module may have moved."""
    module, _, name = str(config["_target_"]).rpartition(".")
    return config | {"_target_": f"{MOVED_MODULES.get(module, module)}.{name}"}


def _module(config: Config, **arguments: object) -> nn.Module:
    """Instantiate ``_target_`` if it is an ``nn.Module``; a checkpoint may name no other class."""
    target = config.get("_target_")
    if not target:
        raise InputError(f"{dict(config)} has no _target_: name the class, such as mine.Model")
    try:
        kind = get_class(target)
    except (ImportError, ValueError) as error:
        raise InputError(
            f"_target_: {target} cannot be imported: check the name, and put the folder of your "
            "own module on PYTHONPATH"
        ) from error
    if not issubclass(kind, nn.Module):
        raise InputError(f"_target_: {target} is not a torch.nn.Module: name a class that is one")
    if any("_target_" in value for value in _nested(config)):
        raise InputError(f"_target_: {target} has an argument with a _target_ of its own")
    try:
        module: nn.Module = instantiate(config, **arguments)
    except InstantiationException as error:
        weights = config.get("encoder_weights")
        reason = str(error.__cause__).splitlines()[0].rstrip(".")
        if weights is None or isinstance(error.__cause__, TypeError):
            raise InputError(
                f"_target_: {target} cannot be made with {_arguments(config)} ({reason}): check "
                "names and values of its settings"
            ) from error
        raise InputError(
            f"model.encoder_weights={weights}: these weights are not available ({reason}): choose "
            "others, or null to start from random ones"
        ) from error
    return module


def _arguments(config: Config) -> str:
    """The settings of a class as a user types them."""
    return ", ".join(f"{key}={value}" for key, value in config.items() if key != "_target_")


def _nested(value: object) -> Iterator[Mapping[str, object]]:
    """All mappings below the top level."""
    children = value.values() if isinstance(value, Mapping) else value
    if isinstance(children, Iterable) and not isinstance(children, str):
        for child in children:
            if isinstance(child, Mapping):
                yield child
            yield from _nested(child)

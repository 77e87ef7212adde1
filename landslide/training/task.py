"""Normalisation, model, loss, metrics and optimiser in one LightningModule."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from hydra.utils import instantiate
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics import MetricCollection

import landslide
from landslide.data.scene import Sample
from landslide.errors import InputError
from landslide.models.detectors import Detector
from landslide.training.checkpoint import FORMAT, fitting, read_checkpoint, write_checkpoint
from landslide.training.losses import PixelLoss, PixelMean
from landslide.training.metrics import pixel_metrics
from landslide.training.model import LandslideModel
from landslide.training.modules import Config, make_module


class LandslideTask(LandslideModel, LightningModule):
    """Segment landslides: a ``LandslideModel`` that Lightning trains.

    Args:
        model: See ``LandslideModel``.
        loss: ``_target_`` and arguments of a loss of logits (B, 1, H, W) and mask (B, H, W), a
            ``PixelLoss`` or any other.
        normalization: See ``LandslideModel``.
        optimizer: The same of an optimiser, which is given the parameters.
        scheduler: The same of a learning-rate scheduler, which is given the optimiser
            and stepped every epoch with ``val_loss`` if it asks for a metric.
        bands: See ``LandslideModel``, as for the others.
        orbit: Orbit of the training scenes.
        patch_size: Side in pixels of a training window.
        threshold: Probability above which a pixel counts as landslide.
        simulated: Whether it was trained on simulated images.
        implanted: Whether it was trained on implanted landslides.
        halo: What makes windows exact.
    """

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
        super().__init__(
            model=model,
            normalization=normalization,
            bands=bands,
            orbit=orbit,
            patch_size=patch_size,
            threshold=threshold,
            simulated=simulated,
            implanted=implanted,
            halo=halo,
        )
        self.save_hyperparameters()
        criterion = make_module(loss)
        self.loss = criterion if isinstance(criterion, PixelLoss) else PixelMean(criterion)
        self.train_metrics = pixel_metrics(
            self.threshold, average_precision=False, loss=self.loss, prefix="train_"
        )
        self.val_metrics = pixel_metrics(self.threshold, loss=self.loss, prefix="val_")
        self.test_metrics = pixel_metrics(self.threshold, loss=self.loss, prefix="test_")

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
    """Load a checkpoint for inference on the CPU, with its loss and metrics.

    Raises:
        InputError: The file is missing, truncated, or was not written by this project.
    """
    content = read_checkpoint(path)
    with fitting(path):
        task = LandslideTask(**content["hyper_parameters"])
        task.load_state_dict(content["state_dict"])
    return task.eval()

"""Progress, history, checkpoints and stopping of a training."""

import math
import shutil
import time
from pathlib import Path
from typing import Any

import pandas as pd
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.optim.swa_utils import update_bn

from landslide.geo.files import replacing, write_text
from landslide.training.checkpoint import write_checkpoint

FAILED = 0.1
"""F1 below which nothing was learned, and share of training's F1 below which validation failed."""


class ProgressBar(RichProgressBar):
    """Lightning's bar with the losses and F1 of the last epoch, drawn once a second.

    By default it is drawn up to a hundred times a second and collects metrics at every step,
    which together take 3 percent of a step of the paper's network on a CPU.
    """

    def __init__(self) -> None:
        super().__init__(refresh_rate=1, leave=False)
        self._last: dict[str, Any] = {}

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Collect the last epoch's metrics."""
        self._last = dict(trainer.progress_bar_metrics)
        super().on_train_epoch_start(trainer, pl_module)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Return what is shown beside the bar."""
        return self._last


class History(Callback):
    """Write a row of losses and metrics per epoch; a resumed run goes on with its rows.

    Args:
        path: CSV file.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.rows: list[dict[str, float]] = []
        self._start = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the epoch's clock."""
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Append the epoch with its validation, and rewrite the file."""
        logged = trainer.callback_metrics  # computed by all processes together
        if not trainer.is_global_zero:
            return
        row: dict[str, float] = {"epoch": trainer.current_epoch}
        row |= {name: float(value) for name, value in logged.items()}
        for group in trainer.optimizers[0].param_groups[:1]:  # a fitted detector has none
            row["learning_rate"] = float(group["lr"])
        row["seconds"] = time.perf_counter() - self._start
        self.rows.append(row)
        self._write()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the rows of a resumed run, which may have no epoch left to train."""
        if self.rows and trainer.is_global_zero:
            self._write()

    def _write(self) -> None:
        write_text(self.path, pd.DataFrame(self.rows).to_csv(index=False))

    def state_dict(self) -> dict[str, Any]:
        """Keep the rows in the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows of the interrupted run."""
        self.rows = list(state_dict["rows"])


class BestCheckpoint(ModelCheckpoint):
    """The checkpoint of the best epoch, including the epochs of the interrupted run.

    Lightning forgets the best score if a resumed run writes to another folder, as every run
    here does. This callback copies the best checkpoint into the new folder instead.
    """

    state_key = "BestCheckpoint"  # Lightning would assemble its own at every hook of every step

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best epoch so far, with its file."""
        best, folder = Path(state_dict["best_model_path"]), Path(str(self.dirpath))
        if best.is_file() and best.parent != folder:
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(folder / best.name) as temporary:
                shutil.copyfile(best, temporary)
        # The run folder may also have been moved together with its best checkpoint.
        if best.parent != folder and (folder / best.name).is_file():
            here = str(folder / best.name)
            score = state_dict["best_model_score"]
            state_dict = state_dict | {
                "dirpath": str(folder),
                "best_model_path": here,
                "kth_best_model_path": here,
                "best_k_models": {here: score},
                "last_model_path": "",
            }
        super().load_state_dict(state_dict)


class LastCheckpoint(ModelCheckpoint):
    """The checkpoint from which a killed run goes on, at most ``seconds`` old.

    Small networks finish several epochs a second, and writing each takes longer than some of
    their batches. The last epoch and every epoch with a new best checkpoint are always written,
    so that best and last are of one history.
    """

    seconds = 10.0

    state_key = "LastCheckpoint"

    def __init__(self, **options: Any) -> None:  # noqa: ANN401
        super().__init__(**options)
        self._written = -math.inf
        self._best_scores: list[Tensor | None] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the epoch if it is due."""
        best_scores = [
            callback.best_model_score
            for callback in trainer.checkpoint_callbacks
            if isinstance(callback, ModelCheckpoint)
        ]
        due = (
            time.monotonic() - self._written >= self.seconds
            or trainer.should_stop
            or trainer.current_epoch + 1 == trainer.max_epochs
            or best_scores != self._best_scores
        )
        # All processes write together.
        if trainer.strategy.broadcast(due):
            super().on_train_epoch_end(trainer, pl_module)
            self._written, self._best_scores = time.monotonic(), best_scores


class PatientStopping(EarlyStopping):
    """Early stopping that holds for a resumed run too.

    Lightning would train another epoch if the run had already stopped.
    """

    state_key = "PatientStopping"

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop at once if the interrupted run had run out of patience."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


def describe_lag(history: Path) -> str | None:
    """A note if validation failed in most epochs of a training that learned, else None.

    Args:
        history: ``history.csv`` of a run.
    """
    rows = pd.read_csv(history)
    lagging = (rows.val_f1 < FAILED * rows.train_f1) & (rows.train_f1 > FAILED)
    if lagging.sum() <= len(rows) / 2:
        return None
    return (
        f"in {lagging.sum()} of {len(rows)} epochs validation F1 was below a tenth of training's. "
        "Where training takes few steps, batch normalisation's running statistics lag behind: "
        "callbacks=small_scene takes fresh ones"
    )


class FreshStatistics(Callback):
    """Take batch normalisation's statistics from the training split before every validation.

    The paper's network moves its running statistics by a hundredth per step. On a small scene
    they are still dominated by their initial values when training ends: the network has learned,
    and validation F1 is 0. This costs a forward pass over the training split per epoch.
    """

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Average the statistics of all training batches without augmentation."""
        if trainer.state.fn == TrainerFn.FITTING:
            batches = trainer.datamodule.train_dataloader()  # type: ignore[attr-defined]
            update_bn((batch["image"].to(pl_module.device) for batch in batches), pl_module)


class WholeCheckpoints(TorchCheckpointIO):
    """Write Lightning's checkpoints whole or not at all.

    Lightning itself writes to the system's temporary folder and moves the file from there, which
    is a copy if the target is on another disk: a full disk truncates it.
    """

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any | None = None,  # noqa: ANN401
    ) -> None:
        """Write a checkpoint."""
        write_checkpoint(checkpoint, Path(path))

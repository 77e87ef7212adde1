"""Patches per second of training: a bare loop, step by step; ``train.py``; Keras' ``fit``.

All train on the same patches of a simulated scene. Every contender is a process of its own,
because an allocator's settings cannot be undone, and stays alive. The contenders train one epoch
each, round after round, so that other load on the machine affects all of them; ratios are taken
within a round.

    python benchmarks/train_throughput.py --keras-python tensorflow-venv/bin/python

On a machine with other load, ``--busy`` gives every contender one thread and reads its CPU
clock, which stops while other processes run.
"""

import argparse
import json
import os
import platform
import pty
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from lightning import Callback, LightningModule, Trainer
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from landslide.models import AttentionUNet
from landslide.models.layers import SameConvTranspose2d
from landslide.simulate import simulate_scene
from landslide.training.cpu import keep_memory
from landslide.training.losses import DiceLoss
from landslide.training.run import train

ROOT = Path(__file__).resolve().parents[1]
FILTERS, BANDS, BATCH = 32, 4, 8
FULL, KERAS = "train.py", "Keras fit"


@dataclass(frozen=True)
class Loop:
    """A bare training loop.

    Attributes:
        name: Name, which says what the loop adds to the one before it.
        channels_last: Memory layout of images and weights.
        fused: Adam in one kernel instead of a Python loop over the weights.
        kernels: Transposed convolutions as the package computes them.
        keep: Whether glibc keeps freed memory.
        compiled: Whether ``torch.compile`` writes the kernels.
        flush_denormals: Whether denormal numbers become zero.
        autocast: Whether convolutions run in bfloat16, which is not exact.
        threads: Threads of an operation; None for all cores.
        environment: Variables set before the process starts.
    """

    name: str
    channels_last: bool = False
    fused: bool = False
    kernels: bool = False
    keep: bool = False
    compiled: bool = False
    flush_denormals: bool = False
    autocast: bool = False
    threads: int | None = None
    environment: dict[str, str] = field(default_factory=dict)


NAIVE = Loop("naive loop")
LAST = replace(NAIVE, name="+ channels last", channels_last=True)
FUSED = replace(LAST, name="+ fused Adam", fused=True)
KERNELS = replace(FUSED, name="+ kernels of 4 x 4", kernels=True)
KEEP = replace(KERNELS, name="+ memory kept", keep=True)
PACKAGE = replace(KEEP, name="+ denormals flushed", flush_denormals=True)
STEPS = (NAIVE, LAST, FUSED, KERNELS, KEEP, PACKAGE)
TRIALS = (
    replace(
        PACKAGE, name="trial: huge pages", environment={"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    ),
    replace(PACKAGE, name="trial: threads bound", environment={"OMP_PROC_BIND": "true"}),
    replace(PACKAGE, name="trial: waiting asleep", environment={"OMP_WAIT_POLICY": "passive"}),
    replace(PACKAGE, name="trial: one thread", threads=1),
    # The compiler of torch 2.11 fails on a convolution whose kernel is computed.
    replace(PACKAGE, name="trial: torch.compile", kernels=False, compiled=True),
    replace(PACKAGE, name="trial: bfloat16 (not exact)", autocast=True),
)
THREADING = {"trial: threads bound", "trial: waiting asleep", "trial: one thread"}
LOOPS = {loop.name: loop for loop in (*STEPS, *TRIALS)}


class Contender:
    """A process that trains one epoch on request."""

    def __init__(self, name: str, command: Sequence[str], environment: dict[str, str]) -> None:
        self.name = name
        self.rates: list[float] = []
        self._tail = b""
        read, write = os.pipe()
        # In a terminal, a progress bar behaves as it does for a user.
        terminal, child = pty.openpty()
        self._process = subprocess.Popen(
            [*command, "--report-fd", str(write)],
            stdin=subprocess.PIPE,
            stdout=child,
            stderr=child,
            pass_fds=(write,),
            env={**os.environ, **environment},
            cwd=ROOT,
            text=True,
        )
        os.close(write)
        os.close(child)
        self._reports = os.fdopen(read)
        threading.Thread(target=self._drain, args=(terminal,), daemon=True).start()
        self.introduction: dict[str, Any] = self._report()

    def train_epoch(self) -> float:
        """Train one epoch and return the patches per second."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        report = self._report()
        rate: float = report["patches"] / report["seconds"]
        return rate

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _report(self) -> dict[str, Any]:
        line = self._reports.readline()
        if not line:
            time.sleep(0.5)  # until the last output is read
            raise SystemExit(f"{self.name} failed:\n{self._tail.decode(errors='replace')}")
        report: dict[str, Any] = json.loads(line)
        return report

    def _drain(self, terminal: int) -> None:
        try:
            while words := os.read(terminal, 65536):
                self._tail = (self._tail + words)[-4000:]
        except OSError:  # the process has closed its side
            os.close(terminal)


class Reporter:
    """A contender's end of the protocol."""

    def __init__(self, descriptor: int, **introduction: object) -> None:
        self._file = os.fdopen(descriptor, "w", buffering=1)
        self.send(**introduction)

    def send(self, **message: object) -> None:
        """Send one message."""
        print(json.dumps(message), file=self._file)

    @staticmethod
    def wait() -> None:
        """Wait for the request to train an epoch."""
        if not sys.stdin.readline():
            os._exit(0)


def native_transpose(
    layer: SameConvTranspose2d, x: Tensor, output_size: list[int] | None = None
) -> Tensor:
    """Compute the transposed convolution with torch's own, cropped to Keras' ``same``."""
    if layer.stride == (1, 1):
        return F.conv_transpose2d(x, layer.weight, layer.bias, padding=1)
    return F.conv_transpose2d(x, layer.weight, layer.bias, stride=2)[..., :-1, :-1]


def bare_step(
    loop: Loop, filters: int = FILTERS, device: str = "cpu"
) -> Callable[[Tensor, Tensor], None]:
    """A training step: forward, loss, backward, update."""
    # With Lightning imported, Adam looks for GPUs at every step, which a bare loop does not do.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    if loop.keep:
        keep_memory()
    if loop.threads:
        torch.set_num_threads(loop.threads)
    torch.set_flush_denormal(loop.flush_denormals)
    if not loop.kernels:
        SameConvTranspose2d.forward = native_transpose  # type: ignore[assignment, method-assign]
    torch.manual_seed(0)
    model: nn.Module = AttentionUNet(BANDS, filters).to(device)
    if loop.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(
        model.parameters(), lr=1e-3, eps=1e-7, foreach=False, fused=loop.fused
    )
    network: Callable[[Tensor], Tensor] = torch.compile(model) if loop.compiled else model
    criterion = DiceLoss()

    def step(image: Tensor, mask: Tensor) -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=loop.autocast):
            logits = network(image)
        criterion(logits.float(), mask).backward()
        optimizer.step()

    return step


def load_batches(loop: Loop, patches: Path) -> list[tuple[Tensor, Tensor]]:
    """Batches in memory, in the layout that the network uses."""
    layout = torch.channels_last if loop.channels_last else torch.contiguous_format
    data = np.load(patches)
    images = torch.from_numpy(data["images"]).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    masks = torch.from_numpy(data["masks"])
    return [(images[i : i + BATCH], masks[i : i + BATCH]) for i in range(0, len(masks), BATCH)]


def read_clock(busy: bool) -> float:
    """Seconds of the wall clock; on a busy machine those of this process' CPU."""
    return time.process_time() if busy else time.perf_counter()


def run_loop(loop: Loop, patches: Path, descriptor: int, busy: bool) -> None:
    """Run the contender that trains in a bare loop."""
    step, data = bare_step(loop), load_batches(loop, patches)
    count = sum(len(mask) for _, mask in data)
    reporter = Reporter(descriptor, version=f"torch {torch.__version__}")
    while True:
        reporter.wait()
        start = read_clock(busy)
        for image, mask in data:
            step(image, mask)
        reporter.send(patches=count, seconds=read_clock(busy) - start)


class EpochTimer(Callback):
    """Hold ``train.py`` before every epoch until it is requested; time the epoch's training.

    The clock runs from the epoch's start to the end of its last training batch, so it includes
    reading, augmentation, normalisation, metrics and logging, but no validation. The report
    follows after validation and checkpoints.

    Args:
        descriptor: File descriptor for reports.
        busy: Whether to read the CPU clock.
    """

    def __init__(self, descriptor: int, busy: bool) -> None:
        self._descriptor, self._busy = descriptor, busy
        self._reporter: Reporter | None = None
        self._start = self._end = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the last epoch, wait, start the clock."""
        patches = len(trainer.datamodule.patches_of("train"))  # type: ignore[attr-defined]
        if self._reporter is None:
            self._reporter = Reporter(self._descriptor, patches=patches)
        else:
            self._reporter.send(patches=patches, seconds=self._end - self._start)
        self._reporter.wait()
        self._start = read_clock(self._busy)

    def on_train_batch_end(self, *arguments: object) -> None:
        """Record the time after each batch."""
        self._end = read_clock(self._busy)


def compose_training(scene: Path, output: Path, *overrides: str) -> DictConfig:
    """Compose the configuration of ``train.py``."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose(
            "train",
            [
                "dataset=ascending_baa_s",
                f"dataset.root={scene}",
                f"batch_size={BATCH}",
                f"model.filters={FILTERS}",
                f"output_dir={output}",
                "trainer.max_epochs=100000",
                "callbacks.early_stopping.patience=100000",
                *overrides,
            ],
        )


def run_train(
    scene: Path, output: Path, descriptor: int, busy: bool, overrides: Sequence[str]
) -> None:
    """Run the contender that trains as ``train.py`` does, on a scene."""
    turns = (
        "+callbacks.epoch_timer._target_=__main__.EpochTimer",
        f"+callbacks.epoch_timer.descriptor={descriptor}",
        f"+callbacks.epoch_timer.busy={busy}",
    )
    train(compose_training(scene, output, *turns, *overrides))


def write_patches(scene: Path, path: Path) -> None:
    """Write the training split as the network sees it: (N, H, W, C) and (N, H, W)."""
    config = compose_training(scene, path.parent)
    datamodule = instantiate(config.datamodule)
    datamodule.setup()
    batches = list(datamodule.train_dataloader())
    normalization = instantiate(config.task.normalization, bands=list(config.dataset.bands))
    images = normalization(torch.cat([batch["image"] for batch in batches]))
    masks = torch.cat([batch["mask"] for batch in batches])
    np.savez(path, images=images.permute(0, 2, 3, 1).numpy(), masks=masks.numpy())


def start_contenders(options: argparse.Namespace, folder: Path) -> Iterator[Contender]:
    """Start every contender."""
    me = [sys.executable, str(Path(__file__).resolve())]
    busy = ["--busy"] if options.busy else []
    scene = options.scene or folder / "scene"
    if options.scene is None:
        simulate_scene(scene, size=(512, 512) if options.quick else (1024, 1536))
    run = [*me, *busy, "--worker", FULL, "--scene", str(scene), "--folder", str(folder / "run")]
    full = Contender(FULL, [*run, *(f"--override={word}" for word in options.override)], {})
    patches = str(folder / "patches.npz")
    write_patches(scene, Path(patches))
    for loop in choose_loops(options):
        command = [*me, *busy, "--worker", loop.name, "--patches", patches]
        yield Contender(loop.name, command, loop.environment)
    yield full
    if options.keras_python is None:
        Console().print("Keras is left out: name an interpreter with TensorFlow, --keras-python.")
        return
    script = str(Path(__file__).with_name("keras_attention_unet.py"))
    epochs = str(options.rounds + options.warmup + 1)
    command = [options.keras_python, script, *busy, "--patches", patches, "--epochs", epochs]
    yield Contender(KERAS, command, {"TF_CPP_MIN_LOG_LEVEL": "2"})


def choose_loops(options: argparse.Namespace) -> list[Loop]:
    """Leave out what was not asked for, and trials of threading where there is one thread."""
    left_out = THREADING if options.busy else set()
    trials = () if options.quick or options.no_trials else TRIALS
    wanted = (loop for loop in trials if loop.name not in left_out)
    return [*STEPS, *(loop for loop in wanted if options.compile or not loop.compiled)]


@dataclass(frozen=True)
class Row:
    """Result of a contender; rates in patches per second."""

    name: str
    median: float
    low: float
    high: float
    to_before: float | None
    to_best: float
    to_keras: float | None


def median_ratio(a: Contender, b: Contender) -> float:
    """Median over rounds of the ratio within a round."""
    return statistics.median(x / y for x, y in zip(a.rates, b.rates, strict=True))


def compare_contenders(contenders: Sequence[Contender]) -> list[Row]:
    """Compare every contender with the one before, the best exact bare loop, and Keras."""
    by_name = {contender.name: contender for contender in contenders}
    exact = [by_name[name] for name, loop in LOOPS.items() if name in by_name and not loop.autocast]
    best = max(exact, key=lambda contender: statistics.median(contender.rates))
    keras = by_name.get(KERAS)
    steps = [loop.name for loop in STEPS]
    before = {name: by_name[last] for last, name in pairwise(steps)}
    before |= {loop.name: by_name[PACKAGE.name] for loop in TRIALS}
    before[FULL] = by_name[PACKAGE.name]
    return [
        Row(
            name=contender.name,
            median=statistics.median(contender.rates),
            low=min(contender.rates),
            high=max(contender.rates),
            to_before=median_ratio(contender, before[contender.name])
            if contender.name in before
            else None,
            to_best=median_ratio(contender, best),
            to_keras=median_ratio(contender, keras) if keras else None,
        )
        for contender in contenders
    ]


def print_table(rows: Sequence[Row], machine: dict[str, object]) -> None:
    """Print the table."""
    clock_name = "CPU second, one thread" if machine["busy"] else "second"
    table = Table(title=f"Training, patches per {clock_name}")
    table.add_column("")
    for heading in ("median", "min", "max", "to the one before", "to the best loop", "to Keras"):
        table.add_column(heading, justify="right")
    for row in rows:
        ratios = (row.to_before, row.to_best, row.to_keras)
        table.add_row(
            row.name,
            *(f"{rate:.1f}" for rate in (row.median, row.low, row.high)),
            *("" if value is None else f"{value:.2f}" for value in ratios),
        )
    console = Console()
    console.print(table)
    console.print(
        "Trials and train.py are compared with '+ denormals flushed', the package's settings."
    )
    console.print(", ".join(f"{name}: {value}" for name, value in machine.items()), soft_wrap=True)


def describe_machine() -> dict[str, object]:
    """Properties of the machine that the numbers depend on."""
    cpu = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": cpu[0] if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load before": os.getloadavg()[0],
    }


def measure(options: argparse.Namespace) -> None:
    """Let all contenders take turns, and print and write the result."""
    machine = describe_machine() | {"busy": options.busy}
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        contenders: list[Contender] = []
        for contender in start_contenders(options, Path(temporary)):
            stack.callback(contender.close)
            contenders.append(contender)
            machine |= {k: v for k, v in contender.introduction.items() if k == "patches"}
        if contenders[-1].name == KERAS:
            machine["keras"] = contenders[-1].introduction["version"]
        for number in range(options.warmup + options.rounds):
            # The order alternates, so that no contender always follows the same neighbour.
            for contender in contenders[:: 1 if number % 2 else -1]:
                rate = contender.train_epoch()
                if number >= options.warmup:
                    contender.rates.append(rate)
        machine["load after"] = os.getloadavg()[0]
        rows = compare_contenders(contenders)
        print_table(rows, machine | {"rounds": options.rounds})
        if options.output:
            rates = {contender.name: contender.rates for contender in contenders}
            result = {"environment": machine, "rows": [asdict(row) for row in rows], "rates": rates}
            options.output.write_text(json.dumps(result, indent=1) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, small scene, no trials")
    parser.add_argument("--rounds", type=int, help="epochs measured of each (10; quick: 2)")
    parser.add_argument("--warmup", type=int, default=1, help="epochs before them")
    parser.add_argument("--busy", action="store_true", help="one thread each, CPU seconds")
    parser.add_argument("--no-trials", action="store_true", help="leave out vain changes")
    parser.add_argument("--compile", action="store_true", help="try torch.compile, which is slow")
    parser.add_argument("--scene", type=Path, help="scene folder; default: simulate one")
    parser.add_argument("--keras-python", help="interpreter with TensorFlow")
    parser.add_argument("--override", action="append", default=[], help="of train.py's settings")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    for name in ("--worker", "--patches", "--folder", "--report-fd"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 10)
    return options


def main() -> None:
    options = parse_arguments()
    if options.worker is None:
        measure(options)
        return
    if options.busy:
        torch.set_num_threads(1)
    descriptor = int(options.report_fd)
    if options.worker == FULL:
        folder = Path(options.folder)
        run_train(options.scene, folder, descriptor, options.busy, options.override)
    else:
        run_loop(LOOPS[options.worker], Path(options.patches), descriptor, options.busy)


if __name__ == "__main__":
    main()

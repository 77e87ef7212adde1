"""Patches per second of training: a bare loop, step by step; ``train.py``; Keras' ``fit``.

All train on the same patches of a simulated scene. Every contender is a process of its own
(an allocator's settings cannot be taken back) and stays alive. All take turns of one epoch,
round after round, so that whatever else happens on the machine happens to all of them;
ratios are taken within a round.

    python benchmarks/train_throughput.py --keras-python tensorflow-venv/bin/python

On a machine that others keep busy, ``--busy`` gives every contender one thread and reads
its CPU clock, which does not run while others do.
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
        name: What it adds to the loop before it.
        channels_last: Memory layout of images and weights.
        fused: Adam in one kernel instead of a Python loop over the weights.
        subpixel: Transposed convolutions as the package computes them.
        keep: Whether glibc keeps freed memory.
        compiled: Whether ``torch.compile`` writes the kernels.
        flush_denormals: Whether tiny numbers are taken for zero.
        autocast: Whether convolutions run in bfloat16, which is not exact.
        threads: Threads of an operation; None for all cores.
        environment: Variables set before the process starts.
    """

    name: str
    channels_last: bool = False
    fused: bool = False
    subpixel: bool = False
    keep: bool = False
    compiled: bool = False
    flush_denormals: bool = False
    autocast: bool = False
    threads: int | None = None
    environment: dict[str, str] = field(default_factory=dict)


NAIVE = Loop("naive loop")
LAST = replace(NAIVE, name="+ channels last", channels_last=True)
FUSED = replace(LAST, name="+ fused Adam", fused=True)
SUBPIXEL = replace(FUSED, name="+ pixel shuffle", subpixel=True)
KEEP = replace(SUBPIXEL, name="+ memory kept", keep=True)
PACKAGE = replace(KEEP, name="+ denormals flushed", flush_denormals=True)
STEPS = (NAIVE, LAST, FUSED, SUBPIXEL, KEEP, PACKAGE)
TRIALS = (
    replace(
        PACKAGE, name="trial: huge pages", environment={"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    ),
    replace(PACKAGE, name="trial: threads bound", environment={"OMP_PROC_BIND": "true"}),
    replace(PACKAGE, name="trial: waiting asleep", environment={"OMP_WAIT_POLICY": "passive"}),
    replace(PACKAGE, name="trial: one thread", threads=1),
    # The compiler of torch 2.11 fails on a convolution whose kernel is computed.
    replace(PACKAGE, name="trial: torch.compile", subpixel=False, compiled=True),
    replace(PACKAGE, name="trial: bfloat16 (not exact)", autocast=True),
)
THREADING = {"trial: threads bound", "trial: waiting asleep", "trial: one thread"}
LOOPS = {loop.name: loop for loop in (*STEPS, *TRIALS)}


class Contender:
    """A process that trains one epoch at the word."""

    def __init__(self, name: str, command: Sequence[str], environment: dict[str, str]) -> None:
        self.name = name
        self.rates: list[float] = []
        self._tail = b""
        read, write = os.pipe()
        # A terminal, so that a progress bar does what it does before a user.
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

    def turn(self) -> float:
        """Let it train one epoch; return patches per second."""
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
            time.sleep(0.5)  # until the last words are drained
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
    """A contender's end of the conversation."""

    def __init__(self, descriptor: int, **introduction: object) -> None:
        self._file = os.fdopen(descriptor, "w", buffering=1)
        self.say(**introduction)

    def say(self, **message: object) -> None:
        """Send one message."""
        print(json.dumps(message), file=self._file)

    @staticmethod
    def wait() -> None:
        """Wait for one's turn."""
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
    # Lightning, imported above, has Adam look for GPUs at every step, which a bare loop would not.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    if loop.keep:
        keep_memory()
    if loop.threads:
        torch.set_num_threads(loop.threads)
    torch.set_flush_denormal(loop.flush_denormals)
    if not loop.subpixel:
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


def batches(loop: Loop, patches: Path) -> list[tuple[Tensor, Tensor]]:
    """Batches in memory, in the layout that the network wants."""
    layout = torch.channels_last if loop.channels_last else torch.contiguous_format
    data = np.load(patches)
    images = torch.from_numpy(data["images"]).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    masks = torch.from_numpy(data["masks"])
    return [(images[i : i + BATCH], masks[i : i + BATCH]) for i in range(0, len(masks), BATCH)]


def clock(busy: bool) -> float:
    """Seconds of the wall's clock; on a busy machine those of this process' CPU."""
    return time.process_time() if busy else time.perf_counter()


def run_loop(loop: Loop, patches: Path, descriptor: int, busy: bool) -> None:
    """Be the contender that trains in a bare loop."""
    step, data = bare_step(loop), batches(loop, patches)
    count = sum(len(mask) for _, mask in data)
    reporter = Reporter(descriptor, version=f"torch {torch.__version__}")
    while True:
        reporter.wait()
        start = clock(busy)
        for image, mask in data:
            step(image, mask)
        reporter.say(patches=count, seconds=clock(busy) - start)


class Turns(Callback):
    """Hold ``train.py`` before every epoch until it is its turn; time the epoch's training.

    The clock runs from the epoch's start to the end of its last training batch, so it
    holds reading, augmentation, normalisation, metrics and logging, not validation. The
    turn ends after validation and checkpoints.

    Args:
        descriptor: Where to report.
        busy: Which clock to read.
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
            self._reporter.say(patches=patches, seconds=self._end - self._start)
        self._reporter.wait()
        self._start = clock(self._busy)

    def on_train_batch_end(self, *arguments: object) -> None:
        """Stop the clock, until there is another batch."""
        self._end = clock(self._busy)


def compose_training(scene: Path, output: Path, *overrides: str) -> DictConfig:
    """What ``train.py`` is configured with."""
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
    """Be the contender that runs what ``train.py`` runs, on a scene."""
    turns = (
        "+callbacks.turns._target_=__main__.Turns",
        f"+callbacks.turns.descriptor={descriptor}",
        f"+callbacks.turns.busy={busy}",
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


def contenders(options: argparse.Namespace, folder: Path) -> Iterator[Contender]:
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
    for loop in chosen_loops(options):
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


def chosen_loops(options: argparse.Namespace) -> list[Loop]:
    """Leave out what was not asked for, and trials of threads where there is one."""
    left_out = THREADING if options.busy else set()
    trials = () if options.quick or options.no_trials else TRIALS
    wanted = (loop for loop in trials if loop.name not in left_out)
    return [*STEPS, *(loop for loop in wanted if options.compile or not loop.compiled)]


@dataclass(frozen=True)
class Row:
    """What is told of a contender; rates in patches per second."""

    name: str
    median: float
    low: float
    high: float
    to_before: float | None
    to_best: float
    to_keras: float | None


def ratio(a: Contender, b: Contender) -> float:
    """Median over rounds of the ratio within a round."""
    return statistics.median(x / y for x, y in zip(a.rates, b.rates, strict=True))


def summary(field_of: Sequence[Contender]) -> list[Row]:
    """Compare all with the one before, with the best exact bare loop, with Keras."""
    by_name = {contender.name: contender for contender in field_of}
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
            to_before=ratio(contender, before[contender.name])
            if contender.name in before
            else None,
            to_best=ratio(contender, best),
            to_keras=ratio(contender, keras) if keras else None,
        )
        for contender in field_of
    ]


def show(rows: Sequence[Row], machine: dict[str, object]) -> None:
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


def environment() -> dict[str, object]:
    """What the numbers depend on."""
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
    """Let all take turns and tell the result."""
    machine = environment() | {"busy": options.busy}
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        field_of: list[Contender] = []
        for contender in contenders(options, Path(temporary)):
            stack.callback(contender.close)
            field_of.append(contender)
            machine |= {k: v for k, v in contender.introduction.items() if k == "patches"}
        if field_of[-1].name == KERAS:
            machine["keras"] = field_of[-1].introduction["version"]
        for number in range(options.warmup + options.rounds):
            # Forwards and backwards in turn: nobody always follows the same neighbour.
            for contender in field_of[:: 1 if number % 2 else -1]:
                rate = contender.turn()
                if number >= options.warmup:
                    contender.rates.append(rate)
        machine["load after"] = os.getloadavg()[0]
        rows = summary(field_of)
        show(rows, machine | {"rounds": options.rounds})
        if options.output:
            rates = {contender.name: contender.rates for contender in field_of}
            result = {"environment": machine, "rows": [asdict(row) for row in rows], "rates": rates}
            options.output.write_text(json.dumps(result, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, small scene, no trials")
    parser.add_argument("--rounds", type=int, help="epochs measured of each (10; quick: 2)")
    parser.add_argument("--warmup", type=int, default=1, help="epochs before them")
    parser.add_argument("--busy", action="store_true", help="one thread each, CPU seconds")
    parser.add_argument("--no-trials", action="store_true", help="leave out what did not help")
    parser.add_argument("--compile", action="store_true", help="try torch.compile, which is slow")
    parser.add_argument("--scene", type=Path, help="scene folder; else one is simulated")
    parser.add_argument("--keras-python", help="interpreter with TensorFlow")
    parser.add_argument("--override", action="append", default=[], help="of train.py's settings")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    for name in ("--worker", "--patches", "--folder", "--report-fd"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 10)
    return options


def main() -> None:
    options = arguments()
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

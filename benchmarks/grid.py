"""Time of the paper's grid of 200 runs, compared with the bound set by arithmetic.

The benchmark times a training step (forward, Dice, backward, Adam) of the paper's network at every
number of filters and batch size of ``experiment=nava2022``. It reports milliseconds and the share
of them that the floating-point operations would take at the rate of a large matrix product on the
same device in the same precision, for each step and for the whole grid at the paper's size.

    python benchmarks/grid.py
    python benchmarks/grid.py --side-by-side 2
    python benchmarks/grid.py --device cuda --side-by-side 16

``--side-by-side`` trains that many networks at a time, each in a process of its own with its share
of the cores, and reports the milliseconds that pass per step of any of them.
"""

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode
from train_throughput import BANDS, PACKAGE, bare_step, describe_machine, native_transpose

from landslide.models.layers import SameConvTranspose2d
from landslide.training.cpu import tune_cpu

FILTERS = BATCHES = (2, 4, 8, 16, 32)
PATCH = 64
PATCHES, EPOCHS, COPIES = 602, 200, 8
"""The paper's training patches, epochs, and datasets times flips on and off."""

PATIENCE = 300.0
"""Seconds that a process waits for the others, one of which has failed after that."""

Setting = tuple[int, int]  # filters, batch size


def training_step(filters: int, batch: int, device: str) -> Callable[[], None]:
    """A bare training step on one batch, as the package computes it."""
    layout = torch.channels_last
    image = torch.rand(batch, BANDS, PATCH, PATCH).to(device, memory_format=layout)
    mask = (torch.rand(batch, PATCH, PATCH) < 0.1).byte().to(device)
    return partial(bare_step(PACKAGE, filters, device), image, mask)


def count_operations(setting: Setting) -> int:
    """Count the floating-point operations of a step of the network as defined.

    The package's kernels of 4 x 4 also multiply by zeros, which do not count.
    """
    step = training_step(*setting, "cpu")
    packaged = SameConvTranspose2d.forward
    SameConvTranspose2d.forward = native_transpose  # type: ignore[assignment, method-assign]
    with FlopCounterMode(display=False) as counter:
        step()
    SameConvTranspose2d.forward = packaged  # type: ignore[method-assign]
    total: int = counter.get_total_flops()
    return total


def synchronize(device: str) -> None:
    """Wait until the device has finished its work."""
    if device == "cuda":
        torch.cuda.synchronize()


def count_calls(work: Callable[[], object], device: str, seconds: float) -> int:
    """Count how often ``work`` runs in that time, in steps of five."""
    synchronize(device)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for _ in range(5):
            work()
        synchronize(device)
        count += 5
    return count


def configure(device: str, threads: int) -> None:
    """Configure torch as ``train.py`` does."""
    tune_cpu()
    torch.set_num_threads(threads)
    if device == "cuda":
        torch.backends.cudnn.benchmark = True
        # Convolutions may use TF32 by default, matrix products not.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32


def train_side_by_side(
    rank: int, options: argparse.Namespace, settings: Sequence[Setting], barrier: Barrier
) -> dict[Setting, float]:
    """Train every setting at the same time as other processes; return steps per second."""
    configure(options.device, max(torch.get_num_threads() // options.side_by_side, 1))
    rate = {}
    for setting in track(settings, description="Training", transient=True, disable=rank > 0):
        step = training_step(*setting, options.device)
        for _ in range(3):
            step()
        barrier.wait(PATIENCE)
        start = time.perf_counter()
        count = count_calls(step, options.device, options.seconds)
        rate[setting] = count / (time.perf_counter() - start)
        barrier.wait(PATIENCE)
    return rate


def measure_rates(options: argparse.Namespace, settings: Sequence[Setting]) -> dict[Setting, float]:
    """Steps per second of every setting, of all processes together."""
    n, context = options.side_by_side, multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(n, mp_context=context) as pool:
        barrier = manager.Barrier(n)
        work = [
            pool.submit(train_side_by_side, rank, options, settings, barrier) for rank in range(n)
        ]
        done = [future.result() for future in work]
    return {setting: sum(rate[setting] for rate in done) for setting in settings}


def measure_matmul_rate(device: str) -> float:
    """Floating-point operations per second of a large matrix product."""
    configure(device, torch.get_num_threads())
    n = 8192 if device == "cuda" else 2048
    a, b = torch.rand(n, n, device=device), torch.rand(n, n, device=device)
    for _ in range(3):
        a @ b
    start = time.perf_counter()
    count = count_calls(lambda: a @ b, device, 2.0)
    return count * 2 * n**3 / (time.perf_counter() - start)


def grid_hours(seconds: Mapping[Setting, float]) -> float:
    """Hours of the paper's grid, given the seconds of a step of every setting."""
    steps = {batch: COPIES * EPOCHS * -(-PATCHES // batch) for batch in BATCHES}
    return sum(steps[batch] * value for (_, batch), value in seconds.items()) / 3600


def print_table(
    ms: dict[Setting, float], share: dict[Setting, float], title: str, console: Console
) -> None:
    """Print the grid: milliseconds of a step and the share that arithmetic needs."""
    table = Table(title=title)
    table.add_column("filters", justify="right")
    for batch in BATCHES:
        table.add_column(f"batch {batch}", justify="right")
    for filters in FILTERS:
        cells = [f"{ms[filters, batch]:.2f} ({share[filters, batch]:.1%})" for batch in BATCHES]
        table.add_row(str(filters), *cells)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--side-by-side", type=int, default=1, help="networks trained at a time")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each setting")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args()
    settings = [(filters, batch) for filters in FILTERS for batch in BATCHES]
    machine = describe_machine()
    if options.device == "cuda":
        machine["gpu"] = torch.cuda.get_device_name()
    peak = measure_matmul_rate(options.device)
    seconds = {setting: 1 / rate for setting, rate in measure_rates(options, settings).items()}
    bound = {setting: count_operations(setting) / peak for setting in settings}
    ms = {setting: 1e3 * value for setting, value in seconds.items()}
    share = {setting: bound[setting] / seconds[setting] for setting in settings}
    console = Console()
    title = f"Milliseconds a step (share of arithmetic), {options.side_by_side} at a time"
    print_table(ms, share, title, console)
    taken, least = grid_hours(seconds), grid_hours(bound)
    console.print(
        f"Matrix product: {peak / 1e12:.2f} Tflop/s. The paper's 200 runs of {EPOCHS} epochs: "
        f"{taken:.1f} h of steps, {least:.1f} h of arithmetic ({least / taken:.1%})."
    )
    console.print(", ".join(f"{name}: {value}" for name, value in machine.items()), soft_wrap=True)
    if options.output:
        result = {
            "environment": machine,
            "side_by_side": options.side_by_side,
            "matrix_product": peak,
            "ms": {f"{f},{b}": value for (f, b), value in ms.items()},
            "share": {f"{f},{b}": value for (f, b), value in share.items()},
            "hours": taken,
            "arithmetic_hours": least,
        }
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

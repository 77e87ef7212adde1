"""Several small networks trained as one: ``torch.vmap``, and one network as wide as all of them.

The runs of a sweep that share their patches and their number of filters could be trained as one
batched network. For every setting of the paper's grid, this measures a step (forward, Dice,
backward, Adam) of N networks

1. one after the other, each with one thread, as a worker of ``launcher=joblib`` trains them;
2. stacked and vectorised over (``torch.func.stack_module_state``, ``torch.vmap``), which makes
   grouped convolutions of all convolutions;
3. as one plain network with N times the filters. Block-diagonal kernels would compute N networks
   in it at this price and that of assembling the kernels: a bound, for it learns something else.

    python benchmarks/batched_networks.py
    python benchmarks/batched_networks.py --device cuda --networks 16

The stacked networks' weights are compared with those of the single ones after a step of gradient
descent, and have to be equal to rounding: after several, or with Adam, rounding grows by itself.
Times are CPU seconds of one thread on a CPU, by the wall on a GPU; the ways take turns.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from grid import BATCHES, FILTERS, PATCH, configure, grid_hours, synchronize
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from train_throughput import BANDS

from landslide.models import AttentionUNet
from landslide.models.layers import BatchNorm
from landslide.training.losses import DiceLoss

LOSS = DiceLoss()
Batch = tuple[Tensor, Tensor]  # images (B, C, H, W), masks (B, H, W)


def make_network(filters: int, device: str) -> AttentionUNet:
    network = AttentionUNet(BANDS, filters).to(device)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def make_batches(count: int, size: int, device: str) -> list[Batch]:
    """Batches of noise, one for each network."""
    batches = []
    for _ in range(count):
        images = torch.rand(size, BANDS, PATCH, PATCH, device=device)
        masks = (torch.rand(size, PATCH, PATCH, device=device) < 0.1).byte()
        batches.append((images.to(memory_format=torch.channels_last), masks))
    return batches


def single_steps(
    networks: Sequence[nn.Module],
    batches: Sequence[Batch],
    make: Callable[..., torch.optim.Optimizer],
) -> Callable[[], None]:
    """A step of every network, one after the other."""
    optimizers = [make(network.parameters()) for network in networks]

    def step() -> None:
        for network, (images, masks), optimizer in zip(networks, batches, optimizers, strict=True):
            optimizer.zero_grad()
            LOSS(network(images), masks).backward()
            optimizer.step()

    return step


def stacked_step(
    networks: Sequence[nn.Module],
    batches: Sequence[Batch],
    make: Callable[..., torch.optim.Optimizer],
) -> tuple[Callable[[], None], dict[str, Tensor]]:
    """A step of all networks as one, and their stacked weights."""
    for network in networks:
        for module in network.modules():
            if isinstance(module, BatchNorm):  # asks for the layout, which vmap does not know
                module.forward = super(BatchNorm, module).forward  # type: ignore[method-assign, assignment]
    stacked, buffers = stack_module_state(list(networks))
    weights = {name: weight.detach().requires_grad_() for name, weight in stacked.items()}
    images, masks = (torch.stack(parts) for parts in zip(*batches, strict=True))
    optimizer = make(list(weights.values()))

    def loss(own: dict[str, Tensor], state: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        value: Tensor = LOSS(functional_call(networks[0], (own, state), (x,)), y)
        return value

    def step() -> None:
        optimizer.zero_grad()
        total: Tensor = vmap(loss)(weights, buffers, images, masks).sum()
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step, weights


def descent(weights: object) -> torch.optim.Optimizer:
    return torch.optim.SGD(weights, lr=0.01)  # type: ignore[arg-type]


def adam(weights: object) -> torch.optim.Optimizer:
    return torch.optim.Adam(weights, lr=1e-3, fused=True)  # type: ignore[arg-type]


def difference(networks: Sequence[nn.Module], batches: Sequence[Batch]) -> float:
    """Largest difference between a weight of the stacked and the single networks after a step."""
    single, together = deepcopy(networks), deepcopy(networks)
    single_steps(single, batches, descent)()
    step, weights = stacked_step(together, batches, descent)
    step()
    alone, _ = stack_module_state(list(single))
    return max(float((weights[name] - alone[name]).detach().abs().max()) for name in alone)


def measure(step: Callable[[], None], device: str, seconds: float) -> float:
    """Milliseconds of a step."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    synchronize(device)
    start, count = clock(), 0
    while clock() - start < seconds:
        step()
        synchronize(device)
        count += 1
    return 1e3 * (clock() - start) / count


def compare(filters: int, size: int, options: argparse.Namespace) -> tuple[list[float], float]:
    """Milliseconds of a step of all networks in the three ways, and the largest difference."""
    device, count = options.device, options.networks
    torch.manual_seed(0)
    networks = [make_network(filters, device) for _ in range(count)]
    batches = make_batches(count, size, device)
    largest = difference(networks, batches)
    wide = [make_network(filters * count, device)]
    ways = [
        single_steps(networks, batches, adam),
        stacked_step(deepcopy(networks), batches, adam)[0],
        single_steps(wide, batches[:1], adam),
    ]
    for step in ways:
        step()
    rounds = [[measure(step, device, options.seconds) for step in ways] for _ in range(3)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)], largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--networks", type=int, default=4, help="networks trained as one")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement")
    options = parser.parse_args()
    configure(options.device, 1)
    table = Table(title=f"Milliseconds a step of {options.networks} networks ({options.device})")
    headings = ("filters", "batch", "one by one", "stacked", "wide", "difference")
    for heading in headings:
        table.add_column(heading, justify="right")
    settings = [(filters, size) for filters in FILTERS for size in BATCHES]
    alone, best = {}, {}
    for setting in track(settings, transient=True):
        times, largest = compare(*setting, options)
        single, *others = times
        alone[setting], best[setting] = (
            1e-3 * value / options.networks for value in (single, min(times))
        )
        ratios = [f"{value:.1f} ({single / value:.2f})" for value in others]
        row = [*map(str, setting), f"{single:.1f}", *ratios, f"{largest:.0e}"]
        print(*row, flush=True)
        table.add_row(*row)
    Console(width=100).print(table)
    print(f"The grid one by one: {grid_hours(alone):.1f} h, at best {grid_hours(best):.1f} h")


if __name__ == "__main__":
    main()

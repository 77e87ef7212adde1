"""Seconds to map a scene of the paper's size, compared with the bound set by arithmetic.

    python benchmarks/predict_scene.py --output predict.json
    python benchmarks/predict_scene.py --device cuda

Every variant of prediction runs once in every round, in one process; ratios are taken within a
round. Weights are random and the scene is noise, which does not change the time.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from affine import Affine
from rasterio.crs import CRS
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from train_throughput import describe_machine, native_transpose

from landslide.data.scene import Scene
from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import to_cog, write_raster
from landslide.models.layers import SameConvTranspose2d
from landslide.prediction.stream import ProbabilityFile, Stopwatch, choose_predictor, predict_scene
from landslide.products.mask import write_mask
from landslide.training.cpu import tune_cpu
from landslide.training.network import Function, Network
from landslide.training.task import LandslideTask

ROOT = Path(__file__).resolve().parents[1]
BANDS = ["vv_pre", "vv_post1", "vv_post2", "slope"]
PATCH = 64
DEFAULT = "seamless, windows alike, folded (default)"
Run = Callable[[], object]


def make_task(filters: int, normalization: str = "ZScore") -> LandslideTask:
    """A checkpoint with random weights."""
    torch.manual_seed(0)
    model = {"_target_": "landslide.models.AttentionUNet", "in_channels": 4, "filters": filters}
    return LandslideTask(
        model=model,
        loss={"_target_": "landslide.training.losses.DiceLoss"},
        normalization={"_target_": f"landslide.data.normalization.{normalization}"},
        optimizer={"_target_": "torch.optim.Adam"},
        bands=BANDS,
        orbit="ascending",
        patch_size=PATCH,
    ).eval()


def make_scene(path: Path, height: int, width: int) -> Scene:
    """A scene of noise."""
    grid = Grid(CRS.from_epsg(32654), Affine(10, 0, 6e5, 0, -10, 4.74e6), height, width)
    image = np.random.default_rng(0).random((4, height, width), dtype=np.float32) + 0.01
    write_raster(path, image, grid, BANDS, np.nan)
    return Scene(path, BANDS)


def measure_gemm_rate(device: torch.device) -> float:
    """Best FLOP/s of several matrix products, 2048 x 2048 or 8192 x 8192 on a GPU."""
    side = 2048 if device.type == "cpu" else 8192
    a, b = torch.randn(2, side, side, device=device)
    seconds = [measure_seconds(lambda: a @ b, device) for _ in range(12)]
    return 2 * side**3 / min(seconds)


def measure_seconds(run: Run, device: torch.device) -> float:
    """Seconds of a run until the device has finished it."""
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def count_flop(task: LandslideTask) -> float:
    """FLOP per pixel of the network as defined, on a large window."""
    packaged = SameConvTranspose2d.forward
    SameConvTranspose2d.forward = native_transpose  # type: ignore[assignment, method-assign]
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        task.model(torch.zeros(1, 4, 512, 512))
    SameConvTranspose2d.forward = packaged  # type: ignore[method-assign]
    flop: int = counter.get_total_flops()
    return flop / 512**2


def predict_tiles(task: LandslideTask, image: Tensor, batch: int, device: torch.device) -> None:
    """Predict 64 px patches without overlap, ``batch`` a call, with the network as trained."""
    C, H, W = image.shape
    whole = torch.nn.functional.pad(image, (0, -W % PATCH, 0, -H % PATCH))
    patches = whole.unfold(1, PATCH, PATCH).unfold(2, PATCH, PATCH)
    patches = patches.permute(1, 2, 0, 3, 4).reshape(-1, C, PATCH, PATCH)
    with torch.inference_mode():
        for start in range(0, len(patches), batch):
            torch.sigmoid(task(patches[start : start + batch].to(device))).cpu()


def predict_unfolded(task: LandslideTask, image: Tensor, side: int, device: torch.device) -> None:
    """Predict blocks with their 96 px halo, with the network as trained."""
    network = Network([task], device)
    layout = torch.channels_last
    model = (task.normalization, lambda x: task.model(x.contiguous(memory_format=layout)))
    network.function = Function([model], "none", task.bands, task.measure)
    predict_blocks(network, image, side)


def predict_blocks(
    network: Network, image: Tensor, side: int | None = None, overlap: float = 0.5
) -> None:
    """Predict blocks with their halo, or blended windows, from memory."""
    _, H, W = image.shape
    grid = Grid(None, None, H, W)  # type: ignore[arg-type]
    predictor = choose_predictor(network, grid, {"size": side, "overlap": overlap, "halo": None})
    padded = torch.nn.functional.pad(image, (0, PATCH, 0, PATCH))
    for block in predictor.blocks:
        source = predictor.source(block)
        rows = slice(source.row, source.row + source.height)
        predictor(padded[:, rows, source.col : source.col + source.width], block)


def predict_and_write(network: Network, scene: Scene) -> None:
    """Read, predict and write a scene, and make its rasters cloud-optimised."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        window = {"size": None, "overlap": 0.5, "halo": None}
        predictor = choose_predictor(network, scene.grid, window)
        raster = ProbabilityFile(folder, scene.grid, network.bands)
        predict_scene(scene, predictor, raster, Stopwatch())
        write_mask(folder, scene.grid, 0.5)
        for path in folder.glob("*.tif"):
            to_cog(path, {})


def prediction_variants(
    task: LandslideTask, scene: Scene, device: torch.device, *, openvino: bool
) -> dict[str, Run]:
    """Variants of prediction by name."""
    image = scene.read(Window(0, 0, scene.grid.height, scene.grid.width))["image"]
    folded, half = Network([task], device), Network([task], device, precision="half")
    scaled = Network([make_task(task.model_settings["filters"], "PatchMinMax")], device)
    task.to(device)
    found: dict[str, Run] = {
        "64 px, one patch a call (the paper)": lambda: predict_tiles(task, image, 1, device),
        "64 px, 32 patches a call": lambda: predict_tiles(task, image, 32, device),
        "seamless, 1024 px blocks, as trained": lambda: predict_unfolded(task, image, 1024, device),
        DEFAULT: lambda: predict_blocks(folded, image),
        "default, end to end": lambda: predict_and_write(folded, scene),
        "patch_minmax, tiles": lambda: predict_blocks(scaled, image, overlap=0),
        "patch_minmax, blended (default)": lambda: predict_blocks(scaled, image),
        "precision=half": lambda: predict_blocks(half, image),
        "precision=half, end to end": lambda: predict_and_write(half, scene),
    }
    if device.type == "cuda":
        for precision in ("full", "half"):
            compiled = Network([task], device, engine="compiled", precision=precision)
            found[f"engine=compiled, precision={precision}"] = partial(
                predict_blocks, compiled, image
            )
    elif openvino:
        engine = Network([task], device, engine="openvino")
        found["seamless, OpenVINO"] = lambda: predict_blocks(engine, image)
        found["OpenVINO, end to end"] = lambda: predict_and_write(engine, scene)
    return found


def precision_differences(
    task: LandslideTask, scene: Scene, device: torch.device
) -> dict[str, float]:
    """Largest difference of a block's probability to the default, by precision."""
    window = Window(0, 0, min(1024, scene.grid.height), min(1024, scene.grid.width))
    image = scene.read(window)["image"][None, :, : window.height // 16 * 16]
    image = image[..., : window.width // 16 * 16]
    exact = Network([task], device)(image)
    half = Network([task], device, precision="half")(image)
    return {"half, largest difference": float((half - exact).abs().max())}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each variant in each round."""
    tune_cpu()
    task = make_task(options.filters)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        scene = make_scene(folder / "scene.tif", *options.size)
        device = torch.device(options.device)
        machine = describe_machine() | precision_differences(task, scene, device)
        if device.type == "cuda":
            machine["gpu"] = torch.cuda.get_device_name()
        flop = count_flop(task) * options.size[0] * options.size[1]
        runs = prediction_variants(task, scene, device, openvino=not options.no_openvino)
        floors: list[float] = []
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(options.rounds + 1):
            floor = flop / measure_gemm_rate(device)
            for name, run in runs.items():
                taken = measure_seconds(run, device)
                if number:  # the first round warms up
                    seconds[name].append(taken)
            if number:
                floors.append(floor)
    return {
        "environment": machine | {"load after": os.getloadavg()[0], "flop": flop},
        "floor": floors,
        "seconds": seconds,
    }


def print_table(result: dict[str, Any]) -> None:
    """Print medians, and medians of the ratios within a round."""
    table = Table(title="Mapping a scene")
    table.add_column("")
    for heading in ("seconds", "min", "max", "to the floor", "to the default"):
        table.add_column(heading, justify="right")
    default = result["seconds"][DEFAULT]
    for name, seconds in {
        "floor: FLOP at GEMM's rate": result["floor"],
        **result["seconds"],
    }.items():
        ratios = [
            statistics.median(a / b for a, b in zip(seconds, other, strict=True))
            for other in (result["floor"], default)
        ]
        values = (statistics.median(seconds), min(seconds), max(seconds), *ratios)
        table.add_row(name, *(f"{value:.2f}" for value in values))
    console = Console()
    console.print(table)
    words = (f"{name}: {value}" for name, value in result["environment"].items())
    console.print(", ".join(words), soft_wrap=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, nargs=2, default=(2346, 3842), help="rows, columns")
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-openvino", action="store_true")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args()
    result = measure(options)
    print_table(result)
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

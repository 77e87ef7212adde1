"""Exported models beside ``predict.py``: equality, size and speed of every model of ``conf/``.

    python benchmarks/exchange.py --output exchange.json
    python benchmarks/exchange.py --models attention_unet unet --rounds 5

Every model of the configuration is exported under every normalisation, with random weights and the
statistics of batch normalisation that such weights have after training. Differences are the largest
to ``predict.py`` with torch, on random and broken input; of OpenVINO on random input. Rounding is
the difference of ``predict.py`` to the same network in double precision. Seconds are of an image of
1024 x 1024 px. All programs run once in every round, in one process; ratios to torch are taken
within a round, and the table has their median.

``--runtime python`` also runs the files in another interpreter, whose onnxruntime is older.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from landslide.config.paths import configuration_folder
from landslide.errors import InputError
from landslide.export.export import COMPARED_SIDE
from landslide.export.model_files import ONNX, TORCH, ModelFiles
from landslide.export.verification import (
    expected_outputs,
    largest_differences,
    make_images,
    rounding_errors,
)
from landslide.geo.files import write_json
from landslide.models.detectors import Detector
from landslide.training.cpu import tune_cpu
from landslide.training.network import Network
from landslide.training.onnx import open_session, torchs_warnings_ignored
from landslide.training.task import LandslideTask

SIDE = 1024
"""Height and width in pixels of the image that is timed."""

DATASETS = {"change_z": "stack_ascending", "anomaly": "anomaly_ascending"}
"""Datasets with the bands that a detector reads."""

DETECTORS = ("anomaly", "change_z", "log_ratio", "slope")

OPENVINO = "OpenVINO"

OLD_RUNTIME = """
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
image = numpy.load(sys.argv[2])
numpy.save(sys.argv[3], numpy.concatenate(session.run(None, {"measurements": image}), axis=1))
print(onnxruntime.__version__)
"""

CPU = torch.device("cpu")

Run = Callable[[Tensor], object]
Row = dict[str, Any]


def options_of(group: str) -> list[str]:
    return sorted(path.stem for path in (configuration_folder() / group).glob("*.yaml"))


def make_task(model: str, normalization: str) -> LandslideTask:
    """A task of random weights, with the statistics of a trained one."""
    words = [f"model={model}", f"dataset={DATASETS.get(model, 'ascending_baa_s')}", "threshold=0.5"]
    if model not in DETECTORS:
        words.append(f"normalization={normalization}")
    with initialize_config_dir(str(configuration_folder()), version_base="1.3"):
        config = compose("train", words)
    torch.manual_seed(0)
    task = LandslideTask(**OmegaConf.to_container(config.task, resolve=True))  # type: ignore[arg-type]
    image = 10 ** (2 * torch.rand(4, len(task.bands), 64, 64) - 2)
    image[:, -1] = 60 * torch.rand(4, 64, 64)  # slope
    with torch.no_grad():
        task.normalization.fit([image])
        if isinstance(task.model, Detector):
            task.model.scale.fill_(0.5)
            task.model.offset.fill_(-1.0)
            return task.eval()
        for module in task.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0  # one pass sets all statistics
        task.model.train()(task.normalization(image))
    return task.eval()


def measure(model: str, normalization: str, options: argparse.Namespace) -> Row:
    """Differences, sizes and seconds of one model."""
    task = make_task(model, normalization)
    network = Network([task], CPU)
    row: Row = {"model": model, "normalization": normalization}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        try:
            ModelFiles.of([task], network.size_multiple, "none").write(folder, {}, {})
        except InputError as error:
            return row | {"error": str(error)}
        row["MB"] = {name: (folder / name).stat().st_size / 1e6 for name in (ONNX, TORCH)}
        session = open_session(folder / ONNX, CPU)
        with torchs_warnings_ignored():
            program = torch.export.load(folder / TORCH).module()
        images = make_images(task.bands, (COMPARED_SIDE, COMPARED_SIDE), None)
        expected = expected_outputs(network, images)
        row["rounding"] = max(rounding_errors([task], "none", network, expected, images).values())

        def difference(run: Callable[[Tensor], Any]) -> float:
            return max(largest_differences(run, images, expected, network.measure).values())

        runs: dict[str, Run] = {"torch": network, ONNX: session, TORCH: program}
        with torch.no_grad():
            row["difference"] = {ONNX: difference(session), TORCH: difference(program)}
            try:
                fast = Network([task], CPU, engine="openvino")
                random = images["random"]
                row["difference"][OPENVINO] = float((fast(random) - expected["random"]).abs().max())
                runs[OPENVINO] = fast
            except Exception as error:
                row["openvino"] = str(error).splitlines()[0]
            if options.runtime:
                old = partial(run_elsewhere, options.runtime, folder)
                row["difference"]["older onnxruntime"] = difference(old)
            row["seconds"] = time_runs(runs, len(task.bands), options.rounds)
    return row


def run_elsewhere(python: str, folder: Path, image: Tensor) -> list[Tensor]:
    """Outputs of ``model.onnx`` in another interpreter."""
    np.save(folder / "image.npy", image.numpy())
    words = [str(folder / name) for name in (ONNX, "image.npy", "found.npy")]
    subprocess.run([python, "-c", OLD_RUNTIME, *words], check=True, capture_output=True)
    return [torch.from_numpy(np.load(folder / "found.npy"))]


def time_runs(runs: dict[str, Run], channels: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of every program in each round; a first round warms up."""
    image = torch.rand(1, channels, SIDE, SIDE) + 0.01
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run(image)
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def print_table(rows: list[Row]) -> None:
    columns = ["older onnxruntime", ONNX, TORCH, OPENVINO]
    table = Table(title="Exported models")
    for heading in (
        "model",
        "normalisation",
        "rounding of predict.py",
        *(f"difference, {name}" for name in columns),
        *(f"MB, {name}" for name in (ONNX, TORCH)),
        *(f"time to torch's, {name}" for name in columns[1:]),
    ):
        table.add_column(heading)
    for row in rows:
        cells = [row["model"], row["normalization"]]
        if "error" in row:
            table.add_row(*cells, row["error"])
            continue
        found = row["difference"]
        cells.append(f"{row['rounding']:.1e}")
        cells += [f"{found[name]:.1e}" if name in found else "" for name in columns]
        cells += [f"{row['MB'][name]:.1f}" for name in (ONNX, TORCH)]
        for name in columns[1:]:
            own = row["seconds"].get(name, [])
            ratios = [a / b for a, b in zip(own, row["seconds"]["torch"], strict=False)]
            cells.append(f"{statistics.median(ratios):.2f}" if ratios else "")
        table.add_row(*cells)
    Console(width=200).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=options_of("model"))
    parser.add_argument("--normalizations", nargs="+", default=options_of("normalization"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runtime", help="another interpreter with onnxruntime and numpy")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args()
    tune_cpu()
    rows = []
    for model in options.models:
        for normalization in ["none"] if model in DETECTORS else options.normalizations:
            rows.append(measure(model, normalization, options))
            print(json.dumps(rows[-1]), flush=True)
    print_table(rows)
    if options.output:
        write_json(options.output, {"rows": rows})


if __name__ == "__main__":
    main()

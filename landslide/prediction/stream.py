"""A network and a scene to a probability raster, block by block; can be interrupted."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rich.progress import track

from landslide.data.scene import Sample, Scene
from landslide.errors import InputError
from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import UNKNOWN, raster_profile
from landslide.prediction.windows import BlendPredictor, HaloPredictor, Predictor
from landslide.training.cpu import MemoryTrimmer, trim_memory
from landslide.training.network import Network


@dataclass
class Stopwatch:
    """Seconds spent in each stage; reading and writing overlap with the network."""

    start: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0) + time.perf_counter() - start

    def rounded(self) -> dict[str, float]:
        """Seconds of each stage and, as ``total``, since the start."""
        total = time.perf_counter() - self.start
        return {name: round(s, 3) for name, s in (self.seconds | {"total": total}).items()}


def choose_predictor(network: Network, grid: Grid, window: dict[str, Any]) -> Predictor:
    """Halo windows where they are exact, blended windows elsewhere.

    Windows are blended where each is scaled by itself, and for a network that sees the
    whole of its input at once.

    Args:
        network: One or several checkpoints.
        grid: Grid of the scene.
        window: ``size``, ``overlap`` and ``halo`` of ``conf/predict.yaml``.
    """
    size = (grid.height, grid.width)
    halo = network.measure_halo()
    if halo is None:
        side = window["size"] or network.patch_size
        if side % network.size_multiple:
            raise InputError(f"window.size={side} is not a multiple of {network.size_multiple} px")
        return BlendPredictor(network, size, side, window["overlap"])
    if window["halo"] is not None:
        halo = halo._replace(size=window["halo"])
    return HaloPredictor(network, size, halo, window["size"])


class ProbabilityRaster(Protocol):
    """What finished blocks are written to."""

    finished: set[int]

    def finish(self, number: int, block: Window, output: NDArray[np.float32] | None) -> None:
        """Keep a block (bands, H, W), or leave it without data, and remember its number."""


class ProbabilityFile:
    """The raster under work, and which of its blocks are finished, both on disk.

    Every block is written and closed before it counts as finished, so that a killed
    process loses the block in work and no more.

    Args:
        folder: Holds ``probability.tif`` and ``finished.txt``, or will.
        grid: Grid of the scene.
        bands: Names of the bands.
    """

    def __init__(self, folder: Path, grid: Grid, bands: tuple[str, ...]) -> None:
        self.raster = folder / "probability.tif"
        self._journal = folder / "finished.txt"
        self.finished: set[int] = set()
        if self._journal.exists():
            self.finished = {int(line) for line in self._journal.read_text().split()}
            return
        profile = raster_profile(grid, "float32", len(bands), np.nan)
        # Not compressed: a block is then written in place. Written in full, so that a disk
        # that is too small says so now.
        for option in ("compress", "predictor"):
            del profile[option]
        with rasterio.open(self.raster, "w", **profile) as sink:
            sink.descriptions = bands
        self._journal.touch()

    def finish(self, number: int, block: Window, output: NDArray[np.float32] | None) -> None:
        """Write a block, or leave it without data, and remember it."""
        if output is not None:
            with rasterio.open(self.raster, "r+") as sink:
                sink.write(output, window=block.to_rasterio())
        with self._journal.open("a") as journal:
            journal.write(f"{number}\n")


class ProbabilityArray:
    """The same in memory, for scenes that fit.

    Args:
        grid: Grid of the scene.
        bands: Names of the bands.

    Attributes:
        values: (bands, H, W) float32, NaN where there is nothing yet or no measurement.
    """

    def __init__(self, grid: Grid, bands: tuple[str, ...]) -> None:
        self.values = np.full((len(bands), grid.height, grid.width), np.nan, dtype=np.float32)
        self.finished: set[int] = set()

    def finish(self, number: int, block: Window, output: NDArray[np.float32] | None) -> None:
        """Keep a block, or leave it without data."""
        if output is not None:
            rows = slice(block.row, block.row + block.height)
            cols = slice(block.col, block.col + block.width)
            self.values[:, rows, cols] = output
        self.finished.add(number)


def predict_scene(
    scene: Scene,
    predictor: Predictor,
    raster: ProbabilityRaster,
    watch: Stopwatch,
) -> None:
    """Predict every block that is not finished yet.

    One thread reads ahead and one writes behind while the network computes; memory
    depends on the block, not on the scene.

    Args:
        scene: Scene to map, opened without its truth, whose gaps need not be gaps of the map.
        predictor: Computes one block after the other.
        raster: What is written to; NaN where the scene's mask is unknown.
        watch: Is told the seconds of ``read``, ``network`` and ``write``.
    """
    blocks, sources = predictor.blocks, list(map(predictor.source, predictor.blocks))
    todo = [number for number in range(len(blocks)) if number not in raster.finished]

    def read(number: int) -> Sample:
        with watch("read"):
            return scene.read(sources[number])

    def write(number: int, output: NDArray[np.float32] | None) -> None:
        with watch("write"):
            raster.finish(number, blocks[number], output)

    def predict(number: int, sample: Sample) -> NDArray[np.float32] | None:
        unknown = sample["mask"][blocks[number].within(sources[number])] == UNKNOWN
        if unknown.all():
            return None
        with watch("network"):
            output = predictor(sample["image"], blocks[number])
        return output.masked_fill(unknown, torch.nan).numpy()

    memory = MemoryTrimmer()
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        ahead = [reader.submit(read, number) for number in todo[:1]]
        behind: list[Future[None]] = []
        for following, number in enumerate(track(todo, "Predicting", transient=True), start=1):
            sample = ahead.pop().result()
            ahead = [reader.submit(read, number) for number in todo[following : following + 1]]
            output = predict(number, sample)
            if output is not None:
                memory.after_block()
            for written in behind:
                written.result()
            behind = [writer.submit(write, number, output)]
        for written in behind:
            written.result()
    trim_memory()

"""Prediction of a scene block by block, which can be interrupted and resumed."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rich import get_console
from rich.console import Console
from rich.progress import track

from landslide.data.scene import Sample, Scene
from landslide.errors import InputError
from landslide.geo.files import replacing
from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import UNKNOWN, raster_profile
from landslide.parts import require_work
from landslide.prediction.windows import BlendPredictor, HaloPredictor, Predictor
from landslide.training.cpu import MemoryTrimmer, trim_memory
from landslide.training.network import Network


@dataclass
class Stopwatch:
    """Seconds spent in each stage; reading, writing and drawing overlap with other stages."""

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
    """Choose halo windows where they are exact, blended windows elsewhere.

    Windows are blended where each is scaled by itself, and for a network whose output
    depends on its whole input.

    Args:
        network: One or several checkpoints.
        grid: Grid of the scene.
        window: ``size``, ``overlap`` and ``halo`` of ``conf/predict.yaml``.

    Raises:
        InputError: A size or a halo is not a multiple of the network's grid.
    """
    size = (grid.height, grid.width)
    halo = network.halo
    if halo is None:
        side = window["size"] or network.patch_size
        if side % network.size_multiple:
            raise InputError(f"window.size={side} is not a multiple of {network.size_multiple} px")
        return BlendPredictor(network, size, side, window["overlap"])
    if window["halo"] is not None:
        halo = halo._replace(size=window["halo"])
    return HaloPredictor(network, size, halo, window["size"])


class ProbabilityRaster(Protocol):
    """Where finished blocks are kept."""

    finished: set[int]

    def finish(self, number: int, block: Window, output: NDArray[np.float32] | None) -> None:
        """Keep a block (bands, H, W), or None where it has no data, and record its number."""


class ProbabilityFile:
    """An unfinished raster and the numbers of its finished blocks, both on disk.

    Every block is written and closed before it counts as finished, so that a killed
    process loses only its current block.

    Args:
        folder: Folder of the raster and ``finished.txt``; they are created if missing.
        grid: Grid of the scene.
        bands: Names of the bands, of which the first names the raster.
    """

    def __init__(self, folder: Path, grid: Grid, bands: tuple[str, ...]) -> None:
        self.raster = folder / f"{bands[0]}.tif"
        self._journal = folder / "finished.txt"
        self.finished: set[int] = set()
        if self._journal.exists():
            self.finished = {int(line) for line in self._journal.read_text().split()}
            return
        profile = raster_profile(grid, "float32", len(bands), np.nan)
        # Without compression blocks are written in place, and a disk that is too small fails
        # here.
        for option in ("compress", "predictor"):
            del profile[option]
        with rasterio.open(self.raster, "w", **profile) as sink:
            sink.descriptions = bands
        self._journal.touch()

    def finish(self, number: int, block: Window, output: NDArray[np.float32] | None) -> None:
        """Write a block and record its number."""
        if output is not None:
            with rasterio.open(self.raster, "r+") as sink:
                sink.write(output, window=block.to_rasterio())
        with self._journal.open("a") as journal:
            journal.write(f"{number}\n")
        self.finished.add(number)


class ProbabilityArray:
    """A raster in memory, for scenes that fit.

    Args:
        grid: Grid of the scene.
        bands: Names of the bands.

    Attributes:
        values: (bands, H, W) float32, NaN where a block is unfinished or nothing was measured.
    """

    def __init__(self, grid: Grid, bands: tuple[str, ...]) -> None:
        self.values = np.full((len(bands), grid.height, grid.width), np.nan, dtype=np.float32)
        self.finished: set[int] = set()

    def finish(self, number: int, block: Window, output: NDArray[np.float32] | None) -> None:
        """Keep a block and record its number."""
        if output is not None:
            self.values[:, *block.within(Window(0, 0, *self.values.shape[1:]))] = output
        self.finished.add(number)


class BlockFiles:
    """Every block a file of its own, so that several processes write blocks of one raster.

    Args:
        folder: Of the files, which is that of the work that this process is a part of.
        own: Numbers of the blocks that this process writes.
        count: Number of all blocks.
    """

    def __init__(self, folder: Path, own: Sequence[int], count: int) -> None:
        self.folder = folder
        missing = {number for number in own if not self._path(number).exists()}
        self.finished = set(range(count)) - missing

    def _path(self, number: int) -> Path:
        return self.folder / f"{number}.npy"

    def finish(self, number: int, block: Window, output: NDArray[np.float32] | None) -> None:
        """Write a block, whole or not at all.

        Raises:
            RuntimeError: No program waits for the block any more.
        """
        require_work(self.folder)
        with replacing(self._path(number)) as temporary:
            np.save(temporary, np.empty(0, np.float32) if output is None else output)


def collect_blocks(folder: Path, blocks: Sequence[Window], raster: ProbabilityRaster) -> None:
    """Bring the blocks of a folder of ``BlockFiles`` into a raster, and remove their files."""
    for path in sorted(folder.glob("*.npy")):
        number, output = int(path.stem), np.load(path)
        if number not in raster.finished:
            raster.finish(number, blocks[number], output if output.size else None)
        path.unlink()


def predict_scene(
    scene: Scene, predictor: Predictor, raster: ProbabilityRaster, watch: Stopwatch
) -> None:
    """Predict every block that is not finished yet.

    One thread reads the next block and one writes the last while the network computes. Memory
    depends on the block, not on the scene.

    Args:
        scene: Scene to map, opened without its truth: unknown truth is no gap in the map.
        predictor: Computes one block after the other.
        raster: Takes the blocks, NaN where the scene's mask is unknown.
        watch: Measures the seconds of ``read``, ``network`` and ``write``.
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

    trimmer = MemoryTrimmer()
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        samples = [reader.submit(read, number) for number in todo[:1]]
        written: Future[None] | None = None
        bar = track(todo, "Predicting", console=progress_console(), transient=True)
        for following, number in enumerate(bar, start=1):
            sample = samples.pop().result()
            samples = [reader.submit(read, number) for number in todo[following : following + 1]]
            output = predict(number, sample)
            if output is not None:
                trimmer.after_block()
            if written is not None:
                written.result()
            written = writer.submit(write, number, output)
        if written is not None:
            written.result()
    trim_memory()


def progress_console() -> Console:
    """Where progress is drawn: in a notebook rich needs ipywidgets, and would warn without them."""
    console = get_console()
    if console.is_jupyter and find_spec("ipywidgets") is None:
        return Console(force_jupyter=False)
    return console

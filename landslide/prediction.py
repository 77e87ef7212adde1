"""A checkpoint and a scene to a landslide map, block by block."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rich.progress import track

import landslide
from landslide.datasets import UNKNOWN, Sample, Scene
from landslide.errors import InputError
from landslide.models.layers import DOWNSAMPLING
from landslide.polygons import ZonalStatistics, burn, polygonize, raster_window
from landslide.rasters import Grid, Window, raster_profile
from landslide.task import LandslideTask
from landslide.windows import BlendPredictor, HaloPredictor, Network, Predictor

PRODUCTS = (
    "probability.tif",
    "landslides.tif",
    "landslides.gpkg",
    "map.png",
    "outcome.tif",
    "outcome.png",
    "metrics.json",
    "summary.json",
)


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


def choose_predictor(
    task: LandslideTask, network: Network, grid: Grid, window: dict[str, Any]
) -> Predictor:
    """Halo windows where they are exact, blended windows elsewhere.

    Windows are blended where each is scaled by itself, and for a network that sees the
    whole of its input at once.

    Args:
        task: A loaded checkpoint.
        network: The same on its device.
        grid: Grid of the scene.
        window: ``size``, ``overlap`` and ``halo`` of ``conf/predict.yaml``.
    """
    size = (grid.height, grid.width)
    halo = None if task.normalization.per_window else task.halo
    step = halo.grid if halo else DOWNSAMPLING
    if (window["size"] or 0) % step:
        raise InputError(f"window.size={window['size']} is not a multiple of {step} px")
    if halo is None:
        side = window["size"] or task.patch_size
        return BlendPredictor(network, size, side, window["overlap"])
    if window["halo"] is not None:
        halo = halo._replace(size=window["halo"])
    return HaloPredictor(network, size, halo)


def predict_scene(
    scene: Scene, predictor: Predictor, side: int, threshold: float, output: Path, watch: Stopwatch
) -> None:
    """Write ``probability.tif`` and ``landslides.tif`` of a scene into a folder.

    One thread reads ahead and one writes behind while the network computes; memory
    depends on the block, not on the scene.

    Args:
        scene: Scene to map; its truth, if any, is not looked at.
        predictor: Computes one block.
        side: Side of a block in pixels.
        threshold: Probability from which a pixel is landslide.
        output: Folder, which must exist.
        watch: Is told the seconds of ``read``, ``network`` and ``write``.
    """
    windows = scene.grid.blocks(side)

    def read(block: Window) -> Sample:
        with watch("read"):
            return scene.read(predictor.source(block))

    with (
        _raster(output / "probability.tif", scene.grid, "float32", np.nan) as probabilities,
        _raster(output / "landslides.tif", scene.grid, "uint8", UNKNOWN) as masks,
        ThreadPoolExecutor(1) as reader,
        ThreadPoolExecutor(1) as writer,
    ):

        def write(block: Window, probability: NDArray[np.float32]) -> None:
            with watch("write"):
                mask = np.where(np.isnan(probability), UNKNOWN, probability > threshold)
                probabilities.write(probability, 1, window=raster_window(block))
                masks.write(mask.astype(np.uint8), 1, window=raster_window(block))

        ahead = reader.submit(read, windows[0])
        behind: Future[None] = writer.submit(lambda: None)
        for i in track(range(len(windows)), "Predicting", transient=True):
            block, sample = windows[i], ahead.result()
            if i + 1 < len(windows):
                ahead = reader.submit(read, windows[i + 1])
            source = predictor.source(block)
            rows = slice(block.row - source.row, block.row - source.row + block.height)
            cols = slice(block.col - source.col, block.col - source.col + block.width)
            invalid = sample["image"][:, rows, cols].isnan().any(dim=0)
            with watch("network"):
                if invalid.all():
                    probability = torch.full(invalid.shape, torch.nan)
                else:
                    probability = predictor(sample["image"], block)
            behind.result()
            behind = writer.submit(
                write, block, probability.masked_fill(invalid, torch.nan).numpy()
            )
        behind.result()


def outline(
    folder: Path, scene: Scene, min_area: float
) -> tuple[gpd.GeoDataFrame, dict[str, float]]:
    """Polygons of the mask in ``folder``, which loses those smaller than ``min_area``.

    Args:
        folder: Holds ``probability.tif`` and ``landslides.tif``; the mask is updated.
        scene: The scene; its ``slope`` band, where it has one, is averaged per polygon.
        min_area: Smallest area in m².

    Returns:
        The polygons, largest first, and ``{"observed_pixels", "total_pixels"}``.
    """
    grid = scene.grid
    polygons = polygonize(folder / "landslides.tif", grid)
    small = polygons.area_m2 < min_area
    removed, kept = polygons[small], polygons[~small].reset_index(drop=True)
    statistics = ZonalStatistics(kept, grid)
    slope = scene.bands.index("slope") if "slope" in scene.bands else None
    observed = 0
    with (
        rasterio.open(folder / "landslides.tif", "r+") as masks,
        rasterio.open(folder / "probability.tif") as probabilities,
    ):
        for window in grid.blocks():
            place = raster_window(window)
            probability = probabilities.read(1, window=place)
            observed += int(np.isfinite(probability).sum())
            if len(removed):
                gone = burn(removed.geometry, [1] * len(removed), grid, window)
                mask = masks.read(1, window=place)
                masks.write(np.where(gone == 1, np.uint8(0), mask), 1, window=place)
            if len(kept):
                degrees = None if slope is None else scene.read(window)["image"][slope].numpy()
                statistics.add(window, probability, degrees)
    for name, column in statistics.columns():
        kept[name] = column
    kept.insert(0, "id", range(1, len(kept) + 1))
    return kept, {"observed_pixels": observed, "total_pixels": grid.height * grid.width}


@contextmanager
def staged(output: Path) -> Iterator[Path]:
    """Yield a folder beside ``output``; move its files there when all went well.

    Products of an earlier map that this one has not made anew are removed, so that the
    folder never mixes two maps.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    try:
        yield stage
        output.mkdir(exist_ok=True)
        for name in PRODUCTS:
            (output / name).unlink(missing_ok=True)
        for file in sorted(stage.iterdir()):
            file.replace(output / file.name)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def version_tags(
    task: LandslideTask, scene: Scene, threshold: float, *, simulated: bool
) -> dict[str, str]:
    """What a product says of how it was made."""
    return {
        "SIMULATED": "yes" if simulated else "no",
        "SOFTWARE": f"landslide-sar {landslide.__version__}",
        "MODEL": str(task.hparams["model"]["_target_"]),
        "BANDS": ", ".join(task.bands),
        "SCENE": str(scene.path),
        "THRESHOLD": f"{threshold:g}",
    }


def choose_device(name: str) -> torch.device:
    """Resolve ``auto``, ``cpu`` or ``cuda``.

    Raises:
        InputError: The device is unknown or not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda") or (name == "cuda" and not torch.cuda.is_available()):
        raise InputError(f"device={name} is not available here: choose auto or cpu")
    return torch.device(name)


@contextmanager
def _raster(path: Path, grid: Grid, dtype: str, nodata: float) -> Iterator[Any]:
    profile = raster_profile(grid, dtype, 1, nodata)
    with rasterio.open(path, "w", **profile) as sink:
        sink.descriptions = (path.stem,)
        yield sink

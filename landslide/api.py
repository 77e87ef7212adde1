"""The Python API: open a scene, load checkpoints, predict in memory, score, read products.

Rasters are ``xarray.DataArray`` with coordinates and a CRS (``.rio``), vectors are GeoDataFrames.
``predict.py`` runs the same code.
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import rioxarray  # noqa: F401  (adds .rio to arrays)
import xarray as xr
from affine import Affine
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from omegaconf.errors import ConfigKeyError
from rasterio.crs import CRS
from torch import from_numpy

from landslide.config.paths import configuration_folder, is_scene_folder, require_scene
from landslide.data.readers import MaskReader
from landslide.data.scene import Scene
from landslide.errors import InputError
from landslide.geo.folders import measure_of
from landslide.geo.grid import Grid
from landslide.geo.rasters import UNKNOWN, open_raster, write_raster
from landslide.prediction.inputs import balance_input, open_input
from landslide.prediction.stream import (
    ProbabilityArray,
    Stopwatch,
    choose_predictor,
    predict_scene,
)
from landslide.products import mapping
from landslide.products.mask import outline_landslides, write_mask
from landslide.products.polygons import describe_polygons
from landslide.training.member import load_members
from landslide.training.metrics import pixel_metrics
from landslide.training.network import TTA, Network, choose_device

PathLike = str | Path


class Products(NamedTuple):
    """The folder that ``predict.py`` writes.

    Attributes:
        probability: (band, y, x) float32 in [0, 1], NaN where not observed; the second band of
            an ensemble is its spread. The band of a detector that was not fitted is its ``score``.
        mask: (y, x) uint8, 1 landslide, 0 none, 255 not observed.
        landslides: Polygons with area, probability and slope, in the scene's CRS.
        summary: Counts, areas, threshold, model, notes.
        metrics: Scores against ground truth; None without ground truth.
    """

    probability: xr.DataArray
    mask: xr.DataArray
    landslides: gpd.GeoDataFrame
    summary: dict[str, Any]
    metrics: dict[str, Any] | None


def open_scene(
    scene: PathLike, orbit: str = "ascending", bands: Sequence[str] | None = None
) -> xr.DataArray:
    """Read a scene into memory.

    Args:
        scene: A scene folder, or a GeoTIFF with described bands.
        orbit: Orbit of a scene folder.
        bands: Names of bands, as in ``dataset.bands``; default: all described bands.

    Returns:
        (band, y, x) float32: backscatter in linear power, angles in degrees, NaN where nothing was
        measured.

    Raises:
        InputError: The scene or a band is missing.
    """
    path = Path(scene)
    is_folder = is_scene_folder(str(scene))
    if is_folder:
        require_scene(path)
    if bands is None:
        with open_raster(path / f"{orbit}.tif" if is_folder else path) as source:
            bands = [name for name in source.descriptions if name]
    opened = Scene.of(path, orbit, bands, truth=False) if is_folder else Scene(path, bands)
    image = opened.read(opened.grid.full_window)["image"].numpy()
    return _array(image, opened.grid, list(bands), "measurement")


def read_truth(scene: PathLike) -> xr.DataArray:
    """Read the ground truth of a scene folder, or a mask raster.

    Returns:
        (y, x) uint8: 1 landslide, 0 none, 255 unknown.

    Raises:
        InputError: There is no ground truth, or it is not a mask.
    """
    path = Path(scene)
    truth = MaskReader(path / "landslides.tif" if path.is_dir() else path)
    mask = truth.read(truth.grid.full_window).numpy()
    return _array(mask[None], truth.grid, ["landslides"], "mask")[0]


def load_checkpoint(
    *paths: PathLike, device: str = "auto", tta: TTA = "none", engine: str | None = None
) -> Network:
    """Load a checkpoint, several as an ensemble, or an exported model.

    Args:
        *paths: Checkpoints of ``train.py``, all with the same bands, or one ``model.onnx``.
        device: ``auto``, ``cpu`` or ``cuda``.
        tta: ``flips`` averages over the four flips.
        engine: ``torch``, ``openvino``, ``onnx`` or ``compiled``; default: ``torch``, or ``onnx``
            for an exported model.

    Returns:
        A network that maps measurements to probability.

    Raises:
        InputError: A file is not a checkpoint, or the members do not fit together.
    """
    if not paths:
        raise InputError("load_checkpoint needs at least one checkpoint: name the path of one")
    members = load_members([Path(path) for path in paths])
    return Network(members, choose_device(device), tta, engine)


def predict(network: Network, scene: PathLike, orbit: str | None = None) -> xr.DataArray:
    """Predict a scene in memory, as ``predict.py`` does.

    Args:
        network: Loaded checkpoints.
        scene: A scene folder, or a GeoTIFF with described bands.
        orbit: Orbit of a scene folder; default: that of training.

    Returns:
        (band, y, x) float32: ``probability`` in [0, 1], and of an ensemble ``spread``; NaN where
        not observed.

    Raises:
        InputError: The scene or a band is missing.
    """
    opened = open_input(network.members, str(scene), orbit).scene
    balance_input(network.members, opened)
    window = {"size": None, "overlap": 0.5, "halo": None}
    raster = ProbabilityArray(opened.grid, network.bands)
    predict_scene(opened, choose_predictor(network, opened.grid, window), raster, Stopwatch())
    return _array(raster.values, opened.grid, list(network.bands), "probability")


def score(probability: xr.DataArray, truth: xr.DataArray, threshold: float = 0.5) -> dict[str, Any]:
    """Score a probability against ground truth, over all observed pixels with known truth.

    Args:
        probability: (band, y, x) or (y, x), NaN where not observed; the first band is scored.
        truth: (y, x) on the same grid: 1 landslide, 0 none, 255 unknown.
        threshold: Probability above which a pixel is landslide.

    Returns:
        Counts ``tp fp fn tn`` and ``precision recall f1 iou average_precision``.

    Raises:
        InputError: The grids differ, or they have no known pixel in common.
    """
    first, truth = _north_up(probability)[0], _north_up(truth)[0]
    if not (np.array_equal(first.x, truth.x) and np.array_equal(first.y, truth.y)):
        raise InputError(
            "probability and truth lie on different grids: take the same pixels of both"
        )
    values = first.values
    known = np.where(np.isfinite(values), truth.values, UNKNOWN).astype(np.uint8)
    if (known == UNKNOWN).all():
        raise InputError("no pixel is both observed and known: there is nothing to score")
    metrics = pixel_metrics(threshold)
    metrics.update(from_numpy(np.nan_to_num(values)[None]), from_numpy(known[None]))
    return {name: value.item() for name, value in metrics.compute().items()}


def find_landslides(
    probability: xr.DataArray, threshold: float = 0.5, min_area: float = 400.0
) -> gpd.GeoDataFrame:
    """Outline landslides in a probability.

    Args:
        probability: (band, y, x) or (y, x), NaN where not observed; the first band is used.
        threshold: Probability above which a pixel is landslide.
        min_area: Smallest landslide in m².

    Returns:
        Polygons in the array's CRS with ``area_m2``, ``mean_probability``, ``max_probability``.

    Raises:
        InputError: The array has no CRS, or its coordinates are not evenly spaced.
    """
    probability = _north_up(probability)
    grid = _grid(probability)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        raster = folder / "probability.tif"
        write_raster(raster, probability.values[:1], grid, ["probability"], np.nan)
        write_mask(folder, grid, threshold)
        mask = folder / "landslides.tif"
        polygons = outline_landslides(mask, grid, min_area, 0)
        describe_polygons(polygons, mask, raster, None, grid)
    return polygons


def map_scene(
    checkpoint: PathLike | Sequence[PathLike], scene: PathLike, output: PathLike, **options: object
) -> Products:
    """Map a scene with all its products, as ``predict.py`` does.

    Args:
        checkpoint: One checkpoint, or the members of an ensemble.
        scene: A scene folder, or a GeoTIFF with described bands.
        output: Folder to write.
        **options: Options of ``predict.py``, such as ``threshold=0.3``.

    Returns:
        The written products.

    Raises:
        InputError: A checkpoint, the scene or an option is unsuitable.
    """
    names = [checkpoint] if isinstance(checkpoint, str | Path) else list(checkpoint)
    with initialize_config_dir(str(configuration_folder()), version_base="1.3"):
        config = compose("predict")
    try:
        config.merge_with({"checkpoint": [str(n) for n in names], "scene": str(scene), **options})
    except ConfigKeyError as error:
        raise InputError(f"{error.full_key} is no option of predict.py: see docs/map.md") from error
    config.output = str(output)
    mapping.map_scene(config)
    return read_products(output)


def read_products(folder: PathLike) -> Products:
    """Read the folder that ``predict.py`` wrote.

    Raises:
        InputError: A product is missing or damaged.
    """
    folder = Path(folder)
    for name in ("summary.json", "landslides.gpkg"):
        if not (folder / name).is_file():
            raise InputError(f"{folder} has no {name}: name a folder that predict.py has completed")
    probability = _read(measure_of(folder))
    mask = _read(folder / "landslides.tif")[0]
    polygons = gpd.read_file(folder / "landslides.gpkg", layer="landslides")
    metrics = folder / "metrics.json"
    return Products(
        probability,
        mask,
        polygons,
        json.loads((folder / "summary.json").read_text()),
        json.loads(metrics.read_text()) if metrics.exists() else None,
    )


def _read(path: Path) -> xr.DataArray:
    with open_raster(path) as source:
        return _array(source.read(), Grid.of(source), list(source.descriptions), path.stem)


def _array(values: NDArray[Any], grid: Grid, bands: list[str], name: str) -> xr.DataArray:
    """An array with the coordinates of pixel centres and the grid's CRS."""
    a, _, west, _, e, north = grid.transform[:6]
    array = xr.DataArray(
        values,
        dims=("band", "y", "x"),
        coords={
            "band": bands,
            "y": north + e * (np.arange(grid.height) + 0.5),
            "x": west + a * (np.arange(grid.width) + 0.5),
        },
        name=name,
    )
    placed: xr.DataArray = array.rio.write_crs(grid.crs).rio.write_transform(grid.transform)
    return placed


def _north_up(array: xr.DataArray) -> xr.DataArray:
    """(band, y, x) with rows from north to south and columns from west to east."""
    if array.ndim == 2:
        array = array.expand_dims("band")
    return array.sortby("x").sortby("y", ascending=False)


def _grid(array: xr.DataArray) -> Grid:
    """Grid of a north-up array, from the coordinates of its pixels' middles."""
    steps = [np.diff(array[axis].values) for axis in ("x", "y")]
    if array.rio.crs is None or any(not len(d) or not np.allclose(d, d[0]) for d in steps):
        raise InputError(
            "the array needs a CRS and evenly spaced coordinates x and y of its pixels"
        )
    xres, yres = steps[0].mean(), steps[1].mean()
    west, north = array.x.values[0] - xres / 2, array.y.values[0] - yres / 2
    height, width = array.shape[-2:]
    transform = Affine(xres, 0, west, 0, yres, north)
    return Grid(CRS.from_user_input(array.rio.crs), transform, height, width)

"""QGIS' plugin Deepness finds on our file what ``predict.py`` maps.

Its own classes tile, infer and join; only QGIS itself has stand-ins. LANDSLIDE_DEEPNESS names the
folder ``deepness`` of the plugin.
"""

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from builders import BANDS, make_scene, make_task, perturb, read_band, save_checkpoint
from commands import composed, map_with, run_here
from numpy.typing import NDArray

from landslide.export.export import export_model
from landslide.export.model_files import ONNX
from landslide.geo.rasters import UNKNOWN

pytest.importorskip("onnxruntime", reason="an optional extra")


class Rectangle:
    """``QgsRectangle``, as far as the tiling needs it: made of four sides, or a copy."""

    def __init__(self, west: Any, south: float = 0, east: float = 0, north: float = 0) -> None:  # noqa: ANN401
        sides = west.sides if isinstance(west, Rectangle) else (west, south, east, north)
        self.sides = list(sides)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        names = ["XMinimum", "YMinimum", "XMaximum", "YMaximum"]
        wanted = name.removeprefix("set")
        side = names.index(wanted[0].upper() + wanted[1:])
        if wanted == name:
            return lambda: self.sides[side]
        return lambda value: self.sides.__setitem__(side, value)

    def width(self) -> float:
        return float(self.sides[2] - self.sides[0])

    def height(self) -> float:
        return float(self.sides[3] - self.sides[1])

    def isEmpty(self) -> bool:  # noqa: N802
        return self.width() <= 0

    def intersect(self, other: "Rectangle") -> "Rectangle":
        mine, others = self.sides, other.sides
        return Rectangle(*map(max, mine[:2], others[:2]), *map(min, mine[2:], others[2:]))


class Qgis(ModuleType):
    """A module of QGIS, every other class of which is empty."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "QgsRectangle":
            return Rectangle
        if name == "pyqtSignal":
            return lambda *_: None
        return type(name, (), {"DataType": None})


@pytest.fixture
def deepness(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = os.environ.get("LANDSLIDE_DEEPNESS")
    if not folder:
        pytest.skip("LANDSLIDE_DEEPNESS, which names the folder of QGIS' plugin Deepness, is unset")
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(Path(folder).resolve().parent))
    for name in ("qgis", "qgis.core", "qgis.gui", "qgis.PyQt", "qgis.PyQt.QtCore"):
        monkeypatch.setitem(sys.modules, name, Qgis(name))
    yield
    for name in [name for name in set(sys.modules) - before if name.startswith("deepness")]:
        del sys.modules[name]


def map_in_deepness(model: Path, image: NDArray[np.float32], outside: float) -> NDArray[np.uint8]:
    """The classes (H, W) that Deepness gives to a layer (C, H, W), 2 for landslide.

    Args:
        model: ONNX file.
        image: Bands of the layer.
        outside: What QGIS reads beyond the layer.
    """
    models = import_module("deepness.processing.models.segmentor")
    processor = import_module("deepness.processing.map_processor.map_processor_segmentation")
    overlaps = import_module("deepness.common.processing_overlap")
    parameters = import_module(
        "deepness.common.processing_parameters.map_processing_parameters"
    ).MapProcessingParameters
    segmentor = models.Segmentor(str(model))
    assert models.Segmentor.get_model_type_from_metadata(str(model)) == "Segmentor"
    params = parameters(
        resolution_cm_per_px=segmentor.get_metadata_resolution(),
        processed_area_type=None,
        tile_size_px=segmentor.get_input_size_in_pixels()[0],
        batch_size=2,
        local_cache=False,
        input_layer_id="",
        mask_layer_id=None,
        processing_overlap=overlaps.ProcessingOverlap(
            overlaps.ProcessingOverlapOptions.OVERLAP_IN_PERCENT,
            percentage=segmentor.get_metadata_tiles_overlap(),
        ),
        input_channels_mapping=None,
    )
    side, stride = params.tile_size_px, params.processing_stride_px
    assert side == segmentor.get_metadata_tile_size()
    _, height, width = image.shape
    pixel = params.resolution_m_per_px
    layer = Rectangle(0, 0, width * pixel, height * pixel)
    extent = import_module("deepness.processing.extent_utils").calculate_extended_processing_extent(
        base_extent=layer,
        params=params,
        rlayer=SimpleNamespace(extent=lambda: layer),
        rlayer_units_per_pixel=pixel,
    )
    cols, rows = round(extent.width() / pixel), round(extent.height() / pixel)
    padded = np.full((len(image), rows, cols), outside, np.float32)
    padded[:, :height, :width] = image
    bins = [round((length - side) / stride) + 1 for length in (cols, rows)]
    result = np.zeros((1, rows, cols), np.uint8)
    settings = SimpleNamespace(
        pixel_classification__probability_threshold=segmentor.get_metadata_segmentation_threshold()
    )
    task = SimpleNamespace(model=segmentor, segmentation_parameters=settings)
    for y in range(bins[1]):
        for x in range(bins[0]):
            tile = import_module("deepness.processing.tile_params").TileParams(
                x, y, *bins, params, pixel, extent
            )
            pixels = padded[tile.get_slice_on_full_image_for_entire_tile()]
            batch = np.moveaxis(pixels, 0, -1)[None]
            (found,) = processor.MapProcessorSegmentation._process_tile(task, batch)
            tile.set_mask_on_full_img(tile_result=found, full_result_img=result)
    return result[0, :height, :width]


def rain_on(scene: Path, band: int, decibels: float) -> None:
    """Brighten an image of a scene as a whole."""
    with rasterio.open(scene / "ascending.tif", "r+") as source:
        source.write(source.read(band) * 10 ** (decibels / 10), band)


@pytest.mark.slow
@pytest.mark.parametrize("outside", [np.nan, 0.0])
@pytest.mark.usefixtures("deepness")
def test_deepness_maps_what_predict_maps(outside: float, tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "scene", (700, 900))
    rain_on(scene, band=2, decibels=3)
    torch.manual_seed(0)
    kind = "landslide.data.normalization.ZScore"
    task = make_task(normalization={"_target_": kind, "balance": True})
    perturb(task)
    power = 0.1 * torch.rand(1, 4, 64, 64) + 0.05
    power[:, 3] *= 200  # degrees
    task.normalization.fit([power])
    words = [f"checkpoint={save_checkpoint(task, tmp_path / 'a.ckpt')}", f"scene={scene}"]
    export_model(composed(*words, f"output={tmp_path / 'model'}", "size=512", name="export"))
    map_with(*words, f"output={tmp_path / 'map'}", "min_area=0")
    run_here("composite", *words, f"output={tmp_path / 'input.tif'}", cwd=tmp_path)
    with rasterio.open(tmp_path / "input.tif") as source:
        image = source.read()
        assert list(source.descriptions) == BANDS
    expected = read_band(tmp_path / "map" / "landslides.tif")
    found = map_in_deepness(tmp_path / "model" / ONNX, image, outside) - 1
    observed = expected != UNKNOWN
    assert (found[~observed] == 0).all()
    assert 0.02 < expected[observed].mean() < 0.98  # both classes are there
    assert (found == expected)[observed].mean() > 0.999

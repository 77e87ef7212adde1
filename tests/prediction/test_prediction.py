"""A scene becomes a probability raster, whatever its size and whatever interrupts it."""

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from builders import BANDS, make_scene, perturbed_task, read_band
from commands import REPOSITORY
from torch import Tensor

from landslide.data.scene import Scene
from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import write_raster
from landslide.prediction.stream import (
    ProbabilityFile,
    Stopwatch,
    choose_predictor,
    predict_scene,
)
from landslide.prediction.windows import Predictor
from landslide.products.writing import PRODUCTS
from landslide.training.network import Network
from landslide.training.task import save_task

CPU = torch.device("cpu")
DEFAULT = {"size": None, "overlap": 0.5, "halo": None}


def network() -> Network:
    return Network([perturbed_task()], CPU)


def predicted(scene: Scene, folder: Path, window: dict[str, int | float | None]) -> np.ndarray:
    folder.mkdir(exist_ok=True)
    net = network()
    predictor = choose_predictor(net, scene.grid, window)
    raster = ProbabilityFile(folder, scene.grid, net.bands)
    predict_scene(scene, predictor, raster, Stopwatch())
    return read_band(folder / "probability.tif")


def test_blocks_of_any_size_give_the_same_raster(scene_root: Path, tmp_path: Path) -> None:
    scene = Scene.of(scene_root, "ascending", BANDS)
    whole = predicted(scene, tmp_path / "a", DEFAULT)
    small = predicted(scene, tmp_path / "b", {**DEFAULT, "size": 64})
    np.testing.assert_allclose(small, whole, atol=1e-5)
    assert np.isnan(whole[:10, :6]).all()
    assert np.isfinite(whole).sum() == whole.size - 60


@pytest.mark.parametrize(
    ("height", "width"), [(2346, 3842), (64, 64), (1344, 1345), (20_000, 33), (17, 5000)]
)
def test_blocks_cover_every_pixel_once_and_are_alike(height: int, width: int) -> None:
    grid = Grid(None, None, height, width)  # type: ignore[arg-type]
    predictor = choose_predictor(network(), grid, DEFAULT)
    covered = np.zeros((height, width), dtype=np.uint8)
    sources = [predictor.source(block) for block in predictor.blocks]
    for block in predictor.blocks:
        covered[block.row : block.row + block.height, block.col : block.col + block.width] += 1
        assert block.row % 16 == block.col % 16 == 0
    assert (covered == 1).all()
    assert len({(source.height, source.width) for source in sources}) == 1
    assert all(source.row % 16 == source.col % 16 == 0 for source in sources)
    assert sources[0].height * sources[0].width <= 1700**2
    # No more is computed than with square blocks of about that size.
    square = choose_predictor(network(), grid, {**DEFAULT, "size": 1344})
    areas = [source.height * source.width for source in map(square.source, square.blocks)]
    assert len(sources) * sources[0].height * sources[0].width <= 1.01 * sum(areas)


def test_where_the_radar_is_blind_nothing_is_observed(scene_root: Path, tmp_path: Path) -> None:
    with rasterio.open(scene_root / "ascending.tif") as source:
        bands, grid = source.read(), Grid.of(source)
    blind = np.zeros_like(bands[:1])
    blind[0, 50:60, 70:90], blind[0, 100, 100] = 2, np.nan
    write_raster(
        tmp_path / "s.tif", np.concatenate([bands, blind]), grid, [*BANDS, "layover_shadow"], np.nan
    )
    found = predicted(Scene(tmp_path / "s.tif", BANDS), tmp_path / "a", DEFAULT)
    plain = predicted(Scene.of(scene_root, "ascending", BANDS), tmp_path / "b", DEFAULT)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(plain) | (blind[0] != 0))
    np.testing.assert_allclose(found[np.isfinite(found)], plain[np.isfinite(found)], atol=1e-6)


class FailingPredictor:
    """A predictor that fails at its n-th block."""

    def __init__(self, predictor: Predictor, n: int) -> None:
        self.predictor, self.left = predictor, n
        self.network, self.blocks = predictor.network, predictor.blocks

    def source(self, block: Window) -> Window:
        return self.predictor.source(block)

    def __call__(self, image: Tensor, block: Window) -> Tensor:
        self.left -= 1
        if self.left < 0:
            raise OSError("the disk is full")
        return self.predictor(image, block)


def test_an_interrupted_raster_is_finished_from_where_it_stopped(
    scene_root: Path, tmp_path: Path
) -> None:
    scene = Scene.of(scene_root, "ascending", BANDS)
    expected = predicted(scene, tmp_path / "whole", {**DEFAULT, "size": 64})
    net = network()
    predictor = choose_predictor(net, scene.grid, {**DEFAULT, "size": 64})
    raster = ProbabilityFile(tmp_path, scene.grid, net.bands)
    with pytest.raises(OSError, match="full"):
        predict_scene(scene, FailingPredictor(predictor, 7), raster, Stopwatch())
    raster = ProbabilityFile(tmp_path, scene.grid, net.bands)
    assert raster.finished == set(range(7))
    rest = FailingPredictor(predictor, len(predictor.blocks) - 7)
    predict_scene(scene, rest, raster, Stopwatch())
    assert rest.left == 0
    np.testing.assert_array_equal(read_band(tmp_path / "probability.tif"), expected)


@pytest.mark.slow
def test_a_map_killed_at_random_moments_is_finished(tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "scene", size=(512, 512))
    save_task(perturbed_task(), tmp_path / "model.ckpt")
    command = [
        *(sys.executable, "predict.py", f"checkpoint={tmp_path / 'model.ckpt'}"),
        *(f"scene={scene}", "window.size=16", "min_area=0"),
    ]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*command, f"output={whole}"], cwd=REPOSITORY, check=True, capture_output=True)
    journal = killed / ".partial" / "work" / "finished.txt"
    finished = 0
    for _ in range(2):
        process = subprocess.Popen(
            [*command, f"output={killed}", "resume=true"], cwd=REPOSITORY, stdout=subprocess.DEVNULL
        )
        while not (journal.exists() and len(journal.read_text()) > finished):
            time.sleep(0.01)
            assert process.poll() is None
        time.sleep(random.uniform(0, 0.5))
        process.kill()
        process.wait()
        assert not any((killed / name).exists() for name in PRODUCTS)
        assert len(journal.read_text()) > finished
        finished = len(journal.read_text())
    subprocess.run(
        [*command, f"output={killed}", "resume=true"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    assert not journal.parent.exists()
    for name in ("probability.tif", "landslides.tif"):
        np.testing.assert_array_equal(read_band(killed / name), read_band(whole / name))
    assert sorted(p.name for p in killed.iterdir()) == sorted(p.name for p in whole.iterdir())

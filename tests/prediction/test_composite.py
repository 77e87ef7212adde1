"""A scene's bands are written as a model reads them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from builders import make_task, save_checkpoint
from commands import run_here

from landslide.geo.metadata import is_simulated

BALANCED = {"_target_": "landslide.data.normalization.ZScore", "balance": True}


def write_input(task: Path, scene: Path, output: Path) -> np.ndarray:
    run_here(
        "composite", f"checkpoint={task}", f"scene={scene}", f"output={output}", cwd=scene.parent
    )
    with rasterio.open(output) as source:
        return source.read()  # type: ignore[no-any-return]


def test_the_models_bands_come_in_its_order_with_balanced_dates(
    scene_root: Path, tmp_path: Path
) -> None:
    scene = shutil.copytree(scene_root, tmp_path / "scene")
    with rasterio.open(scene / "ascending.tif", "r+") as source:
        measured = source.read()
        source.write(2 * measured[1], 2)  # rain
    bands = ["slope", "vv_post1", "vv_pre"]
    model = {"_target_": "landslide.models.UNet", "in_channels": 3, "filters": 2}
    task = make_task(bands=bands, normalization=BALANCED, model=model)
    checkpoint = save_checkpoint(task, tmp_path / "a.ckpt")
    found = write_input(checkpoint, scene, tmp_path / "input.tif")
    with rasterio.open(tmp_path / "input.tif") as source:
        assert list(source.descriptions) == bands
    assert is_simulated(tmp_path / "input.tif")
    np.testing.assert_array_equal(found[0], measured[3])
    # Each date is a constant times what was measured, and unchanged ground is equally bright.
    for band, number in ((1, 1), (2, 0)):
        factor = found[band] / measured[number]
        assert np.nanstd(factor) < 1e-4 * np.nanmean(factor)
    unchanged = measured[1] > np.nanmedian(measured[1]) / 2
    assert np.nanmedian(found[1][unchanged]) == pytest.approx(
        np.nanmedian(found[2][unchanged]), rel=0.05
    )


def test_a_model_of_other_dates_reads_them_as_measured(
    checkpoint: Path, scene_root: Path, tmp_path: Path
) -> None:
    found = write_input(checkpoint, scene_root, tmp_path / "input.tif")
    with rasterio.open(scene_root / "ascending.tif") as source:
        np.testing.assert_array_equal(found, source.read())


def test_a_scenes_own_file_is_not_replaced(checkpoint: Path, scene_root: Path) -> None:
    own = scene_root / "ascending.tif"
    before = own.read_bytes()
    with pytest.raises(SystemExit, match="is a file of the scene itself"):
        write_input(checkpoint, scene_root, own)
    assert own.read_bytes() == before

"""The functions of a notebook find what the programs find."""

import re
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import rasterio
from builders import BANDS
from commands import REPOSITORY, map_with

import landslide


def test_a_prediction_in_memory_is_that_of_the_program(
    scene_root: Path, checkpoint: Path, tmp_path: Path
) -> None:
    options = [f"checkpoint={checkpoint}", f"scene={scene_root}", "min_area=0", "threshold=0.4"]
    summary = map_with(*options, f"output={tmp_path / 'map'}")
    probability = landslide.predict(landslide.load_checkpoint(checkpoint), scene_root)
    with rasterio.open(tmp_path / "map" / "probability.tif") as source:
        np.testing.assert_array_equal(probability.values, source.read())
        assert probability.rio.crs == source.crs
        assert probability.rio.transform() == source.transform
        x, y = source.xy(3, 5)
    assert (float(probability.x[5]), float(probability.y[3])) == pytest.approx((x, y))
    products = landslide.read_products(tmp_path / "map")
    scores = landslide.score(probability, landslide.read_truth(scene_root), threshold=0.4)
    assert products.metrics is not None
    for name in ("tp", "fp", "fn", "tn"):
        assert scores[name] == products.metrics[name]
    for name in ("precision", "recall", "f1", "iou", "average_precision"):
        assert scores[name] == pytest.approx(products.metrics[name], abs=1e-6)
    polygons = landslide.find_landslides(probability, threshold=0.4, min_area=0)
    assert len(polygons) == summary["landslides"] == len(products.landslides)
    assert polygons.crs == products.landslides.crs
    np.testing.assert_allclose(polygons.area_m2, products.landslides.area_m2)


def test_an_opened_scene_has_bands_coordinates_and_gaps(scene_root: Path) -> None:
    scene = landslide.open_scene(scene_root)
    assert list(scene.band.values) == BANDS
    with rasterio.open(scene_root / "ascending.tif") as source:
        np.testing.assert_array_equal(scene.values, source.read())
        assert scene.rio.crs == source.crs
    one = landslide.open_scene(scene_root, "descending", ["vv_post1/vv_pre"])
    both = landslide.open_scene(scene_root, "descending")
    quotient = both.sel(band="vv_post1") / both.sel(band="vv_pre")
    np.testing.assert_allclose(one.values[0], quotient.values, rtol=1e-6)


@pytest.mark.slow
def test_mapping_from_a_notebook_writes_and_reads_all_products(
    scene_root: Path, checkpoint: Path, tmp_path: Path, figures: None
) -> None:
    products = landslide.map_scene(
        [checkpoint, checkpoint], scene_root, tmp_path / "map", threshold=0.6
    )
    assert products.summary["threshold"] == 0.6
    assert list(products.probability.band.values) == ["probability", "spread"]
    assert products.mask.dtype == np.uint8
    assert (tmp_path / "map" / "map.png").exists()


def test_a_scene_that_is_not_there_is_an_input_error() -> None:
    with pytest.raises(landslide.InputError, match="there is no scene folder nowhere"):
        landslide.open_scene("nowhere/")


def test_flipped_flat_and_coarser_arrays_keep_their_place(
    scene_root: Path, checkpoint: Path
) -> None:
    probability = landslide.predict(landslide.load_checkpoint(checkpoint), scene_root)
    truth = landslide.read_truth(scene_root)
    found = landslide.find_landslides(probability, 0.4, min_area=0)
    for other in (probability.sortby("y"), probability.sel(band="probability")):
        again = landslide.find_landslides(other, 0.4, min_area=0)
        assert again.total_bounds.tolist() == found.total_bounds.tolist()
        assert again.area_m2.sum() == found.area_m2.sum()
        assert landslide.score(other, truth) == landslide.score(probability, truth)
    half = landslide.find_landslides(probability.isel(x=slice(None, None, 2)), 0.0, min_area=0)
    whole = landslide.find_landslides(probability, 0.0, min_area=0)
    assert half.area_m2.sum() == pytest.approx(whole.area_m2.sum(), rel=0.02)
    with pytest.raises(landslide.InputError, match="different grids"):
        landslide.score(probability.isel(x=slice(1, None)), truth)


def test_what_a_notebook_mistypes_is_an_input_error(
    scene_root: Path, checkpoint: Path, tmp_path: Path
) -> None:
    with pytest.raises(landslide.InputError, match="treshold is no option"):
        landslide.map_scene(checkpoint, scene_root, tmp_path / "map", treshold=0.3)
    with pytest.raises(landslide.InputError, match=r"has no summary\.json"):
        landslide.read_products(tmp_path)
    with pytest.raises(landslide.InputError, match="at least one checkpoint"):
        landslide.load_checkpoint()


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("landslide", {"torch", "matplotlib", "rasterio"}),
        pytest.param(
            "landslide.prepare.prepare, landslide.simulate.output, landslide.study.page",
            {"torch"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_needs_no_network_starts_without_its_libraries(modules: str, heavy: set[str]) -> None:
    code = f"import sys, {modules}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert heavy.isdisjoint(done.stdout.split())


@pytest.mark.slow
def test_the_pages_snippets_run(
    scene_root: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "demo").symlink_to(scene_root)
    run = tmp_path / "outputs" / "demo" / "checkpoints"
    run.mkdir(parents=True)
    (run / "best.ckpt").symlink_to(checkpoint)
    page = (REPOSITORY / "docs" / "api.md").read_text()
    names: dict[str, object] = {}
    snippets = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    for snippet in snippets:
        exec(snippet, names)
    plt.close("all")
    assert len(snippets) == 2
    assert (tmp_path / "maps" / "demo" / "summary.json").exists()

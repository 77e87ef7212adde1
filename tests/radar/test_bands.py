"""Bands of another orbit and quotients, against rasterio and numpy."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import torch
from affine import Affine
from builders import BANDS, make_scene, make_task, perturb, read_band, save_checkpoint
from commands import map_with

from landslide.data.augmentation import RandomGain, RandomSpeckle
from landslide.data.normalization import Normalization
from landslide.data.scene import Scene
from landslide.errors import InputError
from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import UNKNOWN, write_raster
from landslide.radar.bands import (
    ChannelBuilder,
    backscatter_bands,
    is_backscatter,
    require_distinct_bands,
)

FUSED = ["vv_pre", "vv_post1", "vv_pre@descending", "vv_post1@descending", "slope"]
WINDOW = Window(8, 16, 96, 64)
WINDOW_PIXELS = np.s_[8:104, 16:80]


@pytest.fixture
def root(scene_root: Path, tmp_path: Path) -> Path:
    """A scene whose descending images are its own, with gaps of their own."""
    root = Path(shutil.copytree(scene_root, tmp_path / "scene"))
    image, grid = bands(root, "descending")
    image[:3] *= 1.5
    image[1, 40, 50], image[0, 41, 50], image[1, 42, 50] = 0.0, np.nan, np.inf
    write_raster(root / "descending.tif", image, grid, BANDS, np.nan)
    return root


def bands(root: Path, orbit: str) -> tuple[np.ndarray, Grid]:
    with rasterio.open(root / f"{orbit}.tif") as source:
        return source.read(), Grid.of(source)


def test_a_band_of_the_other_orbit_is_read_from_its_file(root: Path) -> None:
    sample = Scene.of(root, "ascending", FUSED).read(WINDOW)
    own, other = bands(root, "ascending")[0], bands(root, "descending")[0]
    expected = np.stack([own[0], own[1], other[0], other[1], own[3]])[:, *WINDOW_PIXELS]
    expected[3, 40 - 8, 50 - 16] = expected[3, 42 - 8, 50 - 16] = np.nan
    np.testing.assert_array_equal(sample["image"], expected)
    unknown = np.isnan(expected).any(axis=0)
    np.testing.assert_array_equal(sample["mask"] == UNKNOWN, unknown)
    assert unknown[40 - 8, 50 - 16]
    assert unknown[41 - 8, 50 - 16]


def test_a_quotient_is_one_of_linear_powers_and_invalid_where_either_is(root: Path) -> None:
    names = ["vv_post1/vv_pre", "vv_post1@descending/vv_pre@descending", "vv_pre"]
    scene = Scene.of(root, "ascending", names)
    image = scene.read(WINDOW)["image"].numpy()
    own, other = bands(root, "ascending")[0], bands(root, "descending")[0]
    np.testing.assert_array_equal(image[0], (own[1] / own[0])[WINDOW_PIXELS])
    expected = (other[1] / other[0])[WINDOW_PIXELS]
    for row in (40, 41, 42):
        expected[row - 8, 50 - 16] = np.nan
    np.testing.assert_array_equal(image[1], expected)
    assert np.isnan(image[1]).sum() == 3 + np.isnan(other[0][WINDOW_PIXELS]).sum() - 1
    decibels = Normalization(names, "decibel")(torch.from_numpy(image)[None])[0, 0]
    ratio = 10 * (np.log10(own[1]) - np.log10(own[0]))[WINDOW_PIXELS]
    np.testing.assert_allclose(decibels, np.nan_to_num(ratio), atol=1e-4)
    scene.load()
    np.testing.assert_array_equal(scene.read(WINDOW)["image"], image)


def test_a_quotient_out_of_float32_is_no_measurement() -> None:
    stack = ChannelBuilder("ascending.tif", ["vv_post1/vv_pre"])
    measured = torch.tensor([[[1e-30, 2.0, 1e30, torch.nan]], [[1e30, 4.0, 1e-30, 1.0]]])
    image = stack(measured)
    assert image[0, 0].isnan().tolist() == [True, False, True, True]
    assert image[0, 0, 1] == 0.5


def test_each_band_is_read_once_and_each_image_is_named_once() -> None:
    names = ["vv_pre", "vv_post1/vv_pre", "vv_pre@descending", "slope"]
    stack = ChannelBuilder("/vsicurl/https://x.org/s/ascending.tif", names)
    assert stack.files == {
        "/vsicurl/https://x.org/s/ascending.tif": ["vv_pre", "vv_post1", "slope"],
        "/vsicurl/https://x.org/s/descending.tif": ["vv_pre"],
    }
    assert backscatter_bands(names) == ["vv_pre", "vv_post1", "vv_pre@descending"]
    assert [is_backscatter(name) for name in names] == [True, True, True, False]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vv_pre@east", "'vv_pre@east' cannot be read: write vv_pre, vv_pre@descending"),
        ("@descending", "cannot be read"),
        ("vv_pre/", "cannot be read"),
        ("slope/vv_pre", "no quotient of two backscatter bands"),
        ("vv_post2/vv_post1/vv_pre", "no quotient of two backscatter bands"),
        ("vh_pre/vv_pre", "ascending.tif does not describe the band 'vh_pre'"),
        ("vh_pre@descending", "descending.tif does not describe the band 'vh_pre'"),
    ],
)
def test_a_name_that_makes_no_sense_is_one_sentence(root: Path, name: str, expected: str) -> None:
    with pytest.raises(InputError, match=re.escape(expected)):
        Scene.of(root, "ascending", ["vv_pre", name])


def test_a_missing_or_displaced_orbit_is_one_sentence(root: Path) -> None:
    image, grid = bands(root, "descending")
    moved = grid._replace(transform=grid.transform @ Affine.translation(1, 0))
    write_raster(root / "descending.tif", image, moved, BANDS, np.nan)
    with pytest.raises(InputError, match=r"descending\.tif and .*ascending\.tif lie on different"):
        Scene.of(root, "ascending", FUSED)
    (root / "descending.tif").unlink()
    with pytest.raises(InputError, match=r"descending\.tif, which bands .* must lie beside"):
        Scene.of(root, "ascending", FUSED)


def test_decibels_in_the_other_orbit_are_refused(root: Path) -> None:
    image, grid = bands(root, "descending")
    image[0] = 10 * np.log10(image[0])
    write_raster(root / "descending.tif", image, grid, BANDS, np.nan)
    with pytest.raises(InputError, match=r"descending\.tif: most of vv_pre is negative"):
        Scene.of(root, "ascending", ["vv_pre", "vv_post1@descending/vv_pre@descending"])


def test_augmentations_change_a_quotient_as_they_change_its_images() -> None:
    names = ["vv_pre", "vv_post1", "vv_post1/vv_pre", "vv_pre@descending", "slope"]
    image = torch.rand(4, 5, 16, 16) + 0.5
    image[:, 2] = image[:, 1] / image[:, 0]
    for change in (RandomGain(names, std_db=2, p=1.0), RandomSpeckle(names, looks=4, p=1.0)):
        changed = change(image)
        assert (changed[:, :2] != image[:, :2]).any()
        torch.testing.assert_close(changed[:, 2], changed[:, 1] / changed[:, 0])
        torch.testing.assert_close(changed[:, 4], image[:, 4])
        gain = changed / image  # the other orbit is another acquisition
        assert not torch.allclose(gain[:, 3], gain[:, 0])


def fused_checkpoint(root: Path, folder: Path) -> Path:
    model = {"_target_": "landslide.models.AttentionUNet", "in_channels": 5, "filters": 2}
    torch.manual_seed(0)
    task = make_task(bands=FUSED, model=model)
    perturb(task)
    task.normalization.fit([Scene.of(root, "ascending", FUSED).read(WINDOW)["image"][None]])
    return save_checkpoint(task, folder / "fused.ckpt")


@pytest.mark.slow
def test_a_map_from_both_orbits_is_the_network_on_both_files(root: Path, tmp_path: Path) -> None:
    checkpoint, output = fused_checkpoint(root, tmp_path), tmp_path / "map"
    summary = map_with(
        f"checkpoint={checkpoint}", f"scene={root}", f"output={output}", "min_area=0"
    )
    found = read_band(output / "probability.tif")
    own, other = bands(root, "ascending")[0], bands(root, "descending")[0]
    image = torch.from_numpy(np.stack([own[0], own[1], other[0], other[1], own[3]]))
    image[~image.isfinite()] = torch.nan
    image[3][image[3] == 0] = torch.nan
    content = torch.load(checkpoint, weights_only=True)
    task = make_task(**content["hyper_parameters"]).eval()
    task.load_state_dict(content["state_dict"])
    mean, std = task.normalization.mean, task.normalization.std
    decibels = torch.cat([10 * image[:4].log10(), image[4:]])
    with torch.inference_mode():
        logits = task.model(((decibels - mean) / std).nan_to_num(0)[None])
    expected = logits.sigmoid()[0, 0].masked_fill(image.isnan().any(dim=0), torch.nan)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert found[np.isfinite(found)].std() > 1e-3
    assert summary["bands"] == FUSED


@pytest.mark.slow
def test_pixels_that_either_orbit_cannot_see_are_not_observed(root: Path, tmp_path: Path) -> None:
    for orbit, place in (("ascending", (60, 70)), ("descending", (90, 95))):
        image, grid = bands(root, orbit)
        blind = np.zeros_like(image[:1])
        blind[0, place[0], place[1]] = 1
        image = np.concatenate([image, blind])
        write_raster(root / f"{orbit}.tif", image, grid, [*BANDS, "layover_shadow"], np.nan)
    output = tmp_path / "map"
    checkpoint = fused_checkpoint(root, tmp_path)
    map_with(f"checkpoint={checkpoint}", f"scene={root}", f"output={output}")
    found = read_band(output / "probability.tif")
    assert np.isnan(found[60, 70])
    assert np.isnan(found[90, 95])
    assert np.isfinite(found[61, 70])


def test_a_fused_model_needs_both_orbits_of_a_folder(root: Path, tmp_path: Path) -> None:
    checkpoint = fused_checkpoint(root, tmp_path)
    alone = shutil.copy(root / "ascending.tif", tmp_path / "alone.tif")
    common = (f"checkpoint={checkpoint}", f"output={tmp_path / 'map'}")
    with pytest.raises(InputError, match=r"descending\.tif, which bands .* must lie beside"):
        map_with(*common, f"scene={alone}")
    with pytest.raises(InputError, match="orbit=descending: the checkpoint reads both orbits"):
        map_with(*common, f"scene={root}", "orbit=descending")
    assert not (tmp_path / "map").exists()


@pytest.mark.slow
def test_dates_of_both_orbits_reach_map_and_geopackage(root: Path, tmp_path: Path) -> None:
    days = {
        orbit: {"vv_pre": f"2018-09-0{i}", "vv_post1": f"2018-09-1{i}"}
        for i, orbit in enumerate(("ascending", "descending"), start=1)
    }
    (root / "scene.json").write_text(json.dumps({"simulated": True, "dates": days}))
    output = tmp_path / "map"
    map_with(f"checkpoint={fused_checkpoint(root, tmp_path)}", f"scene={root}", f"output={output}")
    source = pyogrio.read_dataframe(output / "landslides.gpkg", layer="source")
    assert list(source.src_date) == ["01/09/2018", "11/09/2018", "02/09/2018", "12/09/2018"]
    assert "vv_post1@descending 2018-09-12" in (output / "report.html").read_text()


@pytest.mark.slow
def test_a_quotient_can_be_trained_on_and_mapped(tmp_path: Path, figures: None) -> None:
    names = ["vv_post1/vv_pre", "slope"]
    root = make_scene(tmp_path / "s", (96, 128))
    model = {"_target_": "landslide.models.AttentionUNet", "in_channels": 2, "filters": 2}
    checkpoint = save_checkpoint(make_task(bands=names, model=model), tmp_path / "a.ckpt")
    output = tmp_path / "map"
    summary = map_with(f"checkpoint={checkpoint}", f"scene={root}", f"output={output}")
    assert summary["bands"] == names
    assert (output / "map.png").exists()


def test_the_same_band_twice_is_refused(tmp_path: Path) -> None:
    composite = tmp_path / "ascending.tif"
    require_distinct_bands(["vv_pre", "vv_pre@descending", "vv_post1/vv_pre", "slope"], composite)
    for bands in (["vv_pre", "slope", "vv_pre"], ["vv_pre", "vv_pre@ascending"]):
        with pytest.raises(InputError, match="are the same in"):
            require_distinct_bands(bands, composite)

"""The same pixels count in training, in its scores and on the map."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from builders import BANDS, add_bands, make_scene, perturbed_task, read_band, small_datamodule
from commands import map_with
from scipy.ndimage import gaussian_filter

from landslide.data.memory import SceneMemory, SceneSource
from landslide.data.scene import Scene
from landslide.errors import InputError
from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import UNKNOWN, write_raster
from landslide.training.task import save_task

SIZE = (192, 256)
PATCH = 32
LOOK, INCIDENCE = 78.0, 36.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A scene with gaps in images, in terrain and in the inventory."""
    root = make_scene(tmp_path / "scene", SIZE)
    with rasterio.open(root / "landslides.tif") as source:
        mask, grid = source.read(1), Grid.of(source)
    mask[:40, 100:140] = UNKNOWN
    write_raster(root / "landslides.tif", mask, grid, ["landslides"], UNKNOWN)
    return root


def add_layover(root: Path, orbit: str = "ascending", seed: int = 1) -> np.ndarray:
    """Add the band ``layover_shadow``; return where it hides the ground."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=SIZE), 4)
    code = np.select([noise > 0.06, noise < -0.08], [1.0, 2.0], 0.0)
    code[150:160, 30:40] = np.nan
    add_bands(root, orbit, layover_shadow=code)
    return code != 0


def add_geometry(root: Path) -> np.ndarray:
    """Add aspect and the radar's geometry; return where slopes are laid over or in shadow."""
    rng = np.random.default_rng(2)
    slope, aspect = rng.uniform(0, 80, SIZE), rng.uniform(0, 360, SIZE)
    with rasterio.open(root / "ascending.tif") as source:
        image, grid = source.read(), Grid.of(source)
    image[3] = slope
    write_raster(root / "ascending.tif", image, grid, BANDS, np.nan)
    add_bands(root, aspect=aspect)
    info = json.loads((root / "scene.json").read_text())
    info["geometry"] = {"ascending": {"look": LOOK, "incidence": INCIDENCE}}
    (root / "scene.json").write_text(json.dumps(info))
    # The slope along the look: laid over beyond the incidence angle, in shadow beyond 90° - it.
    along = np.degrees(np.arctan(np.tan(np.radians(slope)) * np.cos(np.radians(aspect - LOOK))))
    return (-along > INCIDENCE) | (along > 90 - INCIDENCE)


def known(root: Path) -> np.ndarray:
    """Where all dates are measured and the inventory knows."""
    with rasterio.open(root / "ascending.tif") as source:
        measured = np.isfinite(source.read()[: len(BANDS)]).all(axis=0)
    return measured & (read_band(root / "landslides.tif") != UNKNOWN)


@pytest.mark.parametrize("hide", [add_layover, pytest.param(add_geometry, marks=pytest.mark.slow)])
def test_training_and_map_count_the_same_pixels(
    root: Path, tmp_path: Path, hide: Callable[[Path], np.ndarray]
) -> None:
    hidden = hide(root)
    expected = known(root) & ~hidden
    assert 0.02 < hidden.mean() < 0.6
    module = small_datamodule(root)
    (table,) = module.tables

    checkpoint, output = tmp_path / "model.ckpt", tmp_path / "map"
    save_task(perturbed_task(), checkpoint)
    summary = map_with(
        f"checkpoint={checkpoint}", f"scene={root}", f"output={output}", "min_area=0"
    )
    mapped = read_band(output / "outcome.tif") != UNKNOWN
    np.testing.assert_array_equal(mapped, expected)
    for patch in table.itertuples():
        window = Window(patch.row * PATCH, patch.col * PATCH, PATCH, PATCH)
        assert patch.valid_pixels == mapped[window.within(Window(0, 0, *SIZE))].sum()
    for sample, patch in zip(
        module.samples(table.assign(scene=0)), table.itertuples(), strict=True
    ):
        assert (sample["mask"] != UNKNOWN).sum() == patch.valid_pixels
    # The map's own scores too, and what it calls observed: nothing of the inventory's gaps.
    metrics = json.loads((output / "metrics.json").read_text())
    assert sum(metrics[name] for name in ("tp", "fp", "fn", "tn")) == expected.sum()
    observed = summary["observed_share"]
    assert isinstance(observed, float)
    assert (
        round(observed * expected.size) == (read_band(output / "landslides.tif") != UNKNOWN).sum()
    )


def test_the_band_of_layover_is_not_given_to_the_network(root: Path) -> None:
    bare = Scene.of(root, "ascending", BANDS)
    hidden = add_layover(root)
    scene = Scene.of(root, "ascending", BANDS)
    window = Window(-8, 24, 120, 64)
    sample, before = scene.read(window), bare.read(window)
    torch.testing.assert_close(sample["image"], before["image"], equal_nan=True)
    inside = np.s_[0:112, 24:88]
    unknown = (before["mask"] == UNKNOWN).numpy()
    unknown[8:] |= hidden[inside]
    np.testing.assert_array_equal(sample["mask"] == UNKNOWN, unknown)
    scene.load()
    torch.testing.assert_close(scene.read(window), sample, equal_nan=True)


def test_a_pixel_counts_where_every_orbit_sees_it(root: Path) -> None:
    own, other = add_layover(root), add_layover(root, "descending", seed=3)
    bands = ["vv_pre", "vv_pre@descending", "slope"]
    mask = Scene.of(root, "ascending", bands).read(Window(0, 0, *SIZE))["mask"].numpy()
    hidden = (mask == UNKNOWN) & known(root)
    np.testing.assert_array_equal(hidden, (own | other) & known(root))
    alone = Scene.of(root, "ascending", ["vv_pre@descending"]).read(Window(0, 0, *SIZE))["mask"]
    np.testing.assert_array_equal((alone == UNKNOWN).numpy() & known(root), other & known(root))


def test_landslides_that_the_radar_cannot_see_choose_no_patches(root: Path) -> None:
    hidden = add_layover(root)
    landslide = (read_band(root / "landslides.tif") == 1) & known(root) & ~hidden
    table = small_datamodule(root).patches
    assert table.landslide_pixels.sum() == landslide.sum()
    assert (table.landslide_pixels > 0).all()  # the paper's split keeps patches with landslides


def test_a_changed_geometry_is_noticed_by_the_next_run(root: Path) -> None:
    hidden = add_geometry(root)
    memory, source = SceneMemory(), SceneSource(root, "ascending", tuple(BANDS))
    (first,) = memory.open([source], limit=2**30)
    assert ((first.read(Window(0, 0, *SIZE))["mask"] == UNKNOWN).numpy() >= hidden).all()
    (root / "scene.json").write_text("{}")
    (second,) = memory.open([source], limit=2**30)
    mask = second.read(Window(0, 0, *SIZE))["mask"].numpy()
    np.testing.assert_array_equal(mask != UNKNOWN, known(root))


@pytest.mark.parametrize("hide", [add_layover, add_geometry])
def test_a_scene_goes_to_another_process(root: Path, hide: Callable[[Path], np.ndarray]) -> None:
    hide(root)
    scene = Scene.of(root, "ascending", BANDS)
    there = pickle.loads(pickle.dumps(scene))
    window = Window(0, 0, 64, 64)
    torch.testing.assert_close(there.read(window), scene.read(window), equal_nan=True)


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


@pytest.mark.parametrize("name", ["ascending.tif", "landslides.tif"])
def test_training_on_a_truncated_raster_is_one_sentence(root: Path, name: str) -> None:
    if name == "landslides.tif":  # large enough that its end is missed
        with rasterio.open(root / name) as source:
            mask, profile = source.read(), source.profile
        with rasterio.open(root / name, "w", **profile | {"compress": None}) as sink:
            sink.write(mask)
    truncate(root / name)
    with pytest.raises(InputError, match=rf"{name} cannot be read to its end") as error:
        small_datamodule(root)
    assert "\n" not in str(error.value)


def test_a_band_that_is_not_named_as_backscatter_is_warned_of(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small_datamodule(root)
    assert caplog.text == ""
    add_bands(root, vv_coherence=np.full(SIZE, 0.5))
    small_datamodule(root, [*BANDS, "vv_coherence"])
    assert "vv_coherence: used as measured, not as backscatter" in caplog.text


@pytest.mark.parametrize("geometry", [5, {"ascending": 36}])
def test_a_geometry_of_another_form_is_one_sentence(root: Path, geometry: object) -> None:
    (root / "scene.json").write_text(json.dumps({"geometry": geometry}))
    with pytest.raises(InputError, match="geometry has no object for each orbit's name"):
        Scene.of(root, "ascending", BANDS)


def test_a_scene_prepared_without_geometry_is_read(root: Path) -> None:
    (root / "scene.json").write_text(json.dumps({"geometry": {"ascending": None}}))
    scene = Scene.of(root, "ascending", BANDS)
    assert (scene.read(Window(0, 0, *SIZE))["mask"] != UNKNOWN).any()

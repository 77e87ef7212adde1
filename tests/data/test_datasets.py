import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from builders import BANDS, make_scene
from rasterio.crs import CRS
from rasterio.enums import Resampling

from landslide.data.scene import Scene
from landslide.errors import InputError
from landslide.geo.grid import Grid, Window
from landslide.geo.metadata import scene_info
from landslide.geo.rasters import UNKNOWN, write_raster

SIZE = (192, 320)
"""Rows and columns of the scene."""


def rewrite(path: Path, change: Callable[[np.ndarray, Grid], tuple[np.ndarray, Grid]]) -> None:
    with rasterio.open(path) as source:
        image, grid = change(source.read(), Grid.of(source))
        bands = [name or "" for name in source.descriptions]
        nodata = source.nodata
    write_raster(path, image, grid, bands, nodata)


@pytest.fixture
def root(scene_root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scene_root, tmp_path / "scene"))


def test_bands_are_found_by_description_not_by_position(root: Path) -> None:
    path = root / "ascending.tif"
    before = Scene.of(root, "ascending", ["slope", "vv_pre"]).read(Window(0, 0, 32, 48))
    with rasterio.open(path) as source:
        image, grid = source.read(), Grid.of(source)
    write_raster(path, image[::-1], grid, BANDS[::-1], np.nan)
    after = Scene.of(root, "ascending", ["slope", "vv_pre"]).read(Window(0, 0, 32, 48))
    torch.testing.assert_close(before, after, equal_nan=True)
    np.testing.assert_array_equal(after["image"][0], image[3, :32, :48])


@pytest.mark.parametrize("value", [0.0, -0.5, np.inf, np.nan])
def test_backscatter_that_is_no_measurement_is_unknown(root: Path, value: float) -> None:
    def damage(image: np.ndarray, grid: Grid) -> tuple[np.ndarray, Grid]:
        image[1, 50, 60] = value  # vv_post1
        image[3, 70, 80] = 0.0  # a slope of 0 is flat ground, not a gap
        return image, grid

    rewrite(root / "ascending.tif", damage)
    sample = Scene.of(root, "ascending", BANDS).read(Window(0, 0, 96, 96))
    assert sample["image"][1, 50, 60].isnan()
    assert sample["mask"][50, 60] == UNKNOWN
    assert sample["image"][3, 70, 80] == 0
    assert sample["mask"][70, 80] != UNKNOWN
    unused = Scene.of(root, "ascending", ["vv_pre"]).read(Window(0, 0, 96, 96))
    assert unused["mask"][50, 60] != UNKNOWN


def test_memory_and_disk_give_the_same_windows(scene_root: Path) -> None:
    disk, memory = (Scene.of(scene_root, "descending", BANDS) for _ in "12")
    memory.load()
    for window in (Window(0, 0, 64, 64), Window(37, 101, 80, 16), Window(-16, 300, 64, 64)):
        torch.testing.assert_close(disk.read(window), memory.read(window), equal_nan=True)
    outside = memory.read(Window(-64, -64, 64, 64))
    assert outside["image"].isnan().all()
    assert (outside["mask"] == UNKNOWN).all()


@pytest.mark.parametrize("res", [10, 9.7058, 9.999999, 10.123456789, 30.887])
def test_pixels_are_those_of_the_file_whatever_the_grid(tmp_path: Path, res: float) -> None:
    origin = (412_345.678, 4_733_333.333)
    root = make_scene(tmp_path / "odd", (1100, 90), origin=origin, res=res)
    scene = Scene.of(root, "ascending", BANDS)
    with rasterio.open(root / "ascending.tif") as source:
        image = source.read()
    with rasterio.open(root / "landslides.tif") as source:
        mask = source.read(1)
    windows = (Window(13, 29, 64, 48), Window(7, 5, 1090, 80), *scene.grid.strips(512))
    for window in (*windows, *scene.grid.blocks(64)):
        rows = slice(window.row, window.row + window.height)
        cols = slice(window.col, window.col + window.width)
        sample = scene.read(window)
        np.testing.assert_array_equal(sample["image"], image[:, rows, cols])
        known = sample["mask"] != UNKNOWN
        np.testing.assert_array_equal(sample["mask"][known], mask[rows, cols][known.numpy()])


def test_a_declared_nodata_is_no_measurement_in_any_band(root: Path) -> None:
    with rasterio.open(root / "ascending.tif") as source:
        image, grid = source.read(), Grid.of(source)
    image = np.nan_to_num(image, nan=0.1)
    image[3, 40, 40] = -9999.0
    write_raster(root / "ascending.tif", image, grid, BANDS, -9999.0)
    sample = Scene.of(root, "ascending", BANDS).read(Window(0, 0, 64, 64))
    assert sample["image"][3, 40, 40].isnan()
    assert sample["mask"][40, 40] == UNKNOWN
    assert (sample["mask"] == UNKNOWN).sum() == 1


def message(error: pytest.ExceptionInfo[InputError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert len(re.sub(r"/\S+/", "", text)) < 400  # without folders, which may be deep
    return text


def test_missing_root_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape("landslide simulate")):
        Scene.of(tmp_path / "nowhere", "ascending", BANDS)


def test_missing_orbit_says_which_there_is(root: Path) -> None:
    (root / "descending.tif").unlink()
    with pytest.raises(InputError, match=r"no descending\.tif.*found: ascending"):
        Scene.of(root, "descending", BANDS)


def test_missing_band_lists_what_the_file_has(root: Path) -> None:
    with pytest.raises(InputError) as error:
        Scene.of(root, "ascending", ["vh_pre"])
    assert "'vh_pre'" in message(error)
    assert "vv_pre, vv_post1, vv_post2, slope" in message(error)


def shifted(image: np.ndarray, grid: Grid) -> tuple[np.ndarray, Grid]:
    return image, grid._replace(transform=grid.transform @ Affine.translation(1, 0))


def without_crs(image: np.ndarray, grid: Grid) -> tuple[np.ndarray, Grid]:
    return image, grid._replace(crs=None)


def geographic(image: np.ndarray, grid: Grid) -> tuple[np.ndarray, Grid]:
    transform = Affine(1e-4, 0, 142, 0, -1e-4, 42.7)
    return image, grid._replace(crs=CRS.from_epsg(4326), transform=transform)


def rotated(image: np.ndarray, grid: Grid) -> tuple[np.ndarray, Grid]:
    return image, grid._replace(transform=grid.transform @ Affine.rotation(10))


def in_feet(image: np.ndarray, grid: Grid) -> tuple[np.ndarray, Grid]:
    return image, grid._replace(crs=CRS.from_epsg(2225))


def web_mercator(image: np.ndarray, grid: Grid) -> tuple[np.ndarray, Grid]:
    transform = Affine(10, 0, 15_800_000, 0, -10, 5_270_000)
    return image, grid._replace(crs=CRS.from_epsg(3857), transform=transform)


def decibels(image: np.ndarray, grid: Grid) -> tuple[np.ndarray, Grid]:
    image[0] = 10 * np.log10(image[0])  # one date is enough
    return image, grid


@pytest.mark.parametrize(
    ("file", "change", "expected"),
    [
        ("landslides.tif", shifted, "different grids"),
        ("ascending.tif", without_crs, "no coordinate reference system"),
        ("ascending.tif", geographic, "geographic CRS EPSG:4326"),
        ("ascending.tif", rotated, "rotated"),
        ("ascending.tif", decibels, "decibels"),
        ("ascending.tif", in_feet, "not in metres"),
        ("ascending.tif", web_mercator, "lengths are off by up to 36 % here"),
        ("landslides.tif", web_mercator, "lengths are off by up to 36 % here"),
    ],
)
def test_an_unusable_raster_is_one_clear_sentence(
    root: Path, file: str, change: Callable[..., tuple[np.ndarray, Grid]], expected: str
) -> None:
    rewrite(root / file, change)
    with pytest.raises(InputError) as error:
        Scene.of(root, "ascending", BANDS)
    assert expected in message(error)
    assert file in message(error)


def test_decibels_that_are_corrected_in_place_are_accepted_whatever_overviews_show(
    root: Path,
) -> None:
    rewrite(root / "ascending.tif", decibels)
    with rasterio.open(root / "ascending.tif", "r+") as source:
        source.build_overviews([2, 4], Resampling.average)
    with pytest.raises(InputError, match="looks like decibels"):
        Scene.of(root, "ascending", BANDS)
    with rasterio.open(root / "ascending.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as source:
        source.write(10 ** (source.read(1) / 10), 1)
    Scene.of(root, "ascending", BANDS)


def test_what_a_mask_of_the_whole_raster_leaves_out_is_unknown(root: Path) -> None:
    hidden = np.zeros(SIZE, bool)
    hidden[40:60, 30:70] = True
    for name, outside in (("ascending.tif", 20), ("landslides.tif", 0)):
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(root / name, "r+", nodata=None) as source,
        ):
            source.nodata = None
            source.write_mask(~np.roll(hidden, outside, axis=0))
    sample = Scene.of(root, "ascending", BANDS).read(Window(0, 0, *SIZE))
    own = np.roll(hidden, 20, axis=0)
    assert sample["image"][:, own].isnan().all()
    assert sample["image"][:, ~own & (np.indices(SIZE)[0] > 10)].isfinite().all()
    assert (sample["mask"].numpy() == UNKNOWN)[hidden | own].all()
    assert (sample["mask"].numpy() != UNKNOWN)[~(hidden | own)][10 * SIZE[1] :].all()


def test_every_band_has_its_own_nodata(root: Path) -> None:
    path = root / "ascending.tif"
    with rasterio.open(path) as source:
        image, grid = source.read(), Grid.of(source)
    image[BANDS.index("slope"), 40:60, 30:70] = -9999
    for number, name in enumerate(BANDS):
        nodata = -9999.0 if name == "slope" else np.nan
        write_raster(root / f"{name}.tif", image[number], grid, [name], nodata)
    bands = "".join(
        f'<VRTRasterBand dataType="Float32" band="{number}"><Description>{name}</Description>'
        f"<NoDataValue>{-9999 if name == 'slope' else 'nan'}</NoDataValue><SimpleSource>"
        f'<SourceFilename relativeToVRT="1">{name}.tif</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        for number, name in enumerate(BANDS, 1)
    )
    a, b, c, d, e, f = grid.transform[:6]
    (root / "scene.vrt").write_text(
        f'<VRTDataset rasterXSize="{grid.width}" rasterYSize="{grid.height}">'
        f"<SRS>{grid.crs.to_wkt()}</SRS>"
        f"<GeoTransform>{c}, {a}, {b}, {f}, {d}, {e}</GeoTransform>{bands}</VRTDataset>"
    )
    sample = Scene(root / "scene.vrt", BANDS).read(Window(40, 30, 20, 40))
    assert sample["image"][BANDS.index("slope")].isnan().all()
    assert (sample["mask"] == UNKNOWN).all()


def test_bands_of_the_other_orbit_alone_lie_on_the_scenes_grid(root: Path) -> None:
    rewrite(root / "ascending.tif", shifted)
    with pytest.raises(InputError, match=r"descending\.tif and .*ascending\.tif lie on different"):
        Scene.of(root, "ascending", ["vv_pre@descending"])


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are listed on Linux")
def test_a_scene_in_memory_keeps_no_file_open(root: Path) -> None:
    def opened() -> list[Path]:
        targets = (link.resolve() for link in Path("/proc/self/fd").iterdir())
        return [target for target in targets if root in target.parents]

    scene = Scene.of(root, "ascending", [*BANDS, "vv_pre@descending"])
    assert opened()
    scene.load()
    assert not opened()
    terrain = scene.open_bands(["slope"])
    assert terrain is not None
    assert terrain.read(Window(20, 20, 8, 8)).equal(scene.read(Window(20, 20, 8, 8))["image"][3:4])


def test_a_mask_of_other_values_is_refused(root: Path) -> None:
    def damage(image: np.ndarray, grid: Grid) -> tuple[np.ndarray, Grid]:
        image[0, 100, 100] = 7
        return image, grid

    rewrite(root / "landslides.tif", damage)
    with pytest.raises(InputError, match="holds the value 7"):
        Scene.of(root, "ascending", BANDS).load()


def test_a_file_that_is_no_raster_is_refused(root: Path) -> None:
    (root / "ascending.tif").write_text("not a raster")
    with pytest.raises(InputError, match="cannot be read as a raster"):
        Scene.of(root, "ascending", BANDS)


def test_a_broken_scene_json_is_refused(root: Path) -> None:
    assert scene_info(root)["simulated"] is True
    (root / "scene.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        scene_info(root)

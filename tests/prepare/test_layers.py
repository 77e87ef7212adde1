"""Any other raster as a band of a prepared scene."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from builders import GRID, write_image
from commands import prepare, run_here
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.warp import reproject, transform_bounds

from landslide.data.scene import Scene
from landslide.errors import InputError
from landslide.geo.grid import Grid, Window
from landslide.radar.stack import stack_bands

SHAPE = (GRID.height, GRID.width)


@pytest.fixture(autouse=True)
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landslide.prepare.prepare.draw_figures", lambda *_: None)


@pytest.fixture
def scene(tmp_path: Path) -> list[str]:
    """Options of a scene without a DEM, before any layer."""
    rng = np.random.default_rng(0)
    images = []
    for day in ("20180824", "20180905", "20180917"):
        power = 0.15 * rng.gamma(4.4, 1 / 4.4, SHAPE).astype(np.float32)
        stem = f"S1A_IW_GRDH_1SDV_{day}T084300_{day}T084325_023590_02910F_ABCD_VV.tif"
        images.append(write_image(tmp_path / day / stem, power, UNITS="power"))
    return [
        f"root={tmp_path / 'scene'}",
        "event.date=2018-09-06",
        f"sar.ascending=[{images[1]},{images[2]}]",
        "dem=none",
    ]


@pytest.fixture
def degrees() -> Grid:
    """Pixels of about 30 m in degrees, around the scene."""
    west, south, east, north = transform_bounds(GRID.crs, "EPSG:4326", *GRID.bounds)
    step = 0.0003
    shape = (int((north - south) / step) + 8, int((east - west) / step) + 8)
    transform = Affine(step, 0, west - 4 * step, 0, -step, north + 4 * step)
    return Grid(CRS.from_epsg(4326), transform, *shape)


@pytest.fixture
def coherence(degrees: Grid) -> np.ndarray:
    return np.random.default_rng(1).random((degrees.height, degrees.width)).astype(np.float32)


def warped(image: np.ndarray, source: Grid, resampling: Resampling) -> np.ndarray:
    out = np.full(SHAPE, np.nan, np.float32)
    grids = {"src_transform": source.transform, "src_crs": source.crs, "src_nodata": np.nan}
    grids |= {"dst_transform": GRID.transform, "dst_crs": GRID.crs, "dst_nodata": np.nan}
    reproject(image.astype(np.float32), out, resampling=resampling, tolerance=0.01, **grids)
    return out


def read(options: list[str]) -> dict[str, np.ndarray]:
    with rasterio.open(Path(options[0].removeprefix("root=")) / "ascending.tif") as source:
        return dict(zip(source.descriptions, source.read(), strict=True))


def info(options: list[str]) -> dict[str, object]:
    text = (Path(options[0].removeprefix("root=")) / "scene.json").read_text()
    return json.loads(text)  # type: ignore[no-any-return]


def test_a_layer_is_warped_to_the_scene_as_rasterio_does(
    scene: list[str], tmp_path: Path, degrees: Grid, coherence: np.ndarray
) -> None:
    coherence[10:12, 10:14] = np.nan
    path = write_image(tmp_path / "coherence.tif", coherence, degrees)
    prepare(*scene, f"+layers.coherence={path}")

    bands = read(scene)
    assert list(bands) == ["vv_pre", "vv_post1", "coherence"]
    expected = warped(coherence, degrees, Resampling.bilinear)
    np.testing.assert_array_equal(np.isnan(bands["coherence"]), np.isnan(expected))
    assert 0 < np.isnan(expected).mean() < 0.1
    np.testing.assert_allclose(bands["coherence"], expected, atol=0.02)
    used = Scene(tmp_path / "scene" / "ascending.tif", ["vv_pre", "coherence"])
    image = used.read(Window(0, 0, *SHAPE))["image"][1].numpy()
    np.testing.assert_array_equal(image, bands["coherence"])
    described = info(scene)
    assert described["layers"]["coherence"]["resampling"] == "bilinear"  # type: ignore[index]
    assert described["inputs"]["layer coherence"][0]["file"] == str(path)  # type: ignore[index]
    assert described["bands"]["ascending"]["coherence"]["mean"] == pytest.approx(0.5, abs=0.05)  # type: ignore[index]
    assert described["bands"]["ascending"]["coherence"]["p50"] == pytest.approx(0.5, abs=0.05)  # type: ignore[index]


def test_tiles_make_the_layer_of_one_file(
    scene: list[str], tmp_path: Path, degrees: Grid, coherence: np.ndarray
) -> None:
    half = degrees.width // 2
    right = degrees._replace(
        transform=degrees.transform @ Affine.translation(half, 0), width=degrees.width - half
    )
    paths = [
        write_image(tmp_path / "a.tif", coherence[:, :half], degrees._replace(width=half)),
        write_image(tmp_path / "b.tif", coherence[:, half:], right),
        write_image(tmp_path / "whole.tif", coherence, degrees),
    ]
    prepare(*scene, f"+layers.tiled=[{paths[0]},{paths[1]}]", f"+layers.whole={paths[2]}")
    bands = read(scene)
    np.testing.assert_array_equal(bands["tiled"], bands["whole"])


def test_options_of_a_layer_say_how_it_is_read(
    scene: list[str], tmp_path: Path, degrees: Grid
) -> None:
    classes = (
        np.random.default_rng(2).integers(0, 9, (degrees.height, degrees.width)).astype(np.uint8)
    )
    path = tmp_path / "geology.tif"
    write_image(path, classes, degrees, nodata=None)
    mapping = f"{{file:{path},resampling:nearest,units:lithology,nodata:0}}"
    prepare(*scene, f"+layers.geology={mapping}", f"+layers.plain={path}")

    bands = read(scene)
    expected = warped(np.where(classes == 0, np.nan, classes), degrees, Resampling.nearest)
    np.testing.assert_array_equal(bands["geology"], expected)
    # Whole numbers may be classes, so they are not mixed unless that is asked for.
    assert set(np.unique(bands["plain"])) == set(range(9))
    units = info(scene)["units"]
    assert units["geology"] == "lithology"  # type: ignore[index]
    assert "plain" not in units  # type: ignore[operator]


def test_scaled_integers_are_measurements_of_a_band(
    scene: list[str], tmp_path: Path, degrees: Grid
) -> None:
    stored = (
        np.random.default_rng(3)
        .integers(-9000, 9000, (2, *(degrees.height, degrees.width)))
        .astype(np.int16)
    )
    path = tmp_path / "ndvi.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        crs=degrees.crs,
        transform=degrees.transform,
        height=degrees.height,
        width=degrees.width,
        count=2,
        dtype="int16",
    ) as sink:
        sink.write(stored)
        sink.scales, sink.units = (1.0, 0.0001), ("", "index")
    prepare(*scene, f"+layers.ndvi={{file:{path},band:2}}")
    expected = warped(stored[1] * 0.0001, degrees, Resampling.bilinear)
    np.testing.assert_allclose(read(scene)["ndvi"], expected, atol=0.04)
    described = info(scene)
    assert described["units"]["ndvi"] == "index"  # type: ignore[index]
    assert described["bands"]["ascending"]["ndvi"]["p5"] < -0.4  # type: ignore[index]


def test_layers_come_before_the_bands_of_a_stack_and_can_be_typed(
    scene: list[str],
    tmp_path: Path,
    degrees: Grid,
    coherence: np.ndarray,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write_image(tmp_path / "coherence.tif", coherence, degrees)
    folder = tmp_path / "20180824"
    images = scene[2].replace("[", f"[{next(folder.iterdir())},")
    run_here(
        "prepare", *scene[:2], images, scene[3], f"layers.coherence={path}", "sar.before=2",
        cwd=tmp_path,
    )  # fmt: skip
    assert list(read(scene)) == ["vv_pre", "vv_post1", "coherence", *stack_bands(["vv"])]
    assert "coherence" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        ("+layers.slope=GOOD", "layers.slope has the name of another band of a scene"),
        ("+layers.vv_20180812=GOOD", "layers.vv_20180812 has the name of another band"),
        ("+layers.vh_pre_std=GOOD", "layers.vh_pre_std has the name of another band"),
        ("+layers.my-map=GOOD", "layers.my-map cannot be the name of a band: use letters"),
        ("+layers.a={file:GOOD,resampling:lanczos}", "layers.a.resampling=lanczos is unknown"),
        ("+layers.a={file:GOOD,nodata:none}", "layers.a.nodata=none is not a number"),
        ("+layers.a={fil:GOOD}", "layers.a.fil is unknown: choose from file, resampling"),
        ("+layers.a={file:GOOD,band:2}", "has no band 2, only 1"),
        ("+layers.a=nowhere.tif", "there is no file nowhere.tif, which layers.a names"),
        ("+layers.a=FAR", r"layers.a \(.*far.tif\) does not overlap the scene"),
        ("layers=GOOD", "layers=.* has no name: write layers.coherence=file.tif"),
    ],
)
def test_a_layer_that_cannot_be_used_is_refused_in_one_sentence(
    layers: str, sentence: str, scene: list[str], tmp_path: Path, coherence: np.ndarray
) -> None:
    good = write_image(tmp_path / "good.tif", coherence[:80, :50])
    away = GRID._replace(transform=GRID.transform @ Affine.translation(500, 0))
    far = write_image(tmp_path / "far.tif", coherence[:80, :50], away._replace(height=27, width=42))
    with pytest.raises(InputError, match=sentence):
        prepare(*scene, layers.replace("GOOD", str(good)).replace("FAR", str(far)))
    assert not (tmp_path / "scene").exists()

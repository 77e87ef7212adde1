"""Maps of scenes in archives and on servers, and of scenes and disks that fail."""

import json
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from builders import BANDS, make_scene, perturb, perturbed_task, read_band
from commands import REPOSITORY, map_with
from stac_server import Archive

from landslide.errors import InputError
from landslide.geo.folders import work_folder
from landslide.geo.grid import Grid
from landslide.geo.rasters import write_raster
from landslide.training.task import save_task


@pytest.fixture(scope="module")
def large_scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scene(tmp_path_factory.mktemp("scene") / "scene", size=(384, 512))


@pytest.fixture(scope="module")
def local(
    checkpoint: Path, scene_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> np.ndarray:
    output = tmp_path_factory.mktemp("local") / "map"
    map_with(
        f"checkpoint={checkpoint}", f"scene={scene_root}", f"output={output}", "window.size=128"
    )
    return read_band(output / "probability.tif")


def predict(
    *overrides: str, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Map in another process: GDAL waits for a server with Python's lock held."""
    return subprocess.run(
        [sys.executable, "predict.py", *overrides],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
        preexec_fn=before,
    )


@pytest.mark.slow
def test_a_scene_in_a_zip_gives_the_same_map(
    checkpoint: Path, scene_root: Path, local: np.ndarray, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.write(scene_root / "ascending.tif", "ascending.tif")
    source = f"/vsizip/{tmp_path / 's.zip'}/ascending.tif"
    output = tmp_path / "map"
    map_with(f"checkpoint={checkpoint}", f"scene={source}", f"output={output}", "window.size=128")
    np.testing.assert_array_equal(read_band(output / "probability.tif"), local)


def map_from_server(checkpoint: Path, scene_root: Path, output: Path, query: str = "") -> None:
    with Archive() as server:
        server.files["/data/ascending.tif"] = (scene_root / "ascending.tif").read_bytes()
        source = f"/vsicurl/{server.address}/data/ascending.tif{query}"
        done = predict(
            f"checkpoint={checkpoint}", f"scene='{source}'", f"output={output}", "window.size=128"
        )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_scene_on_a_server_gives_the_same_map(
    checkpoint: Path, scene_root: Path, local: np.ndarray, tmp_path: Path
) -> None:
    output = tmp_path / "map"
    map_from_server(checkpoint, scene_root, output)
    np.testing.assert_array_equal(read_band(output / "probability.tif"), local)


@pytest.mark.slow
def test_a_server_that_vanishes_is_one_sentence(
    checkpoint: Path, large_scene: Path, tmp_path: Path
) -> None:
    # Not compressed, so that there is something left to fetch.
    with rasterio.open(large_scene / "ascending.tif") as source:
        profile = {**source.profile, "compress": None}
        with rasterio.open(tmp_path / "a.tif", "w", **profile) as sink:
            sink.write(source.read())
            sink.descriptions = source.descriptions
    with Archive() as server:
        path = "/data/a.tif"
        server.files[path] = (tmp_path / "a.tif").read_bytes()
        server.faults[path] = ["after:2", *[503] * 1000]
        done = predict(
            f"checkpoint={checkpoint}",
            f"scene='/vsicurl/{server.address}{path}'",
            f"output={tmp_path / 'map'}",
            "window.size=64",
        )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "a.tif" in done.stderr
    assert not (tmp_path / "map").exists()


def test_a_damaged_raster_is_one_sentence(
    checkpoint: Path, scene_root: Path, tmp_path: Path
) -> None:
    content = bytearray((scene_root / "ascending.tif").read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    (tmp_path / "damaged.tif").write_bytes(content)
    output = tmp_path / "map"
    with pytest.raises(InputError, match=r"failed: .*damaged\.tif"):
        map_with(
            f"checkpoint={checkpoint}", f"scene={tmp_path / 'damaged.tif'}", f"output={output}"
        )
    assert not output.exists()


@pytest.mark.slow
def test_an_ensemble_maps_mean_and_spread(
    checkpoint: Path, scene_root: Path, tmp_path: Path, figures: None
) -> None:
    other = perturbed_task()
    perturb(other)
    save_task(other, tmp_path / "b.ckpt")
    output = tmp_path / "map"
    summary = map_with(
        f"checkpoint=[{checkpoint},{tmp_path / 'b.ckpt'}]",
        *(f"scene={scene_root}", f"output={output}", "min_area=0", "geojson=true", "pdf=true"),
    )
    assert summary["members"] == 2
    with rasterio.open(output / "probability.tif") as source:
        assert source.descriptions == ("probability", "spread")
        mean, spread = source.read()
    valid = np.isfinite(mean)
    np.testing.assert_array_equal(valid, np.isfinite(spread))
    assert spread[valid].max() > 0.01
    assert (spread[valid] <= 0.5).all()
    assert (output / "map.pdf").read_bytes().startswith(b"%PDF")
    report = (output / "report.html").read_text()
    assert "SIMULATED" in report
    # The page fetches nothing from the network.
    assert "http" not in report.replace("http://www.w3.org", "")


def test_the_other_orbit_is_mapped_with_a_note(
    checkpoint: Path, scene_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "map"
    map_with(
        f"checkpoint={checkpoint}", f"scene={scene_root}", f"output={output}", "orbit=descending"
    )
    note = "model was trained on ascending images, these are descending"
    assert note in capsys.readouterr().out
    assert note in (output / "report.html").read_text()


def test_a_scene_without_landslides_is_mapped(
    checkpoint: Path, tmp_path: Path, figures: None
) -> None:
    grid_of = make_scene(tmp_path / "s", size=(64, 96))
    with rasterio.open(grid_of / "ascending.tif") as source:
        image, grid = source.read(), Grid.of(source)
    write_raster(tmp_path / "one.tif", image, grid, BANDS, np.nan)
    output = tmp_path / "map"
    summary = map_with(
        f"checkpoint={checkpoint}",
        f"scene={tmp_path / 'one.tif'}",
        f"output={output}",
        "threshold=1",
    )
    assert summary["landslides"] == 0
    assert json.loads((output / "summary.json").read_text()) == summary
    assert (output / "map.png").exists()


def small_files() -> None:
    """Limit files to 300 kB, as on a disk that is nearly full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))


@pytest.mark.slow
def test_a_full_disk_is_one_sentence(checkpoint: Path, large_scene: Path, tmp_path: Path) -> None:
    output = tmp_path / "map"
    done = predict(
        f"checkpoint={checkpoint}", f"scene={large_scene}", f"output={output}", before=small_files
    )
    assert done.returncode != 0
    assert "reading or writing failed" in done.stderr
    assert "Traceback" not in done.stderr
    assert not output.exists()
    assert not work_folder(output).exists()  # nothing was finished


def test_a_map_is_not_written_over_a_scene(checkpoint: Path, tmp_path: Path) -> None:
    root = make_scene(tmp_path / "scene", size=(64, 96))
    inventory = (root / "landslides.tif").read_bytes()
    with pytest.raises(InputError, match="holds a scene"):
        map_with(f"checkpoint={checkpoint}", f"scene={root}", f"output={root}")
    assert (root / "landslides.tif").read_bytes() == inventory


def test_an_inventory_outside_the_scene_is_refused(
    checkpoint: Path, scene_root: Path, tmp_path: Path
) -> None:
    square = gpd.GeoSeries([shapely.box(0, 0, 100, 100)], crs="EPSG:32654")
    square.to_file(tmp_path / "far.gpkg")
    words = (f"checkpoint={checkpoint}", f"scene={scene_root}", f"output={tmp_path / 'map'}")
    with pytest.raises(InputError, match="none of its 1 features touches the scene"):
        map_with(*words, f"inventory={tmp_path / 'far.gpkg'}")
    assert not (tmp_path / "map").exists()


@pytest.mark.slow
def test_a_model_of_simulated_images_says_so_on_a_real_scene(tmp_path: Path) -> None:
    root = make_scene(tmp_path / "scene", size=(64, 96))
    task = perturbed_task()
    task.hparams["simulated"] = True
    save_task(task, tmp_path / "model.ckpt")
    words = (f"checkpoint={tmp_path / 'model.ckpt'}", f"scene={root}", f"output={tmp_path / 'map'}")
    assert not any("SIMULATED" in note for note in map_with(*words)["notes"])  # type: ignore[attr-defined]
    (root / "scene.json").write_text(json.dumps({"event": "real"}))
    assert any("SIMULATED" in note for note in map_with(*words)["notes"])  # type: ignore[attr-defined]
    assert "SIMULATED" in (tmp_path / "map" / "report.html").read_text()


def test_a_scene_that_may_have_changed_unseen_is_not_resumed(
    checkpoint: Path, scene_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = {"/vsis3/bucket/ascending.tif": None}  # object stores name no version
    monkeypatch.setattr("landslide.products.mapping.raster_states", lambda _: unknown)
    words = (f"checkpoint={checkpoint}", f"scene={scene_root}", f"output={tmp_path / 'map'}")
    with pytest.raises(InputError, match=r"nobody tells whether it has changed .* resume=false"):
        map_with(*words, "resume=true")
    assert not (tmp_path / "map").exists()


@pytest.mark.slow
def test_a_map_killed_after_its_rasters_is_finished(
    checkpoint: Path, scene_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (f"checkpoint={checkpoint}", f"scene={scene_root}", f"output={tmp_path / 'map'}")

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("landslide.products.writing.write_report", fail)
        with pytest.raises(InputError, match="the disk is full"):
            map_with(*words)
    assert (work_folder(tmp_path / "map") / "outcome.tif").exists()
    map_with(*words, "resume=true")
    assert (tmp_path / "map" / "map.png").exists()
    with rasterio.open(tmp_path / "map" / "probability.tif") as source:
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_a_map_that_cannot_be_drawn_is_no_map(
    checkpoint: Path, scene_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("landslide.products.writing.draw_map", fail)
    with pytest.raises(InputError, match="the disk is full"):
        map_with(f"checkpoint={checkpoint}", f"scene={scene_root}", f"output={tmp_path / 'map'}")
    assert not (tmp_path / "map" / "summary.json").exists()


@pytest.mark.slow
def test_a_signed_address_is_a_scene_and_its_signature_stays_private(
    checkpoint: Path, scene_root: Path, local: np.ndarray, tmp_path: Path
) -> None:
    output = tmp_path / "map"
    map_from_server(checkpoint, scene_root, output, query="?sig=secret%3D")
    np.testing.assert_array_equal(read_band(output / "probability.tif"), local)
    for name in ("summary.json", "report.html", "probability.tif"):
        assert b"secret" not in (output / name).read_bytes()

"""Scenes whose work is spread over processes."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from builders import write_image
from commands import run_program
from rasterio.crs import CRS
from rasterio.enums import Resampling

from landslide.errors import UnreadableError
from landslide.geo.grid import Grid
from landslide.geo.pieces import Piece
from landslide.geo.rasters import write_raster
from landslide.prepare.composite import Composite, write_orbit
from landslide.prepare.mosaic import keep_values
from landslide.prepare.parts import ignore
from landslide.prepare.sources import Acquisition, Tile
from landslide.prepare.stack import DateImages, write_dates

GRID = Grid(CRS.from_epsg(32610), Affine(10, 0, 755_000, 0, -10, 3_800_000), 2100, 90)
"""Three strips of blocks."""

DAYS = ["20180806", "20180818", "20180830", "20180911"]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dates whose pixels lie between the scene's, and a coarser DEM."""
    folder = tmp_path_factory.mktemp("archive")
    for day in DAYS:
        for polarisation in ("VV", "VH"):
            rng = np.random.default_rng([int(day), polarisation == "VH"])
            image = 0.1 * rng.gamma(4, 1 / 4, (GRID.height + 20, GRID.width + 20))
            shifted = GRID._replace(transform=GRID.transform @ Affine.translation(-9.7, -9.4))
            name = f"S1A_IW_{day}T015914_DVP_RTC10_G_gpuned_1234_{polarisation}.tif"
            write_image(folder / name, image.astype(np.float32), shifted)
    rows, cols = np.mgrid[: GRID.height // 3 + 40, : GRID.width // 3 + 40]
    heights = 40 * np.sin(rows / 9) * np.cos(cols / 7) + 300
    coarse = GRID.transform @ Affine.translation(-30, -30) @ Affine.scale(3)
    write_image(folder / "dem.tif", heights.astype(np.float32), GRID._replace(transform=coarse))
    return folder


def words(archive: Path, root: Path) -> list[str]:
    grid = write_image(archive / "grid.tif", np.zeros((GRID.height, GRID.width), np.float32), GRID)
    return [
        *(f"root={root}", "event.date=2018-09-06T12:00:00Z", f"dem={archive / 'dem.tif'}"),
        *(f"sar.ascending={archive}/S1A*", "sar.polarisations=[vv,vh]", "sar.before=3"),
        *("sar.after=1", f"grid.like={grid}", "sar.relative_orbit.ascending=35"),
    ]


def contents(root: Path) -> dict[str, object]:
    """All files but pictures: rasters by their pixels and tags, others by their bytes."""
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.suffix == ".tif":
            with rasterio.open(path) as source:
                pixels = hashlib.sha256(source.read().tobytes()).hexdigest()
                found[name] = (pixels, str(source.profile), source.descriptions, source.tags())
        elif path.is_file() and path.suffix != ".png":
            found[name] = path.read_text()
    return found


def spread(archive: Path, root: Path) -> list[str]:
    return [*words(archive, root), "launcher=joblib", "parts=3"]


@pytest.fixture(scope="module")
def alone(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scene that one process writes."""
    root = tmp_path_factory.mktemp("scenes") / "alone"
    run = run_program("prepare", *words(archive, root), cwd=root.parent)
    assert run.returncode == 0, run.stderr
    return root


@pytest.mark.slow
def test_spread_work_writes_the_scene_of_one_process(
    archive: Path, alone: Path, tmp_path: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    run = run_program("prepare", *spread(archive, tmp_path / "spread"), cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert contents(tmp_path / "spread") == contents(alone)


@pytest.mark.slow
def test_spread_work_that_was_killed_goes_on_from_its_pieces(
    archive: Path, alone: Path, tmp_path: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    root = tmp_path / "spread"
    command = [sys.executable, "-m", "landslide", "prepare", *spread(archive, root)]
    killed = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
    while not (done := list(root.glob(".partial/pieces/*/dates/ascending/*.result"))):
        assert killed.poll() is None
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    before = {path.name: path.stat().st_mtime_ns for path in done}
    again = subprocess.Popen(command, cwd=tmp_path)
    seen = 0
    while again.poll() is None:
        for path in root.glob(".partial/pieces/*/dates/ascending/*.result"):
            with suppress(FileNotFoundError):  # the folder was taken over
                assert path.stat().st_mtime_ns == before.get(path.name, path.stat().st_mtime_ns)
                seen += path.name in before
        time.sleep(0.2)
    assert seen
    assert again.returncode == 0
    assert contents(root) == contents(alone)
    assert not (root / ".partial").exists()


def date_writer(tile: Tile) -> Callable[[Piece], object]:
    images = {"vv_pre": [(tile, keep_values)]}
    dates = {"pre": Acquisition({"vv": (tile,)}, datetime(2018, 8, 6, tzinfo=UTC))}
    inputs = DateImages("ascending", dates, images, {"pre": GRID}, Resampling.bilinear)
    return partial(write_dates, inputs, ignore)


def composite_writer(tile: Tile) -> Callable[[Piece], object]:
    images = {"vv_pre": [(tile, keep_values)]}
    return partial(write_orbit, Composite("ascending", images, None, Resampling.bilinear))


@pytest.mark.parametrize("writer", [date_writer, composite_writer])
def test_a_piece_is_written_whole_or_not_at_all(
    writer: Callable[[Tile], Callable[[Piece], object]], tmp_path: Path
) -> None:
    """Another process may have written it, or be reading it."""
    image, power = (
        tmp_path / "image.tif",
        np.random.default_rng(0).random((1, GRID.height, GRID.width)),
    )
    write_raster(image, power.astype(np.float32), GRID, ["vv"], np.nan)
    write, piece = writer(Tile(image)), Piece(tmp_path / "pieces" / "0.tif", GRID, 0, 1024)
    piece.path.parent.mkdir()
    write(piece)
    written = piece.path.read_bytes()
    with image.open("r+b") as file:  # damaged from its middle on
        file.seek(image.stat().st_size // 2)
        file.write(bytes(image.stat().st_size // 2))
    with pytest.raises((rasterio.RasterioIOError, UnreadableError)):
        write(piece)
    assert piece.path.read_bytes() == written
    assert list(piece.path.parent.iterdir()) == [piece.path]

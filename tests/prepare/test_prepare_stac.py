import hashlib
import io
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from commands import CONF, composed
from omegaconf import DictConfig, OmegaConf
from rasterio.crs import CRS
from rasterio.io import MemoryFile
from rasterio.warp import transform_bounds, transform_geom
from rich.console import Console
from stac_server import Archive

from landslide.errors import InputError
from landslide.prepare.orbit import viewing_geometry
from landslide.prepare.prepare import prepare_scene
from landslide.prepare.sources import Event
from landslide.prepare.stac.acquire import acquire_from_archive, plan_acquisition
from landslide.prepare.stac.archive import ArchiveItem, Box
from landslide.prepare.stac.overpasses import (
    TrackRequest,
    choose_track,
    group_tracks,
)

pytest.importorskip("pystac_client", reason="the optional extra stac")

UTM = CRS.from_epsg(32654)
SIZE = 384
AOI = shapely.box(*transform_bounds(UTM, "EPSG:4326", 600_900, 4_736_900, 602_300, 4_738_100))
EVENT = Event.of("Test event", "2018-09-05T18:08Z")
IMAGES, ELEVATION = "images", "elevation"
IMAGE = "/data/S1_2018-09-05_A068_n_vv.tif"
NORTH = Affine(10, 0, 600_000, 0, -10, 4_740_000)
SOUTH = Affine(10, 0, 600_000, 0, -10, 4_740_000 - 2_400)  # overlaps by 144 px


# An archive with two tracks, each with a date before the event and some after it --------------


def cog(
    pixels: np.ndarray, transform: Affine, crs: CRS | str | None = UTM, nodata: float | None = None
) -> bytes:
    profile = {"driver": "COG", "dtype": pixels.dtype.name, "count": 1, "nodata": nodata}
    height, width = pixels.shape
    with MemoryFile() as memory:
        size = {"height": height, "width": width, "crs": crs, "transform": transform}
        with memory.open(**profile, **size, compress="deflate", blocksize=128) as sink:
            sink.write(pixels, 1)
        return bytes(memory.read())


def backscatter(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.gamma(4, 0.03, size=(SIZE, SIZE)).astype(np.float32)


@cache
def image(seed: int, transform: Affine) -> bytes:
    return cog(backscatter(seed), transform, nodata=-32768)


@cache
def elevation(west: float, north: float) -> tuple[np.ndarray, bytes]:
    heights = np.arange(720 * 720, dtype=np.float32).reshape(720, 720) / 1000 - 300
    transform = Affine(1 / 3600, 0, west, 0, -1 / 3600, north)
    return heights, cog(heights, transform, "EPSG:4326")


def item(
    name: str,
    time: str,
    bounds: tuple[float, ...],
    assets: dict[str, str],
    **more: str | int,
) -> dict[str, Any]:
    geometry = shapely.geometry.mapping(shapely.box(*bounds))
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": geometry,
        "bbox": list(bounds),
        "properties": {"datetime": time, **more},
        "assets": {key: {"href": href} for key, href in assets.items()},
        "links": [],
        "collection": IMAGES,
    }


def add_image(
    archive: Archive,
    time: str,
    direction: str,
    track: int,
    transform: Affine = NORTH,
    *,
    platform: str = "SENTINEL-1A",
    pixels: np.ndarray | None = None,
    assets: tuple[str, ...] = ("vv", "vh"),
) -> str:
    """Add an item and its files to the archive, or replace them; return its name."""
    part = "n" if transform == NORTH else "s"
    name = f"S1_{time[:10]}_{direction[0].upper()}{track:03d}_{part}"
    hrefs = {}
    for seed, asset in enumerate(assets):
        hrefs[asset] = f"{archive.address}/data/{name}_{asset}.tif"
        file = image(seed + hash_of(name), transform)
        archive.files[f"/data/{name}_{asset}.tif"] = (
            file if pixels is None else cog(pixels, transform, nodata=-32768)
        )
    west, north = transform * (0, 0)
    east, south = transform * (SIZE, SIZE)
    outline = shapely.geometry.mapping(shapely.box(west, south, east, north))
    footprint = shapely.geometry.shape(transform_geom(UTM, "EPSG:4326", outline))
    properties = {
        "platform": platform,
        "sat:orbit_state": direction,
        "sat:relative_orbit": track,
    }
    # Of two items with one file, the first to be read clears GDAL's cache of it. The other reads
    # the header again while it holds Python's lock, so this process's own server cannot answer.
    others = [other for other in archive.items[IMAGES] if other["id"] != name]
    added = item(name, time, footprint.bounds, hrefs, **properties)
    archive.items[IMAGES] = [*others, added]
    return name


def hash_of(name: str) -> int:
    return int.from_bytes(hashlib.sha1(name.encode()).digest()[:4], "big")


def add_elevation(archive: Archive) -> np.ndarray:
    """Add one tile of a DEM in degrees, 0.1 degrees wide around the area."""
    west, north = round(AOI.centroid.x, 1) - 0.1, round(AOI.centroid.y, 1) + 0.1
    heights, archive.files["/data/dem.tif"] = elevation(west, north)
    assets = {"data": f"{archive.address}/data/dem.tif"}
    bounds = (west, north - 0.2, west + 0.2, north)
    archive.items[ELEVATION].append(item("dem", "2021-04-22T00:00:00Z", bounds, assets))
    return heights


ASCENDING = ["2018-08-24", "2018-09-05", "2018-09-17", "2018-09-29"]
DESCENDING = ["2018-09-01", "2018-09-13", "2018-09-25"]


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    monkeypatch.setattr("landslide.prepare.stac.archive.PAUSE", 0.05)
    monkeypatch.setattr("landslide.prepare.stac.download.PAUSE", 0.05)
    with Archive() as archive:
        for date in ASCENDING:
            add_image(archive, f"{date}T08:42:30Z", "ascending", 68)
        for date in DESCENDING:
            # The satellite flies south: the northern slice comes first.
            add_image(archive, f"{date}T20:43:00Z", "descending", 46, platform="SENTINEL-1B")
            add_image(archive, f"{date}T20:43:25Z", "descending", 46, SOUTH, platform="SENTINEL-1B")
        add_elevation(archive)
        yield archive


@pytest.fixture
def config(archive: Archive, tmp_path: Path) -> DictConfig:
    stac = OmegaConf.load(CONF / "archive" / "planetary_computer.yaml")
    local = {"endpoint": f"{archive.address}/stac", "sign": None, "collection": IMAGES}
    stac = OmegaConf.merge(stac, local, {"dem_collection": ELEVATION, "timeout": 5, "retries": 3})
    either = {"ascending": None, "descending": None}
    sar = {
        "source": "stac",
        "polarisations": ["vv"],
        "before": 1,
        "after": 2,
        "dates": either,
        "relative_orbit": either,
        "units": None,
    }
    return OmegaConf.create(
        {
            "sar": {**sar, "dates": either, "relative_orbit": either, "stac": stac},
            "cache": str(tmp_path / "cache"),
            "dem": None,
        }
    )


def printed(config: DictConfig, event: Event = EVENT) -> str:
    console = Console(file=io.StringIO(), width=140)
    console.print(plan_acquisition(config, event, AOI))
    return console.file.getvalue()  # type: ignore[attr-defined]


def rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in text.splitlines()
        if line.startswith("│")
    ]


def cached(config: DictConfig) -> dict[str, bytes]:
    folder = Path(config.cache)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*.*")
        if path.is_file()
    }


# The plan -------------------------------------------------------------------------------------


def test_the_plan_shows_dates_days_and_coverage_and_fetches_nothing(
    archive: Archive, config: DictConfig
) -> None:
    table = rows(printed(config))
    assert table == [
        ["ascending", "68", "2018-08-24 08:42", "-12.4", "S1A", "1 x VV+VH", "100%", ""],
        ["ascending", "68", "2018-09-05 08:42", "-0.4", "S1A", "1 x VV+VH", "100%", "pre"],
        ["ascending", "68", "2018-09-17 08:42", "+11.6", "S1A", "1 x VV+VH", "100%", "post1"],
        ["ascending", "68", "2018-09-29 08:42", "+23.6", "S1A", "1 x VV+VH", "100%", "post2"],
        ["descending", "46", "2018-09-01 20:43", "-3.9", "S1B", "2 x VV+VH", "100%", "pre"],
        ["descending", "46", "2018-09-13 20:43", "+8.1", "S1B", "2 x VV+VH", "100%", "post1"],
        ["descending", "46", "2018-09-25 20:43", "+20.1", "S1B", "2 x VV+VH", "100%", "post2"],
    ]
    assert not archive.requests("/data")
    assert not Path(config.cache).exists()
    assert len(archive.requests("/stac/search")) == 3  # ten items on pages of four


def test_the_plan_shows_the_dates_of_a_stack_beyond_the_usual_period(
    archive: Archive, config: DictConfig
) -> None:
    for day in ("2018-06-01", "2018-06-13", "2018-07-07", "2018-07-31", "2018-08-12"):
        add_image(archive, f"{day}T08:42:30Z", "ascending", 68)
    config.sar.before = 7
    table = [row for row in rows(printed(config)) if row[0] == "ascending"]
    assert [(row[2][:10], row[-1]) for row in table] == [
        *((day, "stack") for day in ("2018-06-01", "2018-06-13", "2018-07-07", "2018-07-31")),
        *(("2018-08-12", "stack"), ("2018-08-24", "stack"), ("2018-09-05", "pre")),
        *(("2018-09-17", "post1"), ("2018-09-29", "post2")),
    ]


def test_the_plan_says_when_the_next_image_comes(archive: Archive, config: DictConfig) -> None:
    archive.items[IMAGES] = [
        each for each in archive.items[IMAGES] if each["properties"]["datetime"] < "2018-09-14"
    ]
    table = rows(printed(config))
    coming = ["ascending", "68", "2018-09-17 08:42", "+12", "S1A", "", "", "due"]
    assert coming in table
    assert ["descending", "46", "2018-09-25 20:43", "+20", "S1B", "", "", "due"] in table
    assert "pre" not in {row[-1] for row in table if row[0] == "ascending"}


# What is fetched ------------------------------------------------------------------------------


def test_what_is_fetched_are_the_archives_pixels_of_the_area(
    archive: Archive, config: DictConfig
) -> None:
    sources = acquire_from_archive(config, EVENT, AOI)
    assert list(sources.orbits) == ["ascending", "descending"]
    image = sources.orbits["ascending"]["post2"]
    assert image.time == datetime(2018, 9, 29, 8, 42, 30, tzinfo=UTC)
    assert (image.direction, image.relative_orbit, image.platform) == ("ascending", 68, "S1A")
    assert image.units == "power"
    assert image.items == ("S1_2018-09-29_A068_n",)
    original = backscatter(hash_of("S1_2018-09-29_A068_n"))
    (tile,) = image.tiles["vv"]
    with rasterio.open(tile.path) as source:
        pixels = source.read(1)
        col, row = (round(n) for n in ~NORTH * (source.transform.c, source.transform.f))
        bounds = source.bounds
    np.testing.assert_array_equal(
        pixels, original[row:, col:][: pixels.shape[0], : pixels.shape[1]]
    )
    assert bounds.left <= 600_900 - 200
    assert bounds.bottom <= 4_736_900 - 200
    assert bounds.right >= 602_300 + 200
    assert bounds.top >= 4_738_100 + 200
    assert pixels.size < 0.5 * original.size


def test_slices_of_one_date_are_one_acquisition(config: DictConfig) -> None:
    image = acquire_from_archive(config, EVENT, AOI).orbits["descending"]["pre"]
    assert image.items == ("S1_2018-09-01_D046_n", "S1_2018-09-01_D046_s")
    assert [tile.path.name for tile in image.tiles["vv"]] == [f"{n}_vv.tif" for n in image.items]
    assert image.time == datetime(2018, 9, 1, 20, 43, tzinfo=UTC)


def test_elevation_is_fetched_with_a_margin(config: DictConfig) -> None:
    dem = acquire_from_archive(config, EVENT, AOI).dem
    assert dem.items == ("dem",)
    with rasterio.open(dem.tiles[0].path) as source:
        west, south, east, north = transform_bounds(source.crs, UTM, *source.bounds)
        assert source.read(1).min() < 0  # heights below the sea are elevations
        col, row = (round(n, 3) for n in ~source.transform * (AOI.centroid.x, AOI.centroid.y))
        height = source.read(1)[int(row), int(col)]
    first = round(AOI.centroid.x, 1) - 0.1, round(AOI.centroid.y, 1) + 0.1
    row, col = int((first[1] - AOI.centroid.y) * 3600), int((AOI.centroid.x - first[0]) * 3600)
    assert height == pytest.approx((row * 720 + col) / 1000 - 300, abs=1e-3)
    assert west < 600_900 - 3000
    assert south < 4_736_900 - 3000
    assert east > 602_300 + 3000
    assert north > 4_738_100 + 3000


def test_fill_at_the_borders_is_no_measurement(archive: Archive, config: DictConfig) -> None:
    pixels = backscatter(1)
    pixels[:, :150] = 0  # never declared
    pixels[200:204, 150:] = -32768  # declared
    pixels[210:212, 150:] = -0.001  # noise removed beyond zero
    archive.items[IMAGES] = archive.items[IMAGES][1:]
    add_image(archive, "2018-09-05T08:42:00Z", "ascending", 68, pixels=pixels)
    image = acquire_from_archive(config, EVENT, AOI).orbits["ascending"]["pre"]
    with rasterio.open(image.tiles["vv"][0].path) as source:
        found = source.read(1)
        assert np.isnan(source.nodata)
        col, row = (round(n) for n in ~NORTH * (source.transform.c, source.transform.f))
    part = pixels[row:, col:][: found.shape[0], : found.shape[1]]
    np.testing.assert_array_equal(np.isnan(found), part <= 0)
    np.testing.assert_array_equal(found[part > 0], part[part > 0])


def test_scaled_integers_become_power(archive: Archive, config: DictConfig) -> None:
    counts = np.random.default_rng(0).integers(0, 4000, (SIZE, SIZE)).astype(np.uint16)
    size = {"height": SIZE, "width": SIZE, "count": 1, "crs": UTM, "transform": NORTH}
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", dtype="uint16", nodata=7, tiled=True, **size) as sink:
            sink.write(counts, 1)
            sink.scales, sink.offsets = (1e-4,), (0.01,)
        archive.files[IMAGE] = bytes(memory.read())
    image = acquire_from_archive(config, EVENT, AOI).orbits["ascending"]["pre"]
    with rasterio.open(image.tiles["vv"][0].path) as source:
        found = source.read(1)
        col, row = (round(n) for n in ~NORTH * (source.transform.c, source.transform.f))
    part = counts[row:, col:][: found.shape[0], : found.shape[1]]
    np.testing.assert_array_equal(np.isnan(found), part == 7)
    np.testing.assert_allclose(found[part != 7], part[part != 7] * 1e-4 + 0.01, rtol=1e-6)


def test_negative_decibels_are_measurements(archive: Archive, config: DictConfig) -> None:
    for each in archive.items[IMAGES]:
        path = "/data/" + each["assets"]["vv"]["href"].rsplit("/", 1)[1]
        transform = SOUTH if each["id"].endswith("_s") else NORTH
        archive.files[path] = cog(10 * np.log10(backscatter(0)), transform, nodata=-32768)
    with pytest.raises(InputError, match=r"no measurement.*sar.units=db"):
        acquire_from_archive(config, EVENT, AOI)  # as power
    config.sar.units = "db"  # against the archive's description
    image = acquire_from_archive(config, EVENT, AOI).orbits["ascending"]["pre"]
    assert image.units == "db"
    with rasterio.open(image.tiles["vv"][0].path) as source:
        assert np.isfinite(source.read(1)).all()


def test_zeros_in_decibels_that_no_nodata_declares_are_fill(
    archive: Archive, config: DictConfig
) -> None:
    pixels = 10 * np.log10(backscatter(0))
    pixels[:, :150] = 0
    config.sar.units = "db"
    for each in archive.items[IMAGES]:
        path = "/data/" + each["assets"]["vv"]["href"].rsplit("/", 1)[1]
        archive.files[path] = cog(pixels, SOUTH if each["id"].endswith("_s") else NORTH)
    image = acquire_from_archive(config, EVENT, AOI).orbits["ascending"]["pre"]
    with rasterio.open(image.tiles["vv"][0].path) as source:
        found = source.read(1)
        col, row = (round(n) for n in ~NORTH * (source.transform.c, source.transform.f))
    part = pixels[row:, col:][: found.shape[0], : found.shape[1]]
    np.testing.assert_array_equal(np.isnan(found), part == 0)


def test_both_polarisations(config: DictConfig) -> None:
    config.sar.polarisations = ["vv", "vh"]
    image = acquire_from_archive(config, EVENT, AOI).orbits["ascending"]["pre"]
    assert {key: len(tiles) for key, tiles in image.tiles.items()} == {"vv": 1, "vh": 1}


def test_an_own_dem_is_not_looked_for(archive: Archive, config: DictConfig, tmp_path: Path) -> None:
    dem = tmp_path / "dem.tif"
    dem.touch()
    config.dem = str(dem)
    acquire_from_archive(config, EVENT, AOI)
    assert not archive.requests("/data/dem.tif")


def test_only_the_area_is_read(archive: Archive, config: DictConfig) -> None:
    acquire_from_archive(config, EVENT, AOI)
    reads = [entry for entry in archive.requests("/data") if entry[0] == "GET"]
    assert reads
    assert all(header is not None for _, _, header, _ in reads)
    # Of a file of 1 MB far larger than the area, less than half is sent.
    wide = np.random.default_rng(0).gamma(4, 0.03, size=(1024, 1024)).astype(np.float32)
    archive.items[IMAGES] = archive.items[IMAGES][2:]
    name = add_image(archive, "2018-09-05T08:42:00Z", "ascending", 68)
    archive.files[f"/data/{name}_vv.tif"] = cog(wide, NORTH, nodata=-32768)
    Path(next(Path(config.cache).rglob(f"{name}_vv.tif"))).unlink()
    archive.sent = 0
    acquire_from_archive(config, EVENT, AOI)
    assert archive.sent < 0.5 * len(archive.files[f"/data/{name}_vv.tif"])


def test_nothing_is_fetched_twice_and_fetching_again_gives_the_same_bytes(
    archive: Archive, config: DictConfig, tmp_path: Path
) -> None:
    first = acquire_from_archive(config, EVENT, AOI)
    files = cached(config)
    before = len(archive.requests("/data"))
    assert acquire_from_archive(config, EVENT, AOI) == first
    assert len(archive.requests("/data")) == before
    config.cache = str(tmp_path / "other")
    acquire_from_archive(config, EVENT, AOI)
    assert len(archive.requests("/data")) > before
    assert cached(config) == files


# Faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [429, 500, 503, "reset", "hang"])
@pytest.mark.parametrize("path", [IMAGE, "/stac/search"])
def test_a_passing_fault_is_overcome(
    archive: Archive, config: DictConfig, fault: int | str, path: str
) -> None:
    if fault == "hang":
        config.sar.stac.timeout = 1
    archive.faults[path] = [fault, fault]
    sources = acquire_from_archive(config, EVENT, AOI)
    assert not archive.faults[path]
    with rasterio.open(sources.orbits["ascending"]["pre"].tiles["vv"][0].path) as source:
        assert (source.read(1) > 0).all()


def test_a_fault_in_the_middle_of_a_file_is_overcome(archive: Archive, config: DictConfig) -> None:
    archive.faults[IMAGE] = ["after:2", 503, "reset"]
    sources = acquire_from_archive(config, EVENT, AOI)
    assert not archive.faults[IMAGE]
    with rasterio.open(sources.orbits["ascending"]["pre"].tiles["vv"][0].path) as source:
        assert (source.read(1) > 0).all()


def test_pauses_between_attempts_grow(archive: Archive, config: DictConfig) -> None:
    archive.faults[IMAGE] = [503, 503, 503]
    acquire_from_archive(config, EVENT, AOI)
    times = [entry[3] for entry in archive.requests(IMAGE)]
    pauses = np.diff(times)[:3]
    # The first pause is of 0.05 s and each is at least twice the one before; requests take longer
    # on a busy machine, never less.
    assert (pauses >= [0.05, 0.1, 0.2]).all()


@pytest.mark.parametrize(("fault", "word"), [(503, "503"), ("hang", "time"), (429, "429")])
def test_a_lasting_fault_is_one_sentence_and_what_was_fetched_is_kept(
    archive: Archive, config: DictConfig, fault: int | str, word: str
) -> None:
    config.sar.stac.retries = 2
    if fault == "hang":
        config.sar.stac.timeout = 1
    archive.faults[IMAGE] = [fault] * 99
    with pytest.raises(InputError) as caught:
        acquire_from_archive(config, EVENT, AOI)
    sentence = str(caught.value)
    assert "asset 'vv' of item S1_2018-09-05_A068_n" in sentence
    assert word in sentence
    assert "after 2 retries" in sentence
    assert "\n" not in sentence
    kept = cached(config)
    assert not any("part-" in name or "S1_2018-09-05" in name for name in kept)
    archive.faults.clear()
    before = len(archive.log)
    acquire_from_archive(config, EVENT, AOI)
    asked = {path for _, path, _, _ in archive.log[before:] if path.startswith("/data")}
    assert IMAGE in asked
    assert not any(Path(name).name in path for name in kept for path in asked)
    assert kept.items() <= cached(config).items()


def test_a_transfer_that_breaks_off_for_good_is_one_sentence(
    archive: Archive, config: DictConfig
) -> None:
    archive.faults[IMAGE] = ["after:2", *[503] * 99]
    with pytest.raises(InputError, match="asset 'vv' of item S1_2018-09-05_A068_n could not be"):
        acquire_from_archive(config, EVENT, AOI)
    assert not any("S1_2018-09-05" in name or "part-" in name for name in cached(config))


@pytest.mark.parametrize("status", [401, 403, 409])
def test_a_forbidden_request_names_signing_at_once(
    archive: Archive, config: DictConfig, status: int
) -> None:
    archive.faults[IMAGE] = [status] * 99
    with pytest.raises(InputError, match=f"HTTP {status}.*sar.stac.sign") as caught:
        acquire_from_archive(config, EVENT, AOI)
    assert "item S1_2018-09-05_A068_n" in str(caught.value)
    assert len(archive.requests(IMAGE)) <= 3  # HEAD and GET by GDAL, then one for the status


def test_a_file_that_the_archive_lists_but_does_not_hold(
    archive: Archive, config: DictConfig
) -> None:
    del archive.files[IMAGE]
    with pytest.raises(InputError, match=r"'vv' of item S1_2018-09-05_A068_n .*HTTP 404"):
        acquire_from_archive(config, EVENT, AOI)
    assert len(archive.requests(IMAGE)) <= 3


def test_a_page_instead_of_an_image(archive: Archive, config: DictConfig) -> None:
    archive.files[IMAGE] = b"<html>Please log in</html>"
    with pytest.raises(InputError, match=r"S1_2018-09-05_A068_n could not be downloaded.*format"):
        acquire_from_archive(config, EVENT, AOI)


@pytest.mark.parametrize("assets", [("hh", "hv"), ("vh",), ()])
def test_an_item_without_the_polarisation_is_named_before_anything_is_fetched(
    archive: Archive, config: DictConfig, assets: tuple[str, ...]
) -> None:
    archive.items[IMAGES] = archive.items[IMAGES][2:]
    add_image(archive, "2018-09-05T08:42:00Z", "ascending", 68, assets=assets)
    held = ", ".join(assets) or "none"
    message = rf"item S1_2018-09-05_A068_n has no asset 'vv' \(it has {held}\).*sar.stac.assets.vv"
    with pytest.raises(InputError, match=message):
        acquire_from_archive(config, EVENT, AOI)
    assert not archive.requests("/data")
    shown = {row[2][:10]: row[5] for row in rows(printed(config)) if row[0] == "ascending"}
    assert shown["2018-09-05"] == {("vh",): "1 x VH"}.get(assets, "1 x -")


def test_a_dem_without_the_asset(archive: Archive, config: DictConfig) -> None:
    config.sar.stac.dem_asset = "elevation"
    with pytest.raises(
        InputError, match=r"item dem has no asset 'elevation' \(it has data\).*dem="
    ):
        acquire_from_archive(config, EVENT, AOI)
    assert not archive.requests("/data")


def test_an_image_that_is_all_fill(archive: Archive, config: DictConfig) -> None:
    archive.items[IMAGES] = archive.items[IMAGES][2:]
    empty = np.zeros((SIZE, SIZE), np.float32)
    add_image(archive, "2018-09-05T08:42:00Z", "ascending", 68, pixels=empty)
    with pytest.raises(InputError, match=r"'vv' of 2018-09-05 .* has no measurement"):
        acquire_from_archive(config, EVENT, AOI)


def test_images_in_radar_geometry_are_refused(archive: Archive, config: DictConfig) -> None:
    archive.files[IMAGE] = cog(backscatter(0), Affine.identity(), crs=None)
    with pytest.raises(InputError, match="S1_2018-09-05_A068_n has no coordinate reference"):
        acquire_from_archive(config, EVENT, AOI)


# Signing --------------------------------------------------------------------------------------


def sign(address: str) -> str:
    return f"{address}?sig=secret-1"


@pytest.mark.slow
def test_addresses_are_signed_and_signatures_are_kept_secret(
    archive: Archive, config: DictConfig
) -> None:
    archive.signature = "secret-1"
    with pytest.raises(InputError, match=r"HTTP 403.*sar.stac.sign"):
        acquire_from_archive(config, EVENT, AOI)
    config.sar.stac.sign = f"{__name__}.sign"
    acquire_from_archive(config, EVENT, AOI)
    assert not any(b"secret" in content for content in cached(config).values())
    for fault in ([503] * 99, ["after:2", *[503] * 99], ["html"] * 99):
        archive.faults[IMAGE] = list(fault)
        next(Path(config.cache).rglob(f"{Path(IMAGE).name}")).unlink(missing_ok=True)
        with pytest.raises(InputError) as caught:
            acquire_from_archive(config, EVENT, AOI)
        assert "secret" not in str(caught.value)
        archive.faults.clear()
        acquire_from_archive(config, EVENT, AOI)


def test_an_answer_that_is_no_raster_is_asked_for_again(
    archive: Archive, config: DictConfig
) -> None:
    archive.faults[IMAGE] = ["html"]
    image = acquire_from_archive(config, EVENT, AOI).orbits["ascending"]["pre"]
    with rasterio.open(image.tiles["vv"][0].path) as source:
        assert (source.read(1) > 0).any()
    assert not archive.faults[IMAGE]


signatures = iter(())


def sign_anew(address: str) -> str:
    return f"{address}?sig={next(signatures)}"


def test_a_signature_that_runs_out_in_the_middle_is_renewed(
    archive: Archive, config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire_from_archive(config, EVENT, AOI)
    next(Path(config.cache).rglob(Path(IMAGE).name)).unlink()
    monkeypatch.setattr(f"{__name__}.signatures", iter(["old", "new"]))
    archive.signature = "old"
    archive.faults[IMAGE] = ["after:2", "expired:new"]
    config.sar.stac.sign = f"{__name__}.sign_anew"
    image = acquire_from_archive(config, EVENT, AOI).orbits["ascending"]["pre"]
    assert len(list(signatures)) == 0
    with rasterio.open(image.tiles["vv"][0].path) as source:
        assert (source.read(1) > 0).all()


@pytest.mark.parametrize("name", ["no_such_package.sign", "landslide.errors.sign", "not a name"])
def test_a_signer_that_cannot_be_imported(config: DictConfig, name: str) -> None:
    config.sar.stac.sign = name
    with pytest.raises(InputError, match=f"sar.stac.sign={name} cannot be imported"):
        acquire_from_archive(config, EVENT, AOI)


# Searching ------------------------------------------------------------------------------------


def test_a_search_that_fails_for_good(archive: Archive, config: DictConfig) -> None:
    archive.faults["/stac/search"] = [503] * 99
    with pytest.raises(InputError, match=r"search of sar.stac.endpoint=.*3 retries \(HTTP 503\)"):
        plan_acquisition(config, EVENT, AOI)
    assert len(archive.requests("/stac/search")) == 4


@pytest.mark.parametrize(("status", "word"), [(403, "key"), (404, "address"), (400, "address")])
def test_a_search_that_is_refused_is_not_repeated(
    archive: Archive, config: DictConfig, status: int, word: str
) -> None:
    archive.faults["/stac/search"] = [status] * 99
    with pytest.raises(InputError, match=f"HTTP {status}.*{word}"):
        plan_acquisition(config, EVENT, AOI)
    assert len(archive.requests("/stac/search")) == 1


def test_an_archive_that_does_not_answer(config: DictConfig) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        config.sar.stac.endpoint = f"http://127.0.0.1:{free.getsockname()[1]}/stac"
    with pytest.raises(InputError, match=r"fails after 3 retries .*Connection refused") as caught:
        plan_acquisition(config, EVENT, AOI)
    assert "\n" not in str(caught.value)


def test_an_endpoint_that_is_no_address(config: DictConfig) -> None:
    config.sar.stac.endpoint = "nowhere"
    with pytest.raises(InputError, match=r"sar.stac.endpoint=nowhere does not answer"):
        plan_acquisition(config, EVENT, AOI)


@pytest.mark.parametrize("path", ["/stac", "/stac/search"])
def test_an_answer_that_is_no_archives(archive: Archive, config: DictConfig, path: str) -> None:
    archive.faults[path] = ["html"]
    with pytest.raises(InputError, match="does not answer as a STAC API"):
        plan_acquisition(config, EVENT, AOI)


def test_a_search_without_results(archive: Archive, config: DictConfig) -> None:
    images = archive.items[IMAGES].copy()
    archive.items[IMAGES].clear()
    with pytest.raises(InputError, match=r"images of .* has no image of the area from 2018-07-07"):
        plan_acquisition(config, EVENT, AOI)
    archive.items[IMAGES] = images
    archive.items[ELEVATION].clear()
    with pytest.raises(InputError, match=r"elevation of .* has no elevation of the area"):
        acquire_from_archive(config, EVENT, AOI)


@pytest.mark.parametrize("key", ["sat:orbit_state", "sat:relative_orbit"])
def test_an_item_without_orbit(archive: Archive, config: DictConfig, key: str) -> None:
    wanted = archive.items[IMAGES][1]
    del wanted["properties"][key]
    with pytest.raises(InputError, match=f"item {wanted['id']} has no {key}"):
        plan_acquisition(config, EVENT, AOI)


def test_an_item_of_a_period_has_the_time_of_its_start() -> None:
    period = {"datetime": None, "start_datetime": "2018-09-05T08:42:30Z"}
    assert ArchiveItem("x", AOI, {}, period).time == datetime(2018, 9, 5, 8, 42, 30, tzinfo=UTC)


def test_an_area_is_needed_on_one_side_of_the_antimeridian(config: DictConfig) -> None:
    with pytest.raises(InputError, match="needs an area"):
        acquire_from_archive(config, EVENT, None)
    with pytest.raises(InputError, match="antimeridian"):
        acquire_from_archive(config, EVENT, shapely.box(179, 50, 181, 51))


# Choosing -------------------------------------------------------------------------------------


def make_item(
    time: str, track: int = 68, share: float = 1.0, direction: str = "ascending", part: str = ""
) -> ArchiveItem:
    west, south, east, north = AOI.bounds
    footprint = shapely.box(west, south, west + share * (east - west), north)
    properties = {
        "datetime": time,
        "platform": "sentinel-1a",
        "sat:orbit_state": direction,
        "sat:relative_orbit": track,
    }
    return ArchiveItem(f"{track}_{time}{part}", footprint, {}, properties)


ANYTHING = TrackRequest()


def chosen(
    slices: list[ArchiveItem], request: TrackRequest = ANYTHING, event: Event = EVENT
) -> list[str] | None:
    choice = choose_track(group_tracks(slices, AOI), event, "ascending", request)
    if choice is None:
        return None
    dates = [f"{overpass.time:%m-%d}" for overpass in choice.overpasses.values()]
    return [str(choice.track.relative_orbit), *dates]


def days(track: int, *dates: str, share: float = 1.0) -> list[ArchiveItem]:
    return [make_item(f"2018-{date}T08:42:00Z", track, share) for date in dates]


def test_dates_of_different_tracks_are_never_mixed() -> None:
    slices = days(68, "08-24", "09-17", "09-29") + days(170, "09-04", "09-16")
    assert chosen(slices) == ["68", "08-24", "09-17", "09-29"]


def test_a_track_that_misses_the_area_is_not_chosen_for_its_dates() -> None:
    slices = days(68, "08-30", "09-17") + days(170, "09-04", "09-06", "09-12", share=0.3)
    assert chosen(slices) == ["68", "08-30", "09-17"]


def test_among_equals_the_track_that_is_complete_earlier_is_chosen() -> None:
    slices = days(68, "08-30", "09-07", "09-19") + days(170, "08-30", "09-10", "09-16")
    assert chosen(slices) == ["170", "08-30", "09-10", "09-16"]
    slices = days(170, "08-30", "09-10", "09-16") + days(68, "08-30", "09-10", "09-16")
    assert chosen(slices) == ["68", "08-30", "09-10", "09-16"]


def test_an_overpass_with_a_missing_slice_is_skipped() -> None:
    slices = days(68, "08-24", "09-11", "09-17") + days(68, "09-05", share=0.5)
    assert chosen(slices) == ["68", "08-24", "09-11", "09-17"]


def test_slices_on_both_sides_of_midnight_are_one_overpass() -> None:
    slices = [
        make_item(f"2018-08-{day}T{clock}Z")
        for day, clock in (("24", "23:59:50"), ("25", "00:00:15"))
    ]
    (track,) = group_tracks(slices, AOI)
    assert [len(overpass.slices) for overpass in track.overpasses] == [2]


def test_no_choice_without_an_image_before_and_after() -> None:
    assert chosen(days(68, "08-24", "08-30")) is None
    assert chosen(days(68, "09-11", "09-17")) is None
    assert chosen(days(68, "08-24") + days(170, "09-11")) is None


def test_an_image_of_a_day_that_may_be_the_events_is_on_neither_side() -> None:
    event = Event.of("", "2018-09-06")
    slices = days(68, "08-24", "09-05", "09-06", "09-11", "09-17")
    assert chosen(slices, event=event) == ["68", "09-05", "09-11", "09-17"]
    evening = [make_item("2018-09-05T20:43:00Z"), *days(68, "08-24", "09-11")]
    assert chosen(evening, event=event) == ["68", "08-24", "09-11"]
    # The earthquake of 6 September struck on 5 September in UTC.
    assert event.side_of(datetime(2018, 9, 5, 18, 8, tzinfo=UTC)) == "unsure"
    assert EVENT.side_of(EVENT.time + timedelta(hours=3)) == "after"


def test_a_requested_track_or_dates_are_taken() -> None:
    slices = days(68, "08-24", "08-30", "09-17", "09-29") + days(170, "09-04", "09-10", "09-16")
    assert chosen(slices) == ["170", "09-04", "09-10", "09-16"]
    assert chosen(slices, TrackRequest(68)) == ["68", "08-30", "09-17", "09-29"]
    request = TrackRequest(dates=["2018-08-24", "2018-09-29"])
    assert chosen(slices, request) == ["68", "08-24", "09-29"]
    request = TrackRequest(dates=["2018-08-24T08:40:00Z", "2018-09-17T08:42:00Z", "2018-09-29"])
    assert chosen(slices, request) == ["68", "08-24", "09-17", "09-29"]


def test_a_stack_takes_the_last_dates_before_and_the_first_ones_after() -> None:
    before = ["06-13", "06-25", "07-07", "07-19", "07-31", "08-12", "08-24"]
    slices = days(68, *before, "09-17", "09-29", "10-11", "10-23")
    request = TrackRequest(before=5, after=3)
    assert chosen(slices, request) == ["68", *before[-5:], "09-17", "09-29", "10-11"]
    # A track with one date before has no scatter, and one with more dates is preferred.
    fewer = days(170, "09-04", "09-16", "09-28", "10-10") + slices
    assert chosen(fewer, request) == ["68", *before[-5:], "09-17", "09-29", "10-11"]
    assert chosen(days(170, "09-04", "09-16"), request) is None
    request = TrackRequest(dates=["2018-10-11", *(f"2018-{day}" for day in before[3:])])
    assert chosen(slices, request) == ["68", *before[3:], "10-11"]
    request = TrackRequest(dates=[f"2018-{day}" for day in before])
    assert chosen(slices, request) == ["68", *before]
    with pytest.raises(InputError, match="needs dates before the event"):
        chosen(slices, TrackRequest(dates=["2018-09-17", "2018-09-29", "2018-10-11", "2018-10-23"]))


def test_a_track_with_an_image_after_the_event_is_preferred_to_a_longer_past() -> None:
    past, request = ["06-13", "06-25", "07-07", "08-24"], TrackRequest(before=4)
    assert chosen(days(68, *past), request) == ["68", *past]
    flown_next = days(170, *("06-12", "06-24", "07-06", "08-23"))
    assert chosen(days(68, *past) + flown_next, request) == [
        "170",
        "06-12",
        "06-24",
        "07-06",
        "08-23",
    ]
    other = days(170, "08-24", "09-04", "09-16")
    assert chosen(days(68, *past) + other, request) == ["170", "08-24", "09-04", "09-16"]
    clipped = days(170, "08-24", "09-04", "09-16", share=0.1)
    assert chosen(days(68, *past) + clipped, request) == ["68", *past]


def test_the_next_pass_is_that_of_any_satellite_after_the_event() -> None:
    # S1A flew on 20 November, S1C is known until the 14th: due on 2 December and 26 November.
    first, second = make_item("2018-11-14T08:42:00Z"), make_item("2018-11-20T08:42:00Z")
    first = first._replace(properties={**first.properties, "platform": "sentinel-1c"})
    track = group_tracks([first, second], AOI)[0]
    for day, due in (("25T03:00", "11-26 S1C"), ("27T03:00", "12-02 S1A")):
        event = Event("", datetime.fromisoformat(f"2018-11-{day}:00+00:00"), exact=True)
        time, platform = track.next_overpass(event)
        assert f"{time:%m-%d} {platform}" == due


def test_a_satellite_that_has_stopped_flying_is_not_expected() -> None:
    # S1B failed in December 2021; S1A has flown since.
    dead, alive = make_item("2021-12-20T08:42:00Z"), make_item("2022-03-14T08:42:00Z")
    dead = dead._replace(properties={**dead.properties, "platform": "sentinel-1b"})
    track = group_tracks([dead, alive], AOI)[0]
    time, platform = track.next_overpass(Event.of("", "2022-03-16T14:36Z"))
    assert f"{time:%m-%d} {platform}" == "03-26 S1A"


def test_a_request_that_cannot_be_met_names_what_is_available() -> None:
    slices = days(68, "08-24", "09-17") + days(170, "09-04", "09-16")
    with pytest.raises(InputError, match=r"relative_orbit.ascending=46 .* tracks are: 68, 170"):
        chosen(slices, TrackRequest(46))
    with pytest.raises(
        InputError, match=r"sar.dates.ascending=\[2018-08-24,2018-09-16\].*track 68"
    ):
        chosen(slices, TrackRequest(dates=["2018-08-24", "2018-09-16"]))
    with pytest.raises(InputError, match="is not a date"):
        chosen(slices, TrackRequest(dates=["yesterday", "2018-09-16"]))


def test_requested_dates_are_searched_beyond_the_usual_period(
    archive: Archive, config: DictConfig
) -> None:
    add_image(archive, "2018-03-01T08:42:00Z", "ascending", 68)
    config.sar.dates = {"ascending": ["2018-03-01", "2018-09-17"], "descending": None}
    image = acquire_from_archive(config, EVENT, AOI).orbits["ascending"]
    assert [f"{each.time:%Y-%m-%d}" for each in image.values()] == ["2018-03-01", "2018-09-17"]
    config.sar.dates = {"ascending": ["2018-03-01"], "descending": None}
    with pytest.raises(
        InputError, match=r"sar.dates.ascending=\[2018-03-01\] needs two or three dates"
    ):
        acquire_from_archive(config, EVENT, AOI)


def test_gaps_and_choices_of_the_archive_are_noted(archive: Archive, config: DictConfig) -> None:
    archive.items[IMAGES] = [
        each
        for each in archive.items[IMAGES]
        if each["properties"]["datetime"] < "2018-09-14"
        and not (each["id"].startswith("S1_2018-09-13") and each["id"].endswith("_s"))
    ]
    sources = acquire_from_archive(config, EVENT, AOI)
    assert list(sources.orbits["descending"]) == ["pre", "post1"]
    notes = "\n".join(sources.notes)
    assert "ascending: no track has an image both before and after the event" in notes
    assert "descending track 46: only one image after the event" in notes
    assert "2018-09-25, day 20 (S1B)" in notes


def test_no_orbit_is_usable(archive: Archive, config: DictConfig) -> None:
    archive.items[IMAGES] = archive.items[IMAGES][:2]
    with pytest.raises(InputError, match=r"no track with an image both before and after the event"):
        acquire_from_archive(config, EVENT, AOI)


def test_the_archives_description_is_complete(config: DictConfig) -> None:
    config.sar.polarisations = ["hh"]
    with pytest.raises(InputError, match=r"'hh'.*sar.stac.assets"):
        acquire_from_archive(config, EVENT, AOI)
    config.sar.stac.timeout = "soon"
    with pytest.raises(InputError, match=r"sar.stac.timeout=soon is not a number above 0"):
        acquire_from_archive(config, EVENT, AOI)
    config.sar.stac = {}
    with pytest.raises(InputError, match=r"sar.stac.endpoint is not set"):
        acquire_from_archive(config, EVENT, AOI)


def test_boxes_are_cut_the_same_for_nearly_the_same_area(config: DictConfig) -> None:
    acquire_from_archive(config, EVENT, AOI)
    files = cached(config)
    names = {Path(name).parts[2] for name in files}
    assert all(Box(*map(float, name.split("_"))) for name in names)
    acquire_from_archive(config, EVENT, AOI.buffer(1e-7, join_style="mitre"))
    assert cached(config) == files


# A scene -------------------------------------------------------------------------------------


def test_a_scene_comes_out_of_an_archive(
    archive: Archive, config: DictConfig, tmp_path: Path
) -> None:
    west, south, east, north = AOI.bounds
    whole = composed(
        f"root={tmp_path}/scene",
        f"aoi=[{west},{south},{east},{north}]",
        "event.date=2018-09-05T18:08:00Z",
        "sar.source=stac",
        f"cache={config.cache}",
        name="prepare",
    )
    whole.sar.stac = config.sar.stac
    prepare_scene(whole)
    with rasterio.open(tmp_path / "scene" / "ascending.tif") as source:
        assert source.descriptions == (
            *("vv_pre", "vv_post1", "vv_post2", "slope"),
            *("aspect", "local_incidence_angle", "layover_shadow"),
        )
        pixels, slope, angle = source.read(3), source.read(4), source.read(6)
        col, row = (round(n) for n in ~NORTH * (source.transform.c, source.transform.f))
        assert source.res == (10, 10)
    original = backscatter(hash_of("S1_2018-09-29_A068_n"))
    np.testing.assert_allclose(
        pixels, original[row:, col:][: pixels.shape[0], : pixels.shape[1]], rtol=1e-6
    )
    with rasterio.open(tmp_path / "scene" / "descending.tif") as source:
        assert np.isfinite(source.read([1, 2, 3])).all()
    info = json.loads((tmp_path / "scene" / "scene.json").read_text())
    assert info["dates"]["descending"]["vv_post1"] == "2018-09-13"
    assert info["images"]["ascending"]["pre"]["relative_orbit"] == 68
    # No option gives an angle: it follows from tracks 68 and 46.
    for direction, track in (("ascending", 68), ("descending", 46)):
        longitude, latitude = (info["grid"]["middle"][key] for key in ("longitude", "latitude"))
        view = viewing_geometry(track, direction, longitude, latitude)
        assert info["geometry"][direction]["incidence"] == pytest.approx(view.incidence, abs=0.01)
        assert info["geometry"][direction]["look"] == pytest.approx(view.look_azimuth, abs=0.01)
    view = viewing_geometry(68, "ascending", AOI.centroid.x, AOI.centroid.y)
    assert (np.abs(angle - view.incidence) <= slope + 0.1).all()
    assert any("follows from track 68" in note for note in info["notes"])
    assert not info["warnings"]
    assert info["dem"]["items"] == ["dem"]


@pytest.mark.slow
def test_a_stack_comes_out_of_an_archive_and_is_not_downloaded_twice(
    archive: Archive, config: DictConfig, tmp_path: Path
) -> None:
    for day in ("2018-07-19", "2018-07-31", "2018-08-12"):
        platform = "SENTINEL-1B" if day == "2018-07-31" else "SENTINEL-1A"
        add_image(archive, f"{day}T08:42:30Z", "ascending", 68, platform=platform)
    west, south, east, north = AOI.bounds
    whole = composed(
        *(f"root={tmp_path / 'scene'}", f"aoi=[{west},{south},{east},{north}]", "dem=none"),
        *("event.date=2018-09-05T18:08:00Z", "sar.source=stac", f"cache={config.cache}"),
        *("sar.before=4", "overwrite=true", "sar.polarisations=[vv,vh]"),
        name="prepare",
    )
    whole.sar.stac = config.sar.stac
    info = prepare_scene(whole).info
    dates = info["stack"]["ascending"]
    assert [(date["date"], date["platform"], date["side"]) for date in dates] == [
        ("2018-07-31", "S1B", "pre"),
        *((day, "S1A", "pre") for day in ("2018-08-12", "2018-08-24", "2018-09-05")),
        *((day, "S1A", "post") for day in ("2018-09-17", "2018-09-29")),
    ]
    # The other pass has one date before the event, of which no scatter can be made.
    assert list(info["stack"]) == ["ascending"]
    assert any("descending: no track has two images, as a stack" in n for n in info["notes"])
    assert info["dem"] is None
    archive.log.clear()
    prepare_scene(whole)
    assert not archive.requests("/data")

"""A response to an event, against an archive on this machine in which images appear."""

import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import torch
from affine import Affine
from builders import read_band, write_image
from commands import PROCESSES, SMALL, composed, run_here
from filelock import FileLock
from geopandas.testing import assert_geodataframe_equal
from omegaconf import DictConfig
from rasterio.crs import CRS
from rasterio.io import MemoryFile
from rasterio.warp import transform_bounds
from stac_server import Archive

from landslide.errors import InputError
from landslide.geo import files, folders
from landslide.geo.grid import Grid
from landslide.prepare import prepare
from landslide.respond import steps
from landslide.respond.response import respond_to_event

pytest.importorskip("pystac_client", reason="the optional extra stac")

UTM, SIZE = CRS.from_epsg(32654), 160
TRANSFORM = Affine(10, 0, 600_000, 0, -10, 4_740_000)
BOUNDS = transform_bounds(UTM, "EPSG:4326", 600_000, 4_738_400, 601_600, 4_740_000)
AOI = transform_bounds(UTM, "EPSG:4326", 600_250, 4_738_650, 601_350, 4_739_750)
EVENT = datetime(2018, 9, 5, 18, 8, tzinfo=UTC)
NOW = datetime(2018, 9, 7, tzinfo=UTC)
TRACKS = {"ascending": (68, "08:42:30"), "descending": (46, "20:43:00")}
BEFORE = {
    "ascending": ["2018-07-07", "2018-07-19", "2018-07-31", "2018-08-12", "2018-08-24"],
    "descending": ["2018-07-09", "2018-07-21", "2018-08-02", "2018-08-14", "2018-08-26"],
}
WEEKS = [
    (),
    (("descending", "2018-09-07"),),
    (("ascending", "2018-09-17"),),
    (("descending", "2018-09-19"),),
    (("ascending", "2018-09-29"),),
]
"""Images that appear in the archive before each of five runs."""


def add_image(archive: Archive, direction: str, day: str) -> None:
    track, time = TRACKS[direction]
    name = f"S1_{day}_{track:03d}"
    rng = np.random.default_rng([int(day.replace("-", "")), track])
    assets = {}
    for asset, mean in (("vv", 0.1), ("vh", 0.02)):
        pixels = mean * rng.gamma(4, 1 / 4, (SIZE, SIZE))
        if day > "2018-09-06":
            pixels[60:80, 70:110] *= 0.2
            if day < "2018-09-15":  # something that does not last
                pixels[100:115, 40:60] *= 0.2
        profile = {"driver": "COG", "dtype": "float32", "count": 1, "nodata": -32768}
        with MemoryFile() as memory:
            size = {"height": SIZE, "width": SIZE, "crs": UTM, "transform": TRANSFORM}
            with memory.open(**profile, **size, compress="deflate") as sink:
                sink.write(pixels.astype(np.float32), 1)
            archive.files[f"/data/{name}_{asset}.tif"] = bytes(memory.read())
        assets[asset] = {"href": f"{archive.address}/data/{name}_{asset}.tif"}
    archive.items["images"].append(
        {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": name,
            "geometry": shapely.geometry.mapping(shapely.box(*BOUNDS)),
            "bbox": list(BOUNDS),
            "properties": {
                "datetime": f"{day}T{time}Z",
                "platform": "SENTINEL-1A",
                "sat:orbit_state": direction,
                "sat:relative_orbit": track,
            },
            "assets": assets,
            "links": [],
            "collection": "images",
        }
    )


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    monkeypatch.setattr("landslide.prepare.stac.archive.PAUSE", 0.05)
    monkeypatch.setattr("landslide.prepare.stac.download.PAUSE", 0.05)
    monkeypatch.setattr("landslide.prepare.prepare.draw_figures", lambda *_: None)
    with Archive() as archive:
        for direction, days in BEFORE.items():
            for day in days:
                add_image(archive, direction, day)
        yield archive


def archive_words(archive: Archive) -> list[str]:
    return [
        *(f"sar.stac.endpoint={archive.address}/stac", "sar.stac.sign=null"),
        *("sar.stac.collection=images", "sar.stac.timeout=5", "sar.stac.retries=2"),
    ]


def words(archive: Archive, **changes: object) -> list[str]:
    preparation = [*archive_words(archive), "dem=none"]
    options = {
        "root": "response",
        "maps": "maps",
        "event.date": f"{EVENT:%Y-%m-%dT%H:%M:%SZ}",
        "aoi": f"[{','.join(map(str, AOI))}]",
        "before": 5,
        "checkpoint": "log_ratio",
        "prepare": f"""['{"','".join(preparation)}']""",
    }
    return [f"{key}={value}" for key, value in (options | changes).items()]


def hilly_dem(folder: Path) -> Path:
    grid = Grid(UTM, Affine(30, 0, 599_000, 0, -30, 4_741_000), 120, 120)
    east, south = np.meshgrid(np.arange(120), np.arange(120))
    heights = 400 + 150 * np.sin(east / 6) * np.cos(south / 7)
    return write_image(folder / "dem.tif", heights.astype(np.float32), grid)


def respond_config(archive: Archive, **changes: object) -> DictConfig:
    return composed(*words(archive, **changes), name="respond")


def maps_in(folder: Path) -> list[str]:
    return sorted(p.name for p in (folder / "maps").glob("[!.]*") if p.is_dir())


def changes_of(folder: Path) -> dict[str, int]:
    changes = json.loads((folder / "basis.json").read_text())["changes"]
    return {status: numbers["polygons"] for status, numbers in changes.items()}


@pytest.mark.slow
def test_maps_follow_the_images(
    archive: Archive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    titles: list[str] = []
    draw = steps.draw_changes

    def draw_titled(changes: gpd.GeoDataFrame, image: Path, title: str, path: Path) -> None:
        titles.append(title)
        draw(changes, image, title, path)

    monkeypatch.setattr(steps, "draw_changes", draw_titled)
    config = respond_config(archive)
    assert not respond_to_event(config, NOW)
    state = json.loads(Path("response/response.json").read_text())
    due = {track["direction"]: track["due"] for track in state["tracks"]}
    assert due == {"ascending": "2018-09-17 08:42 UTC", "descending": "2018-09-07 20:43 UTC"}
    assert not archive.requests("/data")
    expected = ["2018-09-07", "2018-09-17", "2018-09-19", "2018-09-29"]
    for number, images in enumerate(WEEKS[1:], 1):
        for image in images:
            add_image(archive, *image)
        archive.log.clear()
        assert respond_to_event(config, NOW)
        assert maps_in(tmp_path) == expected[:number]
        printed = [line for line in capsys.readouterr().out.split() if line.startswith("maps/")]
        assert len(printed) > 5
        assert all(Path(name).exists() for name in printed)
        # The new image alone is fetched, and the first time its past.
        fetched = {name for _, name, *_ in archive.requests("/data")}
        assert len(fetched) == (22 if number == 1 else 2)
        archive.log.clear()
        assert respond_to_event(config, NOW)
        assert maps_in(tmp_path) == expected[:number]
        assert not archive.requests("/data")
    first, second = (json.loads(Path(f"maps/{m}/basis.json").read_text()) for m in expected[:2])
    assert first["orbits"] == ["descending"]
    assert second["orbits"] == ["ascending", "descending"]
    assert [image["direction"] for image in first["images_after"]] == ["descending"]
    assert changes_of(Path("maps") / expected[0])["new"] >= 2
    assert changes_of(Path("maps") / expected[1])["confirmed"] >= 1
    assert changes_of(Path("maps") / expected[3])["confirmed"] >= 1
    withdrawn = sum(changes_of(Path("maps") / name)["withdrawn"] for name in expected)
    assert withdrawn >= 1
    page = Path("maps/index.html").read_text()
    assert all(f'href="{name}/report.html"' in page for name in expected)
    assert f'src="{expected[-1]}/changes.png"' in page
    assert all(Path("maps", name, "changes.png").exists() for name in expected)
    against = [f"Map {new} against map {old}" for old, new in pairwise(expected)]
    assert titles == [f"Map {expected[0]}, the first", *against]
    catalog = json.loads(Path("maps/catalog.json").read_text())
    items = [link["href"] for link in catalog["links"] if link["rel"] == "item"]
    assert items == [f"./{name}/item.json" for name in expected]


@pytest.mark.slow
def test_a_launcher_spreads_the_scene_and_the_map_of_a_response(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    monkeypatch.chdir(tmp_path)
    add_image(archive, "descending", "2018-09-07")
    spread = [
        *("launcher=joblib", "hydra.launcher.n_jobs=2", "predict=['parts=2','window.size=64']"),
        *words(archive, root="spread", maps="maps/spread"),
    ]
    prepared = ["parts=2", *archive_words(archive), "dem=none"]
    spread[-1] = f"""prepare=['{"','".join(prepared)}']"""
    run_here("respond", *spread, cwd=tmp_path)
    run_here("respond", *words(archive, root="alone", maps="maps/alone"), cwd=tmp_path)
    one, other = (tmp_path / "maps" / name / "2018-09-07" for name in ("alone", "spread"))
    assert "parts" in json.loads((other / "summary.json").read_text())["seconds"]
    for product in ("score.tif", "landslides.tif"):
        np.testing.assert_array_equal(read_band(one / product), read_band(other / product))


def run_until_killed(config: DictConfig, steps: int) -> None:
    """Respond, and die like a process without power before file number ``steps`` is in place."""
    left = [steps]
    whole = files.put_in_place
    prepare.draw_figures = lambda *_: None  # type: ignore[assignment]

    def put_in_place(path: Path, target: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        whole(path, target)

    files.put_in_place = folders.put_in_place = put_in_place
    respond_to_event(config, NOW)


@pytest.mark.slow
def test_a_response_that_is_killed_at_random_moments_makes_the_same_maps(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, rng = respond_config(archive), np.random.default_rng(16)
    kills = 0
    for images in WEEKS:
        for image in images:
            add_image(archive, *image)
        (tmp_path / "broken").mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / "broken")
        for _ in range(2):
            steps = int(rng.integers(25))
            process = PROCESSES.Process(target=run_until_killed, args=(config, steps))
            process.start()
            process.join(300)
            kills += process.exitcode == -signal.SIGKILL
        (tmp_path / "whole").mkdir(exist_ok=True)
        for folder in ("broken", "whole"):
            monkeypatch.chdir(tmp_path / folder)
            respond_to_event(config, NOW)
    assert kills >= 4
    assert maps_in(tmp_path / "broken") == maps_in(tmp_path / "whole")
    assert len(maps_in(tmp_path / "whole")) == 4
    for name in maps_in(tmp_path / "whole"):
        one, other = (tmp_path / folder / "maps" / name for folder in ("broken", "whole"))
        for product in ("score.tif", "landslides.tif", "changes.gpkg", "basis.json"):
            assert (one / product).read_bytes() == (other / product).read_bytes(), (name, product)
        # The package holds the time of its making.
        polygons, others = (
            gpd.read_file(f / "landslides.gpkg", layer="landslides") for f in (one, other)
        )
        assert_geodataframe_equal(polygons, others)


@pytest.mark.slow
def test_an_archive_that_fails_keeps_what_was_done_and_the_next_run_goes_on(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    add_image(archive, "descending", "2018-09-07")
    config = respond_config(archive)
    archive.faults["/data/S1_2018-09-07_046_vh.tif"] = [503] * 50
    with pytest.raises(InputError) as caught:
        respond_to_event(config, NOW)
    assert "\n" not in str(caught.value)
    assert not maps_in(tmp_path)
    kept = {path.name for path in Path("data/cache").rglob("*.tif")}
    assert kept
    archive.faults.clear()
    archive.log.clear()
    assert respond_to_event(config, NOW)
    assert maps_in(tmp_path) == ["2018-09-07"]
    assert not {Path(name).name for _, name, *_ in archive.requests("/data")} & kept


def test_without_an_image_the_program_ends_with_a_status_of_its_own(
    archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_here("respond", *words(archive), cwd=tmp_path)
    assert ended.value.code == 75
    printed = capsys.readouterr().out
    assert "No image to map is there yet. Due: descending track 46 " in printed
    # By today's clock both are overdue.
    assert "46 since 2018-09-07 20:43 UTC (S1A); ascending track 68 since 2018-09-17" in printed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event.date": "2018-10-05T00:00:00Z"}, "is in the future"),
        ({"event.date": "2011-03-11T05:46:00Z"}, "is before Sentinel-1"),
        ({"aoi": "[179.5,-17,-179.5,-16]"}, "crosses the antimeridian"),
        ({"aoi": "[20,81,22,82]"}, "lies at a pole"),
        ({"aoi": "null"}, "needs an area"),
    ],
)
def test_an_event_that_cannot_be_responded_to_is_one_sentence(
    change: dict[str, object], message: str, archive: Archive, tmp_path: Path
) -> None:
    config = respond_config(archive, **{"root": tmp_path / "r", **change})
    with pytest.raises(InputError, match=message) as caught:
        respond_to_event(config, EVENT + timedelta(days=2))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "r").exists()


def training_config(archive: Archive, folder: Path, epochs: int) -> DictConfig:
    """A response that trains small networks on the past of hills."""
    training = [word for word in SMALL if not word.startswith("trainer.max_epochs")]
    training += ["split=time", "datamodule.windows=8", f"trainer.max_epochs={epochs}"]
    return respond_config(
        archive,
        checkpoint="null",
        prepare=f"""['{"','".join([*archive_words(archive), f"dem={hilly_dem(folder)}"])}']""",
        train=f"""['{"','".join(training)}']""",
    )


@pytest.mark.slow
def test_networks_are_trained_while_no_image_is_there_and_then_map_at_once(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = training_config(archive, tmp_path, epochs=1)
    assert not respond_to_event(config, NOW)
    networks = {path: path.stat().st_mtime_ns for path in Path("response").rglob("best.ckpt")}
    kinds = sorted(path.parts[2].partition("-")[0] for path in networks)
    assert kinds == ["ascending", "descending", "fused"]
    for image, orbits in ((WEEKS[1], ["descending"]), (WEEKS[2], ["ascending", "descending"])):
        add_image(archive, *image[0])
        assert respond_to_event(config, NOW)
        made = json.loads(Path("response/response.json").read_text())["maps"][-1]
        assert made["orbits"] == orbits
        assert Path(made["checkpoint"]) in networks
        assert (Path(made["folder"]) / "probability.tif").exists()
    after = {path: path.stat().st_mtime_ns for path in Path("response").rglob("best.ckpt")}
    assert after == networks


def respond_with_training(config: DictConfig) -> None:
    prepare.draw_figures = lambda *_: None  # type: ignore[assignment]
    respond_to_event(config, NOW)


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    archive.items["images"] = [i for i in archive.items["images"] if "_046" in i["id"]]
    config = training_config(archive, tmp_path, epochs=12)
    process = PROCESSES.Process(target=respond_with_training, args=(config,))
    process.start()
    while not (found := list(tmp_path.rglob("last.ckpt"))) and process.is_alive():
        time.sleep(0.02)
    process.kill()
    process.join()
    (last,) = found
    assert not (last.parents[1] / "metrics.json").exists()
    done = torch.load(last, weights_only=False)["epoch"] + 1
    assert 1 <= done < 12
    assert not respond_to_event(config, NOW)
    assert (last.parents[1] / "metrics.json").exists()
    rows = pd.read_csv(next(last.parents[1].rglob("metrics.csv")))
    assert (rows.epoch.min(), rows.epoch.max()) == (done, 11)
    assert len(list(tmp_path.rglob("last.ckpt"))) == 1


def test_a_plan_fetches_no_image_and_tells_what_each_track_sees(
    archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    preparation = [*archive_words(archive), f"dem={hilly_dem(tmp_path)}"]
    prepared = f"""['{"','".join(preparation)}']"""
    run_here("respond", *words(archive, plan="true", prepare=prepared), cwd=tmp_path)
    printed = capsys.readouterr().out
    assert "ascending 68" in printed
    assert "descending 46" in printed
    assert not archive.requests("/data")
    assert sorted(path.name for path in (tmp_path / "response").iterdir()) == ["views.png"]
    slide = gpd.GeoSeries([shapely.box(*AOI).centroid.buffer(0.001)], crs=4326)
    slide.to_file(tmp_path / "slide.gpkg")
    more = {"plan": "true", "prepare": prepared, "slopes": tmp_path / "slide.gpkg"}
    run_here("respond", *words(archive, **more), cwd=tmp_path)
    assert "Ground of slide.gpkg" in capsys.readouterr().out


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Kinds of networks that a response trains, of which none is made."""
    kinds: list[str] = []

    def train(scene: Path, kind: str, words: list[str], folder: Path) -> Path:
        kinds.append(kind)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "best.ckpt").write_text(kind)
        return folder / "best.ckpt"

    def make_map(_: Path, __: list[str], output: Path, basis: dict[str, Any], *___: object) -> None:
        output.mkdir(parents=True)
        (output / "basis.json").write_text(json.dumps(basis))

    def read_by(checkpoint: str, seen: list[str]) -> list[str]:
        if checkpoint == "log_ratio":
            return seen
        kind = Path(checkpoint).read_text()
        return ["ascending", "descending"] if kind == "fused" else [kind]

    for name, stand_in in (("train_network", train), ("make_map", make_map)):
        monkeypatch.setattr(f"landslide.respond.response.{name}", stand_in)
    monkeypatch.setattr("landslide.respond.response.orbits_of_map", read_by)
    monkeypatch.setattr("landslide.respond.response.make_scene", lambda *_: None)
    monkeypatch.setattr("landslide.respond.response.write_page", lambda *_: None)
    return kinds


def test_a_direction_with_too_few_dates_before_is_left_out_and_does_not_stop_the_other(
    archive: Archive,
    tmp_path: Path,
    trained: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    thin = {"S1_2018-07-07_068", "S1_2018-07-19_068"}
    images = archive.items["images"]
    archive.items["images"] = [image for image in images if image["id"] not in thin]
    config = respond_config(archive, checkpoint="null")
    assert not respond_to_event(config, NOW)
    assert trained == ["descending"]
    left_out = "ascending track 68 is left out: it has 3 dates before the event, and training needs"
    assert left_out in capsys.readouterr().out
    add_image(archive, "ascending", "2018-09-17")
    assert not respond_to_event(config, NOW)
    add_image(archive, "descending", "2018-09-19")
    assert respond_to_event(config, NOW)
    assert set(trained) == {"descending"}
    made = json.loads(Path("response/response.json").read_text())["maps"]
    assert [one["orbits"] for one in made] == [["descending"]]


def test_both_directions_with_a_past_are_fused(
    archive: Archive, tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert not respond_to_event(respond_config(archive, checkpoint="null"), NOW)
    assert trained == ["descending", "ascending", "fused"]


def test_an_image_of_an_orbit_that_the_checkpoint_does_not_read_makes_no_map(
    archive: Archive, tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("one.ckpt").write_text("descending")
    config = respond_config(archive, checkpoint="one.ckpt")
    add_image(archive, "descending", "2018-09-07")
    assert respond_to_event(config, NOW)
    add_image(archive, "ascending", "2018-09-17")
    assert respond_to_event(config, NOW)
    assert maps_in(tmp_path) == ["2018-09-07"]
    add_image(archive, "descending", "2018-09-19")
    assert respond_to_event(config, NOW)
    assert maps_in(tmp_path) == ["2018-09-07", "2018-09-19"]
    assert not trained


@pytest.mark.usefixtures("trained")
def test_an_image_of_a_part_of_the_area_is_left_out_and_said(
    archive: Archive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    add_image(archive, "descending", "2018-09-07")
    west, south, east, north = AOI
    cut = shapely.box(west, south, west + 0.9 * (east - west), north)
    archive.items["images"][-1]["geometry"] = shapely.geometry.mapping(cut)
    assert not respond_to_event(respond_config(archive), NOW)
    printed = capsys.readouterr().out
    assert "2018-09-07 20:43 UTC is left out, because it covers 90% of the area" in printed
    tracks = json.loads(Path("response/response.json").read_text())["tracks"]
    left_out = {track["direction"]: track["left_out"] for track in tracks}
    assert left_out["ascending"] == []
    assert left_out["descending"][0]["time"] == "2018-09-07 20:43 UTC"
    assert left_out["descending"][0]["coverage"] == pytest.approx(0.9)


@pytest.mark.usefixtures("trained")
def test_an_image_that_covers_more_than_those_before_does_not_end_a_response(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    west, south, east, north = AOI
    cut = shapely.geometry.mapping(shapely.box(west, south, west + 0.9 * (east - west), north))
    for item in archive.items["images"]:
        item["geometry"] = cut
    for number, day in enumerate(("2018-09-07", "2018-09-19"), 1):
        add_image(archive, "descending", day)
        assert respond_to_event(respond_config(archive), NOW)
        assert len(maps_in(tmp_path)) == number


def test_a_track_that_appears_later_makes_no_second_map_of_the_same_images(
    archive: Archive, tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    images = archive.items["images"]
    first = [each for each in images if "_046" in each["id"]]
    for checkpoint in ("log_ratio", "null"):
        maps = f"maps/{checkpoint}"
        config = respond_config(archive, checkpoint=checkpoint, maps=maps, root=f"r_{checkpoint}")
        archive.items["images"] = list(first)
        add_image(archive, "descending", "2018-09-07")
        assert respond_to_event(config, NOW)
        archive.items["images"] += [each for each in images if "_068" in each["id"]]
        assert respond_to_event(config, NOW)
        assert [path.name for path in Path(maps).glob("2018*")] == ["2018-09-07"]
    assert set(trained) == {"descending"}


@pytest.mark.usefixtures("trained")
def test_maps_of_another_area_and_several_checkpoints_are_refused(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    add_image(archive, "descending", "2018-09-07")
    assert respond_to_event(respond_config(archive), NOW)
    west, south, east, north = AOI
    aoi = f"[{west},{south},{(west + east) / 2},{north}]"
    with pytest.raises(InputError, match="maps/2018-09-07 is a map of another event or area"):
        respond_to_event(respond_config(archive, root="other", aoi=aoi), NOW)
    for name in ("summary.json", "probability.tif"):
        Path("maps/2018-09-07", name).write_text("{}")
    with pytest.raises(SystemExit, match="map=maps/2018-09-07 is one of landslide respond"):
        run_here("polygons", "map=maps/2018-09-07", "threshold=0.4", cwd=tmp_path)
    with pytest.raises(SystemExit, match=r"checkpoint=.*one checkpoint or detector"):
        run_here("respond", *words(archive, checkpoint="[a.ckpt,b.ckpt]"), cwd=tmp_path)


def test_a_run_that_meets_another_ends_with_the_status_of_trying_again(
    archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "response").mkdir()
    with FileLock(tmp_path / "response" / ".lock"), pytest.raises(SystemExit) as ended:
        run_here("respond", *words(archive), cwd=tmp_path)
    assert ended.value.code == 75
    assert "Another run responds in response" in capsys.readouterr().err

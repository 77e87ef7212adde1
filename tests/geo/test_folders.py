"""Results are whole or recognisably unfinished: after a kill, on other disks, beside old files."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from landslide.data.scene import Scene
from landslide.errors import InputError
from landslide.geo.folders import (
    PARTIAL_FOLDER,
    replacing_products,
    replacing_scene,
    require_free_folder,
    work_folder,
)
from landslide.products.writing import PRODUCTS, product_checksums


class Killed(BaseException):
    """The process is killed: nothing is tidied up after it."""


def make(folder: Path, words: str, names: tuple[str, ...] = PRODUCTS) -> None:
    """Write products of a map, the summary last, as `mapping` does."""
    for name in names[:-1]:
        (folder / name).write_text(f"{words} {name}")
    summary = {"map": words, "files": product_checksums(folder)}
    (folder / "summary.json").write_text(json.dumps(summary))


def write_map(output: Path, words: str, names: tuple[str, ...] = PRODUCTS, *, resume: bool) -> None:
    with replacing_products(output, PRODUCTS, {"map": words}, resume=resume) as work:
        if not (work / "finished.txt").exists():
            (work / "probability.tif").write_text(f"{words} probability.tif")
            (work / "finished.txt").write_text("0\n")
        make(work, words, names)


def whole(output: Path) -> str | None:
    """Return the map that a reader finds: the name in its summary and the files listed there."""
    if not (output / "summary.json").exists():
        return None
    summary = json.loads((output / "summary.json").read_text())
    assert product_checksums(output).keys() == summary["files"].keys() | {"summary.json"}
    for name, fingerprint in summary["files"].items():
        assert product_checksums(output)[name] == fingerprint
    return str(summary["map"])


@contextmanager
def killed_after(moves: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Kill the process after some renames and removals of files and folders."""
    left = [moves]

    def counted(does: object) -> object:
        def do(*arguments: object, **options: object) -> object:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return does(*arguments, **options)  # type: ignore[operator]

        return do

    with monkeypatch.context() as patch:
        for owner, name in ((Path, "replace"), (Path, "unlink"), (shutil, "rmtree")):
            patch.setattr(owner, name, counted(getattr(owner, name)))
        yield


def test_a_map_killed_at_any_step_is_the_old_the_new_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str | None] = []
    fewer = tuple(name for name in PRODUCTS if name not in ("metrics.json", "outcome.tif"))
    for moves in range(200):
        output = tmp_path / str(moves)
        write_map(output, "old", resume=False)
        (output / "notes.txt").write_text("mine")
        try:
            with killed_after(moves, monkeypatch):
                write_map(output, "new", fewer, resume=False)
            break
        except Killed:
            found.append(whole(output))
        # The next run, resumed or not, is a whole map, and leaves nothing of its own behind.
        write_map(output, "new", fewer, resume=moves % 2 == 0)
        assert whole(output) == "new"
        assert {path.name for path in output.iterdir()} == {*fewer, "notes.txt"}
    assert found.index(None) > 0
    assert set(found[: found.index(None)]) == {"old"}
    assert found[-1] == "new"
    assert len(found) > len(PRODUCTS)


def test_a_scene_killed_at_any_step_is_refused_or_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(root: Path, words: str) -> None:
        with replacing_scene(root) as work:
            (work / "figures").mkdir()
            for name in ("ascending.tif", "landslides.tif", "figures/scene.png", "scene.json"):
                (work / name).write_text(words)

    answers = []
    for moves in range(100):
        root = tmp_path / str(moves)
        write(root, "old")
        (root / "descending.tif").write_text("old")
        try:
            with killed_after(moves, monkeypatch):
                write(root, "new")
            break
        except Killed:
            files = [path for path in root.rglob("*.*") if PARTIAL_FOLDER not in path.parts]
            words = {path.read_text() for path in files}
            if len(words) > 1 or not (root / "scene.json").exists():
                with pytest.raises(InputError, match="was not finished"):
                    Scene.of(root, "ascending", ["slope"])
            answers.append((root / "scene.json").exists())
        require_free_folder(root, overwrite=True)
        write(root, "new")
        names = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
        assert names == {"ascending.tif", "landslides.tif", "figures/scene.png", "scene.json"}
    assert answers[0] is answers[-1] is True
    assert False in answers


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path) -> None:
    write_map(tmp_path / "map", "old", resume=False)
    with replacing_products(tmp_path / "map", PRODUCTS, {}, resume=False) as work:
        with pytest.raises(InputError, match="another run is writing to"):
            write_map(tmp_path / "map", "other", resume=False)
        with (
            pytest.raises(InputError, match="another run is writing to"),
            replacing_scene(work.parents[1]),
        ):
            pass
        make(work, "first")
    assert whole(tmp_path / "map") == "first"


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from landslide.geo.folders import replacing_products
with replacing_products(Path(sys.argv[1]), ["summary.json"], {"map": "new"}, resume=False) as work:
    (work / "probability.tif").write_text("new probability.tif")
    (work / "finished.txt").write_text("0")
    os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "map")], check=False)
    assert done.returncode == -9
    assert (work_folder(tmp_path / "map") / "finished.txt").exists()
    write_map(tmp_path / "map", "new", resume=True)
    assert whole(tmp_path / "map") == "new"
    assert not (tmp_path / "map" / PARTIAL_FOLDER).exists()


def test_sidecars_of_an_old_product_go_with_it(tmp_path: Path) -> None:
    write_map(tmp_path, "old", resume=False)
    sidecars = ("landslides.gpkg-wal", "landslides.gpkg-shm", "outcome.tif.aux.xml")
    for name in (*sidecars, "landslides.qml", "other.gpkg-wal"):
        (tmp_path / name).write_text("of a GIS")
    write_map(tmp_path, "new", ("landslides.gpkg", "summary.json"), resume=False)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("landslides.gpkg", "probability.tif", "summary.json", "landslides.qml", "other.gpkg-wal")
    }


def test_a_linked_folder_stays_a_link_and_its_target_is_written(tmp_path: Path) -> None:
    for name in ("scene", "map"):
        (tmp_path / name).symlink_to(tmp_path / "disk" / name)  # not there yet
    write_map(tmp_path / "map", "new", resume=False)
    for words in ("old", "new"):
        with replacing_scene(tmp_path / "scene") as work:
            (work / "scene.json").write_text(words)
    assert whole(tmp_path / "disk" / "map") == "new"
    assert (tmp_path / "disk" / "scene" / "scene.json").read_text() == "new"
    assert (tmp_path / "scene").is_symlink()
    assert (tmp_path / "map").is_symlink()


def test_nothing_is_moved_from_another_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make a folder look like a mounted volume: a device other than that of its parent."""
    volume = tmp_path / "volume"
    volume.mkdir()
    rename = os.replace

    def within(source: Path, target: Path) -> None:
        if volume not in Path(source).parents or volume not in Path(target).parents:
            raise OSError(18, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "replace", within)
    require_free_folder(volume, overwrite=False)
    with replacing_scene(volume) as work:
        (work / "scene.json").write_text("new")
    assert [path.name for path in volume.iterdir()] == ["scene.json"]


def fail(folder: AbstractContextManager[Path], error: BaseException) -> None:
    """Finish a block of a map, begin a product, and fail."""
    with folder as work:
        for name in ("probability.tif", "finished.txt", "landslides.gpkg"):
            (work / name).write_text("0\n")
        raise error


@pytest.mark.parametrize("resume", [True, False])
def test_interrupted_work_is_kept_and_resumed_when_asked_for(tmp_path: Path, resume: bool) -> None:
    output = tmp_path / "map"
    with pytest.raises(OSError, match="disk full"):
        fail(replacing_products(output, PRODUCTS, {"a": 1}, resume=False), OSError("disk full"))
    assert [path.name for path in output.iterdir()] == [PARTIAL_FOLDER]
    with replacing_products(output, PRODUCTS, {"a": 1}, resume=resume) as work:
        assert (work / "finished.txt").exists() is resume
        assert not (work / "landslides.gpkg").exists()
        make(work, "new")
    assert whole(output) == "new"


def test_work_under_other_settings_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        fail(replacing_products(tmp_path, PRODUCTS, {"a": 1}, resume=False), Killed())
    with replacing_products(tmp_path, PRODUCTS, {"a": 2}, resume=True) as work:
        assert not (work / "finished.txt").exists()
        make(work, "new")


def test_bad_input_leaves_nothing_behind(tmp_path: Path) -> None:
    error = InputError("no valid pixel")
    folders = (
        replacing_products(tmp_path / "a", PRODUCTS, {}, resume=False),
        replacing_scene(tmp_path / "b"),
    )
    for folder in folders:
        with pytest.raises(InputError, match="no valid"):
            fail(folder, error)
    assert list(tmp_path.iterdir()) == []


def test_a_scene_is_written_to_an_empty_folder_only(tmp_path: Path) -> None:
    require_free_folder(tmp_path, overwrite=False)
    (tmp_path / "thesis.txt").write_text("precious")
    for root in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(InputError, match="is not a scene; choose another root"):
            require_free_folder(root, overwrite=True)

"""Work in parts: what is kept, what is computed again, and what a killed run may still do."""

from functools import partial
from pathlib import Path

import pytest
from launching import LaunchHere

from landslide.errors import InputError
from landslide.geo.files import replacing
from landslide.geo.grid import Grid
from landslide.geo.pieces import Piece
from landslide.parts import Launcher, compute_part, compute_parts, take_over
from landslide.prepare.parts import Parts, ignore

LAUNCHER = Launcher("here")


@pytest.fixture(autouse=True)
def launched(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Numbers of the parts of each sweep; they are computed in this process."""
    return LaunchHere(monkeypatch).launched


def square_on_disk(disk: Path, number: int) -> int:
    if not disk.exists():
        raise InputError(f"{disk} is not mounted")
    return number**2


def test_bad_input_that_was_mended_is_not_said_again(
    tmp_path: Path, launched: list[list[int]]
) -> None:
    disk, work = tmp_path / "disk", tmp_path / "work"
    function = partial(square_on_disk, disk)
    with pytest.raises(InputError, match="not mounted"):
        compute_parts(function, [2, 3, 4], work, LAUNCHER)
    disk.touch()
    assert compute_parts(function, [2, 3, 4], work, LAUNCHER) == [4, 9, 16]
    assert launched == [[0, 1, 2], [0, 1, 2]]
    assert compute_parts(function, [2, 3, 4], work, LAUNCHER) == [4, 9, 16]
    assert len(launched) == 2


def test_results_are_taken_over_under_a_name_that_an_earlier_run_does_not_know(
    tmp_path: Path, launched: list[list[int]]
) -> None:
    first = take_over(tmp_path, "settings")
    compute_parts(abs, [-1, 2], first, LAUNCHER)
    other, second = take_over(tmp_path, "others"), take_over(tmp_path, "settings")
    assert not other.exists()
    assert not first.exists()
    assert compute_parts(abs, [-1, 2], second, LAUNCHER) == [1, 2]
    assert launched == [[0, 1]]


def test_a_launcher_that_fails_is_one_sentence_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # a process of its own
    words = r"launcher=nowhere ended without parts \[0, 1\] \(.*nowhere.*\): .* start again, .*$"
    with pytest.raises(InputError, match=words) as raised:
        compute_parts(abs, [-1, 2], tmp_path / "work", Launcher("nowhere"))
    assert "\n" not in str(raised.value)


def take_over_meanwhile(folder: Path, number: int) -> int:
    take_over(folder, "settings")
    return number


def test_a_part_of_a_killed_run_leaves_nothing(tmp_path: Path) -> None:
    """A part that is computing when its work is taken over, and one that has not begun."""
    first = take_over(tmp_path, "settings")
    with pytest.raises(RuntimeError, match="killed"):
        compute_parts(partial(take_over_meanwhile, tmp_path), [0], first, LAUNCHER)
    [second] = tmp_path.iterdir()
    assert not list(second.glob("*.result"))
    (first / "jobs" / "0").mkdir(parents=True)  # as Hydra does before a part begins
    with pytest.raises(RuntimeError, match="killed"):
        compute_part(first, 0)
    assert list(tmp_path.iterdir()) == [second]


def write_rows(piece: Piece) -> int:
    with replacing(piece.path) as path:
        path.write_text("pixels")
    return piece.rows


def test_a_raster_of_one_piece_is_written_anew(tmp_path: Path, launched: list[list[int]]) -> None:
    """It lies in the scene's work folder, which every run empties."""
    grid = Grid(None, None, 100, 100)  # type: ignore[arg-type]
    raster = tmp_path / "work" / "ascending.tif"
    parts = Parts(ignore, LAUNCHER, 4, tmp_path / "pieces")
    for _ in range(2):
        raster.unlink(missing_ok=True)
        assert parts.write(write_rows, raster, grid, {}) == [100]
        assert raster.exists()
    assert not launched

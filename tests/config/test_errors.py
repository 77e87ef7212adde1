"""Failures of files and disks, and options that Hydra cannot read, end in one sentence."""

import errno
import sqlite3
from pathlib import Path

import pytest
import rasterio.shutil

from landslide.config.program import check_overrides
from landslide.errors import InputError, failures_as_input_errors
from landslide.geo.files import replacing
from landslide.training.checkpoint import write_checkpoint
from landslide.training.task import load_task


def test_a_full_disk_names_the_file_that_was_not_written(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"a\.csv was not written: .*No space left on device"),
        failures_as_input_errors(),
        replacing(tmp_path / "a.csv"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_errors_of_gdal_and_sqlite_become_input_errors(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("no raster")
    with pytest.raises(InputError, match="not recognized"), failures_as_input_errors():
        rasterio.shutil.copy(tmp_path / "a.tif", tmp_path / "b.tif", driver="COG")
    with pytest.raises(InputError, match="locked"), failures_as_input_errors():
        raise sqlite3.OperationalError("database is locked")


@pytest.mark.parametrize("error", [KeyError("a"), TypeError("b"), RuntimeError("c")])
def test_errors_of_the_program_keep_their_traceback(error: Exception) -> None:
    with pytest.raises(type(error)), failures_as_input_errors():
        raise error


@pytest.mark.parametrize(
    "word",
    [
        "checkpoint=epoch=1-step=20.ckpt",
        "scene=my scene (1)",
        "sar.ascending=[date=1/vv.tif,b.tif]",
    ],
)
def test_a_word_that_cannot_be_read_is_named_with_its_cure(word: str) -> None:
    with pytest.raises(SystemExit) as exited:
        check_overrides(["seed=1", word])
    sentence = str(exited.value.code)
    assert sentence.startswith(f"{word} cannot be read")
    check_overrides([sentence.split('"')[1]])  # what is proposed can be read


def test_words_that_hydra_reads_pass() -> None:
    check_overrides(["-m", "seed=1,2", "+a=b", "~c", "bands=[a,b]", "checkpoint='a=b.ckpt'"])


@pytest.mark.parametrize("content", [b"hello world\nthis is a text\n", b"a: 1\n", b"\x08\x08\x12"])
def test_a_file_that_is_no_checkpoint_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.ckpt").write_bytes(content)
    with pytest.raises(InputError, match="not a readable checkpoint"):
        load_task(tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="is a folder"):
        load_task(tmp_path)


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    write_checkpoint({"a": 1}, tmp_path / "a.ckpt")
    old = (tmp_path / "a.ckpt").read_bytes()
    with pytest.raises(AttributeError):
        write_checkpoint({"a": lambda: 1}, tmp_path / "a.ckpt")
    assert (tmp_path / "a.ckpt").read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["a.ckpt"]

"""Failures of files and disks, and options that Hydra cannot read, end in one sentence."""

import errno
import os
import re
import sqlite3
import sys
from pathlib import Path

import pytest
import rasterio.shutil
from commands import run_here

import landslide
from landslide.__main__ import main
from landslide.config.mistakes import check_words
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
        check_words(["seed=1", word])
    sentence = str(exited.value.code)
    assert sentence.startswith(f"{word} cannot be read")
    check_words([sentence.split('"')[1]])  # what is proposed can be read


def test_words_that_hydra_reads_pass() -> None:
    check_words(["--multi", "seed=1,2", "+a=b", "~c", "bands=[a,b]", "checkpoint='a=b.ckpt'"])


MISTAKES = [
    ("train batchsize=4", "batchsize is no option: did you mean batch_size?"),
    ("train dataset.bnds=[slope]", "dataset.bnds is no option: did you mean dataset.bands?"),
    ("train max_epochs=3", "max_epochs is no option: did you mean trainer.max_epochs?"),
    ("train epochs=3", "epochs is no option: `landslide train --help` lists the options"),
    ("train trainer.profiler=simple", r"trainer has no option profiler: choose from .*devices"),
    ("train trainer.precision=16", "trainer.precision=16 .*32-true.*bf16-mixed"),
    ("predict chekpoint=a.ckpt", "chekpoint is no option: did you mean checkpoint?"),
    ("train loss=dise", "loss=dise does not exist: choose from dice, dice_bce, "),
    ("train logger=null", "logger=null names no option: leave it out, or choose from csv"),
    ("train dataset.root={scene} trainer.devices=a", "Trainer': .*devices.* should be an int"),
    ("train --config-dir {mine} model=bad", r"model/bad\.yaml is not valid YAML: .* in line 2, "),
    ("predict checkpoint={mine} scene=a output=b device=gpu", "not one of auto, cpu, cuda"),
    ("predict best.ckpt", "best.ckpt cannot be read: options are written key=value"),
    (
        "train --batch-size 4",
        "--batch-size is no flag: options are .* without dashes, batch_size=…",
    ),
    ("predit checkpoint=a", "predit is no program: choose from simulate, "),
]


@pytest.mark.parametrize(("words", "sentence"), MISTAKES)
def test_a_mistyped_command_is_one_sentence_and_leaves_nothing(
    words: str, sentence: str, scene_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "bad.yaml").write_text("filters: 2\n depth: 3\n")
    (tmp_path / "here").mkdir()
    command = words.format(scene=scene_root, mine=tmp_path / "mine").split()
    argv = sys.argv.copy()
    with pytest.raises(SystemExit) as exited:
        run_here(*command, cwd=tmp_path / "here")
    assert re.search(sentence, str(exited.value.code))
    assert "\n" not in str(exited.value.code)
    assert list((tmp_path / "here").iterdir()) == []
    assert sys.argv == argv
    assert "HYDRA_FULL_ERROR" not in os.environ


def test_a_failed_run_leaves_an_older_one_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.json").touch()
    with pytest.raises(SystemExit, match="no scene folder nowhere"):
        run_here("train", "dataset.root=nowhere", "hydra.run.dir=run", cwd=tmp_path)
    assert (tmp_path / "run" / "metrics.json").exists()


@pytest.mark.parametrize("words", [["--version"], ["train", "--version"]])
def test_the_program_says_its_version(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(words)
    assert capsys.readouterr().out == f"landslide {landslide.__version__}\n"


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

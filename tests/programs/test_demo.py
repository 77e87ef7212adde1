"""The demo that a newcomer types."""

import shlex
import shutil
import subprocess

import pytest
from commands import REPOSITORY, composed

PROGRAMS = ("simulate", "train", "predict", "compare")


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_the_readme_prints_what_make_demo_runs() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "demo"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    lines = [line.replace(".venv/bin/", "") for line in done.stdout.splitlines()]
    commands = [
        line for line in lines if line.startswith(("landslide ", "python train", "python p"))
    ]

    assert len(commands) == 5
    assert "\n".join(commands) in (REPOSITORY / "README.md").read_text()
    for command in commands:
        _, program, *words = shlex.split(command)
        name = program.removesuffix(".py")
        assert name in PROGRAMS
        options = [word for word in words if not word.startswith("hydra.")]
        if name == "train":
            config = composed(*options, "output_dir=x")
            # The same digits on a fast and on a slow machine: no limit of time, one device.
            assert config.trainer.max_time is None
            assert config.trainer.accelerator == "cpu"
            assert config.datamodule._target_.endswith("ImplantedDataModule")
            assert config.datamodule.labels == 0
        else:
            composed(*options, name=name)

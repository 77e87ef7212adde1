"""An installation from a wheel works in an empty folder, with a model from outside the package."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from commands import REPOSITORY, SMALL

pytestmark = pytest.mark.slow

MODEL = """
from torch import nn


class Plain(nn.Sequential):
    def __init__(self, in_channels: int) -> None:
        super().__init__(nn.Conv2d(in_channels, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``landslide`` program of a clean environment that holds the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps"]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    # Libraries come from this environment; a path in a .pth brings no editable installations.
    (packages,) = (folder / "env" / "lib").glob("python*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "env" / "bin" / "landslide"


def run(program: Path, *words: str, cwd: Path) -> str:
    done = subprocess.run(
        [str(program), *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": ".", "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_simulate_train_and_predict_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    code = "import landslide; print(landslide.__file__)"
    python = installed.with_name("python")
    assert str(python.parents[1]) in run(python, "-c", code, cwd=tmp_path)
    run(installed, "simulate", "root=demo", "size=[128,192]", cwd=tmp_path)
    (tmp_path / "plain.py").write_text(MODEL)
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "plain.yaml").write_text(
        "_target_: plain.Plain\nin_channels: ${len:${dataset.bands}}\n"
    )
    small = [word for word in SMALL if not word.startswith("model.")]
    run(
        installed,
        *("train", "--config-dir", "mine", "model=plain", "dataset.root=demo"),
        *(*small, "hydra.run.dir=run"),
        cwd=tmp_path,
    )
    printed = run(
        installed,
        *("predict", "checkpoint=run/checkpoints/best.ckpt", "scene=demo", "output=map"),
        cwd=tmp_path,
    )
    assert "map/summary.json" in printed
    assert (tmp_path / "map" / "landslides.gpkg").exists()

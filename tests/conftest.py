"""What tests of several rooms share: small scenes, real data, and figures that are not drawn."""

import gc
import os
from pathlib import Path
from typing import IO

import pytest
import torch
from builders import make_scene, make_stack, perturbed_task, save_checkpoint

# Torch rounds by the number of threads, and small networks gain nothing from two.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # of processes that tests start


def pytest_collection_finish() -> None:
    # What is imported stays, so the garbage collector need not walk it again and again.
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def scene_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated scene: fast to make, easy to learn, with invalid pixels."""
    return make_scene(tmp_path_factory.mktemp("scene") / "scene")


@pytest.fixture(scope="session")
def stack_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of stacks: six dates before and two after the event, two orbits, VV and VH."""
    return make_stack(tmp_path_factory.mktemp("stack") / "stack")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network whose probabilities vary over a generated scene."""
    return save_checkpoint(perturbed_task(), tmp_path_factory.mktemp("model") / "model.ckpt")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real terrain, images and reference values; without it a test is skipped."""
    folder = os.environ.get("LANDSLIDE_SHARED_DATA")
    if not folder:
        pytest.skip("LANDSLIDE_SHARED_DATA, which names a folder with real data, is unset")
    return Path(folder)


@pytest.fixture
def figures() -> None:
    """Let what a test runs draw its figures."""


@pytest.fixture(autouse=True)
def blank_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Save figures blank unless a test asks for ``figures``: drawing takes most of a small map."""

    def save_blank(_: object, file: Path | IO[bytes], **__: object) -> None:
        if isinstance(file, Path):
            file.touch()

    if "figures" not in request.fixturenames:
        monkeypatch.setattr("matplotlib.figure.Figure.savefig", save_blank)

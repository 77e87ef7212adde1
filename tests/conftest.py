"""Small generated scenes: fast to make, easy to learn, with invalid pixels."""

from pathlib import Path

import pytest
from builders import make_scene


@pytest.fixture(scope="session")
def scene_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scene(tmp_path_factory.mktemp("scene") / "scene")

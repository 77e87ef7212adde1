"""What ``scene.json`` and a raster's tags say of a scene."""

import json
from pathlib import Path
from typing import Any

from landslide.errors import InputError
from landslide.geo.rasters import open_raster


def scene_info(root: Path) -> dict[str, Any]:
    """What ``scene.json`` says of a scene; empty where there is none.

    Raises:
        InputError: The file is not JSON.
    """
    path = root / "scene.json"
    if not path.exists():
        return {}
    try:
        info = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(info, dict):
        raise InputError(f"{path} is not a JSON object")
    return info


def is_simulated(path: Path | str) -> bool:
    """Whether a raster's tags say that it is simulated."""
    with open_raster(path) as source:
        tags = {name.lower(): value.lower() for name, value in source.tags().items()}
    return tags.get("simulated") in ("true", "yes")

"""Metadata of a scene: ``scene.json`` and the tags of its rasters."""

import json
from pathlib import Path
from typing import Any

from landslide.errors import InputError
from landslide.geo.rasters import open_raster


def scene_info(root: Path) -> dict[str, Any]:
    """Content of a scene's ``scene.json``; empty where there is none.

    Raises:
        InputError: The file is not a JSON object.
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

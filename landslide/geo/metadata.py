"""Metadata of a scene: ``scene.json`` and the tags of its rasters."""

import json
from collections.abc import Mapping
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


def image_times(info: Mapping[str, Any], orbit: str, *, before: bool = False) -> list[str]:
    """Days or times (ISO 8601) of an orbit's images, of all dates of its stack if it has one.

    Args:
        info: Content of ``scene.json``.
        orbit: The orbit.
        before: Whether to leave out images after the event.
    """
    if stack := (info.get("stack") or {}).get(orbit):
        chosen = [image for image in stack if image["side"] == "pre" or not before]
        return [image.get("time") or image["date"] for image in chosen]
    days = (info.get("dates") or {}).get(orbit) or {}
    return [day for band, day in days.items() if "post" not in band or not before]


def is_simulated(path: Path | str) -> bool:
    """Whether a raster's tags say that it is simulated."""
    with open_raster(path) as source:
        tags = {name.lower(): value.lower() for name, value in source.tags().items()}
    return tags.get("simulated") in ("true", "yes")

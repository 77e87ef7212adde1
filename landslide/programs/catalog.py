"""A catalogue of maps: ``landslide catalog maps=maps``."""

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from landslide.config.checks import check
from landslide.errors import InputError
from landslide.geo.stac import CATALOG, find_items, write_catalog


def catalog(config: DictConfig) -> None:
    """Write ``catalog.json`` over the maps in a folder.

    Args:
        config: Composed from ``conf/catalog.yaml``.

    Raises:
        InputError: No folder in it holds a map.
    """
    check(config, {})
    folder = Path(config.maps)
    items = find_items(folder)
    if not items:
        raise InputError(
            f"maps={folder}: none of its folders holds a map with its item.json: name the folder "
            "that the maps' folders lie in"
        )
    write_catalog(folder, config.title or folder.resolve().name)
    Console(soft_wrap=True).print(f"{folder / CATALOG}: {len(items)} maps")

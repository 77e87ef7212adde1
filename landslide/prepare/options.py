"""Options of ``conf/prepare.yaml``, checked before anything is opened."""

from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from landslide.config.checks import check
from landslide.config.rules import PREPARE
from landslide.errors import InputError
from landslide.geo.vectors import find_vector
from landslide.prepare.layers import read_layers
from landslide.prepare.mosaic import choose_resampling

ELSEWHERE = ("root", "overwrite", "plan", "cache", "parts")
"""Options on how and where a scene is written."""


def check_options(config: DictConfig) -> None:
    """Refuse options that cannot be right.

    Raises:
        InputError: Names the key, what is wrong and what to do.
    """
    if not OmegaConf.is_dict(config.inventory):
        raise InputError(
            f"inventory={config.inventory} is a group of options: write "
            f"inventory.file={config.inventory}"
        )
    check(config, PREPARE)
    read_layers(config.layers)
    for key, name in config.resampling.items():
        choose_resampling(name, f"resampling.{key}")
    for key in ("inventory.file", "inventory.mapped_area"):
        if (path := OmegaConf.select(config, key)) is not None:
            find_vector(Path(path), key)
    like = config.grid.like
    if like is not None and not Path(like).is_file():
        raise InputError(f"there is no file {like}, which grid.like names")
    listed = config.sar.ascending or config.sar.descending
    for key, single in (
        ("sar.after", config.sar.after <= 2),
        ("despeckle", config.despeckle == "none"),
    ):
        if not single and config.sar.before == 1 and not listed:
            raise InputError(
                f"{key}={OmegaConf.select(config, key)} is for stacks, which have several dates "
                "before the event: add sar.before=8"
            )
    if config.plan and config.sar.source != "stac":
        raise InputError("plan=true lists what an archive has: add sar.source=stac")


def options_of_scene(config: DictConfig) -> dict[str, Any]:
    """Options that a scene depends on, without those on how and where it is written."""
    options = cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))
    return {key: value for key, value in options.items() if key not in ELSEWHERE}

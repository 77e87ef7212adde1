"""Options of ``conf/prepare.yaml``, checked before anything is opened."""

from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from landslide.config.checks import NATURAL, POSITIVE, Rule, check
from landslide.errors import InputError
from landslide.geo.vectors import find_vector
from landslide.prepare.mosaic import choose_resampling

FLAG = Rule(bool, lambda value: True, "true or false")
ANGLE = Rule((int, float), lambda value: 15 <= value <= 60, "an angle from 15 to 60 degrees")
HEADING = Rule((int, float), lambda value: -360 <= value <= 360, "a heading in degrees")

GEOID = Rule((int, float), lambda value: -120 <= value <= 100, "metres from -120 to 100")

TRACK = Rule(int, lambda value: 1 <= value <= 175, "a track of Sentinel-1, 1 to 175")

RULES: Mapping[str, Rule] = {
    "grid.resolution": POSITIVE,
    "inventory.radius": POSITIVE,
    "terrain.void_distance": NATURAL,
    "terrain.geoid": GEOID,
    "sar.relative_orbit.ascending": TRACK,
    "sar.relative_orbit.descending": TRACK,
    "sar.incidence.ascending": ANGLE,
    "sar.incidence.descending": ANGLE,
    "sar.heading.ascending": HEADING,
    "sar.heading.descending": HEADING,
}

SOURCES = ("files", "stac", "safe")


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
    check(config, RULES)
    if config.sar.source not in SOURCES:
        raise InputError(
            f"sar.source={config.sar.source} is unknown: choose from {', '.join(SOURCES)}"
        )
    for key, name in config.resampling.items():
        choose_resampling(name, f"resampling.{key}")
    for key in ("inventory.file", "inventory.mapped_area"):
        if (path := OmegaConf.select(config, key)) is not None:
            find_vector(Path(path), key)
    like = config.grid.like
    if like is not None and not Path(like).is_file():
        raise InputError(f"there is no file {like}, which grid.like names")
    if config.plan and config.sar.source != "stac":
        raise InputError("plan=true lists what an archive has: add sar.source=stac")

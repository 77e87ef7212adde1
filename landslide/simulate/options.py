"""Options of a simulated scene."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from landslide.errors import InputError
from landslide.simulate.backscatter import Radar
from landslide.simulate.landcover import Changes
from landslide.simulate.scattering import Scattering
from landslide.simulate.slides import Slides

MIN_SIZE = 64
"""Smallest side of a scene in pixels: one patch."""


@dataclass(frozen=True)
class Terrain:
    """Properties of simulated terrain, which a given DEM replaces.

    Attributes:
        mean_slope: Mean slope of the scene in degrees, (0, 40).
        valley_share: Share of the scene under valley floors, [0, 0.9].
    """

    mean_slope: float = 14.5
    valley_share: float = 0.27


@dataclass(frozen=True)
class Options:
    """All physical parameters; see each class for units."""

    terrain: Terrain = field(default_factory=Terrain)
    slides: Slides = field(default_factory=Slides)
    changes: Changes = field(default_factory=Changes)
    scattering: Scattering = field(default_factory=Scattering)
    radar: Radar = field(default_factory=Radar)


def check_polarisations(polarisations: Sequence[str]) -> None:
    """Refuse polarisations that are not simulated.

    Raises:
        InputError: Neither VV nor VV and VH.
    """
    given = list(polarisations or [])
    if given not in (["vv"], ["vv", "vh"]):
        raise InputError(f"polarisations={given} is not simulated; give [vv] or [vv,vh].")


def check_options(
    size: Sequence[int] | None,
    seed: int,
    dem: Path | str | None,
    landslides: Path | str | None,
    options: Options,
) -> None:
    """Refuse what cannot be simulated.

    Raises:
        InputError: Names the key, what is wrong and what to do.
    """
    if size is None and dem is None:
        raise InputError("size is missing; give size=[rows,cols] at 10 m, or a DEM with dem=.")
    if size is not None and (len(size) != 2 or min(size) < MIN_SIZE):
        raise InputError(
            f"size={list(size)} is not usable; give [rows,cols], each at least {MIN_SIZE}."
        )
    if not isinstance(seed, int):
        raise InputError(f"seed={seed} is not a whole number; choose 0 or more.")
    if seed < 0:
        raise InputError(f"seed={seed} is negative; choose 0 or more.")
    if landslides is not None and dem is None:
        raise InputError("landslides= needs the terrain they happened on; add dem=.")
    s, c, r = options.slides, options.changes, options.radar
    for key, value, low, high in (
        ("terrain.mean_slope", options.terrain.mean_slope, 1, 35),
        ("terrain.valley_share", options.terrain.valley_share, 0, 0.9),
        ("slides.share", s.share, 0.001, 0.3),
        ("slides.mean_area", s.mean_area, 500, 100_000),
        ("slides.slope", s.slope, 5, 60),
        ("slides.slope_spread", s.slope_spread, 1, 30),
        ("slides.aspect_preference", s.aspect_preference, 0, 1),
        ("slides.minimum_area", s.minimum_area, 0, s.mean_area),
        ("slides.boundary_error", s.boundary_error, 0, 50),
        ("slides.missed", s.missed, 0, 0.9),
        ("changes.forest", c.forest, 0, 10),
        ("changes.farmland", c.farmland, 0, 10),
        ("changes.moisture", c.moisture, 0, 10),
        ("changes.harvested", c.harvested, 0, 1),
        ("changes.flooded", c.flooded, 0, 1),
        ("changes.felled", c.felled, 0, 0.3),
        ("changes.whole_date", c.whole_date, 0, 10),
        ("scattering.trees", options.scattering.trees, 0, 0.95),
        ("radar.incidence", r.incidence, 15, 60),
        ("radar.looks", r.looks, 1, 100),
        ("radar.resolution", r.resolution, 5, 80),
        ("radar.geolocation", r.geolocation, 0, 50),
    ):
        if not low <= value <= high:
            raise InputError(
                f"{key}={value:g} is out of range; choose between {low:g} and {high:g}."
            )


def size_of(config: DictConfig) -> list[int] | None:
    """The wanted size; without one, the DEM's extent, or that of the demonstration."""
    if config.size is None:
        return None if config.dem is not None else [1024, 1536]
    if not OmegaConf.is_list(config.size) or not all(isinstance(n, int) for n in config.size):
        raise InputError(f"size={config.size} is not usable; give [rows,cols] as whole numbers.")
    return list(config.size)


def options_of(config: DictConfig) -> Options:
    """Physical parameters of a configuration.

    Raises:
        InputError: A parameter is not a number.
    """
    groups: dict[str, Any] = {}
    kinds: dict[str, Any] = {
        "terrain": Terrain,
        "slides": Slides,
        "changes": Changes,
        "scattering": Scattering,
        "radar": Radar,
    }
    for group, kind in kinds.items():
        values: dict[str, float] = {}
        for key, value in config[group].items():
            if not isinstance(value, int | float):
                raise InputError(f"{group}.{key}={value} is not a number; give one.")
            values[str(key)] = float(value)
        groups[group] = kind(**values)
    return Options(**groups)

"""Parameters of a simulated scene."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from omegaconf import DictConfig, OmegaConf

from landslide.config.checks import check_value, flatten
from landslide.config.paths import configuration_folder
from landslide.config.rules import SIMULATE
from landslide.errors import InputError
from landslide.simulate.backscatter import Radar
from landslide.simulate.landcover import Changes
from landslide.simulate.scattering import Scattering
from landslide.simulate.slides import Slides

MIN_SIZE = 64
"""Smallest side of a scene in pixels: one patch."""

DEMO_SIZE = (1024, 1536)
"""Rows and columns of a scene of which neither a size nor a DEM is given."""


class Dates(NamedTuple):
    """Number of dates of each orbit, 12 days apart.

    Attributes:
        before: Dates before the earthquake, at least the paper's one.
        after: Dates after it, at least the paper's two.
    """

    before: int = 1
    after: int = 2


PAPER_DATES = Dates()
"""Those of Nava et al. (2022); with more of them a scene gets a stack."""


@dataclass(frozen=True)
class TerrainOptions:
    """Parameters of simulated terrain; a given DEM replaces it.

    Attributes:
        mean_slope: Mean slope of the scene in degrees, (0, 40).
        valley_share: Share of the scene under valley floors, [0, 0.9].
    """

    mean_slope: float
    valley_share: float


@dataclass(frozen=True)
class Options:
    """All physical parameters; see each class for units, and ``default_options``."""

    terrain: TerrainOptions
    slides: Slides
    changes: Changes
    scattering: Scattering
    radar: Radar


def check_polarisations(polarisations: Sequence[str]) -> None:
    """Refuse polarisations that are not simulated.

    Raises:
        InputError: Neither VV nor VV and VH.
    """
    given = list(polarisations or [])
    if given not in (["vv"], ["vv", "vh"]):
        raise InputError(f"polarisations={given} is not simulated; give [vv] or [vv,vh]")


def check_dates(dates: Dates) -> None:
    """Refuse fewer dates than the paper's.

    Raises:
        InputError: Too few of them before or after the earthquake.
    """
    for name, value in dates._asdict().items():
        check_value(f"dates.{name}", value, SIMULATE[f"dates.{name}"])


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
        raise InputError("size is missing; give size=[rows,cols] at 10 m, or a DEM with dem=…")
    if size is not None and (len(size) != 2 or min(size) < MIN_SIZE):
        raise InputError(
            f"size={list(size)} is not usable; give [rows,cols], each at least {MIN_SIZE}"
        )
    check_value("seed", seed, SIMULATE["seed"])
    if landslides is not None and dem is None:
        raise InputError("landslides= needs the terrain they happened on; add dem=…")
    for key, value in flatten(asdict(options)):
        check_value(key, value, SIMULATE[key])
    slides = options.slides
    if slides.minimum_area > slides.mean_area:
        raise InputError(
            f"slides.minimum_area={slides.minimum_area:g} is larger than "
            f"slides.mean_area={slides.mean_area:g}; choose a smaller one"
        )


def size_of(config: DictConfig) -> list[int] | None:
    """Return (rows, cols); None for the extent of the DEM.

    Raises:
        InputError: ``size`` is no list of whole numbers.
    """
    if config.size is None:
        return None if config.dem is not None else list(DEMO_SIZE)
    if not OmegaConf.is_list(config.size) or not all(isinstance(n, int) for n in config.size):
        raise InputError(f"size={config.size} is not usable; give [rows,cols] as whole numbers")
    return list(config.size)


def options_of(config: DictConfig) -> Options:
    """Return the physical parameters of a configuration.

    Raises:
        InputError: A parameter is not a number, or is out of range.
    """
    groups: dict[str, Any] = {}
    for group, kind in get_type_hints(Options).items():
        for key, value in _group(config, group).items():
            check_value(f"{group}.{key}", value, SIMULATE[f"{group}.{key}"])
        groups[group] = kind(**{str(key): float(value) for key, value in config[group].items()})
    return Options(**groups)


def dates_of(config: DictConfig) -> Dates:
    """Return the number of dates of a configuration.

    Raises:
        InputError: ``dates`` is not a group of options.
    """
    return Dates(**_group(config, "dates"))


def _group(config: DictConfig, name: str) -> dict[str, Any]:
    """Options of a group by name."""
    group = OmegaConf.select(config, name)
    if not isinstance(group, DictConfig):
        raise InputError(
            f"{name}={group} is a group of options: write its options one by one, {name}.…=…"
        )
    return {str(key): value for key, value in group.items()}


def default_options() -> Options:
    """Return the physical parameters of ``conf/simulate.yaml``."""
    config = OmegaConf.load(configuration_folder() / "simulate.yaml")
    return options_of(config)  # type: ignore[arg-type]

"""The images and elevation that options name: files of each date, or folders to choose from."""

import glob
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from landslide.errors import InputError
from landslide.prepare.dates import MIN_BEFORE, name_dates
from landslide.prepare.sources import (
    DATES,
    OVERPASS,
    PASSES,
    Acquisition,
    Dem,
    Event,
    Pass,
    Tile,
    label_dates,
)

NO_DEM = "none"
"""As ``dem``: a scene without elevation, slope and geometry."""

RASTERS = (".tif", ".tiff", ".vrt", ".img")
"""Endings of the files of a folder that may be images."""

Describe = Callable[[Sequence[Path]], Mapping[Path, Acquisition]]
"""From files or products to what is known of those that can be used."""


def images_from_options(
    config: DictConfig, event: Event, describe: Describe
) -> dict[Pass, dict[str, list[Path]]]:
    """Files of each date that ``sar.ascending`` and ``sar.descending`` name.

    A list names the images of each date. They are called as in ``DATES``, or 1, 2, … where they
    make a stack, which ``arrange_dates`` orders. Of folders and patterns, dates around the event
    are chosen.

    Raises:
        InputError: There is no image or no elevation, too few dates, or a file is missing.
    """
    sar = config.sar
    orbits: dict[Pass, dict[str, list[Path]]] = {}
    for orbit in PASSES:
        if (given := to_plain(sar[orbit])) is None:
            continue
        key, entries = f"sar.{orbit}", given if isinstance(given, list) else [given]
        if names_folders(entries):
            images = _of_track(describe(list_images(entries, key)), sar.relative_orbit[orbit])
            orbits[orbit] = choose_dates(images, orbit, event, config)
        else:
            stack = sar.before > 1 or len(entries) > len(DATES)
            dates = _number(entries) if stack else label_dates(entries, key)
            orbits[orbit] = {name: existing_paths(files, key) for name, files in dates.items()}
    if not orbits:
        raise InputError("no image is given: set sar.ascending=[pre.tif,post1.tif,…] or descending")
    if config.dem is None:
        raise InputError(
            "no elevation is given: set dem=dem.tif, or dem=none to leave out slope and geometry"
        )
    return orbits


def _number(entries: Sequence[object]) -> dict[str, object]:
    return {str(number): entry for number, entry in enumerate(entries, 1)}


def dem_from_option(given: object) -> Dem | None:
    """Elevation from one file or a list of tiles; None where none is wanted."""
    if given == NO_DEM:
        return None
    return Dem(tuple(Tile(path) for path in existing_paths(to_plain(given), "dem")))


def existing_paths(given: object, key: str) -> list[Path]:
    """Paths of one file or a list of files.

    Raises:
        InputError: Not a path, an empty list, or a file that does not exist.
    """
    names: list[Any] = given if isinstance(given, list) else [given]
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{key}={given} is not a file or a list of files")
    for path in map(Path, names):
        if not path.exists():
            raise InputError(f"there is no file {path}, which {key} names")
    return [Path(name) for name in names]


def to_plain(value: object) -> Any:  # noqa: ANN401
    """Plain lists and dicts of an option."""
    return OmegaConf.to_object(value) if OmegaConf.is_config(value) else value


def names_folders(entries: Sequence[object]) -> bool:
    """Whether an option names folders or patterns of images instead of the images of each date."""
    return any(isinstance(e, str) and (_is_pattern(e) or _is_folder(Path(e))) for e in entries)


def _is_pattern(name: str) -> bool:
    return glob.has_magic(name) and not Path(name).exists()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not _is_product(path)


def _is_product(path: Path) -> bool:
    """Whether a path is a raw product, a folder or zip as ESA delivers it."""
    return path.suffix.upper() in (".SAFE", ".ZIP") or (path / "manifest.safe").exists()


def list_images(entries: Sequence[object], key: str) -> list[Path]:
    """Rasters or raw products in folders and below, and those that match patterns, sorted.

    Raises:
        InputError: There is none, or an entry is neither.
    """
    found: set[Path] = set()
    for entry in entries:
        if not isinstance(entry, str):
            raise InputError(
                f"{key} names folders: give each as one entry, not as the list {entry}"
            )
        # Path.glob takes no absolute pattern.
        matches = glob.glob(entry, recursive=True) if _is_pattern(entry) else [entry]  # noqa: PTH207
        for path in map(Path, matches):
            found.update(_images_in(path) if _is_folder(path) else [path])
    if not found:
        raise InputError(f"{key}={','.join(map(str, entries))} holds no image: check the path")
    return sorted(found)


def _images_in(folder: Path) -> list[Path]:
    products = [path for path in folder.iterdir() if _is_product(path)]
    return products or [p for p in folder.rglob("*") if p.suffix.lower() in RASTERS]


def _of_track(images: Mapping[Path, Acquisition], track: int | None) -> Mapping[Path, Acquisition]:
    """Images that may be of a track; all if none is asked for."""
    if track is None:
        return images
    return {path: i for path, i in images.items() if i.relative_orbit in (None, track)}


def choose_dates(
    images: Mapping[Path, Acquisition], orbit: Pass, event: Event, config: DictConfig
) -> dict[str, list[Path]]:
    """Choose the last ``sar.before`` dates before an event and the first ``sar.after`` after it.

    Images of the other pass, dates that may be on either side of the event, and dates without all
    polarisations are left out.

    Returns:
        Files of each date, by the names of ``name_dates``.

    Raises:
        InputError: The date of a file is not known, no image has a polarisation, two overpasses are
            of one day, or there is none before the event, or after it, which a stack can do
            without.
    """
    wanted = {str(name).lower() for name in config.sar.polarisations}
    parts: dict[str, list[list[Path]]] = {"before": [], "after": [], "unsure": []}
    for paths in group_overpasses(
        {p: i for p, i in images.items() if i.direction in (None, orbit)}
    ):
        first = images[paths[0]]
        assert first.time is not None
        if wanted <= {polarisation for path in paths for polarisation in images[path].tiles}:
            parts[event.side_of(first.time, exact=first.exact)].append(paths)
    known = {polarisation for image in images.values() for polarisation in image.tiles}
    if known and not wanted <= known:
        raise InputError(
            f"sar.polarisations: the images of sar.{orbit} have {', '.join(sorted(known))}, and "
            f"none has {', '.join(sorted(wanted - known))}: choose among those"
        )
    for side in ("before", "after"):
        if not parts[side] and (side == "before" or config.sar.before < MIN_BEFORE):
            raise InputError(
                f"sar.{orbit}: none of the {len(images)} images that can be used is {side} the "
                f"event ({event.time:%Y-%m-%d}): check event.date, sar.polarisations and aoi"
            )
    for one, other in pairwise([*parts["before"], *parts["after"]]):
        if images[one[0]].day == images[other[0]].day:
            raise InputError(
                f"{one[0]} and {other[0]} are both of {images[one[0]].day}, but of two overpasses: "
                "give images of one track"
            )
    return name_dates(
        parts["before"][-config.sar.before :],
        parts["after"][: config.sar.after],
        lambda paths: images[paths[0]].day,
    )


def group_overpasses(images: Mapping[Path, Acquisition]) -> list[list[Path]]:
    """Files of each overpass, in order of time.

    Raises:
        InputError: The date of a file is not known.
    """
    times = {}
    for path, image in images.items():
        if image.time is None:
            raise InputError(
                f"neither name nor tags of {path} show its date: name it like "
                "S1A_20180905T084300_VV.tif, or leave it out"
            )
        times[path] = image.time
    groups: list[list[Path]] = []
    for path in sorted(images, key=lambda path: (times[path], path)):
        if groups and times[path] - times[groups[-1][-1]] < OVERPASS:
            groups[-1].append(path)
        else:
            groups.append([path])
    return groups

"""Data and protocol of a training in words, for a model's card."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from landslide.export.origin import Origin

SPLITS = {
    "random_split": (
        "patches with at least one landslide pixel, drawn at random: neighbours fall into "
        "different splits and quiet terrain is not scored, so that scores flatter"
    ),
    "block_split": "contiguous blocks of the scene with guard bands between them, all patches",
    "shared_ground": "all ground in every split; their dates differ alone",
    "array_split": "patches of the authors' arrays, tested on their own test array",
}
"""The splits by their functions."""


def describe_scenes(origin: Origin, orbits: Iterable[str]) -> Iterator[str]:
    """A line for each scene of a training: event, images, and who provided them."""
    orbits = sorted(orbits)
    for root in origin.roots:
        info = origin.scenes.get(root)
        if info is None:
            yield f"`{root}`: it is gone or has changed since, so that its content is not known."
            continue
        parts = [_event(info), _images(origin, info, orbits)]
        parts += [_landslides(info)] if origin.saw_event else []
        if providers := _providers(info):
            parts.append(f"made from {', '.join(providers)}")
        kind = "SIMULATED scene; " if info.get("simulated") else ""
        yield f"`{root}`: {kind}{'; '.join(part for part in parts if part)}."


def _event(info: Mapping[str, Any]) -> str:
    event = info.get("event")
    named = event if isinstance(event, dict) else {"name": event}
    time = f" ({named['time']})" if named.get("time") else ""
    return f"{named['name']}{time}" if named.get("name") else "event not known"


def _images(origin: Origin, info: Mapping[str, Any], orbits: Sequence[str]) -> str:
    """Number, first and last day of the images of each orbit."""
    found = []
    for orbit in orbits:
        days = sorted({time[:10] for time in origin.times_in(info, orbit)})
        if days:
            found.append(f"{len(days)} {orbit} dates from {days[0]} to {days[-1]}")
    return ", ".join(found) or "dates of the images not known"


def _landslides(info: Mapping[str, Any]) -> str:
    """Size of the inventory, which the simulation and the preparation record differently."""
    known = info.get("landslides")
    if isinstance(known, dict) and "polygons" in known:
        return f"inventory of {known['polygons']:,} polygons"
    if isinstance(known, dict):
        return f"landslides on {100 * known['share']:.2f} % of the known area"
    return f"inventory of {known:,} landslides" if isinstance(known, int) else ""


def _providers(info: Mapping[str, Any]) -> list[str]:
    """Where images, DEM and the rest come from."""
    images = [image for dates in (info.get("images") or {}).values() for image in dates.values()]
    dem = (info.get("dem") or {}).get("provider")
    named = [*(image.get("provider") for image in images), dem and f"DEM: {dem}"]
    named += [f"{what}: {source}" for what, source in (info.get("sources") or {}).items()]
    return sorted({str(name) for name in named if name})


def describe_licence(origins: Sequence[Origin], orbits: Iterable[str]) -> list[str]:
    """What is known of licences."""
    lines = [
        "The program is under the MIT licence. The licence of these weights is for whoever shares "
        "them to state.",
        "The scenes do not record the licences of their images, DEM and inventory: ask their "
        "providers.",
    ]
    years = {
        time[:4]
        for origin in origins
        for info in origin.scenes.values()
        if _is_sentinel(info)
        for orbit in orbits
        for time in origin.times_in(info, orbit)
    }
    if years:
        lines.append(f"Contains modified Copernicus Sentinel data {', '.join(sorted(years))}.")
    return lines


def _is_sentinel(info: Mapping[str, Any]) -> bool:
    """Whether any image of a scene is said to be of Sentinel-1."""
    if info.get("simulated"):
        return False
    images = [image for dates in (info.get("images") or {}).values() for image in dates.values()]
    images += [image for dates in (info.get("stack") or {}).values() for image in dates]
    return any(str(image.get("platform") or "").upper().startswith("S1") for image in images)


def describe_protocol(origin: Origin) -> Iterator[str]:
    """How a run divided its patches, trained, chose its checkpoint and its threshold."""
    settings, metrics = origin.settings, origin.metrics
    if split := settings.get("split"):
        function = str(split["_target_"]).rpartition(".")[2]
        yield f"Split: {SPLITS.get(function, function)}{_values(split)}."
    if origin.patches is not None:
        counts = origin.patches.split.value_counts()
        yield "Patches: " + ", ".join(f"{counts[name]:,} {name}" for name in counts.index) + "."
    if settings:
        yield (
            f"Loss {_class(settings['loss'])}, optimiser {_class(settings['optimizer'])}, "
            f"augmentation {', '.join(settings.get('augmentation') or {}) or 'none'}, "
            f"batch size {settings['batch_size']}."
        )
        best = settings["callbacks"]["best"]
        lowest = {"min": "lowest", "max": "highest"}[best["mode"]]
        yield f"Selection: the epoch with the {lowest} {best['monitor']} (val is validation)."
        yield _threshold(settings)
    if metrics:
        yield f"Seed {metrics['seed']}; code {metrics['code']}; tested once, after selection."


def _threshold(settings: Mapping[str, Any]) -> str:
    if settings["threshold"] != "calibrated":
        return f"Threshold in training and scores: {settings['threshold']}, as given."
    limit = settings.get("false_alarms")
    raised = f", raised until at most {100 * limit:g} % of quiet ground is mapped" if limit else ""
    return f"Threshold in training and scores: the one with the highest F1 on validation{raised}."


def _values(split: Mapping[str, Any]) -> str:
    kept = {k: v for k, v in split.items() if not k.startswith("_")}
    return f" ({', '.join(f'{k} {v}' for k, v in kept.items())})" if kept else ""


def _class(config: Mapping[str, Any]) -> str:
    return str(config["_target_"]).rpartition(".")[2]

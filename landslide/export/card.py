"""``MODEL_CARD.md``: what a model is, what it was made from, how good it is, what it is not for.

Every fact is from the checkpoint, its run's folder or the scenes that it was trained on. Where
these do not say, the card says that it is not known.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import landslide
from landslide.export.exported import Exported
from landslide.export.metadata import notes
from landslide.export.origin import unique
from landslide.export.protocol import describe_licence, describe_protocol, describe_scenes
from landslide.geo.files import write_text
from landslide.geo.pages import render_template
from landslide.radar.bands import orbits_of
from landslide.radar.units import meaning_of, unit_of
from landslide.training.reliability import BINS
from landslide.training.scores import SCORES

CARD = "MODEL_CARD.md"

MODEL_FILES = {
    "model.onnx": "for onnxruntime and QGIS",
    "model.pt2": "for torch.export.load",
}

NEVER = (
    "A forecast or a warning: it shows where the ground changed between two times, not where it "
    "will.",
    "Proof that nothing failed: it does not see layover, shadow and landslides of a few pixels, "
    "nor those that leave backscatter as it was.",
    "Decisions on lives or property that nobody who knows the place has checked.",
    "Other sensors, bands and units than those above, or pixels of another size than it was made "
    "for.",
)


def write_card(exported: Exported, folder: Path) -> None:
    """Write the card of a model.

    Args:
        exported: The model.
        folder: Folder of its files.
    """
    origins, orbits, members = exported.origins, exported.orbits, exported.members
    metrics = [each.metrics for each in origins if each.metrics]
    headings = [words for name, words in SCORES.items() if _known(metrics, name)]
    page = render_template(
        "landslide.export",
        CARD,
        escape=False,
        name=name_of(exported),
        purpose=describe(exported),
        remarks=remarks_of(exported),
        bands=[{"name": b, "unit": unit_of(b), "meaning": meaning_of(b)} for b in members[0].bands],
        sides=_sides(exported),
        threshold=f"{exported.threshold:.4g}",
        flips=exported.tta == "flips",
        scenes=unique(line for each in origins for line in describe_scenes(each, orbits)),
        implanted=any(member.implanted for member in members),
        licence=describe_licence(origins, orbits),
        protocol=unique(line for each in origins for line in describe_protocol(each)),
        scores=_score_rows(metrics),
        headings=headings,
        scored=_scored(exported),
        other_thresholds=other_thresholds(exported),
        spread=_spread(len(metrics), len(members)),
        trained=members[0].measure == "probability",
        sizes=_size_rows(metrics),
        calibration=_calibration_rows(metrics),
        quiet=_quiet(metrics),
        files=MODEL_FILES,
        measure=members[0].measure,
        differences=exported.differences,
        misuse=[*NEVER, *_misuse(exported)],
        version=landslide.__version__,
    )
    write_text(folder / CARD, page)


def architecture_of(exported: Exported) -> str:
    """Name of the model's class."""
    return str(exported.members[0].model_settings["_target_"]).rpartition(".")[2]


def name_of(exported: Exported) -> str:
    """Architecture, orbit, and number of members of an ensemble."""
    number = f" ensemble of {len(exported.members)}" if len(exported.members) > 1 else ""
    return f"landslide-sar {architecture_of(exported)} {' and '.join(exported.orbits)}{number}"


def describe(exported: Exported) -> str:
    """What the model does, in a sentence."""
    first, number = exported.members[0], len(exported.members)
    orbits = (" and " if orbits_of(first.bands) else " or ").join(exported.orbits)
    what = "landslide probability" if first.measure == "probability" else "a detector's score"
    members = f", mean and spread of {number} members" if number > 1 else ""
    return f"From radar images of the {orbits} orbit, {what} of every pixel{members}."


def remarks_of(exported: Exported) -> list[str]:
    """What whoever runs the model must know, in sentences."""
    return [f"{note[0].upper()}{note[1:]}." for note in notes(exported)]


def _sides(exported: Exported) -> str:
    free = f"multiples of {exported.size_multiple} px"
    if exported.size is None:
        return free
    return f"{exported.size} px in `model.onnx`, and {free} in `model.pt2`"


def _scored(exported: Exported) -> str:
    if len(exported.members) == 1:
        return "" if exported.tta == "none" else " They are without flips."
    return " They are those of the members; the ensemble itself was not scored."


def other_thresholds(exported: Exported) -> str:
    """The thresholds of the scores, where one is not that of the file."""
    values = sorted({f"{value:.4g}" for value in exported.scored_at})
    own = f"{exported.threshold:.4g}"
    if not set(values) - {own}:
        return ""
    return (
        f"The model was scored at a threshold of {' and of '.join(values)}, not the file's {own}."
    )


def _known(metrics: Sequence[Mapping[str, Any]], name: str) -> bool:
    return any(run[split].get(name) is not None for run in metrics for split in ("val", "test"))


def _score_rows(metrics: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Scores by split in percent, with their spread over members."""
    names = [name for name in SCORES if _known(metrics, name)]
    splits = {"validation": "val", "test": "test"} if names else {}
    return {
        words: [_percent(run[split].get(name) for run in metrics) for name in names]
        for words, split in splits.items()
    }


def _spread(scored: int, members: int) -> str:
    """What the spread of the scores is over."""
    if scored < members:
        return f"Scores of {scored} of the {members} members are known."
    if members > 1:
        return f"Mean ± standard deviation over {members} members."
    return "One run: how much another seed or another split would change is not known."


def _size_rows(metrics: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Landslides found, in percent of each size class."""
    tables = [run["objects"]["hit"] for run in metrics if (run.get("objects") or {}).get("hit")]
    return [
        [
            rows[0]["area"],
            _numbers(row["count"] for row in rows),
            *(
                _percent(row[found] / row["count"] if row["count"] else None for row in rows)
                for found in ("touched", "half")
            ),
        ]
        for rows in zip(*tables, strict=True)
    ]


def _calibration_rows(metrics: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Reliability of the probabilities of all members, whose bins are pooled."""
    bins: dict[int, list[Mapping[str, float]]] = {}
    for row in (row for run in metrics for row in run.get("calibration") or []):
        bins.setdefault(int(row["probability"] * BINS), []).append(row)
    table = []
    for _, rows in sorted(bins.items()):
        pixels = [row["pixels"] for row in rows]
        means = [
            float(np.average([row[name] for row in rows], weights=pixels))
            for name in ("probability", "landslides")
        ]
        table.append([*(_percent([mean]) for mean in means), f"{sum(pixels):,}"])
    return table


def _quiet(metrics: Sequence[Mapping[str, Any]]) -> str:
    """False alarms where nothing failed, or else between landslides."""
    if quiet := [run["quiet"]["mapped"] for run in metrics if run.get("quiet")]:
        return (
            f"Of ground where nothing failed, {_percent(quiet, 3)} % is mapped, on dates of the "
            "test split."
        )
    negatives = [run["test"]["fp"] + run["test"]["tn"] for run in metrics]
    if not any(negatives):
        return "How much of quiet terrain it maps is not known."
    shares = [run["test"]["fp"] / n for run, n in zip(metrics, negatives, strict=True) if n]
    return (
        f"Of the test split's ground that is no landslide, {_percent(shares)} % is mapped. How "
        "much it maps of scenes where nothing failed is not known."
    )


def _misuse(exported: Exported) -> list[str]:
    first, lines = exported.members[0], []
    if any(member.simulated for member in exported.members):
        lines.append("Real events: it was trained on SIMULATED images.")
    if not orbits_of(first.bands):
        lines.append(f"Images of another direction of flight than {' and '.join(exported.orbits)}.")
    return lines


def _numbers(values: Iterable[int]) -> str:
    known = sorted(set(values))
    return f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"


def _percent(values: Iterable[float | None], digits: int = 1) -> str:
    """Mean in percent, with the standard deviation of several; empty where none is known."""
    known = 100 * np.array([value for value in values if value is not None])
    if not len(known):
        return ""
    spread = f" ± {known.std(ddof=1):.{digits}f}" if len(known) > 1 else ""
    return f"{known.mean():.{digits}f}{spread}"

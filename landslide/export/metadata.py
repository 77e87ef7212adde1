"""What an exported model says about itself, and what ``predict.py`` reads from it."""

from collections.abc import Sequence
from typing import Any

import landslide
from landslide.export.exported import Exported
from landslide.radar.units import unit_of
from landslide.training.member import MEMBERS, SIZE, ExportedMember
from landslide.training.model import LandslideModel


def describe(exported: Exported, outputs: Sequence[str]) -> dict[str, Any]:
    """Plain values that describe a model, by key.

    Args:
        exported: The model.
        outputs: Names of its outputs.
    """
    first = exported.members[0]
    return {
        "landslide_version": landslide.__version__,
        "bands": first.bands,
        "units": [unit_of(band) for band in first.bands],
        "outputs": list(outputs),
        "measure": first.measure,
        "unit": first.unit,
        "threshold": exported.threshold,
        "tta": exported.tta,
        "halo": exported.halo,
        SIZE: exported.size,
        "size_multiple": exported.size_multiple,
        "normalization": [dict(member.normalization_settings) for member in exported.members],
        "differences": exported.differences,
        "notes": notes(exported),
        MEMBERS: [
            ExportedMember.facts_of(member) | {"threshold": exported.threshold}
            for member in exported.members
        ],
    }


def notes(exported: Exported) -> list[str]:
    """What whoever runs the model elsewhere must know."""
    members, side = exported.members, exported.members[0].patch_size
    found = []
    if any(member.per_window for member in members):
        found.append(
            "each image is scaled by its own minimum and maximum, so that joined tiles cannot "
            f"equal the blended map of predict.py; tiles of {side} x {side} px, as in training, "
            "come nearest"
        )
    elif exported.halo is None:
        found.append(
            "the network sees its whole image, so that joined tiles cannot equal the blended map "
            f"of predict.py; tiles of {side} x {side} px, as in training, come nearest"
        )
    else:
        found.append(
            f"pixels less than {exported.halo} px from the edge of a tile are only right in a "
            "tile that reaches farther"
        )
    if any(member.balance for member in members):
        found.append(
            "the model reads dates of one brightness, which predict.py makes of a scene: "
            "`landslide composite` writes them"
        )
    found.append("layover and shadow are mapped like the rest")
    rounded = exported.deepness_threshold
    if rounded is not None and rounded != exported.threshold:
        found.append(
            f"QGIS' plugin Deepness, whose thresholds are whole percent from 1 to 99, maps at "
            f"{rounded:g} and not at {exported.threshold:.4g}"
        )
    if members[0].measure == "score":
        found.append("the output is a detector's score and no probability")
    return found + _origin(members)


def _origin(members: Sequence[LandslideModel]) -> list[str]:
    """Notes on training data that are not what they seem."""
    found = []
    if any(member.simulated for member in members):
        found.append("the model was trained on SIMULATED images and is unproven on real ones")
    if any(member.implanted for member in members):
        found.append("the model was trained on IMPLANTED landslides in quiet images")
    return found

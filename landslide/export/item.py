"""``item.json``: an exported model as an item of a catalogue, STAC with the extension MLM 1.5.

What its run does not say is left out (github.com/stac-extensions/mlm has the fields).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import shapely
import torch

import landslide
from landslide.export.card import (
    CARD,
    architecture_of,
    describe,
    name_of,
    other_thresholds,
    remarks_of,
)
from landslide.export.exported import Exported
from landslide.export.origin import Origin, unique
from landslide.geo.files import checksum, write_json
from landslide.geo.stac import ITEM, describe_file, make_item, single_time, time_range
from landslide.radar.units import meaning_of, unit_of

TASKS = ["semantic-segmentation"]

CLASSES = [
    {"value": 0, "name": "none", "description": "No landslide, or not observed"},
    {"value": 1, "name": "landslide", "description": "Landslide: above the threshold"},
]

MODEL_ROLES = ("mlm:model", "mlm:compiled")

FREE = -1
"""A size that is not fixed."""


def write_item(exported: Exported, folder: Path) -> None:
    """Write the item of a model, beside its files and its card.

    Args:
        exported: The model.
        folder: Folder with ``model.onnx``, ``model.pt2`` and ``MODEL_CARD.md``.
    """
    origins = exported.origins
    grounds = [origin.ground for origin in origins if origin.ground is not None]
    bands = [_describe_band(band) for band in exported.members[0].bands]
    architecture = architecture_of(exported)
    item = make_item(
        f"{architecture}_{checksum(folder / 'model.onnx')[:12]}",
        {
            "title": f"Landslide {exported.members[0].measure} from radar: {architecture}",
            "description": _describe(exported),
            **_time_of(exported, origins),
            # Whoever shares the weights states their licence; the card says what is known.
            "license": "other",
            "bands": bands,
            **_describe_model(exported, origins),
            "processing:software": {"landslide-sar": landslide.__version__},
            **_describe_training(exported, origins),
        },
        _assets(exported, folder, bands),
        shapely.union_all(grounds) if grounds else None,
        ["classification", "file", "mlm", "processing"],
    )
    card = {"href": f"./{CARD}", "type": "text/markdown", "title": "Model card"}
    links = [{"rel": rel, **card} for rel in ("about", "license")]
    write_json(folder / ITEM, item | {"links": links})


def _describe(exported: Exported) -> str:
    sentences = [describe(exported), *remarks_of(exported), other_thresholds(exported)]
    return " ".join(sentence for sentence in sentences if sentence)


def _describe_band(band: str) -> dict[str, Any]:
    unit = unit_of(band)
    return {
        "name": band,
        "description": meaning_of(band),
        "data_type": "float32",
        "nodata": "nan",
        **({"unit": unit} if unit else {}),
    }


def _time_of(exported: Exported, origins: Sequence[Origin]) -> dict[str, Any]:
    """From the first to the last image of the training; that of the export if none is known."""
    now = datetime.now(UTC)
    known = time_range(
        time
        for origin in origins
        for info in origin.scenes.values()
        for orbit in exported.orbits
        for time in origin.times_in(info, orbit)
    )
    return (known or single_time(now)) | {"created": single_time(now)["datetime"]}


def _describe_model(exported: Exported, origins: Sequence[Origin]) -> dict[str, Any]:
    """The fields of MLM: what goes in, what comes out, and how it is made."""
    first, side = exported.members[0], FREE if exported.size is None else exported.size
    architecture = architecture_of(exported)
    return {
        "mlm:name": name_of(exported),
        "mlm:architecture": architecture,
        "mlm:tasks": TASKS,
        "mlm:total_parameters": sum(
            value.numel() for member in exported.members for value in member.model.parameters()
        ),
        **_pretraining(origins),
        "mlm:accelerator": None,
        "mlm:input": [
            {
                "name": "measurements",
                "description": (
                    "Bands in their units as measured: the model scales them itself. A pixel that "
                    "any band did not measure (NaN, infinite, or backscatter of 0 and less) is not "
                    "observed, and gives the least value of the output"
                ),
                "bands": first.bands,
                "input": _structure([FREE, len(first.bands), side, side], "bands"),
                "value_scaling": None,
                "resize_type": None,
            }
        ],
        "mlm:output": [
            {
                "name": name,
                "description": text,
                "tasks": TASKS,
                "result": _structure([FREE, 1, side, side], "channel"),
                **classes,
            }
            for name, text, classes in _outputs(exported)
        ],
        "mlm:hyperparameters": {
            "patch_size": first.patch_size,
            "size_multiple": exported.size_multiple,
            "threshold": exported.threshold,
            "halo": exported.halo,
            "tta": exported.tta,
            "members": len(exported.members),
            "model": first.model_settings,
            "normalization": first.normalization_settings,
        },
    }


def _structure(shape: list[int], channels: str) -> dict[str, Any]:
    order = ["batch", channels, "height", "width"]
    return {"shape": shape, "dim_order": order, "data_type": "float32"}


def _outputs(exported: Exported) -> list[tuple[str, str, dict[str, Any]]]:
    """Name, meaning and classes of each output."""
    measure = exported.members[0].measure
    meaning = "Probability of landslide, 0 to 1"
    if measure == "score":
        meaning = f"Score in {exported.members[0].unit}, which ranks ground and is no probability"
    meaning += f"; landslide above {exported.threshold:.4g}"
    outputs: list[tuple[str, str, dict[str, Any]]] = [
        (measure, meaning, {"classification:classes": CLASSES})
    ]
    if len(exported.members) > 1:
        outputs.append(("spread", "Standard deviation of the ensemble's members", {}))
    return outputs


def _pretraining(origins: Sequence[Origin]) -> dict[str, Any]:
    """Whether training began with weights of another one, where all runs say so."""
    if not origins or not all(origin.settings for origin in origins):
        return {}
    sources = {origin.pretrained_on for origin in origins} - {None}
    source = ", ".join(sorted(map(str, sources))) or None
    return {"mlm:pretrained": bool(sources), "mlm:pretrained_source": source}


def _describe_training(exported: Exported, origins: Sequence[Origin]) -> dict[str, Any]:
    """Events, whether they are simulated or implanted, and scores, under this program's prefix."""
    events = unique(event for origin in origins for event in origin.events)
    known = [origin.metrics["test"] for origin in origins if origin.metrics]
    pairs = zip(known, exported.scored_at, strict=True)
    scores = [scores | {"threshold": threshold} for scores, threshold in pairs]
    return {
        "landslide:simulated": any(member.simulated for member in exported.members),
        "landslide:implanted": any(member.implanted for member in exported.members),
        "landslide:balanced_dates": any(member.balance for member in exported.members),
        "landslide:differences": exported.differences,
        **({"landslide:training_events": events} if events else {}),
        **({"landslide:test_scores": scores} if scores else {}),
    }


def _assets(
    exported: Exported, folder: Path, bands: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    names = [{"name": band["name"]} for band in bands]
    frameworks = {
        "model.onnx": ("ONNX", "onnx.save", {}),
        "model.pt2": (
            "PyTorch",
            "torch.export.save",
            {"mlm:framework_version": torch.__version__},
        ),
    }
    models = {
        name: describe_file(
            folder / name,
            f"Model for {framework}",
            MODEL_ROLES,
            **{"mlm:framework": framework, "mlm:artifact_type": artifact, "bands": names, **more},
        )
        for name, (framework, artifact, more) in frameworks.items()
    }
    return models | {CARD: describe_file(folder / CARD, "Model card", ["metadata"])}

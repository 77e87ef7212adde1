"""The floor of a study: what chance, slope and detectors score on the pixels of its networks.

Detectors read the best bands that the scene has, of all its orbits, on exactly the pixels that a
network of the split was scored on. Ground that they did not measure is no landslide to them. They
learn nothing from the training split: the two numbers of a logistic regression and the threshold
with the best F1 come from validation.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from landslide.data.datamodule import LandslideDataModule, PatchDataset, Split
from landslide.data.identity import code_version
from landslide.data.memory import SceneMemory, SceneSource
from landslide.data.samplers import PatchSampler
from landslide.errors import InputError
from landslide.geo.files import write_json
from landslide.models.detectors import MIN_SCORE
from landslide.radar.bands import ORBITS
from landslide.study.ensembles import shared_data
from landslide.study.replications import distinct_splits, repetition_settings
from landslide.study.runs import DATA, FLOOR, flatten_metrics
from landslide.training.evaluation import Predictions, Results, best_threshold, evaluate, places_of
from landslide.training.logistic import fit_logistic
from landslide.training.model import LandslideModel
from landslide.training.named_detectors import BOTH, make_detector

DETECTORS = ("slope", "log_ratio", "change_z", "anomaly")

CHANCE = "chance"
"""Everything is a landslide: precision and average precision are the share of landslides."""

CONTEXT = 8
"""Pixels around a patch that detectors see, for their windows."""

RECORD = "floor.json"
"""File of a sweep that keeps its floor, which is measured once for each split."""


def measure_floor(runs: pd.DataFrame, sweep: Path) -> pd.DataFrame:
    """Score chance and detectors on every distinct split of a sweep.

    Args:
        runs: Comparable runs (see ``comparable_runs``).
        sweep: Folder of the sweep.

    Returns:
        A row for each split and each of the floor's names, in the column ``floor``: the split's
        first run with the counts and scores of the floor in place of its own.

    Raises:
        InputError: The scene of a split that was not measured yet is missing or has changed, or
            the runs were scored on implants.
    """
    record = sweep / RECORD
    known: dict[str, Any] = json.loads(record.read_text()) if record.exists() else {}
    first = runs.assign(number=distinct_splits(runs)).sort_values(repetition_settings(runs))
    memory, rows = SceneMemory(), []
    for _, run in first.drop_duplicates("number").drop(columns="number").iterrows():
        source = {"code": code_version(), "data": run[DATA]}
        found = known.get(run.run)
        if found is None or found["source"] != source:
            data = shared_data([sweep / run.run], memory)
            if data.implanted:
                raise InputError(
                    "these runs were scored on implants, of which detectors see nothing in the "
                    "scene: compare their maps of an event with an inventory"
                )
            found = {"source": source, "scores": score_floor(data)}
            known[run.run] = found
            write_json(record, known)
        rows += [
            run.to_dict() | {FLOOR: name} | flatten_metrics(results)
            for name, results in found["scores"].items()
        ]
    return pd.DataFrame(rows, dtype=object)


def score_floor(data: LandslideDataModule) -> dict[str, Results]:
    """Score chance and the detectors that the scenes allow on validation and test.

    Args:
        data: A network's patches, set up.
    """
    splits: tuple[Split, ...] = ("val", "test")
    masks = {split: _masks(data, split) for split in splits}
    ones = {split: p._replace(probability=torch.ones(p.mask.shape)) for split, p in masks.items()}
    floor = {CHANCE: evaluate(ones, 0.5)}
    orbit = BOTH if all(_has_both(root) for root in data.roots) else None
    for name in DETECTORS:
        try:
            task = make_detector(name, str(data.roots[0]), orbit)
            scored = {split: _score(task, data, p, split) for split, p in masks.items()}
            found = _to_probability(scored)
        except InputError:  # the scene lacks what the detector needs
            continue
        floor[name] = evaluate(found, best_threshold(found["val"]))
    return floor


def _to_probability(scored: dict[Split, Predictions]) -> dict[Split, Predictions]:
    """Probabilities of scores by a logistic regression on validation; 0 where there is no score.

    Raises:
        InputError: No pixel of the validation split with a score is a landslide, or all are.
    """
    known = (scored["val"].mask <= 1) & (scored["val"].probability > MIN_SCORE)
    truth = scored["val"].mask[known] == 1
    if truth.all() or not truth.any():
        raise InputError("the detector scores no landslide of the validation split, or all")
    scale, offset = fit_logistic(scored["val"].probability[known].numpy(), truth.numpy())
    found = {}
    for split, part in scored.items():
        scores = part.probability.double()
        probability = (scale * scores + offset).sigmoid().where(scores > MIN_SCORE, 0.0)
        found[split] = part._replace(probability=probability)
    return found


def _has_both(root: Path) -> bool:
    return all((root / f"{orbit}.tif").exists() for orbit in ORBITS)


def _masks(data: LandslideDataModule, split: Split) -> Predictions:
    """The masks of a network's patches, without their context, and no probability yet."""
    context = (data.window_size - data.patch_size) // 2
    inside = slice(context, context + data.patch_size)
    samples = data.samples(data.patches_of(split))
    masks = torch.stack([sample["mask"][inside, inside] for sample in samples])
    places = places_of(data, split, context=0)
    return Predictions(torch.empty(0), masks, places)


@torch.inference_mode()
def _score(
    task: LandslideModel, data: LandslideDataModule, masks: Predictions, split: Split
) -> Predictions:
    """Scores of a detector on the patches of a split."""
    sources = [
        SceneSource(root, task.orbit, tuple(task.bands), task.normalization.balance)
        for root in data.roots
    ]
    scenes = data.memory.open(sources, limit=data.memory_mib * 2**20)
    dataset = PatchDataset(scenes, CONTEXT)
    inside = slice(CONTEXT, CONTEXT + data.patch_size)
    sampler = PatchSampler(data.patches_of(split), data.scenes, data.patch_size)
    scores = [
        task.model(task.normalization(dataset[query]["image"][None]))[0, 0, inside, inside]
        for query in sampler
    ]
    return masks._replace(probability=torch.stack(scores))

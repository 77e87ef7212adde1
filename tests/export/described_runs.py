"""Runs and exported models for tests of what describes a model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from builders import make_scene, make_task, save_checkpoint, small_datamodule
from commands import composed
from omegaconf import OmegaConf

from landslide.data.identity import Identity
from landslide.export.exported import Exported
from landslide.geo.files import checksum
from landslide.training.scores import SCORES
from landslide.training.size_classes import count_by_size
from landslide.training.task import load_task

SCENE = {
    "simulated": False,
    "event": {"name": "Test event", "time": "2018-09-05T18:07:59Z"},
    "dates": {"ascending": {"vv_pre": "2018-09-05", "vv_post1": "2018-09-17"}},
    "images": {"ascending": {"pre": {"platform": "S1A", "provider": "archive of tests"}}},
    "landslides": {"polygons": 1234},
}


def make_run(
    root: Path,
    f1: float = 0.5,
    *,
    scene: Path,
    task: dict[str, object] | None = None,
    **facts: object,
) -> Path:
    """The folder of a finished run, as ``train.py`` leaves it; returns its best checkpoint."""
    checkpoint = save_checkpoint(make_task(**(task or {})), root / "checkpoints" / "best.ckpt")
    identity = Identity.of([scene / "ascending.tif", scene / "scene.json"], checksum)
    identity.write(root)
    small_datamodule(scene).write_splits(root / "splits.geojson")
    scores = dict.fromkeys(SCORES, f1) | {"tp": 50, "fp": 30, "fn": 50, "tn": 970, "patches": 9}
    metrics = {"val": scores, "test": scores, "seed": 3, "train_patches": 36, "code": "0.1.0+abc"}
    (root / "metrics.json").write_text(json.dumps(metrics | facts))
    config = composed(f"dataset.root={scene}", "patch_size=32", "split=random", "seed=3")
    (root / ".hydra").mkdir()
    OmegaConf.save(config, root / ".hydra" / "config.yaml")
    return checkpoint


def make_described_scene(root: Path) -> Path:
    scene = make_scene(root)
    (scene / "scene.json").write_text(json.dumps(SCENE))
    return scene


def export(folder: Path, *checkpoints: Path, **changes: object) -> Exported:
    """What an export of checkpoints hands on, with empty model files in its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(b"graph")
    (folder / "model.pt2").write_bytes(b"program")
    facts: dict[str, Any] = {
        "members": [load_task(path) for path in checkpoints],
        "checkpoints": checkpoints,
        "tta": "none",
        "threshold": 0.25,
        "halo": 94,
        "size": None,
        "differences": {"model.onnx": {"random": 1.5e-7}, "model.pt2": {"random": 2.5e-8}},
    }
    return Exported(**(facts | changes))


def sizes(areas: list[float], shares: list[float]) -> dict[str, Any]:
    return {"hit": count_by_size(np.array(areas), np.array(shares))}

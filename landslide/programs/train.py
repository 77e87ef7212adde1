"""Train a landslide model: ``python train.py dataset=ascending_baa_s``."""

from omegaconf import DictConfig

from landslide.config.checks import check
from landslide.config.imports import importing
from landslide.config.paths import require_scenes
from landslide.config.rules import TRAIN
from landslide.study.sweeps import noting_failures


def train(config: DictConfig) -> float:
    """Train, test the best checkpoint and return the validation F1 for the sweeper."""
    with noting_failures(config):
        check(config, TRAIN)
        require_scenes(config)
        with importing():
            from landslide.study.job import run

        return run(config)

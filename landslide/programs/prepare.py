"""Prepare a scene: ``landslide prepare root=data/myevent event.date=2018-09-06 …``."""

import os

from omegaconf import DictConfig
from rich.console import Console

from landslide.config.imports import importing


def prepare(config: DictConfig) -> None:
    """Prepare a scene and print what was written, or only list the images of an archive."""
    # A second thread of BLAS only spins on matrices as small as those of co-registration.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    with importing():
        from landslide.prepare.prepare import plan_scene, prepare_scene
        from landslide.prepare.summary import print_summary

    console = Console()
    if config.plan:
        console.print(plan_scene(config))
    else:
        print_summary(prepare_scene(config, console), console)

"""Prepare a scene: ``python -m landslide.prepare root=data/myevent event.date=2018-09-06 …``."""

import sys

import hydra
from omegaconf import DictConfig
from rich.console import Console

from landslide.config.checks import check_words
from landslide.errors import told_in_a_sentence
from landslide.prepare.options import short_forms
from landslide.prepare.prepare import plan_scene, prepare_scene
from landslide.prepare.summary import print_summary


@hydra.main(config_path="../../conf", config_name="prepare", version_base=None)
@told_in_a_sentence()
def main(config: DictConfig) -> None:
    """Prepare, and say what was written; or only plan."""
    console = Console()
    if config.plan:
        console.print(plan_scene(config))
    else:
        print_summary(prepare_scene(config, console), console)


if __name__ == "__main__":
    check_words(sys.argv[1:])
    sys.argv[1:] = short_forms(sys.argv[1:])
    main()

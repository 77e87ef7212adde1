"""Write a model's input: ``landslide composite checkpoint=best.ckpt scene=data/demo output=…``."""

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from landslide.config.checks import check
from landslide.config.imports import importing
from landslide.config.paths import require_models


def composite(config: DictConfig) -> None:
    """Write the bands that a model reads, balanced where it was trained so."""
    check(config, {})
    names = require_models(config.checkpoint)
    with importing():
        from landslide.prediction.composite import write_composite
        from landslide.prediction.inputs import balance_input, open_input
        from landslide.radar.balance import describe_level_changes
        from landslide.training.named_detectors import load_or_make

    members, orbit = load_or_make(names, str(config.scene), config.orbit)
    scene, _, info = open_input(members, str(config.scene), orbit)
    changes = describe_level_changes(balance_input(members, scene))
    output = Path(config.output)
    write_composite(scene, output, simulated=bool(info.get("simulated")))
    console = Console(soft_wrap=True)
    if changes:
        done = "taken out" if scene.balance else "the model does not balance dates"
        console.print(f"Note: whole images differ, {changes}: {done}")
    console.print(f"{output}: {', '.join(scene.bands)}")

"""Write a scene with implants: ``landslide implant scene=data/demo output=data/implants``."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from landslide.config.checks import check
from landslide.config.imports import importing
from landslide.config.paths import require_scene
from landslide.config.rules import IMPLANT


def implant(config: DictConfig) -> None:
    """Implant landslides into a scene's quiet past, write the scene and print its files."""
    check(config, IMPLANT)
    require_scene(Path(config.scene))
    with importing():
        from landslide.data.implanted_output import implant_scene
        from landslide.implant.past import Implants

    settings: dict[str, Any] = OmegaConf.to_container(config.implants)  # type: ignore[assignment]
    console = Console(soft_wrap=True)
    with console.status("implanting"):
        written = implant_scene(
            Path(config.scene),
            Path(config.output),
            config.orbit,
            Implants(**settings),
            seed=config.seed,
            scars=config.scars,
            overwrite=config.overwrite,
        )
    console.print(
        f"{written.outlines} implanted landslides cover {100 * written.share:.2f} % of the scene. "
        f"{len(written.before)} quiet dates stand for those before, "
        f"{', '.join(map(str, written.after))} for those after."
    )
    if not written.outlines:
        console.print("Note: this draw has no landslide: another seed= implants some")
    for path in sorted(Path(config.output).rglob("*.*")):
        console.print(f"  {path}")

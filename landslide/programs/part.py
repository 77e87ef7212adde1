"""One part of a program's work: programs start it themselves, through a launcher."""

from pathlib import Path

from omegaconf import DictConfig


def part(config: DictConfig) -> None:
    """Compute a part and leave its result in the work's folder."""
    from landslide.parts import compute_part

    compute_part(Path(config.work), config.part)

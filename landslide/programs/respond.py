"""Respond to an event: ``landslide respond event=noto_2024 root=data/noto_2024``."""

import sys

from omegaconf import DictConfig

from landslide.config.checks import check
from landslide.config.imports import importing
from landslide.config.paths import require_models
from landslide.config.rules import RESPOND

TRY_AGAIN_LATER = 75
"""Exit status while there is no image to map: ``EX_TEMPFAIL`` of sysexits.h."""


def respond(config: DictConfig) -> None:
    """Do what can be done now; exit with status 75 while no image after the event is there."""
    check(config, RESPOND)
    if config.checkpoint is not None:
        require_models(config.checkpoint)
    with importing():
        from landslide.respond.response import respond_to_event

    if not respond_to_event(config):
        sys.exit(TRY_AGAIN_LATER)

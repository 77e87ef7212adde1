"""A launcher that stands in for Hydra's."""

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from landslide.parts import Launcher, compute_part


class LaunchHere:
    """Computes parts in this process, one after the other.

    Attributes:
        launched: Numbers of the parts of each sweep.
        meanwhile: What happens when a sweep has begun, given the folder of its work.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.launched: list[list[int]] = []
        self.meanwhile: Callable[[Path], object] = lambda _: None
        patch.setattr(subprocess, "run", self._run)
        patch.setattr(Launcher, "chosen", lambda: Launcher("here"))

    def _run(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        words = dict(word.split("=", 1) for word in command if "=" in word)
        [work] = shlex.split(words["work"])
        self.launched.append([int(number) for number in words["part"].split(",")])
        self.meanwhile(Path(work))
        for number in self.launched[-1]:
            compute_part(Path(work), number)
        return subprocess.CompletedProcess(command, 0, "", "")

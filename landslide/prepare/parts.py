"""How the rasters of a scene are written: at once, or in pieces that a launcher spreads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from landslide.geo.grid import Grid
from landslide.geo.pieces import Piece, divide, join
from landslide.parts import Launcher, compute_parts
from landslide.prepare.progress import Advance

R = TypeVar("R")


def ignore(**_: object) -> None:
    """Takes the place of ``advance`` in other processes."""


@dataclass(frozen=True)
class Parts:
    """The pieces of a scene's rasters.

    Attributes:
        advance: Shows progress.
        launcher: What spreads the pieces; None writes each raster at once, in this process.
        number: Pieces of a raster that is spread.
        folder: Keeps the pieces that are done, so that an interrupted run goes on from them.
    """

    advance: Advance
    launcher: Launcher | None
    number: int
    folder: Path

    @property
    def own_advance(self) -> Advance:
        """Shows progress within a piece, where that is in this process."""
        return self.advance if self.launcher is None else ignore

    def write(
        self, function: Callable[[Piece], R], path: Path, grid: Grid, profile: Mapping[str, Any]
    ) -> list[R]:
        """Write a raster.

        Args:
            function: Writes the file of a piece.
            path: The raster.
            grid: Its grid.
            profile: Its creation options.

        Returns:
            What the function returned for each piece, from north to south.
        """
        folder = self.folder / path.parent.name / path.stem
        pieces = divide(path, grid, self.number if self.launcher else 1, folder)
        if self.launcher is None or len(pieces) == 1:
            # The piece is the raster itself, which no other process may write.
            return [function(pieces[0])]
        results = compute_parts(function, pieces, folder, self.launcher, self.advance)
        join(pieces, path, profile)
        return results

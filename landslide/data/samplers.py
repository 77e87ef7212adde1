"""Geo-samplers over the patches of a split, for scenes and for any other TorchGeo dataset."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from torchgeo.datasets import GeoDataset
from torchgeo.samplers import GeoSampler

from landslide.geo.grid import Grid, Window


class Query(tuple[slice, slice]):
    """Map coordinates (x, y) of a patch, which index any TorchGeo dataset.

    Attributes:
        scene: Number of the scene.
        draw: Seed of what is drawn for this query alone, such as implants.
    """

    scene: int
    draw: int

    def __new__(cls, coordinates: tuple[slice, slice], scene: int = 0, draw: int = 0) -> "Query":
        """Add scene and draw to coordinates."""
        query = super().__new__(cls, coordinates)
        query.scene, query.draw = scene, draw
        return query

    def __getnewargs__(self) -> tuple[tuple[slice, slice], int, int]:
        """Keep scene and draw when a query is pickled for a worker process."""
        return tuple(self), self.scene, self.draw  # type: ignore[return-value]


def grid_of(dataset: GeoDataset) -> Grid:
    """Pixel grid of a TorchGeo dataset: its own, or one from its bounds and resolution."""
    if isinstance(own := getattr(dataset, "grid", None), Grid):
        return own
    west, south, east, north = dataset.index.total_bounds
    xres, yres = dataset.res
    return Grid(
        CRS.from_wkt(dataset.crs.to_wkt()),
        Affine(xres, 0, west, 0, -yres, north),
        round((north - south) / yres),
        round((east - west) / xres),
    )


class PatchSampler(GeoSampler):
    """Every patch of a split once an epoch.

    In distributed training each process draws an equal share. A shuffled split is filled up
    with patches that are drawn twice; a split in order with windows outside the scene, which
    are unknown everywhere and which metrics do not count.

    Args:
        patches: Patch table of the split.
        scenes: Scenes that the table's ``scene`` refers to, or other TorchGeo datasets.
        patch_size: Side of a patch in pixels.
        seed: Seed of the shuffle; None keeps the table's order.
        rank: This process.
        world_size: Number of processes.
        draws: How often a patch is drawn, each time with another ``Query.draw``.
    """

    def __init__(
        self,
        patches: pd.DataFrame,
        scenes: Sequence[GeoDataset],
        patch_size: int,
        *,
        seed: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        draws: int = 1,
    ) -> None:
        self.patches, self.draws = patches, draws
        self.grids = [grid_of(scene) for scene in scenes]
        self.patch_size = patch_size
        self.seed = seed
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        # The table of a single scene has no such column.
        table = patches if "scene" in patches else patches.assign(scene=0)
        self._cells = table[["scene", "row", "col"]].to_numpy(dtype=int)

    def set_epoch(self, epoch: int) -> None:
        """Draw another order from the same seed (Lightning calls this every epoch)."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Patches that this process draws in an epoch."""
        return -(-len(self.patches) * self.draws // self.world_size)

    def __iter__(self) -> Iterator[Query]:
        """Yield the queries of this process."""
        queries = self._queries()
        missing = len(self) * self.world_size - len(queries)
        queries += queries[:missing] if self.seed is not None else [self._outside()] * missing
        return iter(queries[self.rank :: self.world_size])

    def _queries(self) -> list[Query]:
        order = np.arange(len(self.patches))
        if self.seed is not None:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(order)
        size = self.patch_size
        queries = [
            self._query(scene, Window(row * size, col * size, size, size))
            for scene, row, col in self._cells[order].tolist()
        ]
        return [Query(q, q.scene, draw) for draw in range(self.draws) for q in queries]

    def _query(self, scene: int, window: Window) -> Query:
        return Query(self.grids[scene].slices(window), scene)

    def _outside(self) -> Query:
        size = self.patch_size
        return self._query(0, Window(-size, -size, size, size))


class WindowSampler(PatchSampler):
    """Random windows inside the split.

    A window may start at any pixel if all of it lies in patches of the split; every epoch draws
    new windows, each with a seed of its own.

    Args:
        patches: Patch table of the split.
        scenes: Scenes that the table's ``scene`` refers to.
        patch_size: Side of a patch in pixels.
        seed: Seed of the draws.
        windows: Windows that all processes draw in an epoch; None for as many as patches.
        rank: This process.
        world_size: Number of processes.
    """

    attempts = 20
    """Shifts of a patch that are tried before the patch itself is taken."""

    def __init__(
        self,
        patches: pd.DataFrame,
        scenes: Sequence[GeoDataset],
        patch_size: int,
        *,
        seed: int,
        windows: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(patches, scenes, patch_size, seed=seed, rank=rank, world_size=world_size)
        self.windows = len(patches) if windows is None else windows
        self._split = set(map(tuple, self._cells.tolist()))

    def __len__(self) -> int:
        """Windows that this process draws in an epoch."""
        return -(-self.windows // self.world_size)

    def _queries(self) -> list[Query]:
        rng = np.random.default_rng([self.seed or 0, self.epoch])
        cells = self._cells[rng.integers(len(self._cells), size=self.windows)]
        queries = [self._near(cell, rng) for cell in cells]
        return [Query(query, query.scene, int(rng.integers(2**62))) for query in queries]

    def _near(
        self,
        cell: NDArray[np.int64],
        rng: np.random.Generator,
        suits: Callable[[int, Window], bool] = lambda scene, window: True,
    ) -> Query:
        """A window of the split that overlaps a patch and suits, else the patch itself."""
        scene, row, col = cell.tolist()
        size = self.patch_size
        patch = Window(row * size, col * size, size, size)
        for _ in range(self.attempts):
            down, right = rng.integers(1 - size, size, 2).tolist()
            window = patch._replace(row=patch.row + down, col=patch.col + right)
            if self._in_split(scene, window) and suits(scene, window):
                return self._query(scene, window)
        return self._query(scene, patch)

    def _in_split(self, scene: int, window: Window) -> bool:
        size = self.patch_size
        rows = {window.row // size, (window.row + size - 1) // size}
        cols = {window.col // size, (window.col + size - 1) // size}
        return all((scene, row, col) in self._split for row in rows for col in cols)


class BalancedSampler(WindowSampler):
    """Random windows inside the split, a chosen share of them with landslide pixels.

    If the split has no window of one kind, such as quiet terrain, the other kind takes its place.

    Args:
        patches: Patch table of the split.
        scenes: Scenes that the table's ``scene`` refers to, with ground truth.
        patch_size: Side of a patch in pixels.
        landslide_share: Share of windows with at least one landslide pixel, in [0, 1].
        seed: Seed of the draws.
        rank: This process.
        world_size: Number of processes.
    """

    def __init__(
        self,
        patches: pd.DataFrame,
        scenes: Sequence[GeoDataset],
        patch_size: int,
        *,
        landslide_share: float,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(patches, scenes, patch_size, seed=seed, rank=rank, world_size=world_size)
        self.landslide_share = landslide_share
        self._sums = [_landslide_sums(scene) for scene in scenes]
        positive = (patches.landslide_pixels > 0).to_numpy()
        self._cells_by_kind = {True: self._cells[positive], False: self._cells[~positive]}

    def _queries(self) -> list[Query]:
        rng = np.random.default_rng([self.seed or 0, self.epoch])
        n = len(self.patches)
        wanted = rng.permutation(np.arange(n) < round(self.landslide_share * n))
        return [self._draw(bool(landslide), rng) for landslide in wanted]

    def _draw(self, landslide: bool, rng: np.random.Generator) -> Query:
        cells = self._cells_by_kind[landslide]
        if not len(cells):
            cells = self._cells_by_kind[not landslide]
        cell = cells[rng.integers(len(cells))]
        return self._near(cell, rng, lambda *place: self._has_landslide(*place) == landslide)

    def _has_landslide(self, scene: int, window: Window) -> bool:
        sums = self._sums[scene]
        top, left, height, width = window
        bottom, right = top + height, left + width
        total = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        return bool(total > 0)


def _landslide_sums(scene: GeoDataset) -> NDArray[np.int32]:
    """Number of landslide pixels north-west of every pixel corner, (H + 1, W + 1)."""
    grid = grid_of(scene)
    sums = np.zeros((grid.height + 1, grid.width + 1), dtype=np.int32)
    for window in grid.strips():
        landslide = (scene[grid.slices(window)]["mask"] == 1).numpy()
        rows = slice(window.row + 1, window.row + window.height + 1)
        sums[rows, 1:] = landslide
    return sums.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)

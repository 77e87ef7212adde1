"""A scene's composite and its ground truth, read through TorchGeo.

In this module an image is (C, H, W) float32 in the units of the file (backscatter
in linear power, slope in degrees) with NaN where there is no measurement, and a mask
is (H, W) uint8 with 0 no landslide, 1 landslide, 255 unknown.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import rasterio
import torch
from rasterio.enums import Resampling
from torch import Tensor
from torchgeo.datasets import GeoDataset, RasterDataset

from landslide.config.paths import require_scene
from landslide.errors import InputError
from landslide.geo.folders import is_incomplete
from landslide.geo.grid import EDGE_TOLERANCE, STRIP, Grid, Window
from landslide.geo.metadata import scene_info
from landslide.geo.rasters import UNKNOWN, open_raster, reading
from landslide.geo.scale import require_true_scale
from landslide.radar.balance import Balance
from landslide.radar.bands import (
    ORBIT_MARK,
    ChannelBuilder,
    is_backscatter,
    require_bands,
    require_linear_power,
)
from landslide.radar.visibility import Visibility, choose_visibility, merge_visibility


class Sample(TypedDict):
    """One window of a scene."""

    image: Tensor
    mask: Tensor


class Composite(RasterDataset):
    """Bands of one orbit, chosen by their GeoTIFF descriptions.

    A backscatter that is zero, negative or infinite is not a measurement and reads NaN.

    Args:
        path: GeoTIFF on a projected, north-up grid with described bands.
        bands: Descriptions of the bands to read, in the order of the image's channels.

    Raises:
        InputError: The file is missing, damaged or no raster; it lacks a band, a CRS or a
            projected CRS; its grid is rotated or has no true scale; its backscatter is in
            decibels.
    """

    def __init__(self, path: Path | str, bands: Sequence[str]) -> None:
        with open_raster(path) as source:
            self.all_bands = require_bands(source, bands)
            self.grid = _projected_grid(source)
            self.nodata = source.nodata
            require_linear_power(source, bands)
        self.path = path
        super().__init__(paths=[str(path)], bands=list(bands))
        self._backscatter = [is_backscatter(band) for band in bands]

    # Windows lie on the pixel grid: nothing is interpolated.
    resampling = Resampling.nearest

    def __getitem__(self, query: Any) -> dict[str, Any]:  # noqa: ANN401
        """Read a window given in map coordinates, ``dataset[x0:x1, y0:y1]``.

        Raises:
            UnreadableError: The file is damaged or incomplete.
        """
        with reading(self.path):
            sample: dict[str, Any] = super().__getitem__(_off_edges(query, self.grid))
        # In place and band by band, because this takes half of the time of reading a scene.
        for band, backscatter in zip(sample["image"], self._backscatter, strict=True):
            measured = (band > 0) & (band < torch.inf) if backscatter else band.isfinite()
            if self.nodata is not None and not np.isnan(self.nodata):
                measured &= band != self.nodata
            band.masked_fill_(~measured, torch.nan)
        return sample


class GroundTruth(RasterDataset):
    """The landslide mask of a scene.

    Raises:
        InputError: The file is missing, is no raster, has no projected north-up grid of true
            scale.
    """

    is_image = False

    def __init__(self, path: Path) -> None:
        with open_raster(path) as source:
            self.grid = _projected_grid(source)
            if source.count != 1 or np.issubdtype(source.dtypes[0], np.floating):
                raise InputError(
                    f"{path} has {source.count} bands of {source.dtypes[0]}: a landslide mask has "
                    f"one of integers, 0, 1 and {UNKNOWN} for unknown"
                )
        self.path = path
        super().__init__(paths=[str(path)])

    def __getitem__(self, query: Any) -> dict[str, Any]:  # noqa: ANN401
        """Read a window given in map coordinates.

        Raises:
            InputError: The mask holds values other than 0, 1 and 255, or cannot be read.
        """
        with reading(self.path):
            sample: dict[str, Any] = super().__getitem__(_off_edges(query, self.grid))
        mask = sample["mask"]
        invalid = mask[(mask != 0) & (mask != 1) & (mask != UNKNOWN)]
        if len(invalid):
            raise InputError(
                f"{self.path} holds the value {int(invalid[0])}: a landslide mask has 0 (no "
                f"landslide), 1 (landslide) and {UNKNOWN} (unknown) only"
            )
        return sample


class Scene(GeoDataset):
    """Composite and ground truth of one scene on one grid, window by window.

    The mask alone decides which pixels count, for losses, metrics and maps alike. A pixel is
    unknown in it (255) if any of the bands has no measurement there, if it lies in layover or
    shadow in any of their orbits, or if the ground truth is unknown. Windows may reach beyond
    the scene: pixels outside are NaN and unknown.

    Args:
        composite: GeoTIFF of the composite. The files of other orbits that bands name lie in
            the same folder, and so does ``scene.json``, if any, with the radar's geometry.
        bands: Bands to read (see ``landslide.radar.bands``).
        truth: GeoTIFF of the landslide mask; without one the mask is 0 where it is known.

    Attributes:
        visibility: Source of layover and shadow.

    Raises:
        InputError: See ``ChannelBuilder``, ``Composite`` and ``GroundTruth``; also when their grids
            differ.
    """

    def __init__(
        self, composite: Path | str, bands: Sequence[str], truth: Path | None = None
    ) -> None:
        self.bands = list(bands)
        self.path = composite
        self.visibility = _visibility(composite, ChannelBuilder(composite, bands).files)
        # The network's bands come first; bands of visibility alone are dropped after reading.
        read = list(dict.fromkeys([*bands, *self.visibility.bands]))
        self._relief = [read.index(band) for band in self.visibility.bands]
        self._stack = ChannelBuilder(composite, read)
        own, *others = (Composite(file, names) for file, names in self._stack.files.items())
        self.grid: Grid = own.grid
        self.index, self._res = own.index, own.res
        self._source: GeoDataset = own
        for other in others:
            _require_same_grid(self.grid, composite, other.grid, other.path)
            self._source &= other
        if truth is not None:
            mask = GroundTruth(truth)
            _require_same_grid(self.grid, composite, mask.grid, truth)
            self._source &= mask
        self._has_truth = truth is not None
        self._memory: Sample | None = None
        self._balance: Balance | None = None

    @classmethod
    def of(cls, root: Path, orbit: str, bands: Sequence[str], *, truth: bool = True) -> "Scene":
        """Open a scene folder.

        Args:
            root: Folder with ``<orbit>.tif`` and, for training, ``landslides.tif``.
            orbit: ``ascending`` or ``descending``.
            bands: Bands to read (see ``landslide.radar.bands``).
            truth: Whether the scene must have a landslide mask; if not, one is ignored.

        Raises:
            InputError: The folder or one of its files is missing or unusable.
        """
        require_scene(root)
        if is_incomplete(root):
            raise InputError(
                f"the scene {root} was not finished: wait if it is being written, or simulate or "
                "prepare it again with overwrite=true"
            )
        composite = root / f"{orbit}.tif"
        if not composite.exists():
            found = sorted(path.stem for path in root.glob("*cending.tif"))
            raise InputError(
                f"{root} has no {composite.name}: choose another orbit (found: "
                f"{', '.join(found) or 'none'}) or add the file"
            )
        mask = root / "landslides.tif"
        if truth and not mask.exists():
            raise InputError(f"{root} has no landslides.tif, which training and testing need")
        return cls(composite, bands, mask if truth else None)

    @property
    def files(self) -> list[str]:
        """The GeoTIFFs that bands are read from."""
        return list(self._stack.files)

    @property
    def bytes(self) -> int:
        """Bytes that the whole scene takes in memory."""
        return self.grid.height * self.grid.width * (4 * len(self.bands) + 1)

    @property
    def balance(self) -> Balance | None:
        """Correction that brings dates to one level in every window that is read, if set."""
        return self._balance

    @balance.setter
    def balance(self, balance: Balance) -> None:
        if self._memory is not None:
            raise RuntimeError(f"{self.path} is in memory: balance its dates before it is loaded")
        self._balance = balance

    def load(self) -> None:
        """Read the whole scene once and serve windows from memory from then on."""
        self._memory = self.read(self.grid.full_window)

    def __getitem__(self, query: Any) -> Sample:  # type: ignore[override]  # noqa: ANN401
        """Read map coordinates, (x, y) or (x, y, time), as a geo-sampler yields them."""
        x, y = query[:2]
        return self.read(self.grid.window(x, y))

    def read(self, window: Window) -> Sample:
        """Read a pixel window: image (C, H, W) and mask (H, W)."""
        inside = self.grid.clip(window)
        if inside == window:
            return self._read_inside(window)
        size = (window.height, window.width)
        sample = Sample(
            image=torch.full((len(self.bands), *size), torch.nan),
            mask=torch.full(size, UNKNOWN, dtype=torch.uint8),
        )
        if inside.height > 0 and inside.width > 0:
            pixels, part = inside.within(window), self._read_inside(inside)
            sample["image"][:, *pixels] = part["image"]
            sample["mask"][pixels] = part["mask"]
        return sample

    def _read_inside(self, window: Window) -> Sample:
        if self._memory is not None:
            pixels = window.within(self.grid.full_window)
            image, mask = self._memory["image"], self._memory["mask"]
            return Sample(image=image[:, *pixels], mask=mask[pixels])
        size = (window.height, window.width)
        sample = Sample(
            image=torch.empty(len(self.bands), *size), mask=torch.empty(size, dtype=torch.uint8)
        )
        for top in range(0, window.height, STRIP):
            rows = slice(top, min(top + STRIP, window.height))
            height = rows.stop - top
            strip = self._read_strip(window._replace(row=window.row + top, height=height))
            sample["image"][:, rows] = strip["image"]
            sample["mask"][rows] = strip["mask"]
        return sample

    def _read_strip(self, window: Window) -> Sample:
        sample = self._source[self.grid.slices(window)]
        bands = self._stack(sample["image"])
        size = (window.height, window.width)
        if tuple(bands.shape[1:]) != size:
            raise RuntimeError(f"{self.path}: read {tuple(bands.shape[1:])} px, wanted {size}")
        image = bands[: len(self.bands)]
        if self._balance is not None:
            image = self._balance(image, window)
        unknown = image.isnan().any(dim=0) | self.visibility.hidden(bands[self._relief])
        mask = sample["mask"].to(torch.uint8) if self._has_truth else torch.zeros(size).byte()
        return Sample(image=image, mask=mask.masked_fill(unknown, UNKNOWN))


def _off_edges(query: Any, grid: Grid) -> Any:  # noqa: ANN401
    """Move map coordinates a thousandth of a pixel south-east, away from the pixels' edges.

    GDAL truncates an offset of 511.9999999 px to 511.
    """
    if isinstance(query, slice) or any(side.start is None or side.stop is None for side in query):
        return query
    x, y, *time = query
    east, south = EDGE_TOLERANCE * grid.transform.a, EDGE_TOLERANCE * grid.transform.e
    moved = (slice(x.start + east, x.stop + east), slice(y.start + south, y.stop + south))
    return (*moved, *time)


def _require_same_grid(grid: Grid, path: Path | str, other: Grid, other_path: Path | str) -> None:
    """Raise where two rasters of one scene lie on different grids."""
    if not other.matches(grid):
        raise InputError(
            f"{other_path} and {path} lie on different grids ({other}; {grid}): warp one to the "
            "other's grid (a mask by nearest neighbour)"
        )


def _visibility(composite: Path | str, files: Iterable[str]) -> Visibility:
    """Source of layover and shadow in every orbit that bands are read from.

    Args:
        composite: GeoTIFF of the dataset's own orbit.
        files: GeoTIFFs that bands are read from; each is named after its orbit.

    Raises:
        InputError: A file is missing, or the geometry in ``scene.json`` is malformed.
    """
    folder = Path(composite).parent
    geometry = scene_info(folder).get("geometry") or {}
    # A scene that was prepared without its geometry has None.
    if not isinstance(geometry, Mapping) or not all(
        orbit is None or isinstance(orbit, Mapping) for orbit in geometry.values()
    ):
        raise InputError(
            f"{folder / 'scene.json'}: geometry has no object for each orbit's "
            'name: write it like {"ascending": {"look": 78, "incidence": 36}}, or leave it out'
        )
    views = []
    for file in files:
        orbit = Path(file).stem
        at = "" if file == str(composite) else ORBIT_MARK + orbit
        with _open_beside(file, composite) as source:
            view = choose_visibility(source.descriptions, geometry.get(orbit))
        views.append(view._replace(bands=[band + at for band in view.bands]))
    return merge_visibility(views)


def _open_beside(file: str, own: Path | str) -> rasterio.DatasetReader:
    """Open a file that bands are read from.

    Raises:
        InputError: It cannot be opened; for another orbit, the message says why it is read.
    """
    try:
        return open_raster(file)
    except InputError as error:
        if file == str(own):
            raise
        raise InputError(
            f"{file}, which bands of the other orbit are read from, must lie beside {own} on the "
            f"same grid: {error}"
        ) from error


def _projected_grid(source: rasterio.DatasetReader) -> Grid:
    """Grid of a raster, which must be projected, in metres, north-up and of true scale."""
    grid = Grid.of(source)
    if grid.crs is None:
        raise InputError(f"{source.name} has no coordinate reference system: assign one")
    if not grid.crs.is_projected:
        raise InputError(
            f"{source.name} is in the geographic CRS {grid.crs}: warp it to a projected one in "
            "metres, such as UTM"
        )
    unit, metres = grid.crs.linear_units_factor
    if metres != 1:
        raise InputError(f"{source.name} is in {unit}, not in metres: warp it to UTM")
    a, b, _, d, e, _ = grid.transform[:6]
    if b or d or a <= 0 or e >= 0:
        raise InputError(f"{source.name} is rotated or not north-up: warp it to a north-up grid")
    require_true_scale(grid, source.name)
    return grid

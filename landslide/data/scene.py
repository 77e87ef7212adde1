"""A scene's composite and its ground truth.

In this module an image is (C, H, W) float32 in the units of the file (backscatter
in linear power, slope in degrees) with NaN where there is no measurement, and a mask
is (H, W) uint8 with 0 no landslide, 1 landslide, 255 unknown.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypedDict

import rasterio
import torch
from torch import Tensor

from landslide.config.paths import require_scene
from landslide.data.readers import BandReader, MaskReader, OpenRaster, projected_grid
from landslide.errors import InputError
from landslide.geo.folders import is_incomplete
from landslide.geo.grid import STRIP, Grid, Window
from landslide.geo.metadata import scene_info
from landslide.geo.rasters import UNKNOWN, open_raster
from landslide.radar.balance import Balance
from landslide.radar.bands import ORBIT_MARK, ChannelBuilder
from landslide.radar.visibility import Visibility, choose_visibility, merge_visibility


class Sample(TypedDict):
    """One window of a scene."""

    image: Tensor
    mask: Tensor


class Scene:
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
        InputError: See ``ChannelBuilder``, ``BandReader`` and ``MaskReader``; also when their grids
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
        files = self._stack.files
        rasters = {file: OpenRaster(file) for file in (str(composite), *files)}
        self._own = rasters[str(composite)]
        self.grid = projected_grid(self._own.source)
        self._orbits = [BandReader(rasters[file], names) for file, names in files.items()]
        self._truth = None if truth is None else MaskReader(truth)
        readers: list[BandReader | MaskReader] = [*self._orbits]
        if self._truth is not None:
            readers.append(self._truth)
        for reader in readers:
            _require_same_grid(self.grid, composite, reader.grid, reader.raster.path)
        self._rasters = [self._own, *(reader.raster for reader in readers)]
        self._memory: Sample | None = None
        self._balance: Balance | None = None

    @classmethod
    def of(cls, root: Path, orbit: str, bands: Sequence[str], *, truth: bool = True) -> Self:
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

    def open_bands(self, names: Collection[str]) -> BandReader | None:
        """A reader of those bands that the scene's own orbit has, if it has any."""
        found = [name for name in names if name in self._own.source.descriptions]
        return BandReader(self._own, found) if found else None

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
        for raster in self._rasters:
            raster.close()

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
        bands = self._stack(torch.cat([orbit.read(window) for orbit in self._orbits]))
        image = bands[: len(self.bands)]
        if self._balance is not None:
            image = self._balance(image, window)
        unknown = image.isnan().any(dim=0) | self.visibility.hidden(bands[self._relief])
        mask = torch.zeros_like(unknown, dtype=torch.uint8)
        if self._truth is not None:
            mask = self._truth.read(window)
        return Sample(image=image, mask=mask.masked_fill(unknown, UNKNOWN))


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

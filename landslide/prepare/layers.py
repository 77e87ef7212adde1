"""Layers: any other raster, such as coherence or geology, as a band of a scene."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling

from landslide.config.checks import check_value
from landslide.config.rules import LAYER
from landslide.errors import InputError
from landslide.geo.grid import Grid
from landslide.geo.relief import Float
from landslide.prepare.aligned_tiles import Conversion
from landslide.prepare.area import extent_on_grid
from landslide.prepare.discovery import existing_paths, to_plain
from landslide.prepare.mosaic import choose_resampling, keep_values, open_georeferenced
from landslide.prepare.sources import Tile
from landslide.prepare.terrain import TERRAIN_BANDS
from landslide.radar.bands import is_backscatter
from landslide.radar.stack import stack_bands

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
"""Names that can be told from quotients, bands of the other orbit and options."""

TAKEN = {"anomaly", *TERRAIN_BANDS, *stack_bands(("vv", "vh", "hh", "hv"))}
"""Bands of a scene besides backscatter."""


class Layer(NamedTuple):
    """A raster that becomes a band.

    Attributes:
        name: Description of the band.
        tiles: Its files; where they overlap, the first valid pixel counts.
        resampling: How positions between pixels are interpolated.
        units: Units of its values, where they are known.
        nodata: Value that is no measurement besides those that the files declare.
    """

    name: str
    tiles: tuple[Tile, ...]
    resampling: Resampling
    units: str | None
    nodata: float | None

    def images(self) -> list[tuple[Tile, Conversion]]:
        """Tiles with the conversion to values with NaN where they are no measurement."""
        conversion = keep_values if self.nodata is None else partial(hide, nodata=self.nodata)
        return [(tile, conversion) for tile in self.tiles]

    def describe(self) -> dict[str, Any]:
        """Entry of the layer in ``scene.json``."""
        return {
            "units": self.units,
            "resampling": self.resampling.name,
            "nodata": self.nodata,
            "items": [tile.path.name for tile in self.tiles],
            "band": self.tiles[0].band,
        }


def read_layers(options: object) -> list[Layer]:
    """Read the options of ``layers`` and look at the files.

    Args:
        options: A file, a list of tiles or a mapping of options for each name of a band.

    Raises:
        InputError: A name cannot be that of a band or is taken, an option is unknown or wrong, or
            a file cannot be used.
    """
    given = to_plain(options)
    if not isinstance(given, dict):
        raise InputError(f"layers={given} has no name: write layers.coherence=file.tif")
    return [_read_layer(str(name), value) for name, value in given.items()]


def _read_layer(name: str, given: object) -> Layer:
    key = f"layers.{name}"
    if not NAME.fullmatch(name):
        raise InputError(f"{key} cannot be the name of a band: use letters, digits and _")
    if name.lower() in TAKEN or is_backscatter(name):
        raise InputError(f"{key} has the name of another band of a scene: choose another")
    chosen = _options_of(key, given)
    tiles = tuple(Tile(path, chosen["band"]) for path in existing_paths(chosen["file"], key))
    units, whole = [], []
    for tile in tiles:
        with open_georeferenced(tile) as source:
            index = tile.band - 1
            units.append(source.units[index])
            scaled = (source.scales[index], source.offsets[index]) != (1.0, 0.0)
            whole.append(np.issubdtype(source.dtypes[index], np.integer) and not scaled)
    # Whole numbers are often classes, between which there is nothing.
    resampling = chosen["resampling"] or ("nearest" if all(whole) else "bilinear")
    return Layer(
        name,
        tiles,
        choose_resampling(resampling, f"{key}.resampling"),
        chosen["units"] or units[0],
        chosen["nodata"],
    )


def _options_of(key: str, given: object) -> dict[str, Any]:
    """All options of a layer, of which a file or a list of tiles may be the only one."""
    defaults = {"file": None, "resampling": None, "units": None, "nodata": None, "band": 1}
    options = given if isinstance(given, dict) else {"file": given}
    if unknown := sorted(map(str, options.keys() - defaults.keys())):
        raise InputError(f"{key}.{unknown[0]} is unknown: choose from {', '.join(defaults)}")
    for name, rule in LAYER.items():
        if name in options:
            check_value(f"{key}.{name}", options[name], rule)
    return defaults | options


def hide(values: Float, valid: NDArray[np.bool_], *, nodata: float) -> Float:
    """Values with NaN where they are not valid or equal to ``nodata``."""
    return keep_values(values, valid & (values != np.float32(nodata)))


def require_layers_overlap(layers: Sequence[Layer], grid: Grid) -> None:
    """Check that every layer touches the scene.

    Raises:
        InputError: One does not.
    """
    for layer in layers:
        if not any(extent_on_grid(tile, grid).area for tile in layer.tiles):
            raise InputError(
                f"layers.{layer.name} ({layer.tiles[0].path}) does not overlap the scene ({grid}): "
                "give another file or leave it out"
            )

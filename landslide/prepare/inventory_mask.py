"""An inventory of landslides as a mask on the scene's grid."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig
from rasterio.enums import Resampling

from landslide.errors import InputError
from landslide.geo.grid import Grid, Window
from landslide.geo.inventory import Inventory, is_mask_raster, read_inventory
from landslide.geo.polygons import rasterize_window
from landslide.geo.rasters import UNKNOWN
from landslide.geo.relief import Float
from landslide.prepare.mosaic import Mosaic, open_georeferenced
from landslide.prepare.sources import Tile

Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class InventoryMask:
    """An inventory's mask, read window by window.

    ``read`` returns (H, W) of a window: 0 no landslide, 1 landslide, 255 unknown.
    """

    read: Callable[[Window], Mask]
    outlines: gpd.GeoDataFrame | None
    notes: tuple[str, ...]


def open_inventory_mask(options: DictConfig, grid: Grid, resampling: Resampling) -> InventoryMask:
    """Open polygons, points or a mask raster.

    ``options`` are ``inventory`` of ``conf/prepare.yaml``; ``resampling`` is for a mask raster.

    Raises:
        InputError: The inventory or the mapped area cannot be used.
    """
    path = Path(options.file)
    is_known = _mapped_area(options.mapped_area, grid)
    if is_mask_raster(path):
        return InventoryMask(_read_raster(path, grid, resampling, is_known), None, ())
    inventory = read_inventory(path, grid, radius=options.radius)
    if inventory.polygons.empty:
        raise InputError(
            f"inventory.file={path} has no landslide within the area ({grid}): check its place "
            "and CRS"
        )
    polygons, ones = inventory.polygons, [1] * len(inventory.polygons)

    def read(window: Window) -> Mask:
        burnt = rasterize_window(polygons, ones, grid, window, all_touched=options.all_touched)
        return np.where(is_known(window), burnt, UNKNOWN).astype(np.uint8)

    outlines = gpd.GeoDataFrame({"id": range(1, len(polygons) + 1)}, geometry=polygons)
    outlines["area_m2"] = outlines.area.round(1)
    return InventoryMask(read, outlines, _notes(path, inventory))


def _notes(path: Path, inventory: Inventory) -> tuple[str, ...]:
    counts = {
        "outlines were invalid and were repaired": inventory.repaired,
        "features lie outside of the area": inventory.outside,
        "features are empty or no polygons and were left out": inventory.left_out,
    }
    name, total = path.name, inventory.features
    return tuple(f"{name}: {n} of {total} {text}" for text, n in counts.items() if n)


def _mapped_area(path: str | None, grid: Grid) -> Callable[[Window], NDArray[np.bool_]]:
    """Where the mask is known: within the polygons of a file, or everywhere."""
    if path is None:
        return lambda window: np.ones((window.height, window.width), np.bool_)
    area = read_inventory(Path(path), grid, key="inventory.mapped_area").polygons
    if area.empty:
        raise InputError(
            f"inventory.mapped_area={path} does not overlap with the area ({grid}): check its CRS"
        )
    return lambda window: rasterize_window(area, [1] * len(area), grid, window) == 1


def _read_raster(
    path: Path,
    grid: Grid,
    resampling: Resampling,
    is_known: Callable[[Window], NDArray[np.bool_]],
) -> Callable[[Window], Mask]:
    """Function that reads a mask raster in a window of the grid."""
    with open_georeferenced(Tile(path)) as source:
        # Masks that declare 0 as nodata mean no landslide there.
        zero_is_known = source.nodata == 0

    def check_values(values: Float, valid: NDArray[np.bool_]) -> Float:
        if zero_is_known:
            valid = valid | (values == 0)
        valid = valid & (values != UNKNOWN)
        invalid = values[valid & (values != 0) & (values != 1)]
        if len(invalid):
            raise InputError(
                f"inventory.file={path} holds the value {invalid[0]:g}: a mask has 0 (no "
                f"landslide), 1 (landslide) and {UNKNOWN} (unknown) only"
            )
        return np.where(valid, values, np.float32(np.nan))

    mosaic = Mosaic([(Tile(path), check_values)], resampling)

    def read(window: Window) -> Mask:
        with mosaic:
            mask = mosaic.read(grid, window)
        valid = np.isfinite(mask) & is_known(window)
        return np.where(valid, np.nan_to_num(mask) >= 0.5, UNKNOWN).astype(np.uint8)

    return read

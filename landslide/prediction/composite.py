"""A scene's bands as a model reads them, in one raster for programs that run exported models."""

from pathlib import Path

import numpy as np
import rasterio

from landslide.data.scene import Scene
from landslide.errors import InputError
from landslide.geo.files import replacing
from landslide.geo.rasters import raster_profile, to_cog


def write_composite(scene: Scene, path: Path, *, simulated: bool) -> None:
    """Write the bands of a scene in the model's order, with its dates as balanced as the scene's.

    Args:
        scene: The scene.
        path: GeoTIFF to write, whole or not at all: float32, NaN where a band did not measure.
        simulated: Whether the scene is simulated, which the raster's tags say.

    Raises:
        InputError: The file is one of the scene's own.
    """
    if path.resolve() in [Path(file).resolve() for file in scene.files]:
        raise InputError(f"output={path} is a file of the scene itself: name another file")
    profile = raster_profile(scene.grid, "float32", len(scene.bands), np.nan)
    with replacing(path) as temporary:
        with rasterio.open(temporary, "w", **profile) as sink:
            sink.descriptions = tuple(scene.bands)
            for block in scene.grid.blocks():
                sink.write(scene.read(block)["image"].numpy(), window=block.to_rasterio())
        to_cog(temporary, {"SIMULATED": "yes" if simulated else "no"})

"""Small generated scenes: fast to make, easy to learn, with invalid pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS
from scipy.ndimage import gaussian_filter

from landslide.geo.grid import Grid
from landslide.geo.rasters import write_raster

BANDS = ["vv_pre", "vv_post1", "vv_post2", "slope"]


def make_scene(
    root: Path,
    size: tuple[int, int] = (192, 320),
    seed: int = 0,
    *,
    epsg: int = 32654,
    origin: tuple[float, float] = (600_000.0, 4_740_000.0),
    res: float = 10.0,
) -> Path:
    """Write a scene whose landslides darken the post-event images by half."""
    rng = np.random.default_rng(seed)
    grid = Grid(CRS.from_epsg(epsg), Affine(res, 0, origin[0], 0, -res, origin[1]), *size)
    landslides = gaussian_filter(rng.normal(size=size), 5)
    mask = (landslides > np.quantile(landslides, 0.9)).astype(np.uint8)
    slope = 15 + 10 * gaussian_filter(rng.normal(size=size), 8) / 0.05
    for orbit in ("ascending", "descending"):
        power = 0.15 * rng.gamma(20, 1 / 20, size=(3, *size))
        power[1:, mask == 1] *= 0.4
        image = np.stack([*power, slope.clip(0, 60)]).astype(np.float32)
        image[:, :10, :6] = np.nan
        write_raster(root / f"{orbit}.tif", image, grid, BANDS, np.nan)
    write_raster(root / "landslides.tif", mask, grid, ["landslides"], 255)
    (root / "scene.json").write_text(json.dumps({"event": "generated", "simulated": True}))
    return root


@pytest.fixture(scope="session")
def scene_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scene(tmp_path_factory.mktemp("scene") / "scene")

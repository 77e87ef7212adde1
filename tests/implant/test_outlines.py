"""Outlines of real inventories as implants."""

import os
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.crs import CRS

from landslide.errors import InputError
from landslide.geo.grid import Grid, Window
from landslide.implant.outlines import OutlineSource, read_outlines
from landslide.implant.scars import Terrain

GRID = Grid(CRS.from_epsg(32654), Affine(10, 0, 600_000, 0, -10, 4_740_000), 120, 140)


def inventory(path: Path, *shapes: shapely.Geometry) -> Path:
    """Write an inventory in degrees, of another place than the grid."""
    gpd.GeoDataFrame(geometry=list(shapes), crs="EPSG:32633").to_crs("EPSG:4326").to_file(path)
    return path


@pytest.mark.parametrize("aspect", [0.0, 90.0, 225.0])
def test_outlines_keep_their_area_and_turn_to_the_fall_line(tmp_path: Path, aspect: float) -> None:
    strip = shapely.box(500_000, 5_000_000, 500_200, 5_000_060)
    path = inventory(tmp_path / "slides.gpkg", strip, shapely.affinity.rotate(strip, 50))
    shape = (GRID.height, GRID.width)
    terrain = Terrain.of(np.full(shape, 30, np.float32), np.full(shape, aspect, np.float32))
    source = OutlineSource(read_outlines(path, GRID), terrain, np.ones(shape, bool), GRID, 5.0)

    chips = source.draw(Window(0, 0, *shape), 40, np.random.default_rng(0))

    whole = [c for c in chips if c.place[0].start > 0 and c.place[0].stop < GRID.height]
    whole = [c for c in whole if c.place[1].start > 0 and c.place[1].stop < GRID.width]
    assert len(whole) > 10
    for _, coverage in whole:
        assert coverage.sum() * 100 == pytest.approx(200 * 60, rel=0.06)
        rows, cols = np.nonzero(coverage > 0.5)
        axis = np.linalg.eigh(np.cov(np.stack([-rows, cols])))[1][:, 1]  # northwards, eastwards
        fall = np.array([np.cos(np.radians(aspect)), np.sin(np.radians(aspect))])
        assert abs(axis @ fall) > 0.97


def test_outlines_that_fit_nowhere_are_one_sentence(tmp_path: Path) -> None:
    huge = shapely.box(500_000, 5_000_000, 520_000, 5_020_000)
    path = inventory(tmp_path / "slides.gpkg", huge, huge.centroid.buffer(5))

    with pytest.raises(InputError, match="2 polygons, and none has from 3 pixels"):
        read_outlines(path, GRID)


@pytest.mark.skipif("LANDSLIDE_SHARED_DATA" not in os.environ, reason="needs LANDSLIDE_SHARED_DATA")
def test_outlines_of_noto_are_read_from_anywhere() -> None:
    folder = Path(os.environ["LANDSLIDE_SHARED_DATA"]) / "noto_2024_inventory"
    outlines = read_outlines(folder / "hokai_all_20240106_suzu-wajimaEAST.geojson", GRID)

    areas = np.array([outline.area for outline in outlines])
    assert len(outlines) > 900
    assert 1000 < np.median(areas) < 2000
    assert max(abs(outline.centroid.x) for outline in outlines) < 1e-3

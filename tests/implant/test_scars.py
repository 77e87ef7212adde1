"""Shapes of implanted scars: they run down the slope, in sizes of real inventories."""

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from landslide.errors import InputError
from landslide.geo.grid import Grid, Window
from landslide.implant.decoys import HARVEST, displace, draw_decoys
from landslide.implant.scars import FEWEST_PIXELS, ScarSource, Terrain
from landslide.simulate.slides import landslide_areas

SHAPE = (200, 240)
EVERYWHERE = Window(0, 0, *SHAPE)


def grid(shape: tuple[int, int], spacing: float = 10.0) -> Grid:
    return Grid(CRS.from_epsg(32654), Affine(spacing, 0, 0, 0, -spacing, 0), *shape)


def source(aspect: float = 90.0, slope: float = 30.0, spacing: float = 10.0) -> ScarSource:
    terrain = Terrain.of(np.full(SHAPE, slope, np.float32), np.full(SHAPE, aspect, np.float32))
    return ScarSource(terrain, np.ones(SHAPE, bool), grid(SHAPE, spacing), 20.0, 6000.0)


@pytest.mark.parametrize("aspect", [0.0, 90.0, 180.0, 270.0])
def test_scars_are_longest_along_the_fall_line(aspect: float) -> None:
    chips = source(aspect).draw(EVERYWHERE, 60, np.random.default_rng(0))

    heights, widths = np.array([chip.coverage.shape for chip in chips]).T
    longer, shorter = (widths, heights) if aspect in (90, 270) else (heights, widths)
    assert np.median(longer / shorter) > 1.3


def test_a_scar_runs_downhill_from_its_head() -> None:
    shape = (200, 200)
    terrain = Terrain.of(np.full(shape, 30, np.float32), np.full(shape, 90, np.float32))
    start = np.zeros(shape, bool)
    start[:, 100] = True
    chips = ScarSource(terrain, start, grid(shape), 20.0, 6000.0).draw(
        Window(0, 0, *shape), 50, np.random.default_rng(0)
    )

    middles = [
        cols.start + np.average(np.arange(chip.shape[1]), weights=chip.sum(axis=0))
        for (_, cols), chip in chips
    ]
    assert np.mean(np.array(middles) > 100) > 0.95


@pytest.mark.parametrize("spacing", [10.0, 30.0])
def test_areas_are_those_of_real_inventories(spacing: float) -> None:
    chips = source(spacing=spacing).draw(EVERYWHERE, 300, np.random.default_rng(0))

    areas = np.array([chip.coverage.sum() for chip in chips]) * spacing**2
    drawn = landslide_areas(50_000, 6000.0, 300.0, np.random.default_rng(1))
    drawn = drawn[drawn >= FEWEST_PIXELS * spacing**2]
    assert np.median(areas) == pytest.approx(np.median(drawn), rel=0.35)
    assert np.quantile(areas, 0.9) == pytest.approx(np.quantile(drawn, 0.9), rel=0.35)


def test_a_window_beyond_the_scene_has_scars_inside_it_only() -> None:
    window = Window(-20, -30, 100, 100)

    chips = source().draw(window, 40, np.random.default_rng(0))

    assert chips
    for (rows, cols), coverage in chips:
        assert coverage.shape == (rows.stop - rows.start, cols.stop - cols.start)
        assert 0 <= rows.start < rows.stop <= 100
        assert 0 <= cols.start < cols.stop <= 100
        inner = np.zeros((100, 100))
        inner[rows, cols] = coverage
        assert inner[:10, :].max() < 0.5  # ten pixels off the scene, farther than any head


@pytest.mark.parametrize(("row", "col"), [(-150, 0), (250, 0), (0, -130), (20, 300), (-150, -150)])
def test_a_window_outside_the_scene_has_no_scars(row: int, col: int) -> None:
    assert source().draw(Window(row, col, 100, 100), 40, np.random.default_rng(0)) == []


def test_flat_ground_is_refused_in_one_sentence() -> None:
    with pytest.raises(InputError, match="no valid pixel that is steeper than 10 degrees"):
        source(slope=3.0)


def test_without_a_dem_scars_run_in_any_direction() -> None:
    terrain = Terrain.unknown((400, 400))

    directions = np.arctan2(terrain.south, terrain.east)
    counts, _ = np.histogram(directions, bins=4, range=(-np.pi, np.pi))
    assert counts.min() > 0.05 * counts.sum()


def test_without_a_dem_scars_gather_nowhere() -> None:
    # Where the same places failed in every draw, a network could learn them.
    shape = (100, 100)
    scars = ScarSource(
        Terrain.unknown(shape), np.ones(shape, bool), grid(shape, 30.0), 20.0, 20_000.0
    )
    failed = np.zeros((2, *shape))
    for half, seed in np.ndindex(2, 80):
        for chip in scars.draw(Window(0, 0, *shape), 60, np.random.default_rng([half, seed])):
            failed[half][chip.place] += chip.coverage
    inside = failed[:, 10:-10, 10:-10].reshape(2, -1)
    assert np.corrcoef(inside)[0, 1] < 0.3


def test_fields_lie_on_flat_ground_only() -> None:
    slope = np.full((300, 300), 30, np.float32)
    slope[:, :100] = 1
    rng = np.random.default_rng(0)
    decoys = [d for _ in range(60) for d in draw_decoys(slope, ["vv"], 10.0, rng)]

    bright = [(chip.place, change) for chip, change in decoys if chip.place[0] != slice(None)]
    assert len(bright) > 50
    fields = [place for place, change in bright if change[0] < -4.5]  # floods, the darkest
    middles = [(columns.start + columns.stop) / 2 for _, columns in fields]
    assert np.mean(np.array(middles) < 150) > 0.8
    assert HARVEST.slope[1] < 10


def test_some_samples_are_displaced_by_parts_of_a_pixel() -> None:
    ramp = np.tile(np.arange(64, dtype=np.float32), (1, 1, 64, 1))
    rng = np.random.default_rng(0)

    moved = [displace(ramp, 2 * ramp, rng) for _ in range(400)]

    np.testing.assert_allclose([2 * after for after, _ in moved], [donor for _, donor in moved])
    shifts = np.array([np.median((after - ramp)[..., 8:-8, 8:-8]) for after, _ in moved])
    assert np.mean(shifts != 0) == pytest.approx(0.2, abs=0.06)
    assert shifts[shifts != 0].std() == pytest.approx(0.25, rel=0.3)


def test_without_a_slope_every_decoy_lies_anywhere() -> None:
    rng = np.random.default_rng(0)
    slope = np.full((96, 96), np.nan, np.float32)

    changes = [change[0] for _ in range(400) for _, change in draw_decoys(slope, ["vv"], 10.0, rng)]
    assert np.min(changes) < -7  # floods
    assert np.max(changes) > 6  # building sites

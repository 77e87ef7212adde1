"""Dates of a stack: their statistics, their shifts, their speckle."""

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from scipy import ndimage

from landslide.radar.coregistration import measure_shift, shift_image
from landslide.radar.despeckling import temporal_filter, total_variation
from landslide.radar.statistics import DateStatistics

Float = NDArray[np.float32]

BURSTS = ("T137-292321-IW2", "T137-292322-IW2", "T137-292323-IW2", "T137-292324-IW2")


def speckled(dates: int, looks: float, level: Float, seed: int = 0) -> Float:
    """Dates of one ground, each with speckle of its own."""
    rng = np.random.default_rng(seed)
    speckle = rng.gamma(looks, 1 / looks, size=(dates, *level.shape))
    return (level * speckle).astype(np.float32)


@pytest.fixture(scope="session")
def bursts() -> dict[str, Float]:
    """(dates, polarisations, H, W) of each real burst over quiet hills."""
    shared = os.environ.get("LANDSLIDE_SHARED_DATA")
    if shared is None:
        pytest.skip("LANDSLIDE_SHARED_DATA is not set")
    stacks = {}
    for burst in BURSTS:
        folder = Path(shared) / "opera_rtc_quiet" / burst
        images = [sorted(folder.rglob(f"*_{name}.tif")) for name in ("VV", "VH")]
        stacks[burst] = np.stack(
            [
                np.stack([rasterio.open(path).read(1) for path in date])
                for date in zip(*images, strict=True)
            ]
        )
    return stacks


def others_of(stack: Float, date: int) -> Float:
    """Geometric mean of all dates but one."""
    rest = np.delete(stack, date, axis=0)
    return np.exp(np.nanmean(np.log(np.where(rest > 0, rest, np.nan)), axis=0))


class TestStatistics:
    def test_mean_scatter_and_count_are_those_of_the_whole_stack(self) -> None:
        stack = speckled(9, 4, np.full((20, 30), 0.1, np.float32))
        stack[2, :5] = np.nan
        stack[5, 3] = 0.0  # not a measurement
        statistics = DateStatistics((20, 30))
        for date in stack:
            statistics.add(date)
        valid = np.where(stack > 0, stack, np.nan)
        assert (statistics.count == np.isfinite(valid).sum(axis=0)).all()
        np.testing.assert_allclose(statistics.mean, np.nanmean(valid, axis=0), rtol=1e-6)
        scatter = np.nanstd(10 * np.log10(valid), axis=0, ddof=1)
        np.testing.assert_allclose(statistics.scatter, scatter, rtol=1e-5)

    def test_one_date_has_no_scatter_and_no_date_no_mean(self) -> None:
        statistics = DateStatistics((1, 2))
        statistics.add(np.array([[0.5, np.nan]], np.float32))
        assert statistics.mean[0, 0] == 0.5
        assert np.isnan(statistics.mean[0, 1])
        assert np.isnan(statistics.scatter).all()

    def test_scatter_is_exact_where_dates_hardly_differ(self) -> None:
        statistics = DateStatistics((1, 1))
        for decibels in (-10.0, -10.001, -10.002):
            statistics.add(np.full((1, 1), 10 ** (decibels / 10), np.float32))
        assert statistics.scatter[0, 0] == pytest.approx(1e-3, rel=1e-2)


class TestCoregistration:
    def test_a_shift_that_was_put_in_is_found(self, bursts: dict[str, Float]) -> None:
        rng = np.random.default_rng(1)
        for stack in bursts.values():
            for date in range(0, len(stack), 4):
                reference = others_of(stack, date)
                own = measure_shift(stack[date], reference)
                angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 2)
                put = length * np.array([np.sin(angle), np.cos(angle)])
                moved = np.stack([shift_image(image, *put) for image in stack[date]])
                found = measure_shift(moved, reference)
                assert own is not None
                assert found is not None
                assert (
                    np.hypot(found.rows - own.rows - put[0], found.cols - own.cols - put[1]) < 0.1
                )
                assert own.distance < 0.1

    def test_a_shift_back_leaves_less_false_change(self, bursts: dict[str, Float]) -> None:
        stack = bursts["T137-292321-IW2"][:, :1]
        reference = others_of(stack, 3)
        moved = shift_image(stack[3, 0], 1.4, -1.1)[None]
        found = measure_shift(moved, reference)
        assert found is not None
        back = shift_image(moved[0], -found.rows, -found.cols)
        inner = (slice(5, -5),) * 2
        before, after = (
            np.nanstd(10 * np.log10(image / reference[0])[inner]) for image in (moved[0], back)
        )
        assert after < 0.9 * before

    def test_tiles_outvote_a_part_that_moved(self) -> None:
        ground = np.exp(
            ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(400, 400)), 2) * 4
        )
        date, reference = speckled(2, 10, ground.astype(np.float32))
        moved = shift_image(date, 0.5, 1.0)
        moved[:130, :130] = shift_image(date, 6, 6)[:130, :130]
        found = measure_shift(moved[None], reference[None])
        assert found is not None
        assert (found.rows, found.cols) == pytest.approx((0.5, 1.0), abs=0.1)
        assert found.tiles > 20

    def test_nothing_measured_by_both_has_no_shift(self) -> None:
        left, right = np.full((2, 1, 64, 64), np.nan, np.float32)
        left[..., :30], right[..., 34:] = 0.1, 0.1
        assert measure_shift(left, right) is None


class TestDespeckling:
    def test_total_variation_smooths_and_keeps_edges(self) -> None:
        level = np.full((80, 80), 0.1, np.float32)
        level[:, 40:] = 0.02  # a step of 7 dB
        (date,) = speckled(1, 4, level)
        smooth = total_variation(date)
        for side in (slice(5, 35), slice(45, 75)):
            looks = [image[:, side].mean() ** 2 / image[:, side].var() for image in (date, smooth)]
            assert looks[1] > 4 * looks[0]
        profile = 10 * np.log10(smooth).mean(axis=0)
        middle = (profile[5:35].mean() + profile[45:75].mean()) / 2
        assert 38.5 <= np.flatnonzero(profile < middle)[0] <= 41.5

    def test_holes_stay_and_pull_at_no_neighbour(self) -> None:
        date = np.full((30, 30), 0.1, np.float32)
        date[10:12, 10:12] = np.nan
        date[20, 20] = 0.0
        smooth = total_variation(date)
        hole = np.isnan(date) | (date == 0)
        assert (np.isnan(smooth) == hole).all()
        np.testing.assert_allclose(smooth[~hole], 0.1, rtol=1e-3)

    def test_the_temporal_filter_multiplies_looks_by_the_dates(self) -> None:
        dates = list(speckled(10, 4, np.full((200, 200), 0.1, np.float32)))
        filtered = temporal_filter(dates, size=15)
        looks = [image.mean() ** 2 / image.var() for image in (dates[0], filtered[0])]
        # Ten dates of four looks, less what the window's own mean varies.
        assert looks[0] == pytest.approx(4, rel=0.05)
        assert 30 < looks[1] < 41

    def test_the_temporal_filter_keeps_what_changed(self) -> None:
        dates = list(speckled(8, 4, np.full((120, 120), 0.1, np.float32)))
        dates[-1][40:80, 40:80] *= 0.25
        filtered = temporal_filter(dates)
        change = 10 * np.log10(filtered[-1][50:70, 50:70].mean() / filtered[0][50:70, 50:70].mean())
        assert change == pytest.approx(-6.0, abs=0.5)

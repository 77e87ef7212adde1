"""Stacks of dates: names of bands, and the bands made of them."""

from datetime import date

import numpy as np

from landslide.radar.stack import StackStatistics, date_band, read_dates, stack_bands


def test_dates_are_read_from_descriptions_in_order_of_time() -> None:
    bands = ["vv_20180905", "vh_20180905", "slope", "vv_20180812", None, "vv_pre", "vh_20180812"]

    dates = read_dates(bands)

    assert list(dates) == [date(2018, 8, 12), date(2018, 9, 5)]
    assert dates[date(2018, 9, 5)] == {"vv": "vv_20180905", "vh": "vh_20180905"}
    assert date_band("vh", date(2018, 9, 5)) == "vh_20180905"


def test_stack_bands_are_those_of_numpy_over_the_dates_that_measured() -> None:
    rng = np.random.default_rng(0)
    before = {p: rng.gamma(4, 0.05, (5, 6, 7)).astype(np.float32) for p in ("vv", "vh")}
    after = {p: rng.gamma(4, 0.05, (2, 6, 7)).astype(np.float32) for p in ("vv", "vh")}
    for stack in before.values():
        stack[1, 2:4] = np.nan
        stack[:, 0, 0] = np.nan
        stack[1:, 0, 1] = 0
    statistics = StackStatistics((6, 7), ["vv", "vh"])
    for side, images in (("pre", before), ("post", after)):
        for index in range(len(images["vv"])):
            statistics.add(side, {p: stack[index] for p, stack in images.items()})

    bands = statistics.bands()

    assert list(bands) == stack_bands(["vv", "vh"])
    valid = np.where(before["vh"] > 0, before["vh"], np.nan).astype(np.float64)
    measured = np.isfinite(valid).sum(axis=0)
    np.testing.assert_array_equal(bands["pre_count"], measured)
    np.testing.assert_array_equal(bands["post_count"], 2)
    some = measured > 0
    np.testing.assert_allclose(
        bands["vh_pre_mean"][some], np.nanmean(valid[:, some], axis=0), rtol=1e-6
    )
    assert np.isnan(bands["vh_pre_mean"][0, 0])
    several = measured > 1
    decibels = 10 * np.log10(valid[:, several])
    np.testing.assert_allclose(
        bands["vh_pre_std"][several], np.nanstd(decibels, axis=0, ddof=1), rtol=1e-5
    )
    assert np.isnan(bands["vh_pre_std"][~several]).all()
    np.testing.assert_allclose(bands["vv_post_mean"], after["vv"].mean(axis=0), rtol=1e-6)


def test_the_scatter_leaves_out_what_moves_whole_dates() -> None:
    rng = np.random.default_rng(1)
    dates = rng.gamma(4, 0.05, (6, 5, 5)).astype(np.float32)
    offsets = rng.normal(0, 3, 6)
    still, moved = (StackStatistics((5, 5), ["vv"]) for _ in "12")
    for image, offset in zip(dates, offsets, strict=True):
        still.add("pre", {"vv": image})
        moved.add("pre", {"vv": image * 10 ** (offset / 10)}, {"vv": offset})

    scatter = moved.bands()["vv_pre_std"]

    np.testing.assert_allclose(scatter, still.bands()["vv_pre_std"], rtol=1e-5)
    mean = (dates * 10 ** (offsets / 10)[:, None, None]).mean(axis=0)
    np.testing.assert_allclose(moved.bands()["vv_pre_mean"], mean, rtol=1e-5)


def test_a_bright_date_leaves_no_edge_where_it_ends() -> None:
    statistics = StackStatistics((4, 6), ["vv"])
    for offset in (0.0, 0.0, 3.5):
        image = np.full((4, 6), 0.1 * 10 ** (offset / 10), np.float32)
        if offset:
            image[:, 2:] = np.nan
        statistics.add("post", {"vv": image}, {"vv": offset})

    mean = statistics.bands()["vv_post_mean"]

    expected = 0.1 * (2 + 10**0.35) / 3
    np.testing.assert_allclose(mean, expected, rtol=1e-5)

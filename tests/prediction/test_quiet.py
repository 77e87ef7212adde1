"""The threshold of a detector by false alarms, whatever part of the ground failed."""

import numpy as np
import pytest

from landslide.prediction.quiet import QuietEvents

RATE = 0.01


def _quiet(rng: np.random.Generator, size: int = 200_000) -> np.ndarray:
    return np.abs(rng.normal(size=size)).astype(np.float32)


@pytest.mark.parametrize("failed", [0.0, 0.07, 0.18])
def test_the_rate_holds_where_a_part_of_the_ground_failed(failed: float) -> None:
    rng = np.random.default_rng(0)
    scores = {}
    for day in ("a", "b", "c"):
        raw = _quiet(rng)
        scores[day] = (raw - np.median(raw)) / (np.median(raw) - np.quantile(raw, 0.15))
    # The map's ground changes more than the quiet events' did, as after rain.
    clean = 0.5 + 1.7 * _quiet(rng)
    landslides = 20 + _quiet(rng, round(len(clean) * failed / (1 - failed)))
    threshold = QuietEvents(scores, 7, 1).threshold(RATE, np.concatenate([clean, landslides]))
    # 99 % of |N(0, 1)| lie below 2.5758.
    assert threshold == pytest.approx(0.5 + 1.7 * 2.5758, rel=0.03)
    assert np.mean(clean > threshold) == pytest.approx(RATE, rel=0.15)


def test_rates_are_those_of_maps_whose_threshold_follows_from_other_dates() -> None:
    rng = np.random.default_rng(0)
    raw = _quiet(rng)
    usual = (raw - np.median(raw)) / (np.median(raw) - np.quantile(raw, 0.15))
    odd = usual * np.exp(0.5 * rng.normal(size=len(usual)))
    scores = {"2018-01-01 2018-01-13": odd, "2018-01-13 2018-01-25": usual}
    scores |= {"2018-02-06 2018-02-18": usual, "2018-03-02 2018-03-14": usual}
    events = QuietEvents(scores, 7, 2)
    rates = events.rates(RATE)
    # The run that shares a day with the odd one is not asked about it.
    others = dict.fromkeys(list(scores)[2:], usual)
    mapped = np.mean(odd > QuietEvents(others, 7, 2).threshold(RATE, odd))
    assert rates["2018-01-01 2018-01-13"] == pytest.approx(mapped)


def test_runs_that_all_share_days_tell_no_rate() -> None:
    scores = _quiet(np.random.default_rng(0), 1000)
    events = QuietEvents({"2018-01-01 2018-01-13": scores, "2018-01-13 2018-01-25": scores}, 2, 2)
    assert events.rates(RATE) == {}

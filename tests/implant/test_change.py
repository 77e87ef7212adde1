"""What implants do to an image: nothing but the change that is asked for."""

import numpy as np
import pytest
from scipy.special import polygamma

from landslide.implant.change import (
    GREATEST_CHANGE,
    LEAST_CHANGE,
    PATCHINESS,
    ChangedGround,
    draw_scar_changes,
    implant,
    incidence_effect,
    on_dates,
)
from landslide.implant.scars import Chip

SIZE = 128
PLACE = (slice(40, 90), slice(30, 100))


TEXTURE = np.random.default_rng(7).normal(-10, 2, (SIZE, SIZE))
"""Decibels of the ground, which last."""


@pytest.fixture
def quiet() -> np.ndarray:
    """Dates (D, P, H, W) of lasting texture, speckle of 4 looks, and an offset of each date."""
    rng = np.random.default_rng(0)
    texture = 10 ** (TEXTURE / 10)
    speckle = rng.gamma(4, 1 / 4, (12, 1, SIZE, SIZE))
    offsets = 10 ** (rng.normal(0, 1.5, (12, 1, 1, 1)) / 10)
    return (texture * speckle * offsets).astype(np.float32)


def decibels(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(power)


def changed(quiet: np.ndarray, coverage: float, change: float, strength: float) -> np.ndarray:
    chip = Chip(PLACE, np.full((50, 70), coverage, np.float32))
    return implant(
        quiet[9:10],
        quiet[10:11],
        quiet[:9].mean(axis=0),
        [ChangedGround(chip, np.full((1, 1, 1, 1), change, np.float32))],
        np.ones((SIZE, SIZE), np.float32),
        10.0,
        np.random.default_rng(1),
        strength,
    )


@pytest.mark.parametrize("coverage", [0.3, 0.5, 1.0])
def test_a_change_of_nothing_leaves_no_trace(quiet: np.ndarray, coverage: float) -> None:
    image = changed(quiet, coverage, 8.0, strength=0)

    before, after = (decibels(date[0, 0]) - TEXTURE for date in (quiet[9:10], image))
    inside = after[PLACE]
    assert inside.mean() == pytest.approx(before[PLACE].mean(), abs=0.1)
    # Standard deviation in decibels of speckle of 4 looks: 10 / ln 10 sqrt(trigamma(4)).
    assert inside.std() == pytest.approx(10 / np.log(10) * polygamma(1, 4) ** 0.5, rel=0.05)
    # Neighbouring pixels are as independent as before.
    assert np.corrcoef(inside[:, 1:].ravel(), inside[:, :-1].ravel())[0, 1] == pytest.approx(
        0, abs=0.05
    )
    outside = np.ones((SIZE, SIZE), bool)
    outside[PLACE] = False
    np.testing.assert_allclose(image[0, 0][outside], quiet[9, 0][outside], rtol=1e-5)


def test_speckle_inside_is_that_of_another_date(quiet: np.ndarray) -> None:
    image = changed(quiet, 1.0, 0.0, strength=0)

    inside, own, donor = (
        (decibels(date) - TEXTURE)[PLACE].ravel()
        for date in (image[0, 0], quiet[9, 0], quiet[10, 0])
    )
    assert abs(np.corrcoef(inside, own)[0, 1]) < 0.1
    assert np.corrcoef(inside, donor)[0, 1] > 0.95


@pytest.mark.parametrize("change", [-6.0, 4.0])
def test_the_change_is_the_one_asked_for(quiet: np.ndarray, change: float) -> None:
    still, moved = (changed(quiet, 1.0, change, strength) for strength in (0, 1))

    difference = (decibels(moved) - decibels(still))[0, 0]
    assert difference[PLACE].mean() == pytest.approx(change, abs=PATCHINESS)
    assert difference[PLACE].std() == pytest.approx(PATCHINESS, rel=0.5)
    assert np.abs(difference[:38]).max() == 0


def test_partly_covered_pixels_mix_power_linearly(quiet: np.ndarray) -> None:
    still, moved = (changed(quiet, 0.5, -100.0, strength) for strength in (0, 1))

    ratio = (moved / still)[0, 0][PLACE]
    np.testing.assert_allclose(ratio, 0.5, atol=1e-3)


def test_the_edge_of_a_scar_on_a_clearing_is_as_weak_as_elsewhere(quiet: np.ndarray) -> None:
    clearing = ChangedGround(Chip(PLACE, np.ones((50, 70), np.float32)), np.zeros((1, 1, 1, 1)))
    edge = ChangedGround(
        Chip(PLACE, np.full((50, 70), 0.2, np.float32)), np.full((1, 1, 1, 1), -10.0, np.float32)
    )
    changes = []
    for patches in ([edge], [clearing, edge]):
        after = implant(
            quiet[10:11],
            quiet[10:11],  # the same speckle again
            quiet[:10].mean(axis=0),
            patches,
            np.ones((SIZE, SIZE), np.float32),
            10.0,
            np.random.default_rng(0),
        )
        changes.append(decibels(after / quiet[10:11])[..., *PLACE].mean())
    # A fifth of the pixel loses 10 dB: 10 log10(0.8 + 0.2 x 0.1) = -0.86, patchiness aside.
    assert changes[0] == pytest.approx(-0.86, abs=0.2)
    assert changes[1] == pytest.approx(changes[0], abs=0.4)


def test_unmeasured_pixels_stay_unmeasured(quiet: np.ndarray) -> None:
    quiet[9, 0, 50, 50] = np.nan
    quiet[10, 0, 60, 60] = np.nan

    image = changed(quiet, 1.0, -3.0, strength=1)

    assert np.isnan(image[0, 0, 50, 50])
    assert np.isfinite(image[0, 0, 60, 60])
    assert np.isnan(image).sum() == 1


def test_every_scar_changes_visibly_in_one_polarisation_and_in_both_directions() -> None:
    rng = np.random.default_rng(0)
    changes = np.concatenate([draw_scar_changes(1, ["vv", "vh"], rng) for _ in range(2000)])

    largest = np.abs(changes).max(axis=1)
    assert largest.min() >= LEAST_CHANGE
    assert largest.max() <= GREATEST_CHANGE
    vv, vh = changes.T
    assert vh.mean() < vv.mean() < 0
    # What was seen on a real scar, and the opposite.
    assert ((vv > 1) & (vh < -1)).mean() > 0.05
    assert ((vv < -1) & (vh > 1)).mean() > 0.01
    assert 0.2 < np.corrcoef(vv, vh)[0, 1] < 0.6


def test_dates_of_a_track_share_the_change() -> None:
    rng = np.random.default_rng(0)
    drawn = np.stack([on_dates(np.array([-5.0, -2.0], np.float32), 3, rng) for _ in range(4000)])

    assert drawn.shape == (4000, 3, 2, 1, 1)
    drawn = drawn[..., 0, 0]
    np.testing.assert_allclose(drawn.mean(axis=(0, 1)), [-5, -2], atol=0.1)
    # Tracks differ by 1.5 dB, dates of one track by 0.7.
    np.testing.assert_allclose(
        drawn.mean(axis=1).std(axis=0), np.hypot(1.5, 0.7 / 3**0.5), rtol=0.05
    )
    np.testing.assert_allclose((drawn[:, 0] - drawn[:, 1]).std(axis=0), 0.7 * 2**0.5, rtol=0.05)


def test_scars_are_brighter_where_they_face_the_radar() -> None:
    rng = np.random.default_rng(0)
    angle = np.array([[10.0, 40.0, 70.0, np.nan]], np.float32)

    effects = np.stack([incidence_effect(angle, rng)[0] for _ in range(500)])

    np.testing.assert_allclose(effects[:, [1, 3]], 0, atol=1e-4)
    # 10 p log10(cos 10 / cos 40) with p from 0 to 3
    assert effects[:, 0].max() == pytest.approx(
        30 * np.log10(np.cos(np.pi / 18) / 0.7660), abs=0.05
    )
    assert effects[:, 2].min() == -5
    assert (effects[:, 0] >= 0).all()


def test_scars_of_one_event_resemble_each_other() -> None:
    rng = np.random.default_rng(0)
    events = np.array([draw_scar_changes(8, ["vv", "vh"], rng) for _ in range(800)])

    within, between = events.std(axis=1).mean(axis=0), events.mean(axis=1).std(axis=0)
    assert (within < between * 1.3).all()
    assert (within > 1.5).all()
    assert draw_scar_changes(0, ["vv"], rng).shape == (0, 1)

import numpy as np
import pytest
import torch

from landslide.errors import InputError
from landslide.radar.geometry import RadarGeometry, distortion, local_incidence
from landslide.radar.visibility import NODATA_ONLY, choose_visibility, distorted_slopes

ASCENDING = RadarGeometry(heading=348, incidence=36)


@pytest.mark.parametrize("towards", [False, True])
@pytest.mark.parametrize("slope", [0, 20, 34, 38, 50, 60])
def test_planes_are_seen_up_to_the_incidence_angle(slope: float, towards: bool) -> None:
    # Falls towards the radar, or away from it.
    aspect = (ASCENDING.look_azimuth + 180 * towards) % 360
    visible = slope < 36 if towards else slope < 90 - 36
    assert (
        bool(distorted_slopes(torch.tensor(slope), torch.tensor(aspect), ASCENDING)) is not visible
    )


@pytest.mark.parametrize("orbit", [ASCENDING, RadarGeometry(heading=192, incidence=30)])
def test_a_hill_is_hidden_where_the_radar_geometry_says(orbit: RadarGeometry) -> None:
    # A cone of 42 degrees: every direction once.
    row, col = np.mgrid[-60:61, -60:61].astype(np.float32)
    height = 10 * np.tan(np.radians(42)) * (60 - np.hypot(row, col)).clip(5, 50)
    side = (np.hypot(row, col) > 14) & (np.hypot(row, col) < 50)
    aspect = np.degrees(np.arctan2(col, -row)) % 360
    found = distorted_slopes(
        torch.full(row.shape, 42.0), torch.from_numpy(aspect.astype(np.float32)), orbit
    )
    facing = np.cos(np.radians(aspect - orbit.look_azimuth)) < 0
    # Layover found along the lines of sight also holds what is laid over by the hill.
    layover = distortion(height.astype(np.float32), 10, orbit).layover
    assert (layover | ~found.numpy())[side].all()
    # In closed form: tan(42) cos > tan(incidence), on the side that faces the radar.
    share = (
        np.degrees(np.arccos(np.tan(np.radians(orbit.incidence)) / np.tan(np.radians(42)))) / 180
    )
    assert found.numpy()[side & facing].mean() == pytest.approx(2 * share / 1, rel=0.05)
    assert not found.numpy()[side & ~facing].any()
    assert local_incidence(height.astype(np.float32), 10, orbit)[side & ~facing].max() < 90


def test_the_best_source_is_taken() -> None:
    geometry = {"look": 78, "incidence": 36}
    bands = ["vv_pre", "slope", "aspect"]
    assert choose_visibility([*bands, "layover_shadow"], geometry).bands == ["layover_shadow"]
    assert choose_visibility(bands, geometry).bands == ["slope", "aspect"]
    assert choose_visibility(bands, None) is NODATA_ONLY
    assert choose_visibility(bands, {"look": 78}) is NODATA_ONLY
    assert choose_visibility(["vv_pre", "slope"], geometry) is NODATA_ONLY


@pytest.mark.parametrize(("look", "incidence"), [("east", 36), (78, 96)])
def test_angles_of_no_radar_are_refused(look: object, incidence: float) -> None:
    with pytest.raises(InputError, match="geometry has look"):
        choose_visibility(["slope", "aspect"], {"look": look, "incidence": incidence})


def test_what_was_not_measured_is_not_called_layover() -> None:
    nan = torch.tensor(torch.nan)
    assert not distorted_slopes(nan, torch.tensor(90.0), ASCENDING)
    assert choose_visibility(["layover_shadow"], None).hidden(
        torch.tensor([[[0.0, 2.0, torch.nan]]])
    ).tolist() == [[False, True, True]]

import pytest

from landslide.radar.units import meaning_of, unit_of


@pytest.mark.parametrize(
    ("band", "unit", "meaning"),
    [
        ("vv_pre", "linear power", "VV backscatter, the last date before the event"),
        ("VH_post2", "linear power", "VH backscatter, the second date after the event"),
        ("gamma0_hh", "linear power", "HH backscatter"),
        ("vv_20180905", "linear power", "VV backscatter on 2018-09-05"),
        ("vh_pre_std", "dB", "scatter of VH over the dates before the event"),
        ("pre_count", "dates", "number of dates before the event that measured the pixel"),
        ("slope", "degrees", "slope angle"),
        ("aspect", "degrees clockwise from north", "direction that the slope faces"),
        (
            "vv_post1/vv_pre",
            "1",
            "VV backscatter, the first date after the event, divided by VV backscatter, the last "
            "date before the event",
        ),
        (
            "vv_post_mean@descending",
            "linear power",
            "VV backscatter, the mean of all dates after the event, descending orbit",
        ),
        ("anomaly@descending", "standard deviations", None),
        ("vv_coherence", None, "vv_coherence"),
    ],
)
def test_a_channel_has_the_unit_and_the_meaning_of_its_name(
    band: str, unit: str | None, meaning: str | None
) -> None:
    assert unit_of(band) == unit
    if meaning is not None:
        assert meaning_of(band) == meaning

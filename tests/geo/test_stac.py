"""Footprints of items at the antimeridian."""

import pytest
import shapely

from landslide.geo.stac import make_item


@pytest.mark.parametrize(
    ("west", "east", "expected"),
    [
        (179, 180, [179, 180]),
        (-180, -179, [-180, -179]),
        (179.5, 180.5, [179.5, -179.5]),
        (180, 181, [-180, -179]),
        (-181, -180, [179, 180]),
    ],
)
def test_a_box_that_ends_at_180_degrees_stays_on_its_side(
    west: float, east: float, expected: list[float]
) -> None:
    item = make_item("a", {"datetime": None}, {}, shapely.box(west, 1, east, 2), [])
    assert item["bbox"] == [expected[0], 1, expected[1], 2]

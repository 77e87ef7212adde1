import xml.etree.ElementTree as ET
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import Geod
from rasterio.crs import CRS

from landslide.geo.grid import Grid
from landslide.prepare.area import grid_center
from landslide.prepare.orbit import (
    NODE,
    SWATH,
    passes_of_two_tracks,
    radar_orbit,
    satellite_position,
    track_number,
    viewing_geometry,
)
from landslide.prepare.quality import check_tracks
from landslide.prepare.sources import Acquisition, Dem, Pass, Sources, Tile, parse_timestamp
from landslide.prepare.terrain import north_convergence

IBURI = (142.0, 42.75)


@pytest.fixture(scope="module")
def annotated(real_data: Path) -> tuple[int, Pass, np.ndarray]:
    """Track, pass and tie points (line, pixel, lon, lat, incidence) of a real product."""
    root = ET.parse(next(real_data.glob("s1_grd_safe/*.SAFE/annotation/s1b*.xml"))).getroot()
    track = track_number(
        "S1B", int(root.findtext(".//absoluteOrbitNumber", "")), date(2021, 12, 23)
    )
    assert track is not None
    keys = ("line", "pixel", "longitude", "latitude", "incidenceAngle")
    points = root.iter("geolocationGridPoint")
    table = [[float(point.findtext(key, "nan")) for key in keys] for point in points]
    assert root.findtext(".//pass") == "Descending"
    return track, "descending", np.array(table)


def test_the_incidence_angle_is_that_of_a_real_products_annotation_over_the_whole_swath(
    annotated: tuple[int, Pass, np.ndarray],
) -> None:
    """S1B in 2021; the orbit's numbers were fitted to S1A in 2023."""
    track, direction, points = annotated
    angles = np.array(
        [viewing_geometry(track, direction, *point[2:4]).incidence for point in points]
    )
    error = angles - points[:, 4]
    assert points[:, 4].max() - points[:, 4].min() > 15  # near to far range
    assert np.abs(error).max() < 0.06
    assert np.sqrt((error**2).mean()) < 0.03


@pytest.mark.parametrize(
    ("longitude", "latitude", "incidence"),
    [
        (43.03330, -12.17883, 29.0317),
        (43.40984, -12.09430, 32.0005),
        (43.75771, -12.01571, 34.6131),
        (43.49322, -10.85987, 34.6542),
    ],
)
def test_a_pass_that_ascends_in_the_south_is_at_the_end_of_its_track(
    longitude: float, latitude: float, incidence: float
) -> None:
    """Annotated tie points at sea level: S1A S3, 2021-04-01, absolute orbit 37258."""
    track = track_number("S1A", 37258, date(2021, 4, 1))
    assert track == 86
    view = viewing_geometry(track, "ascending", longitude, latitude)
    assert view.incidence == pytest.approx(incidence, abs=0.03)
    # East-north-east, as the next point of the line lies.
    azimuth = Geod(ellps="WGS84").inv(43.03330, -12.17883, 43.40984, -12.09430)[0]
    assert view.look_azimuth == pytest.approx(azimuth, abs=0.5)


def test_the_look_is_that_along_the_lines_of_a_real_product(
    annotated: tuple[int, Pass, np.ndarray],
) -> None:
    track, direction, points = annotated
    for number in np.unique(points[:, 0]):
        line = points[points[:, 0] == number]
        for before, here, after in zip(line[::4], line[1::4], line[2::4], strict=False):
            azimuth = Geod(ellps="WGS84").inv(*before[2:4], *after[2:4])[0] % 360
            assert viewing_geometry(track, direction, *here[2:4]).look_azimuth == pytest.approx(
                azimuth, abs=0.15
            )


def test_tracks_repeat_after_12_days_and_lie_in_order_of_time() -> None:
    """Consecutive tracks are 12/175 of a turn apart; after all of them the first comes again."""
    longitudes = [
        np.degrees(np.arctan2(*satellite_position(track, 0.0)[[1, 0]])) for track in (1, 2, 176)
    ]
    assert longitudes[0] == pytest.approx(NODE)
    assert (longitudes[0] - longitudes[1]) % 360 == pytest.approx(360 * 12 / 175)
    assert longitudes[2] == pytest.approx(longitudes[0])


@pytest.mark.parametrize(("track", "direction"), [(68, "ascending"), (46, "descending")])
def test_the_papers_area_is_seen_from_the_papers_tracks(track: int, direction: Pass) -> None:
    other: Pass = "descending" if direction == "ascending" else "ascending"
    view = viewing_geometry(track, direction, *IBURI)
    assert 29 < view.incidence < 46.5  # within the swath of IW
    assert view.look_azimuth == pytest.approx(80 if direction == "ascending" else 280, abs=2)
    assert not viewing_geometry(track, other, *IBURI).in_swath
    # On the other side of the satellite at the same distance.
    assert (
        viewing_geometry(
            track, direction, IBURI[0] - np.sign(np.sin(np.radians(view.look_azimuth))) * 13, 42.75
        ).incidence
        < 0
    )


GRID = Grid(CRS.from_epsg(32654), Affine(10, 0, 582_000, 0, -10, 4_734_000), 100, 100)


def test_a_track_alone_gives_the_geometry_of_a_scene_and_options_come_first() -> None:
    dates = {"pre": Acquisition({}, relative_orbit=68, platform="S1A")}
    orbit = radar_orbit("ascending", dates, GRID)
    assert orbit is not None
    view = viewing_geometry(68, "ascending", *grid_center(GRID))
    assert orbit.incidence == pytest.approx(view.incidence, abs=0.01)
    assert orbit.look_azimuth + north_convergence(GRID) == pytest.approx(
        view.look_azimuth, abs=0.01
    )
    dates = {"pre": Acquisition({}, relative_orbit=68, incidence=39.0)}
    orbit = radar_orbit("ascending", dates, GRID)
    assert orbit is not None
    assert orbit.incidence == 39.0
    assert radar_orbit("ascending", {"pre": Acquisition({})}, GRID) is None
    other = {"pre": Acquisition({}, relative_orbit=68, platform="TSX")}
    assert radar_orbit("ascending", other, GRID) is None


def test_tracks_that_do_not_see_the_area_and_angles_they_do_not_have_are_warned_of() -> None:
    def warnings(name: Pass, **facts: float) -> list[str]:
        orbits = {name: {"pre": Acquisition({}, **facts)}}  # type: ignore[arg-type]
        return check_tracks(Sources(orbits, Dem(())), *IBURI)

    assert not warnings("ascending", relative_orbit=68)
    assert not warnings("ascending", relative_orbit=68, incidence=39)
    assert (
        "does not see the area while it is descending"
        in warnings("descending", relative_orbit=68)[0]
    )
    assert "ascending it does" in warnings("descending", relative_orbit=68)[0]
    assert "from track 68 it is 39.7" in warnings("ascending", relative_orbit=68, incidence=33)[0]
    assert SWATH[0] < 29 < 46.5 < SWATH[1]


def test_times_around_midnight_may_be_of_one_track() -> None:
    """S1A and S1B pass real bursts 42 s apart; frames begin 25 s apart."""
    times = ("2021-11-19T00:00:30Z", "2021-11-24T23:59:48Z", "2021-12-01T00:00:55Z")
    dates = {t: Acquisition({"vv": (Tile(Path(t)),)}, *parse_timestamp(t, "time")) for t in times}
    assert passes_of_two_tracks(dates) is None
    later = Acquisition({"vv": ()}, *parse_timestamp("2021-12-06T00:08:44Z", "time"))
    assert passes_of_two_tracks(dates | {"other": later}) == (dates[times[0]], later)

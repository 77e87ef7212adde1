"""Sentinel-1's orbit, which a track's number determines, and the viewing geometry of a point.

The satellites repeat 175 revolutions in 12 days within a tube of about a hundred metres, so track
and direction of flight give the satellite's position without state vectors. The orbit is frozen:
its shape does not change either. The constants were fitted to the restituted orbits of S1A on
2023-08-23 (two files, three revolutions) and agree with them to 0.2 km across the track and
0.07 km in height.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from scipy.optimize import minimize_scalar

from landslide.geo.grid import Grid
from landslide.prepare.area import grid_center
from landslide.prepare.sources import Acquisition, Pass
from landslide.prepare.terrain import north_convergence
from landslide.radar.geometry import EARTH_RADIUS, ORBIT_ALTITUDE, RadarGeometry

TRACKS, DAYS = 175, 12
"""Revolutions and days of a repeat cycle; tracks are numbered 1 to 175 in order of time."""

SAME_TIME_OF_DAY = timedelta(days=1) / TRACKS / 2
"""Greatest difference in the time of day (UTC) of two passes of one track over a place.

A track repeats to a minute; frames that begin elsewhere add some 25 s each. The neighbouring track
passes 73 revolutions later, which are 5 days and a 175th of a day: 8.2 minutes earlier or later.
"""

NODE = 0.1451
"""Longitude in degrees at which track 1 crosses the equator northwards."""

INCLINATION, ECCENTRICITY = np.radians(98.1885), 0.001172

RADIUS, BULGE = 7_075_390.0, 1_520.0
"""Mean distance from the Earth's centre, and its variation with latitude, in metres."""

ARCS: Mapping[Pass, tuple[tuple[float, float], ...]] = {
    "ascending": ((-0.05, np.pi / 2), (1.5 * np.pi, 2 * np.pi + 0.05)),
    "descending": ((np.pi / 2, 1.5 * np.pi),),
}
"""Angles in radians past the node during a pass.

Tracks are counted from the node, so each ascends twice: first in the north, at its end in the
south. A slice that crosses the node keeps its number.
"""

SWATH = (15.0, 50.0)
"""Range of incidence angles in degrees over all of Sentinel-1's modes."""

OFFSETS: Mapping[str, tuple[tuple[date, int | None], ...]] = {
    "S1A": ((date.min, 73),),
    "S1B": ((date.min, 27),),
    "S1C": ((date.min, 172), (date(2026, 6, 8), None), (date(2026, 6, 24), 99)),
    "S1D": ((date.min, 42),),
}
"""Offset of absolute orbit numbers from the start of a cycle, by the date it applies from.

S1C changed its orbital position in June 2026; it was on no track while it moved.
"""


class ViewingGeometry(NamedTuple):
    """How the radar sees a point on the ground.

    Attributes:
        incidence: Angle between the ellipsoid's normal and the satellite, in degrees; negative
            left of the track, where Sentinel-1 never looks.
        look_azimuth: Direction of the radar's look there, in degrees clockwise from true north.
    """

    incidence: float
    look_azimuth: float

    @property
    def in_swath(self) -> bool:
        """Whether Sentinel-1 images the point in any of its modes."""
        return SWATH[0] <= self.incidence <= SWATH[1]


def track_number(platform: str, absolute_orbit: int, day: date) -> int | None:
    """Track of a satellite's absolute orbit; None where it is not known.

    Relative orbit = (absolute orbit - offset) modulo 175 + 1.
    """
    offsets = [offset for start, offset in OFFSETS.get(platform, ()) if day >= start]
    if not offsets or offsets[-1] is None:
        return None
    return (absolute_orbit - offsets[-1]) % TRACKS + 1


def viewing_geometry(
    track: int, direction: Pass, longitude: float, latitude: float
) -> ViewingGeometry:
    """How Sentinel-1 sees a point at height 0 at its closest approach (zero Doppler).

    Longitude and latitude are in degrees; tracks are numbered 1 to 175.
    """
    point = _earth_fixed(longitude, latitude)

    def distance(angle: float) -> float:
        return float(np.linalg.norm(satellite_position(track, angle) - point))

    nearest = min(
        (
            minimize_scalar(distance, bounds=arc, method="bounded", options={"xatol": 1e-7})
            for arc in ARCS[direction]
        ),
        key=lambda found: float(found.fun),
    )
    sight = satellite_position(track, nearest.x) - point
    motion = satellite_position(track, nearest.x + 1e-4) - satellite_position(
        track, nearest.x - 1e-4
    )
    side = np.sign(np.cross(point, motion) @ sight)
    east, north, up = _local_axes(longitude, latitude) @ sight
    incidence = side * np.degrees(np.arctan2(np.hypot(east, north), up))
    return ViewingGeometry(float(incidence), float(np.degrees(np.arctan2(-east, -north)) % 360))


def known_tracks(dates: Mapping[str, Acquisition]) -> list[int]:
    """Sentinel-1's tracks that the images of an orbit are known to be of, in order."""
    images = [a for a in dates.values() if (a.platform or "S1").startswith("S1")]
    return sorted({a.relative_orbit for a in images if a.relative_orbit is not None})


def passes_of_two_tracks(
    dates: Mapping[str, Acquisition],
) -> tuple[Acquisition, Acquisition] | None:
    """Two of Sentinel-1's dates in one direction whose times of day are those of two tracks.

    Names of products need not hold the track, but they hold the time.

    Returns:
        The first pair; None where all times that are known may be of one track.
    """
    times = [
        (a.time, a)
        for a in dates.values()
        if a.time and a.exact and (a.platform or "S1").startswith("S1")
    ]
    for (time, one), (other_time, other) in combinations(times, 2):
        apart = (other_time - time) % timedelta(days=1)
        if SAME_TIME_OF_DAY < apart < timedelta(days=1) - SAME_TIME_OF_DAY:
            return one, other
    return None


def radar_orbit(name: Pass, dates: Mapping[str, Acquisition], grid: Grid) -> RadarGeometry | None:
    """Geometry of an orbit at the middle of a scene, relative to grid north.

    Options and metadata take precedence; the track supplies what they leave open.

    Returns:
        None where neither the incidence angle nor a track that sees the scene is known.
    """
    longitude, latitude = grid_center(grid)
    views = [viewing_geometry(track, name, longitude, latitude) for track in known_tracks(dates)]
    views = [view for view in views if view.in_swath]
    angles = [a.incidence for a in dates.values() if a.incidence is not None]
    angles = angles or [view.incidence for view in views]
    if not angles:
        return None
    incidence = float(np.mean(angles))
    headings = [a.heading for a in dates.values() if a.heading is not None]
    if headings or not views:
        heading = headings[0] if headings else sentinel_heading(name, latitude)
        look = look_azimuth_at_target(heading, incidence, latitude)
    else:
        look = views[0].look_azimuth
    return RadarGeometry((look - 90 - north_convergence(grid)) % 360, incidence)


def look_azimuth_at_target(heading: float, incidence: float, latitude: float) -> float:
    """Azimuth of the look at the target, in degrees from true north, by the satellite's heading.

    Meridians converge between the target and the satellite's track.
    """
    theta, look = np.radians(incidence), np.radians(heading + 90)
    angle = incidence - np.degrees(
        np.arcsin(EARTH_RADIUS / (EARTH_RADIUS + ORBIT_ALTITUDE) * np.sin(theta))
    )
    return float(heading + 90 + angle * np.sin(look) * np.tan(np.radians(latitude))) % 360


def sentinel_heading(name: Pass, latitude: float) -> float:
    """Heading of Sentinel-1 in degrees clockwise from north, from its orbit.

    The model is a circular orbit around a rotating sphere; annotated headings differ by 0.2
    degrees.
    """
    phi = np.radians(min(max(latitude, -80.0), 80.0))
    azimuth = np.arcsin(np.cos(INCLINATION) / np.cos(phi))
    # Angles per revolution: the satellite's, and the Earth's below the plane of the orbit.
    north, east = np.cos(azimuth), np.sin(azimuth) - DAYS / TRACKS * np.cos(phi)
    if name == "descending":
        north = -north
    return float(np.degrees(np.arctan2(east, north)) % 360)


def satellite_position(track: int, angle: float) -> NDArray[np.float64]:
    """Earth-fixed (x, y, z) in metres of a satellite at an angle in radians past the node.

    A frozen orbit has its perigee farthest north: with M - M(node) = angle +
    2 e (cos(angle) - 1) to first order in the eccentricity e, the Earth has turned by 12/175 of
    that.
    """
    node = np.radians(NODE) - (track - 1) * 2 * np.pi * DAYS / TRACKS
    turned = (angle + 2 * ECCENTRICITY * (np.cos(angle) - 1)) * DAYS / TRACKS
    longitude = node - turned + np.arctan2(np.cos(INCLINATION) * np.sin(angle), np.cos(angle))
    sine = np.sin(INCLINATION) * np.sin(angle)
    radius = RADIUS * (1 - ECCENTRICITY * np.sin(angle)) + BULGE * np.cos(2 * angle)
    cosine = np.sqrt(1 - sine**2)
    position: NDArray[np.float64] = radius * np.stack(
        [cosine * np.cos(longitude), cosine * np.sin(longitude), sine]
    )
    return position


def _earth_fixed(longitude: float, latitude: float) -> NDArray[np.float64]:
    to_metres = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    return np.array(to_metres.transform(longitude, latitude, 0.0))


def _local_axes(longitude: float, latitude: float) -> NDArray[np.float64]:
    """Unit vectors towards east, north and up, the rows of (3, 3)."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    east = (-np.sin(lon), np.cos(lon), 0.0)
    north = (-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat))
    up = (np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat))
    return np.array([east, north, up])

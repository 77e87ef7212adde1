"""Sentinel-1's orbit, which a track's number fixes, and how a place is seen from it.

The satellites repeat 175 revolutions in 12 days within a tube of about a hundred metres, so that
track and direction of flight give place and height of the satellite without any state vector.
The orbit is frozen: its shape does not change either. Its numbers were fitted to the restituted
orbits of S1A on 2023-08-23 (two files, three revolutions), which they meet to 0.2 km across the
track and 0.07 km in height.
"""

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from scipy.optimize import minimize_scalar

from landslide.geo.grid import Grid
from landslide.prepare.area import middle
from landslide.prepare.sources import Acquisition, Pass
from landslide.prepare.terrain import north_convergence
from landslide.radar.geometry import ALTITUDE, EARTH, Orbit

TRACKS, DAYS = 175, 12
"""Revolutions of a cycle and the days it takes: tracks are numbered 1 to 175 in order of time."""

NODE = 0.1451
"""Longitude in degrees at which track 1 crosses the equator northwards."""

INCLINATION, ECCENTRICITY = np.radians(98.1885), 0.001172

RADIUS, BULGE = 7_075_390.0, 1_520.0
"""Mean distance from the Earth's centre, and how it follows the flattened Earth, in metres."""

ARCS: Mapping[Pass, tuple[tuple[float, float], ...]] = {
    "ascending": ((-0.05, np.pi / 2), (1.5 * np.pi, 2 * np.pi + 0.05)),
    "descending": ((np.pi / 2, 1.5 * np.pi),),
}
"""Angles in radians past the node that a pass takes.

Tracks are counted from the node, so that one ascends twice: first in the north, at last in the
south. A slice that crosses the node keeps its number.
"""

SWATH = (15.0, 50.0)
"""Incidence angles in degrees between which Sentinel-1 images in any of its modes."""

OFFSETS: Mapping[str, tuple[tuple[date, int | None], ...]] = {
    "S1A": ((date.min, 73),),
    "S1B": ((date.min, 27),),
    "S1C": ((date.min, 172), (date(2026, 6, 8), None), (date(2026, 6, 24), 99)),
    "S1D": ((date.min, 42),),
}
"""From when on which absolute orbit comes before the first of a cycle, less one.

S1C changed its place among the satellites in June 2026; it was on no track while it moved.
"""


class View(NamedTuple):
    """How the radar sees a place.

    Attributes:
        incidence: Angle on the ellipsoid between its normal and the satellite, in degrees;
            negative left of the track, where Sentinel-1 never looks.
        look: Azimuth towards which the radar looks there, in degrees clockwise from true north.
    """

    incidence: float
    look: float

    @property
    def seen(self) -> bool:
        """Whether the place lies where Sentinel-1 images in any of its modes."""
        return SWATH[0] <= self.incidence <= SWATH[1]


def track_of(platform: str, absolute_orbit: int, day: date) -> int | None:
    """Number of the track that an orbit of a satellite flies; None where it is not known.

    Relative orbit = (absolute orbit - offset) modulo 175 + 1.
    """
    offsets = [offset for start, offset in OFFSETS.get(platform, ()) if day >= start]
    if not offsets or offsets[-1] is None:
        return None
    return (absolute_orbit - offsets[-1]) % TRACKS + 1


def view(track: int, direction: Pass, longitude: float, latitude: float) -> View:
    """How Sentinel-1 sees a place at height 0 when it is nearest to it (zero Doppler).

    Args:
        track: Relative orbit, 1 to 175.
        direction: Direction of flight.
        longitude: Of the place, in degrees.
        latitude: Of the place, in degrees.
    """
    place = _earth_fixed(longitude, latitude)

    def distance(angle: float) -> float:
        return float(np.linalg.norm(satellite(track, angle) - place))

    nearest = min(
        (
            minimize_scalar(distance, bounds=arc, method="bounded", options={"xatol": 1e-7})
            for arc in ARCS[direction]
        ),
        key=lambda found: float(found.fun),
    )
    sight = satellite(track, nearest.x) - place
    motion = satellite(track, nearest.x + 1e-4) - satellite(track, nearest.x - 1e-4)
    side = np.sign(np.cross(place, motion) @ sight)
    east, north, up = _axes(longitude, latitude) @ sight
    incidence = side * np.degrees(np.arctan2(np.hypot(east, north), up))
    return View(float(incidence), float(np.degrees(np.arctan2(-east, -north)) % 360))


def tracks_of(dates: Mapping[str, Acquisition]) -> list[int]:
    """Sentinel-1's tracks that the images of an orbit are known to be of, in order."""
    ours = [a for a in dates.values() if (a.platform or "S1").startswith("S1")]
    return sorted({a.relative_orbit for a in ours if a.relative_orbit is not None})


def radar_orbit(name: Pass, dates: Mapping[str, Acquisition], grid: Grid) -> Orbit | None:
    """Geometry of an orbit at the middle of a scene, relative to grid north.

    What options and metadata tell counts; what they do not follows from the track.

    Returns:
        None where neither the incidence angle nor a track that sees the scene is known.
    """
    longitude, latitude = middle(grid)
    views = [view(track, name, longitude, latitude) for track in tracks_of(dates)]
    views = [each for each in views if each.seen]
    told = [a.incidence for a in dates.values() if a.incidence is not None]
    angles = told or [each.incidence for each in views]
    if not angles:
        return None
    incidence = float(np.mean(angles))
    headings = [a.heading for a in dates.values() if a.heading is not None]
    if headings or not views:
        heading = headings[0] if headings else sentinel_heading(name, latitude)
        look = look_at_target(heading, incidence, latitude)
    else:
        look = views[0].look
    return Orbit((look - 90 - north_convergence(grid)) % 360, incidence)


def look_at_target(heading: float, incidence: float, latitude: float) -> float:
    """Azimuth of the look at the target, in degrees from true north, from the satellite's heading.

    Meridians converge between the target and the satellite's track.
    """
    theta, look = np.radians(incidence), np.radians(heading + 90)
    angle = incidence - np.degrees(np.arcsin(EARTH / (EARTH + ALTITUDE) * np.sin(theta)))
    return float(heading + 90 + angle * np.sin(look) * np.tan(np.radians(latitude))) % 360


def sentinel_heading(name: Pass, latitude: float) -> float:
    """Heading of Sentinel-1 in degrees clockwise from north, from its orbit.

    On a sphere that turns below a circular orbit; 0.2 degrees from annotated headings.
    """
    phi = np.radians(min(max(latitude, -80.0), 80.0))
    azimuth = np.arcsin(np.cos(INCLINATION) / np.cos(phi))
    # Angles per revolution: the satellite's, and the Earth's below the plane of the orbit.
    north, east = np.cos(azimuth), np.sin(azimuth) - DAYS / TRACKS * np.cos(phi)
    if name == "descending":
        north = -north
    return float(np.degrees(np.arctan2(east, north)) % 360)


def satellite(track: int, angle: float) -> NDArray[np.float64]:
    """Earth-fixed (x, y, z) in metres of a satellite at an angle in radians past the node.

    A frozen orbit has its perigee farthest north: with M - M(node) = angle +
    2 e (cos(angle) - 1) to first order in the eccentricity e, the Earth has turned by 12/175 of
    that below the plane of the orbit.
    """
    node = np.radians(NODE) - (track - 1) * 2 * np.pi * DAYS / TRACKS
    turned = (angle + 2 * ECCENTRICITY * (np.cos(angle) - 1)) * DAYS / TRACKS
    longitude = node - turned + np.arctan2(np.cos(INCLINATION) * np.sin(angle), np.cos(angle))
    sine = np.sin(INCLINATION) * np.sin(angle)
    radius = RADIUS * (1 - ECCENTRICITY * np.sin(angle)) + BULGE * np.cos(2 * angle)
    flat = np.sqrt(1 - sine**2)
    place: NDArray[np.float64] = radius * np.stack(
        [flat * np.cos(longitude), flat * np.sin(longitude), sine]
    )
    return place


def _earth_fixed(longitude: float, latitude: float) -> NDArray[np.float64]:
    to_metres = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    return np.array(to_metres.transform(longitude, latitude, 0.0))


def _axes(longitude: float, latitude: float) -> NDArray[np.float64]:
    """Unit vectors towards east, north and up, the rows of (3, 3)."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    east = (-np.sin(lon), np.cos(lon), 0.0)
    north = (-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat))
    up = (np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat))
    return np.array([east, north, up])

"""Height of a DEM's zero above the ellipsoid, which orbits refer to."""

import pyproj
from pyproj import Transformer, network
from pyproj.exceptions import ProjError

from landslide.errors import InputError
from landslide.geo.grid import Grid
from landslide.prepare.area import grid_center
from landslide.prepare.mosaic import open_georeferenced
from landslide.prepare.sources import Dem

MODEL = "us_nga_egm96_15.tif"
"""PROJ's grid of the geoid EGM96; EGM2008 differs by about 1 m, a tenth of a pixel."""


def geoid_height(dem: Dem, grid: Grid, given: float | None) -> float:
    """Metres from the ellipsoid up to a DEM's zero, in the middle of a grid.

    It changes by a few metres over 100 km, so one number is enough for a scene.

    Args:
        dem: Elevation; above the geoid unless its CRS says that it is above the ellipsoid.
        grid: Grid of the scene.
        given: Value of ``terrain.geoid``, if it is set.

    Raises:
        InputError: PROJ has no grid of the geoid and cannot download it.
    """
    if given is not None:
        return float(given)
    with open_georeferenced(dem.tiles[0]) as source:
        crs = pyproj.CRS.from_user_input(source.crs.to_wkt(version="WKT2_2019"))
    if len(crs.axis_info) == 3 and not crs.is_compound:
        return 0.0
    longitude, latitude = grid_center(grid)
    was_enabled = network.is_network_enabled()
    network.set_network_enabled(True)
    try:
        to_ellipsoid = Transformer.from_pipeline(
            "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad "
            f"+step +proj=vgridshift +grids={MODEL} +multiplier=1 "
            "+step +proj=unitconvert +xy_in=rad +xy_out=deg"
        )
        return float(to_ellipsoid.transform(longitude, latitude, 0.0, errcheck=True)[2])
    except ProjError as error:
        raise InputError(
            f"the height of the geoid at {latitude:.2f} N {longitude:.2f} E is not known, since "
            f"PROJ's grid {MODEL} is not on this disk and cannot be downloaded: give it as "
            "terrain.geoid=, metres above the ellipsoid (0 if the DEM itself is above the "
            "ellipsoid), or put that grid into PROJ's data folder"
        ) from error
    finally:
        network.set_network_enabled(was_enabled)

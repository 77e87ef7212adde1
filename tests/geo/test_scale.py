"""Which grids are true to scale, against closed forms."""

import numpy as np
import pytest
from affine import Affine
from pyproj import Transformer
from rasterio.crs import CRS

from landslide.errors import InputError
from landslide.geo.grid import Grid
from landslide.geo.scale import length_error, require_true_scale


def grid_around(crs: str, longitude: float, latitude: float) -> Grid:
    """A grid of 1 km around a place."""
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(longitude, latitude)
    return Grid(CRS.from_user_input(crs), Affine(10, 0, x - 500, 0, -10, y + 500), 100, 100)


@pytest.mark.parametrize("latitude", [-34.0, 11.0, 42.7, 60.0])
def test_lengths_in_web_mercator_are_those_of_its_formula(latitude: float) -> None:
    # The sphere's Mercator on the ellipsoid: along a parallel a / (N cos), along a meridian
    # a / (M cos), with the radii of curvature N and M of WGS 84. PROJ takes the sphere's.
    phi, squared = np.radians(latitude), 0.00669437999014
    w = 1 - squared * np.sin(phi) ** 2
    parallel = np.sqrt(w) / np.cos(phi)
    meridian = w**1.5 / (1 - squared) / np.cos(phi)
    found = length_error(CRS.from_epsg(3857), grid_around("EPSG:3857", 142, latitude))
    assert 1 + found == pytest.approx(max(parallel, meridian), rel=0.007)
    # The same place, seen from another grid.
    assert length_error(
        CRS.from_epsg(3857), grid_around("EPSG:6933", 142, latitude)
    ) == pytest.approx(found, abs=2e-3)


@pytest.mark.parametrize(
    ("crs", "longitude", "latitude"),
    [
        ("EPSG:32654", 142, 42.7),
        ("EPSG:32654", 150, 42.7),  # a zone and a half away
        ("EPSG:32654+5773", 142, 42.7),  # with heights
        ("EPSG:6677", 139, 36),  # Japan Plane Rectangular
        ("EPSG:2154", 2, 46),  # Lambert 93
        ("EPSG:27700", -3, 54),  # British National Grid
        ("EPSG:2056", 8, 47),  # LV95
        ("EPSG:3035", 25, 70),  # LAEA Europe at its edge
        ("EPSG:5070", -122, 49),  # Albers of the United States at its edge
        ("EPSG:3031", 0, -72),  # Antarctic Polar Stereographic
    ],
)
def test_grids_of_surveys_have_true_scale(crs: str, longitude: float, latitude: float) -> None:
    require_true_scale(grid_around(crs, longitude, latitude), "a.tif")


@pytest.mark.parametrize(
    ("crs", "longitude", "latitude", "percent"),
    [
        ("EPSG:3857", 142, 42.7, 36),
        ("EPSG:3857", 130, -33, 19),
        ("EPSG:3395", 142, 42.7, 36),  # World Mercator
        ("EPSG:6933", 142, 42.7, 18),  # equal-area, and yet no slope is right
        ("EPSG:32654", 179, 10, 26),  # UTM 38 degrees off: 0.9996 / sqrt(1 - (cos 10 sin 38)²)
    ],
)
def test_grids_without_true_scale_are_refused(
    crs: str, longitude: float, latitude: float, percent: int
) -> None:
    with pytest.raises(InputError, match=f"a.tif is in {crs}, .* up to {percent} % here"):
        require_true_scale(grid_around(crs, longitude, latitude), "a.tif")

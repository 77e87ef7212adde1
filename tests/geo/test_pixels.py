from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from landslide.errors import InputError
from landslide.geo.elevation import ElevationUnit
from landslide.geo.pixels import read_pixels

STORED = np.arange(12, dtype=np.int16).reshape(3, 4)


def write(
    path: Path,
    *bands: np.ndarray,
    crs: str = "EPSG:32654",
    **declared: Any,  # noqa: ANN401
) -> Path:
    units = declared.pop("units", None)
    scale, offset = declared.pop("scale", None), declared.pop("offset", None)
    mask = declared.pop("mask", None)
    height, width = bands[0].shape
    profile = {"driver": "GTiff", "count": len(bands), "dtype": bands[0].dtype.name, **declared}
    profile |= {"height": height, "width": width, "crs": CRS.from_string(crs)}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", transform=Affine(30, 0, 6e5, 0, -30, 4.7e6), **profile) as sink,
    ):
        sink.write(np.stack(bands))
        if units:
            sink.units = units
        if scale:
            sink.scales, sink.offsets = [scale] * len(bands), [offset] * len(bands)
        if mask is not None:
            sink.write_mask(mask)
    return path


def test_a_bands_scale_and_offset_apply_to_what_is_stored(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", STORED, scale=0.1, offset=-5.0, nodata=3)
    with rasterio.open(path) as source:
        values, valid = read_pixels(source, 1)
    np.testing.assert_allclose(values, STORED / 10 - 5, atol=1e-6)
    np.testing.assert_array_equal(valid, STORED != 3)


def test_nodata_and_a_mask_both_count(tmp_path: Path) -> None:
    mask = np.where(STORED < 6, 255, 0).astype(np.uint8)
    path = write(tmp_path / "a.tif", STORED, nodata=2, mask=mask)
    with rasterio.open(path) as source:
        np.testing.assert_array_equal(read_pixels(source, 1).valid, (STORED < 6) & (STORED != 2))


def test_an_alpha_band_hides_pixels(tmp_path: Path) -> None:
    alpha = np.where(STORED % 2, 255, 0).astype(np.uint8)
    path = write(tmp_path / "a.tif", STORED.astype(np.uint8), alpha, alpha="yes")
    with rasterio.open(path) as source:
        np.testing.assert_array_equal(read_pixels(source, 1).valid, STORED % 2 == 1)


def test_what_is_not_finite_is_no_measurement(tmp_path: Path) -> None:
    pixels = np.array([[1, np.nan, np.inf, -np.inf]], np.float32)
    path = write(tmp_path / "a.tif", pixels)
    with rasterio.open(path) as source:
        assert read_pixels(source, 1).valid.tolist() == [[True, False, False, False]]


@pytest.mark.parametrize(
    ("unit", "metres"),
    [
        ("", 1),
        ("metre", 1),
        ("m a.s.l.", 1),
        ("cm", 0.01),
        ("ft", 0.3048),
        ("foot", 0.3048),
        ("US survey foot", 0.3048006096),
        ("us-ft", 0.3048006096),
        ("Foot_US", 0.3048006096),
        ("ftUS", 0.3048006096),
    ],
)
def test_elevations_become_metres_by_the_bands_unit(
    unit: str, metres: float, tmp_path: Path
) -> None:
    heights = np.array([[0, 1000, -99999]], np.float32)
    path = write(tmp_path / "dem.tif", heights, units=[unit] if unit else None)
    with rasterio.open(path) as source:
        found = ElevationUnit.of(source, 1)(*read_pixels(source, 1))
    np.testing.assert_allclose(found, [[0, 1000 * metres, np.nan]], rtol=1e-6)


def test_elevations_become_metres_by_the_heights_of_the_crs(tmp_path: Path) -> None:
    # NAVD88 height in US survey feet (EPSG:6360) and in metres (EPSG:5703).
    for vertical, metres in (("6360", 0.3048006096), ("5703", 1.0)):
        text = f'<VRTDataset rasterXSize="1" rasterYSize="1"><SRS>EPSG:26910+{vertical}</SRS>'
        text += "<GeoTransform>500000,30,0,5000000,0,-30</GeoTransform>"
        text += '<VRTRasterBand dataType="Float32" band="1"/></VRTDataset>'
        (tmp_path / "dem.vrt").write_text(text)
        tiff = write(tmp_path / "dem.tif", STORED, crs=f"EPSG:26910+{vertical}")
        for file in (tmp_path / "dem.vrt", tiff):
            with rasterio.open(file) as source:
                assert ElevationUnit.of(source, 1).metres == pytest.approx(metres)


def test_an_unknown_unit_of_elevation_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "dem.tif", STORED, units=["degree"])
    with rasterio.open(path) as source, pytest.raises(InputError, match=r"'degree'.*gdal_edit"):
        ElevationUnit.of(source, 1)

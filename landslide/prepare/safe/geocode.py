"""Terrain correction: from radar geometry to gamma nought on the map, block by block.

Orbit, zero-Doppler geometry, facets of terrain and calibration are those of sarsen and
xarray-sentinel. Two of sarsen's steps are replaced. Its sums of terrain per radar cell assign
whole facets to one cell each, even where weights should distribute them, which leaves a pattern of
+-0.4 dB on flat ground that shifts with the orbit and would look like change; here facets are
distributed. And the image is read window by window, so that zeros at its border do not leak in.

D. Small (2011), Flattening Gamma: Radiometric Terrain Correction for SAR Imagery, IEEE TGRS
49(8), https://doi.org/10.1109/TGRS.2011.2120616.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError
from scipy import ndimage

from landslide.errors import InputError
from landslide.geo.files import replacing
from landslide.geo.grid import Grid, Window
from landslide.geo.rasters import raster_profile
from landslide.geo.relief import Float, fill_from_nearest

Double = NDArray[np.float64]
Heights = Callable[[Window], Float]

CELL_PIXELS = 2
"""Side of the radar cells that terrain is summed in, in pixels of the grid: with smaller ones
single facets would show, larger ones would blur the relief."""

HALO_METRES = 1500.0
"""Metres around a block whose terrain may fall into the block's radar cells."""

MIN_TERRAIN = 0.05
"""Terrain per radar cell below which ground is in shadow; a plane 3 degrees from grazing."""

LIGHT_SPEED = 299_792_458.0
"""Speed of light in m/s."""


class RadarTerrain(NamedTuple):
    """A block of terrain in radar coordinates.

    Attributes:
        azimuth_time: (H, W) zero-Doppler time, an xarray of datetime64.
        slant_range_time: (H, W) two-way time in seconds, an xarray.
        area: (H, W) area in m² of a pixel's ground projected along the look; 0 if it faces away.
        speed: Speed in m/s at which lines advance over the ground, in the block's middle.
    """

    azimuth_time: Any
    slant_range_time: Any
    area: Double
    speed: float


class Image:
    """One polarisation of a product, in radar geometry.

    ``files`` are the polarisation's files in the SAFE folder, by role.
    """

    def __init__(self, folder: Path, files: Mapping[str, str], polarisation: str) -> None:
        # An optional extra.
        import xarray as xr
        from sarsen.orbit import OrbitPolyfitInterpolator

        def group(name: str) -> Any:  # noqa: ANN401
            return xr.open_dataset(
                folder, engine="sentinel-1", group=f"IW/{polarisation.upper()}/{name}"
            )

        self.calibration = group("calibration").betaNought
        self.conversion = group("coordinate_conversion")
        self.orbit = OrbitPolyfitInterpolator.from_position(group("orbit").position)
        self.path = folder / files["measurement"]
        tree = ElementTree.parse(folder / files["annotation"])

        def annotated(name: str) -> str:
            return tree.findtext(f".//imageInformation/{name}", "")

        self.shape = int(annotated("numberOfLines")), int(annotated("numberOfSamples"))
        self.spacing = float(annotated("rangePixelSpacing"))
        self.first, self.last = (
            np.datetime64(annotated(f"product{end}LineUtcTime"), "ns") for end in ("First", "Last")
        )
        self.interval = float(annotated("azimuthTimeInterval"))

    def line(self, azimuth_time: Any) -> Double:  # noqa: ANN401
        """Lines, from 0, of zero-Doppler times."""
        share = (azimuth_time.values - self.first) / (self.last - self.first)
        lines: Double = share * (self.shape[0] - 1)
        return lines

    def beta_nought(self, terrain: RadarTerrain, resolution: float) -> Float:
        """(H, W) linear beta nought, bilinear; NaN outside the image and where it is 0.

        Where the resolution, in metres, is coarser than the image, the image is averaged first
        over about as many pixels, an odd number.
        """
        import xarray_sentinel

        line = self.line(terrain.azimuth_time)
        ground = xarray_sentinel.slant_range_time_to_ground_range(
            terrain.azimuth_time, terrain.slant_range_time, self.conversion
        )
        pixel = ground.values / self.spacing
        height, width = self.shape
        inside = (line >= 0) & (line <= height - 1) & (pixel >= 0) & (pixel <= width - 1)
        if not inside.any():
            return np.full(line.shape, np.nan, np.float32)
        top, left = int(line[inside].min()), int(pixel[inside].min())
        bottom = min(int(line[inside].max()) + 2, height)
        right = min(int(pixel[inside].max()) + 2, width)
        numbers = self._read_window(Window(top, left, bottom - top, right - left))
        beta = xarray_sentinel.calibrate_intensity(numbers.where(numbers > 0), self.calibration)
        values = _average(beta.values.astype(np.float32), resolution / self.spacing)
        positions = [np.where(inside, line - top, -9), np.where(inside, pixel - left, -9)]
        sampled: Float = ndimage.map_coordinates(
            values, positions, order=1, cval=np.nan, prefilter=False
        )
        return sampled

    def _read_window(self, window: Window) -> Any:  # noqa: ANN401
        """Digital numbers of a window, as an xarray with ``line`` and ``pixel``."""
        import xarray as xr

        try:
            with rasterio.open(self.path) as source:
                numbers = source.read(1, window=window.to_rasterio())
        except RasterioIOError as error:
            raise InputError(f"{self.path} is damaged ({error}): download it again") from error
        lines, pixels = window.row + np.arange(window.height), window.col + np.arange(window.width)
        coordinates = {"line": lines, "pixel": pixels}
        return xr.DataArray(numbers.astype(np.float32), coordinates, ("line", "pixel"))


def geocode(
    folder: Path,
    files: Mapping[str, Mapping[str, str]],
    heights: Heights,
    grid: Grid,
    path: Path,
    advance: Callable[[], None],
) -> None:
    """Write gamma nought of a product on a grid, one described band per polarisation.

    Args:
        folder: SAFE folder.
        files: Files in it by polarisation in lower case and by role.
        heights: Metres above the WGS 84 ellipsoid in a window, which may hang over the grid;
            NaN where unknown.
        grid: Grid to write on.
        path: GeoTIFF to write, float32 linear power with nodata NaN; appears when complete.
        advance: Called after each block.

    Raises:
        InputError: The image is damaged.
    """
    images = [Image(folder, named, polarisation) for polarisation, named in files.items()]
    profile = raster_profile(grid, "float32", len(images), np.nan)
    with replacing(path) as temporary, rasterio.open(temporary, "w", **profile) as sink:
        sink.descriptions = tuple(files)
        for block in grid.blocks():
            sink.write(gamma_nought(images, heights, grid, block), window=block.to_rasterio())
            advance()


def gamma_nought(images: Sequence[Image], heights: Heights, grid: Grid, block: Window) -> Float:
    """(C, H, W) gamma nought of a block; NaN in voids, in shadow and outside the image."""
    resolution = grid.transform.a
    halo = int(np.ceil(HALO_METRES / resolution))
    wide = block.padded(halo)
    inner = block.within(wide)
    z = heights(wide)
    if np.isnan(z[inner]).all():
        return np.full((len(images), block.height, block.width), np.nan, np.float32)
    terrain = to_radar_geometry(images[0], fill_from_nearest(z), grid, wide)
    block_terrain = terrain._replace(
        azimuth_time=terrain.azimuth_time[inner], slant_range_time=terrain.slant_range_time[inner]
    )
    beta = np.stack([image.beta_nought(block_terrain, resolution) for image in images])
    if np.isnan(beta).all():
        return beta
    ratio = terrain_per_cell(terrain, images[0], CELL_PIXELS * resolution)[inner]
    ratio = np.where(np.isnan(z[inner]) | (ratio < MIN_TERRAIN), np.nan, ratio)
    return (beta / ratio).astype(np.float32)


def _average(power: Float, pixels: float) -> Float:
    """Mean over an odd number of pixels along both axes; NaN where none of them is measured."""
    size = 2 * int(pixels / 2) + 1
    if size == 1:
        return power
    valid = np.isfinite(power)
    total = ndimage.uniform_filter(np.where(valid, power, 0).astype(np.float64), size)
    weight = ndimage.uniform_filter(valid.astype(np.float64), size)
    mean: Float = (total / np.maximum(weight, 1e-9)).astype(np.float32)
    return np.where(weight > 1e-6, mean, np.float32(np.nan))


def to_radar_geometry(image: Image, z: Float, grid: Grid, window: Window) -> RadarTerrain:
    """Radar coordinates of terrain, (H, W) metres above the ellipsoid on a window of a grid."""
    import xarray as xr
    from sarsen import geocoding, radiometry, scene

    t = grid.transform
    x = t.c + (window.col + np.arange(window.width) + 0.5) * t.a
    y = t.f + (window.row + np.arange(window.height) + 0.5) * t.e
    heights = xr.DataArray(z, {"y": y, "x": x}, ("y", "x"))
    ecef = scene.convert_to_dem_ecef(heights, source_crs=grid.crs.to_wkt())
    geocoded = geocoding.backward_geocode(ecef, image.orbit)
    distance = geocoded.dem_distance
    slant_range = (distance**2).sum("axis") ** 0.5
    area = radiometry.compute_gamma_area(ecef, distance / slant_range)
    middle = {"y": len(y) // 2, "x": len(x) // 2}
    speed = _line_speed(image, geocoded.isel(middle))
    order = ("y", "x")
    return RadarTerrain(
        geocoded.azimuth_time.transpose(*order),
        (2 / LIGHT_SPEED * slant_range).transpose(*order),
        area.transpose(*order).values,
        speed,
    )


def _line_speed(image: Image, target: Any) -> float:  # noqa: ANN401
    """Metres per second that a target's zero-Doppler time stands for along the flight.

    From the derivative of (X - S) · V = 0, with target X, satellite S and its velocity V.
    """
    time = image.orbit.azimuth_time_to_orbit_time(target.azimuth_time)
    acceleration = image.orbit.acceleration_from_orbit_time(time)
    square = float((target.satellite_velocity**2).sum())
    curvature = float((target.dem_distance * acceleration).sum())
    return float((square - curvature) / np.sqrt(square))


def terrain_per_cell(terrain: RadarTerrain, image: Image, cell: float) -> Double:
    """(H, W) projected area of terrain per area of radar cell: beta nought over gamma nought.

    On flat ground it is the cotangent of the incidence angle. Each pixel's ground is distributed
    bilinearly among the four nearest cells, and their sums are read back bilinearly.
    ``cell`` is the side of a cell in metres, in azimuth and slant range.
    """
    row = image.line(terrain.azimuth_time) * (image.interval * terrain.speed / cell)
    col = terrain.slant_range_time.values * (LIGHT_SPEED / 2 / cell)
    row, col = row - np.floor(row.min()), col - np.floor(col.min())
    shape = int(row.max()) + 2, int(col.max()) + 2
    r, c = row.astype(np.intp), col.astype(np.intp)
    down, along = row - r, col - c
    first = (r * shape[1] + c).ravel()
    total = np.zeros(shape[0] * shape[1])
    for step, share in (
        (0, (1 - down) * (1 - along)),
        (1, (1 - down) * along),
        (shape[1], down * (1 - along)),
        (shape[1] + 1, down * along),
    ):
        total += np.bincount(first + step, (terrain.area * share).ravel(), len(total))
    cells = total.reshape(shape) / cell**2
    found: Double = ndimage.map_coordinates(cells, [row, col], order=1, prefilter=False)
    return found

"""From a probability raster to what a mapper delivers: mask, polygons, layers, COGs."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely

from landslide.data.scene import Composite
from landslide.geo.files import checksum
from landslide.geo.folders import RESUMABLE_FILES
from landslide.geo.grid import Grid
from landslide.geo.polygons import ZonalStatistics, outline_mask, rasterize_window
from landslide.geo.rasters import UNKNOWN, raster_profile

PRODUCTS = (
    "probability.tif",
    "landslides.tif",
    "landslides.gpkg",
    "landslides.geojson",
    "map.png",
    "map.pdf",
    "outcome.tif",
    "outcome.png",
    "metrics.json",
    "report.html",
    "summary.json",
)
"""Files of a map; the last tells of the others."""

TERRAIN = ("slope", "aspect")
"""Bands that polygons are described by, where the scene has them."""


def write_mask(folder: Path, grid: Grid, threshold: float) -> int:
    """Write ``landslides.tif``: 1 above the threshold, 0 below, 255 where not observed.

    Args:
        folder: Holds ``probability.tif``.
        grid: Grid of the scene.
        threshold: Probability above which a pixel is landslide.

    Returns:
        Number of observed pixels.
    """
    observed = 0
    profile = raster_profile(grid, "uint8", 1, UNKNOWN)
    with (
        rasterio.open(folder / "probability.tif") as probabilities,
        rasterio.open(folder / "landslides.tif", "w", **profile) as masks,
    ):
        masks.descriptions = ("landslides",)
        for window in grid.blocks():
            place = window.to_rasterio()
            probability = probabilities.read(1, window=place)
            unseen = ~np.isfinite(probability)
            observed += unseen.size - np.count_nonzero(unseen)
            mask = (probability > threshold).view(np.uint8)
            mask[unseen] = UNKNOWN
            masks.write(mask, 1, window=place)
    return observed


def clean_mask(mask: Path, grid: Grid, min_area: float, fill_holes: float) -> gpd.GeoDataFrame:
    """Fill small holes and drop small landslides, in the mask raster and so in its polygons.

    Args:
        mask: ``landslides.tif``; is updated.
        grid: Grid of the scene.
        min_area: Smallest landslide in m² (minimum mapping unit), after holes are filled.
        fill_holes: Largest hole in m² that is filled; one with a pixel that was not
            observed stays.

    Returns:
        The polygons that are left, see ``outline_mask``.
    """
    polygons, unseen = outline_mask(mask, grid)
    holes = _holes(polygons, fill_holes)
    if len(holes) and len(unseen):
        # Touching at a corner or an edge is not lying inside.
        near, _ = unseen.sindex.query(holes.geometry, predicate="contains")
        holes = holes.drop(index=holes.index[np.unique(near)])
    if len(holes):
        _overwrite(mask, holes.geometry, 1, grid)
        polygons, _ = outline_mask(mask, grid)
    small = polygons.area_m2 < min_area
    if small.any():
        _overwrite(mask, polygons.geometry[small], 0, grid)
    return polygons[~small].reset_index(drop=True)


def _holes(polygons: gpd.GeoDataFrame, largest: float) -> gpd.GeoDataFrame:
    rings = [ring for polygon in polygons.geometry for ring in polygon.interiors]
    holes = gpd.GeoDataFrame(geometry=[shapely.Polygon(ring) for ring in rings], crs=polygons.crs)
    return holes[holes.area <= largest].reset_index(drop=True)


def _overwrite(mask: Path, geometries: gpd.GeoSeries, value: int, grid: Grid) -> None:
    """Set observed pixels within geometries."""
    with rasterio.open(mask, "r+") as masks:
        for window in grid.blocks():
            inside = rasterize_window(geometries, [1] * len(geometries), grid, window) == 1
            if inside.any():
                place = window.to_rasterio()
                values = masks.read(1, window=place)
                values[inside & (values != UNKNOWN)] = value
                masks.write(values, 1, window=place)


def describe(polygons: gpd.GeoDataFrame, folder: Path, composite: Path | str, grid: Grid) -> None:
    """Add ``id`` and the mean and maximum of probability and terrain to each polygon.

    Args:
        polygons: Polygons on pixel edges; columns are added.
        folder: Holds ``probability.tif``.
        composite: The scene's raster; ``slope`` and ``aspect`` are taken where it has them.
        grid: Grid of the scene.
    """
    polygons.insert(0, "id", range(1, len(polygons) + 1))
    with rasterio.open(composite) as source:
        terrain = [band for band in TERRAIN if band in source.descriptions]
    heights = Composite(composite, terrain) if terrain else None
    with rasterio.open(folder / "probability.tif") as probabilities:
        names = [
            name.replace("spread", "probability_spread") for name in probabilities.descriptions
        ]
        statistics = ZonalStatistics(polygons, grid, [*names, *terrain])
        for window in grid.blocks() if len(polygons) else []:
            if not statistics.touches(window):
                continue
            layers = list(probabilities.read(window=window.to_rasterio()))
            if heights is not None:
                layers += list(heights[grid.slices(window)]["image"].numpy())
            statistics.add(window, layers)
    for name, column in statistics.columns():
        polygons[name] = column


def simplify(polygons: gpd.GeoDataFrame, tolerance: float) -> gpd.GeoDataFrame:
    """Take steps of pixels out of outlines; neighbours keep sharing their edges.

    Args:
        polygons: Polygons that do not overlap.
        tolerance: Visvalingam-Whyatt: triangles up to tolerance² m² go; 0 leaves all.
    """
    if not tolerance or polygons.empty:
        return polygons
    simple = shapely.coverage_simplify(polygons.geometry.array, tolerance)
    return polygons.set_geometry(gpd.GeoSeries(simple, crs=polygons.crs))


def write_geojson(polygons: gpd.GeoDataFrame, path: Path) -> None:
    """Write polygons in WGS 84 as RFC 7946 wants them."""
    polygons.to_crs("EPSG:4326").to_file(
        path, driver="GeoJSON", engine="pyogrio", RFC7946="YES", COORDINATE_PRECISION=6
    )


def product_checksums(folder: Path) -> dict[str, dict[str, int | str]]:
    """Bytes and SHA-256 of each product in a folder, so that a copy can be checked.

    Raises:
        ValueError: A file is no product, and would be lost with the work folder.
    """
    known = {*PRODUCTS, *RESUMABLE_FILES}
    strange = sorted(path.name for path in folder.iterdir() if path.name not in known)
    if strange:
        raise ValueError(f"{strange[0]} is not named in PRODUCTS")
    return {
        name: {"bytes": (folder / name).stat().st_size, "sha256": checksum(folder / name)}
        for name in PRODUCTS
        if (folder / name).exists()
    }

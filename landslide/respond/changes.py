"""What one map of an event changes against the map before it."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from landslide.geo.grid import Grid
from landslide.geo.polygons import outline_mask, write_polygons
from landslide.geo.rasters import open_raster

STATUSES = ("new", "newly_observed", "confirmed", "withdrawn", "unobserved")
"""What a polygon is: on the later map alone; there alone, where the earlier map observed nothing;
on both; on the earlier map alone; there alone, where the later map observed nothing."""

CONFIRMED = 0.25
"""Share of a polygon that the other map must map to confirm it."""

HIDDEN = 0.5
"""Share of a polygon from which on the other map says nothing of it, if it did not observe that."""


def compare_maps(earlier: Path | None, later: Path) -> gpd.GeoDataFrame:
    """Compare the polygons of two maps.

    Each polygon is judged by its own area: by the share of it that the other map maps, and by the
    share that the other map did not observe. So a small rest of a large polygon is confirmed, and
    the large one is withdrawn.

    Args:
        earlier: Folder of the map before, if there is one; without it all polygons are new.
        later: Folder of a map.

    Returns:
        Polygons of the later map, and those of the earlier one that it does not confirm, with
        ``status`` (see ``STATUSES``) and ``area_m2``.
    """
    new = _polygons(later)
    if earlier is None:
        return new.assign(status="new")
    old = _polygons(earlier).to_crs(new.crs)
    kept, kept_before = _shares(new, old) >= CONFIRMED, _shares(old, new) >= CONFIRMED
    gone, come = old[~kept_before], new[~kept]
    return gpd.GeoDataFrame(
        pd.concat(
            [
                new[kept].assign(status="confirmed"),
                come.assign(status=_judge(come, earlier, "new", "newly_observed")),
                gone.assign(status=_judge(gone, later, "withdrawn", "unobserved")),
            ],
            ignore_index=True,
        ),
        crs=new.crs,
    )


def count_changes(changes: gpd.GeoDataFrame) -> dict[str, dict[str, float]]:
    """Number and area in m² of the polygons of each status."""
    return {
        status: {
            "polygons": int((changes.status == status).sum()),
            "area_m2": float(changes.area_m2[changes.status == status].sum()),
        }
        for status in STATUSES
    }


def write_changes(changes: gpd.GeoDataFrame, path: Path) -> None:
    """Write ``changes.gpkg``."""
    write_polygons(path, changes, "changes")


def _polygons(folder: Path) -> gpd.GeoDataFrame:
    polygons = gpd.read_file(folder / "landslides.gpkg", layer="landslides")
    return gpd.GeoDataFrame(
        {"area_m2": polygons.geometry.area}, geometry=polygons.geometry, crs=polygons.crs
    )


def _judge(polygons: gpd.GeoDataFrame, other: Path, seen: str, hidden: str) -> NDArray[np.str_]:
    """One status or the other for each polygon, by what another map observed of it."""
    mask = other / "landslides.tif"
    with open_raster(mask) as source:
        grid = Grid.of(source)
    _, unobserved = outline_mask(mask, grid)
    shares = _shares(polygons, unobserved.to_crs(polygons.crs))
    return np.where(shares >= HIDDEN, hidden, seen)


def _shares(polygons: gpd.GeoDataFrame, others: gpd.GeoDataFrame) -> NDArray[np.float64]:
    """Share of each polygon that others cover, which do not overlap each other."""
    covered = np.zeros(len(polygons))
    if polygons.empty or others.empty:
        return covered
    first, second = others.sindex.query(polygons.geometry, predicate="intersects")
    shared = polygons.geometry.iloc[first].intersection(others.geometry.iloc[second], align=False)
    np.add.at(covered, first, shared.area.to_numpy())
    shares: NDArray[np.float64] = covered / polygons.geometry.area.to_numpy()
    return shares

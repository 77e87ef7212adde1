"""What one map of an event changes against the map before it."""

from pathlib import Path

import geopandas as gpd
import pandas as pd

from landslide.geo.polygons import write_polygons

STATUSES = ("new", "confirmed", "withdrawn")
"""What a polygon is: on the later map alone, on both, on the earlier map alone."""

CONFIRMED = 0.25
"""Share of a polygon that the other map must cover to confirm it."""


def compare_maps(earlier: Path | None, later: Path) -> gpd.GeoDataFrame:
    """Compare the polygons of two maps.

    Args:
        earlier: Folder of the map before, if there is one; without it all polygons are new.
        later: Folder of a map.

    Returns:
        Polygons of the later map, and those of the earlier one that are withdrawn, with ``status``
        (see ``STATUSES``) and ``area_m2``. Of the two maps, areas that are mapped in both confirm a
        polygon if they are a quarter of the smaller one of the polygons or more.
    """
    new = _polygons(later)
    old = _polygons(earlier) if earlier else new.iloc[:0]
    old = old.to_crs(new.crs) if len(old) else old
    kept, found_again = _confirmed(new, old)
    status = pd.Series("new", index=new.index).where(~kept, "confirmed")
    withdrawn = old[~found_again].assign(status="withdrawn")
    return gpd.GeoDataFrame(
        pd.concat([new.assign(status=status), withdrawn], ignore_index=True), crs=new.crs
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


def _confirmed(new: gpd.GeoDataFrame, old: gpd.GeoDataFrame) -> tuple[pd.Series, pd.Series]:
    """Whether each polygon of either map is confirmed by one of the other."""
    kept, found_again = (pd.Series(False, index=frame.index) for frame in (new, old))
    if new.empty or old.empty:
        return kept, found_again
    first, second = old.sindex.query(new.geometry, predicate="intersects")
    shared = new.geometry.iloc[first].intersection(old.geometry.iloc[second], align=False).area
    smaller = pd.concat(
        [
            new.area_m2.iloc[first].reset_index(drop=True),
            old.area_m2.iloc[second].reset_index(drop=True),
        ],
        axis=1,
    ).min(axis=1)
    enough = shared.to_numpy() >= CONFIRMED * smaller.to_numpy()
    kept.iloc[first[enough]] = True
    found_again.iloc[second[enough]] = True
    return kept, found_again

"""Elevations in metres, from the unit that a DEM declares."""

import re
from typing import NamedTuple

import numpy as np
import pyproj
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from landslide.errors import InputError
from landslide.geo.relief import Float

MIN_ELEVATION, MAX_ELEVATION = -500.0, 9000.0
"""Range of elevations on land in metres; other values, such as an undeclared -32768, are fill."""

US_FEET = r"(us|u s) (survey )?(ft|foot|feet)|us ?ft|(ft|foot|feet) ?us|survey (ft|foot|feet)"
UNIT_LENGTHS = {
    US_FEET: 1200 / 3937,
    r"(international )?(ft|foot|feet)": 0.3048,
    r"m|met(er|re)s?": 1.0,
    r"dm|decimet(er|re)s?": 0.1,
    r"cm|centimet(er|re)s?": 0.01,
}
"""Length in metres of the units that DEMs declare; words after the unit do not count."""


class ElevationUnit(NamedTuple):
    """Unit of a DEM's values.

    Attributes:
        unit: The unit as the DEM spells it; metres where it declares none.
        metres: Length of the unit in metres.
    """

    unit: str = "metre"
    metres: float = 1.0

    @classmethod
    def of(cls, source: DatasetReader, band: int) -> "ElevationUnit":
        """Read the unit of a band or, where it declares none, of the CRS's vertical axis.

        Raises:
            InputError: The unit is no known length.
        """
        unit = source.units[band - 1] or _vertical_unit(source)
        if not unit:
            return cls()
        words = " ".join(re.findall(r"[a-z]+", unit.lower()))
        for pattern, metres in UNIT_LENGTHS.items():
            if re.match(rf"({pattern})\b", words):
                return cls(unit, metres)
        raise InputError(
            f"{source.name} declares elevations in {unit!r}, which is no known unit of length: "
            "correct it, for example with gdal_edit.py -units metre"
        )

    def __call__(self, values: Float, valid: NDArray[np.bool_]) -> Float:
        """Return elevations in metres, NaN in voids."""
        elevation = values * np.float32(self.metres)
        with np.errstate(invalid="ignore"):
            valid = valid & (elevation > MIN_ELEVATION) & (elevation < MAX_ELEVATION)
        return np.where(valid, elevation, np.float32(np.nan))


def _vertical_unit(source: DatasetReader) -> str | None:
    """Unit of the third axis of a raster's CRS, if it has one."""
    if source.crs is None:
        return None
    axes = pyproj.CRS.from_user_input(source.crs.to_wkt(version="WKT2_2019")).axis_info
    return axes[2].unit_name if len(axes) > 2 else None

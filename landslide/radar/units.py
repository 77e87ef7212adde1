"""Units and meaning of an image's channels in words, for whoever has only the model."""

from datetime import datetime

from landslide.radar.bands import (
    band_description,
    is_backscatter,
    is_direction,
    is_quotient,
    orbit_of,
    polarisation_of,
    source_bands,
)

POWER = "linear power"

DATES = {
    "pre": "the last date before the event",
    "pre_mean": "the mean of all dates before the event",
    "post_mean": "the mean of all dates after the event",
    "post": "the first date after the event",
    "post1": "the first date after the event",
    "post2": "the second date after the event",
}
"""Dates by their names in bands."""

OTHER_BANDS = {
    "slope": ("degrees", "slope angle"),
    "local_incidence_angle": ("degrees", "angle between the radar's ray and the slope's normal"),
    "layover_shadow": ("code", "0 clear, 1 layover, 2 shadow, 3 both"),
    "pre_count": ("dates", "number of dates before the event that measured the pixel"),
    "post_count": ("dates", "number of dates after the event that measured the pixel"),
    "anomaly": ("standard deviations", "anomaly of the dates after the event"),
}
"""Unit and meaning of bands that are no backscatter, by their description."""


def unit_of(band: str) -> str | None:
    """Unit of a channel: ``linear power``, ``1`` for a quotient, None where it is not known."""
    if is_quotient(band):
        return "1"
    if is_backscatter(band):
        return POWER
    if is_direction(band):
        return "degrees clockwise from north"
    description = band_description(band)
    if description.lower().endswith("_pre_std"):
        return "dB"
    return OTHER_BANDS.get(description, (None,))[0]


def meaning_of(band: str) -> str:
    """What a channel shows; a name that is not ours is repeated."""
    orbit = orbit_of(source_bands(band)[0])
    suffix = f", {orbit} orbit" if orbit else ""
    if is_quotient(band):
        after, before = (meaning_of(part) for part in source_bands(band))
        return f"{after}, divided by {before}"
    description = band_description(band)
    if is_backscatter(band):
        date = description.lower().rpartition(polarisation_of(band))[2].removeprefix("_")
        return f"{polarisation_of(band).upper()} backscatter{_on_date(date)}{suffix}"
    if description.lower().endswith("_pre_std"):
        polarisation = description[: -len("_pre_std")].upper()
        return f"scatter of {polarisation} over the dates before the event{suffix}"
    if is_direction(band):
        return f"direction that the slope faces{suffix}"
    return OTHER_BANDS.get(description, (None, description))[1] + suffix


def _on_date(name: str) -> str:
    """The date of a backscatter band in words; empty without one."""
    if name.isdigit():
        return f" on {datetime.strptime(name, '%Y%m%d'):%Y-%m-%d}"
    return f", {DATES.get(name, name)}" if name else ""

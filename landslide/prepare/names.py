"""What names, descriptions and tags tell of an image, by the conventions of those who make them.

ESA: S1A_IW_GRDH_1SDV_<start>_<stop>_<absolute orbit>_… HyP3: S1A_IW_<start>_DVP_RTC10_G_gpuned_…,
whose six letters begin with gamma or sigma and with power, amplitude or decibel. OPERA:
OPERA_L2_RTC-S1_T<track>-<burst>_<start>_…, gamma0 in power. pyroSAR: S1A__IW___A_<start>_…
"""

import re
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, Self

from landslide.errors import InputError
from landslide.prepare.orbit import track_of
from landslide.prepare.sources import Units, parse_time

PRODUCT = re.compile(r"(S1[A-Z])_(?:IW|EW|S\d)_[A-Z]{3}._.{4}_(\d{8})T\d{6}_\d{8}T\d{6}_(\d{6})_")
OPERA = re.compile(r"OPERA_L2_RTC-S1_T(\d{3})-\d{6}-IW\d_\d{8}T\d{6}Z_\d{8}T\d{6}Z_(S1[A-Z])_")
HYP3 = re.compile(
    r"(S1[A-Z])_\w\w_\d{8}T\d{6}_[A-Z]{3}_RTC\d\d_[A-Z]_([gs])([pad])[uw][nf][ec][dm]_"
)
PYROSAR = re.compile(r"(S1[A-Z])__\w{2,4}_+([AD])_\d{8}T\d{6}")

MOMENT = re.compile(
    r"(?<!\d)((?:19|20)\d{2})-?([01]\d)-?([0-3]\d)(?:T(\d{2})(\d{2})(\d{2}))?(?!\d)"
)
"""A day, with or without a time, in any name."""

SNAP_DAY = re.compile(r"(?<!\d)\d{2}[A-Z][a-z]{2}\d{4}(?!\d)")
"""A day in the names of SNAP's bands: 05Sep2018."""

POLARISATION = re.compile(r"(?<![A-Z])(VV|VH|HH|HV)(?![A-Z])")

NO_BACKSCATTER = (
    r"(?:mask|watermask|ls_?map|layover\w*|shadow|inc_?map(?:_ell)?|inc(?:idence)?_?angle|angle|"
    r"incidence|lia|dem|slope|area|rgb|browse|number_of_looks|rtc_anf_\w+|coh(?:erence)?|ratio|"
    r"phase|std(?:dev)?|count)"
)
"""Words for rasters that come with backscatter and are none."""

AUXILIARY = re.compile(rf"(?:^|[_.\-]){NO_BACKSCATTER}$")
"""Names of files of HyP3, OPERA and others that end in such a word."""

AUXILIARY_BAND = re.compile(rf"(?<![a-z]){NO_BACKSCATTER}(?![a-z])")

UNITS: dict[Units, str] = {
    "db": r"(?<![a-z])(db|decibels?)(?![a-z])",
    "amplitude": r"(?<![a-z])(amplitude|amp)(?![a-z])",
    "power": r"(?<![a-z])(power|intensity|linear)(?![a-z])",
}
"""Words that tell units."""

MEASURED = r"(?:vv|vh|hv|hh|(?:gamma|sigma|beta) ?(?:0|nought|naught))"
LOOSE = r"(?:power|intensity|linear|amp)"
IN_NAME = re.compile(
    r"(?<![a-z])"
    rf"(?:{MEASURED} {LOOSE}|{LOOSE} {MEASURED}|amplitude|decibels?|db)(?![a-z])"
)
"""What tells units in a file's name.

Words that also name power stations and interpolation count only beside what is measured.
"""

HYP3_UNITS: dict[str, Units] = {"p": "power", "a": "amplitude", "d": "db"}

QUANTITY = re.compile(r"(?<![a-z])(gamma|sigma|beta)[ _-]?(?:0|nought|naught)(?![0-9])")

NOT_FLATTENED = re.compile(r"no[nt][ _-]terrain[ _-]?flattened|(?<![a-z])elp(?![a-z])")
FLATTENED = re.compile(r"terrain[ _-]?flattened|(?<![a-z])(?:rtc|tf)(?![a-z])")

MAKERS = {"OPERA": r"opera(?![a-z])", "HyP3": r"hyp3", "pyroSAR": r"pyrosar", "sarsen": r"sarsen"}


class Radiometry(NamedTuple):
    """Which backscatter pixels are; None is not known.

    Attributes:
        quantity: ``gamma0``, ``sigma0`` or ``beta0``.
        flattened: Whether it was flattened for terrain.
        maker: Who corrected it for terrain.
    """

    quantity: str | None = None
    flattened: bool | None = None
    maker: str | None = None

    @classmethod
    def of(cls, *texts: str | None) -> Self:
        """Read names, descriptions and tags; for each attribute the first that tells counts."""
        found = [cls._read(text) for text in texts if text]
        return cls(
            next((one.quantity for one in found if one.quantity), None),
            next((one.flattened for one in found if one.flattened is not None), None),
            next((one.maker for one in found if one.maker), None),
        )

    @classmethod
    def _read(cls, text: str) -> Self:
        if letters := HYP3.search(text):
            return cls("gamma0" if letters.group(2) == "g" else "sigma0", True, "HyP3")
        if OPERA.search(text):
            return cls("gamma0", True, "OPERA")
        words = text.lower()
        quantity = QUANTITY.search(words)
        flat = None if not FLATTENED.search(words) else True
        if NOT_FLATTENED.search(words):
            flat = False
        maker = "pyroSAR" if PYROSAR.search(text) else None
        named = [name for name, pattern in MAKERS.items() if re.search(pattern, words)]
        return cls(quantity and f"{quantity.group(1)}0", flat, named[0] if named else maker)

    def contradicts(self, other: Self) -> bool:
        """Whether quantity or flattening are known of both and differ."""
        pairs = zip(self[:2], other[:2], strict=True)
        return any(None not in pair and pair[0] != pair[1] for pair in pairs)

    def __str__(self) -> str:
        """Say what is known, so that ``of`` reads the same."""
        flat = {True: "terrain-flattened", False: "not terrain-flattened", None: None}
        parts = [self.quantity, flat[self.flattened], self.maker]
        return ", ".join(part for part in parts if part)


def units_of(*texts: str | None) -> Units | None:
    """Units that names, descriptions and tags tell; the first that tells counts."""
    for text in texts:
        if letters := HYP3.search(text or ""):
            return HYP3_UNITS[letters.group(3)]
        if OPERA.search(text or ""):
            return "power"
        words = re.sub(r"[_.\-]", " ", (text or "").lower())
        for units, pattern in UNITS.items():
            if re.search(pattern, words):
                return units
    return None


def units_in_name(name: str) -> Units | None:
    """Units that a file's name tells."""
    if HYP3.search(name) or OPERA.search(name):
        return units_of(name)
    told = IN_NAME.search(re.sub(r"[_.\-]", " ", name.lower()))
    return units_of(told.group()) if told else None


def polarisation_of(text: str) -> str | None:
    """The one polarisation that a text tells, in lower case; None also where it tells two."""
    found = {name.lower() for name in POLARISATION.findall(text.upper())}
    return found.pop() if len(found) == 1 else None


def polarisation_of_band(description: str | None) -> str | None:
    """Polarisation of a band of backscatter; None of others, such as ``VV_coherence``."""
    text = description or ""
    return None if AUXILIARY_BAND.search(text.lower()) else polarisation_of(text)


def is_auxiliary(stem: str) -> bool:
    """Whether a file's name says that it holds no backscatter, as ``…_ls_map`` does."""
    return AUXILIARY.search(stem.lower()) is not None


def day_in(text: str | None) -> date | None:
    """The day that a text tells."""
    if found := SNAP_DAY.search(text or ""):
        try:
            return datetime.strptime(found.group(), "%d%b%Y").replace(tzinfo=UTC).date()
        except ValueError:
            return None
    moment = moment_in(text or "")
    return moment["time"].date() if moment else None


def moment_in(text: str) -> dict[str, Any]:
    """``time`` and ``exact`` of an acquisition; empty where the text tells none."""
    if not (found := MOMENT.search(text)):
        return {}
    year, month, day, *clock = found.groups()
    moment = f"{year}-{month}-{day}" + (f"T{':'.join(clock)}" if clock[0] else "")
    try:
        return {"time": parse_time(moment, text), "exact": bool(clock[0])}
    except InputError:  # digits that look like a date, as in a tile's number
        return {}


def platform_of(text: str) -> str:
    """Name of a satellite, ``S1A`` for ``sentinel-1a``."""
    return re.sub(r"^sentinel-?1", "S1", text, flags=re.IGNORECASE).upper()


def facts_in(name: str) -> dict[str, Any]:
    """What a file's or folder's name tells of an acquisition, by ``Acquisition``'s attributes."""
    facts = moment_in(name)
    if found := PRODUCT.search(name):
        facts["platform"], start, orbit = found.groups()
        if day := day_in(start):
            facts["relative_orbit"] = track_of(facts["platform"], int(orbit), day)
    elif found := OPERA.search(name):
        facts |= {"relative_orbit": int(found.group(1)), "platform": found.group(2)}
    elif found := HYP3.search(name):
        facts["platform"] = found.group(1)
    elif found := PYROSAR.search(name):
        facts["platform"] = found.group(1)
        facts["direction"] = "ascending" if found.group(2) == "A" else "descending"
    return {key: value for key, value in facts.items() if value is not None}

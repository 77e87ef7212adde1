"""What names, descriptions and tags reveal about an image, by its producers' conventions.

ESA: S1A_IW_GRDH_1SDV_<start>_<stop>_<absolute orbit>_… HyP3: S1A_IW_<start>_DVP_RTC10_G_gpuned_…,
whose six letters begin with gamma or sigma and with power, amplitude or decibel. OPERA:
OPERA_L2_RTC-S1_T<track>-<burst>_<start>_…, gamma0 in power. pyroSAR: S1A__IW___A_<start>_…
"""

import re
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, Self

from landslide.errors import InputError
from landslide.prepare.orbit import track_number
from landslide.prepare.sources import Timestamp, Units, parse_timestamp

PRODUCT = re.compile(r"(S1[A-Z])_(?:IW|EW|S\d)_[A-Z]{3}._.{4}_(\d{8})T\d{6}_\d{8}T\d{6}_(\d{6})_")
OPERA = re.compile(r"OPERA_L2_RTC-S1_T(\d{3})-\d{6}-IW\d_\d{8}T\d{6}Z_\d{8}T\d{6}Z_(S1[A-Z])_")
HYP3 = re.compile(
    r"(S1[A-Z])_\w\w_\d{8}T\d{6}_[A-Z]{3}_RTC\d\d_[A-Z]_([gs])([pad])[uw][nf][ec][dm]_"
)
PYROSAR = re.compile(r"(S1[A-Z])__\w{2,4}_+([AD])_\d{8}T\d{6}")

TIMESTAMP = re.compile(
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
"""Words for rasters that accompany backscatter."""

AUXILIARY = re.compile(rf"(?:^|[_.\-]){NO_BACKSCATTER}$")
"""Names of files of HyP3, OPERA and others that end in such a word."""

AUXILIARY_BAND = re.compile(rf"(?<![a-z]){NO_BACKSCATTER}(?![a-z])")

UNITS: dict[Units, str] = {
    "db": r"(?<![a-z])(db|decibels?)(?![a-z])",
    "amplitude": r"(?<![a-z])(amplitude|amp)(?![a-z])",
    "power": r"(?<![a-z])(power|intensity|linear)(?![a-z])",
}
"""Words for units."""

MEASURED = r"(?:vv|vh|hv|hh|(?:gamma|sigma|beta) ?(?:0|nought|naught))"
AMBIGUOUS = r"(?:power|intensity|linear|amp)"
UNITS_IN_NAME = re.compile(
    r"(?<![a-z])"
    rf"(?:{MEASURED} {AMBIGUOUS}|{AMBIGUOUS} {MEASURED}|amplitude|decibels?|db)(?![a-z])"
)
"""Words for units in a file's name; ``power`` and ``linear`` count only beside a quantity."""

HYP3_UNITS: dict[str, Units] = {"p": "power", "a": "amplitude", "d": "db"}

QUANTITY = re.compile(r"(?<![a-z])(gamma|sigma|beta)[ _-]?(?:0|nought|naught)(?![0-9])")

NOT_FLATTENED = re.compile(r"no[nt][ _-]terrain[ _-]?flattened|(?<![a-z])elp(?![a-z])")
FLATTENED = re.compile(r"terrain[ _-]?flattened|(?<![a-z])(?:rtc|tf)(?![a-z])")

PROCESSORS = {"OPERA": "opera(?![a-z])", "HyP3": "hyp3", "pyroSAR": "pyrosar", "sarsen": "sarsen"}


class Radiometry(NamedTuple):
    """Which backscatter pixels are; None means unknown.

    Attributes:
        quantity: ``gamma0``, ``sigma0`` or ``beta0``.
        flattened: Whether it was flattened for terrain.
        processor: Software or provider that corrected it for terrain.
    """

    quantity: str | None = None
    flattened: bool | None = None
    processor: str | None = None

    @classmethod
    def from_texts(cls, *texts: str | None) -> Self:
        """Read names, descriptions and tags; the first that shows an attribute counts for it."""
        found = [cls._from_text(text) for text in texts if text]
        attributes = zip(*found, strict=True)
        return cls(*(next((v for v in values if v is not None), None) for values in attributes))

    @classmethod
    def _from_text(cls, text: str) -> Self:
        if letters := HYP3.search(text):
            return cls("gamma0" if letters.group(2) == "g" else "sigma0", True, "HyP3")
        if OPERA.search(text):
            return cls("gamma0", True, "OPERA")
        words = text.lower()
        quantity = QUANTITY.search(words)
        flattened = True if FLATTENED.search(words) else None
        if NOT_FLATTENED.search(words):
            flattened = False
        named = [name for name, pattern in PROCESSORS.items() if re.search(pattern, words)]
        default = "pyroSAR" if PYROSAR.search(text) else None
        return cls(quantity and f"{quantity.group(1)}0", flattened, named[0] if named else default)

    def contradicts(self, other: Self) -> bool:
        """Whether quantity or flattening are known of both and differ."""
        pairs = zip(self[:2], other[:2], strict=True)
        return any(None not in pair and pair[0] != pair[1] for pair in pairs)

    def __str__(self) -> str:
        """Describe it in words that ``from_texts`` reads back."""
        flattened = {True: "terrain-flattened", False: "not terrain-flattened", None: None}
        parts = [self.quantity, flattened[self.flattened], self.processor]
        return ", ".join(part for part in parts if part)


def units_from_texts(*texts: str | None) -> Units | None:
    """Units by descriptions and tags; the first that names any counts."""
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


def units_from_name(name: str) -> Units | None:
    """Units by a file's name."""
    if HYP3.search(name) or OPERA.search(name):
        return units_from_texts(name)
    found = UNITS_IN_NAME.search(re.sub(r"[_.\-]", " ", name.lower()))
    return units_from_texts(found.group()) if found else None


def polarisation_of_band(description: str | None) -> str | None:
    """The one polarisation, in lower case, that a band's description names.

    None where it names two, and for other bands, such as ``VV_coherence``.
    """
    text = description or ""
    found = set(POLARISATION.findall(text.upper()))
    return (
        found.pop().lower() if len(found) == 1 and not AUXILIARY_BAND.search(text.lower()) else None
    )


def is_auxiliary(stem: str) -> bool:
    """Whether a file's name says that it holds no backscatter, as ``…_ls_map`` does."""
    return AUXILIARY.search(stem.lower()) is not None


def day_from_text(text: str | None) -> date | None:
    """The day that a text names."""
    if found := SNAP_DAY.search(text or ""):
        try:
            return datetime.strptime(found.group(), "%d%b%Y").replace(tzinfo=UTC).date()
        except ValueError:
            return None
    timestamp = timestamp_from_text(text or "")
    return timestamp.time.date() if timestamp else None


def timestamp_from_text(text: str) -> Timestamp | None:
    """The first day or time that a text contains."""
    if not (found := TIMESTAMP.search(text)):
        return None
    year, month, day, *clock = found.groups()
    try:
        return parse_timestamp(
            f"{year}-{month}-{day}" + (f"T{':'.join(clock)}" if clock[0] else ""), text
        )
    except InputError:  # digits that look like a date, as in a tile's number
        return None


def normalize_platform(text: str) -> str:
    """Short name of a satellite, ``S1A`` for ``sentinel-1a``."""
    return re.sub(r"^sentinel-?1", "S1", text, flags=re.IGNORECASE).upper()


def facts_from_name(name: str) -> dict[str, Any]:
    """Attributes of an ``Acquisition`` by a file's or folder's name."""
    timestamp = timestamp_from_text(name)
    facts: dict[str, Any] = timestamp._asdict() if timestamp else {}
    if found := PRODUCT.search(name):
        facts["platform"], start, orbit = found.groups()
        if day := day_from_text(start):
            facts["relative_orbit"] = track_number(facts["platform"], int(orbit), day)
    elif found := OPERA.search(name):
        facts |= {"relative_orbit": int(found.group(1)), "platform": found.group(2)}
    elif found := HYP3.search(name):
        facts["platform"] = found.group(1)
    elif found := PYROSAR.search(name):
        facts["platform"] = found.group(1)
        facts["direction"] = "ascending" if found.group(2) == "A" else "descending"
    return {key: value for key, value in facts.items() if value is not None}

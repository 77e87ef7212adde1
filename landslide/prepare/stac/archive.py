"""Search an archive of satellite images: any server that speaks STAC, the open catalogue API."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast, get_args

from omegaconf import DictConfig, OmegaConf
from shapely.geometry import box, shape
from shapely.geometry.base import BaseGeometry
from urllib3 import Retry

from landslide.config.checks import NATURAL, POSITIVE, Rule, check
from landslide.errors import InputError
from landslide.prepare.names import normalize_platform
from landslide.prepare.sources import PASSES, Pass, Units, parse_timestamp

if TYPE_CHECKING:
    from pystac import Item

INSTALL = "pip install -e '.[stac]'"

PAUSE = 1.0
"""Seconds before the first retry; each further pause is twice as long or longer."""

TRANSIENT = (429, 500, 502, 503, 504)
"""HTTP statuses after which a request is repeated; GDAL repeats the same."""

REFUSED = (401, 403, 409)
"""HTTP statuses without permission; Azure's storage answers 409 to an unsigned address."""

MESSAGE_LENGTH = 160
"""Characters of another program's message that are quoted."""

RULES: Mapping[str, Rule] = {
    "sar.stac.units": Rule(
        str, lambda value: value in get_args(Units), "power, amplitude or db", optional=True
    ),
    "sar.stac.days_before": NATURAL,
    "sar.stac.days_after": NATURAL,
    "sar.stac.timeout": POSITIVE,
    "sar.stac.retries": NATURAL,
}


class Box(NamedTuple):
    """A rectangle of longitude and latitude, in degrees."""

    west: float
    south: float
    east: float
    north: float


class ArchiveItem(NamedTuple):
    """One item of the archive: a slice of a pass, or a tile of a DEM.

    ``footprint`` is in EPSG:4326; ``assets`` are addresses of files by name.
    """

    id: str
    footprint: BaseGeometry
    assets: Mapping[str, str]
    properties: Mapping[str, Any]

    @property
    def time(self) -> datetime:
        """When it was acquired, in UTC."""
        text = self.properties.get("datetime") or self._require("start_datetime")
        return parse_timestamp(text, f"item {self.id}: datetime").time

    @property
    def direction(self) -> Pass:
        """Direction of flight."""
        state = str(self._require("sat:orbit_state")).lower()
        for direction in PASSES:
            if state == direction:
                return direction
        raise InputError(f"item {self.id} has sat:orbit_state={state}, not one of {PASSES}")

    @property
    def relative_orbit(self) -> int:
        """Number of the track."""
        return int(self._require("sat:relative_orbit"))

    @property
    def platform(self) -> str:
        """Satellite, such as ``S1A``."""
        return normalize_platform(str(self.properties.get("platform", "unknown")))

    def _require(self, key: str) -> Any:  # noqa: ANN401 - a value of JSON
        if self.properties.get(key) is None:
            raise InputError(
                f"item {self.id} has no {key}, so its orbit or time is not known: "
                "name another collection with sar.stac.collection=…"
            )
        return self.properties[key]

    def asset_url(self, asset: str, remedy: str) -> str:
        """Address of one of its files.

        Raises:
            InputError: There is no such asset; ends in ``remedy``.
        """
        if asset not in self.assets:
            available = ", ".join(sorted(self.assets)) or "none"
            raise InputError(
                f"item {self.id} has no asset {asset!r} (it has {available}): {remedy}"
            )
        return self.assets[asset]


@dataclass(frozen=True)
class Archive:
    """A STAC API and the collections used; ``conf/archive`` describes every value."""

    endpoint: str
    sign: str | None
    collection: str
    assets: Mapping[str, str]
    units: Units
    product: str
    dem_collection: str
    dem_asset: str
    days_before: int
    days_after: int
    timeout: float
    retries: int

    @classmethod
    def of(cls, config: DictConfig) -> Self:
        """Read ``sar.stac``, and ``sar.units`` where it is set.

        Raises:
            InputError: A key is missing, or a value cannot be right.
        """
        check(config, RULES)
        values = cast(dict[str, Any], OmegaConf.to_container(config.sar.stac, resolve=True))
        missing = [field.name for field in fields(cls) if field.name not in values]
        if missing:
            raise InputError(
                f"sar.stac.{missing[0]} is not set: choose a description of an archive with "
                "archive=planetary_computer, or write one into conf/archive"
            )
        if config.sar.units is not None:
            values["units"] = config.sar.units
        return cls(**{field.name: values[field.name] for field in fields(cls)})

    def asset(self, polarisation: str) -> str:
        """Name of a polarisation's asset.

        Raises:
            InputError: The archive's description names none.
        """
        if polarisation not in self.assets:
            raise InputError(
                f"sar.polarisations has {polarisation!r}, but sar.stac.assets names no asset for "
                f"it (only for {', '.join(self.assets)}): set +sar.stac.assets.{polarisation}=…"
            )
        return self.assets[polarisation]

    def signer(self) -> Callable[[str], str]:
        """The function that makes an address readable.

        Raises:
            InputError: It cannot be imported.
        """
        if self.sign is None:
            return str
        try:
            return cast(Callable[[str], str], resolve_name(self.sign))
        except (ImportError, AttributeError, ValueError) as error:
            raise InputError(
                f"sar.stac.sign={self.sign} cannot be imported ({error}): {INSTALL}, "
                "name another function, or set it to null if the archive needs no signing"
            ) from error

    def search(
        self, collection: str, where: Box, when: tuple[datetime, datetime] | None = None
    ) -> list[ArchiveItem]:
        """Find the items that touch a box, in a period if one is given; sorted by name.

        Raises:
            InputError: The archive cannot be searched.
        """
        # The client is an optional extra.
        try:
            from pystac.errors import STACError, STACTypeError
            from pystac_client import Client
            from pystac_client.exceptions import APIError
            from pystac_client.stac_api_io import StacApiIO
        except ImportError as error:
            raise InputError(f"sar.source=stac needs pystac-client: {INSTALL}") from error
        retry = Retry(
            self.retries, backoff_factor=PAUSE, status_forcelist=TRANSIENT, raise_on_status=False
        )
        try:
            client = Client.open(
                self.endpoint, stac_io=StacApiIO(max_retries=retry), timeout=self.timeout
            )
            # Every STAC API must support GET.
            found = client.search(
                method="GET", collections=[collection], bbox=where, datetime=when, limit=100
            )
            items = [_to_archive_item(item) for item in found.items()]
        except APIError as error:
            raise InputError(self._search_failure(error)) from error
        except InputError:
            raise
        except (KeyError, OSError, TypeError, ValueError, STACError, STACTypeError) as error:
            raise InputError(
                f"sar.stac.endpoint={self.endpoint} does not answer as a STAC API ({error}): "
                "give the address of its landing page"
            ) from error
        touching = [item for item in items if item.footprint.intersects(box(*where))]
        return sorted(touching, key=lambda item: item.id)

    def _search_failure(self, error: Exception) -> str:
        """One sentence on a search that failed for good."""
        status = getattr(error, "status_code", None)
        name = f"the search of sar.stac.endpoint={self.endpoint}"
        if status in REFUSED:
            return f"{name} is refused (HTTP {status}): the archive requires a key for searching"
        if status is not None and status not in TRANSIENT:
            return f"{name} fails (HTTP {status}: {root_cause(error)}): check its address"
        reason = f"HTTP {status}" if status else root_cause(error)
        return f"{name} fails after {self.retries} retries ({reason}): try again later"


def _to_archive_item(item: "Item") -> ArchiveItem:
    if item.geometry is None:
        raise InputError(f"item {item.id} has no footprint: name another collection")
    assets = {name: asset.get_absolute_href() or asset.href for name, asset in item.assets.items()}
    return ArchiveItem(item.id, shape(item.geometry), assets, item.properties)


def root_cause(error: BaseException) -> str:
    """The first error of a chain on one short line, without signatures of addresses."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    message = re.sub(r"\?[^\s'\"]+", "", " ".join(str(error).split()))
    return message if len(message) <= MESSAGE_LENGTH else f"{message[:MESSAGE_LENGTH]}…"

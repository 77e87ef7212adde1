"""The state of files, by which it is told whether they have changed since, without reading them."""

import re
from collections.abc import Iterable
from pathlib import Path

from landslide.geo.rasters import open_raster

State = list[int | str]
"""Bytes of a file, and when it was changed: in nanoseconds, or as the web server names it."""

ARCHIVES = re.compile(r"^(/vsi(zip|tar|gzip|7z|rar)/)+")
"""What GDAL puts before the path of an archive that it reads."""

REMOTE = re.compile(r"^(/vsicurl/)?(https?://.+)")

TIMEOUT = 30.0
"""Seconds that a server may take to answer."""


def raster_states(paths: Iterable[Path | str]) -> dict[str, State | None]:
    """State of every file that rasters are read from: sidecars and sources of a VRT too.

    Args:
        paths: Files, files in archives (``/vsizip/…``) and URLs, as GDAL opens them.

    Returns:
        The state by the name that GDAL gives the file; see ``file_state``.

    Raises:
        InputError: A raster cannot be opened.
    """
    names: dict[str, None] = {}
    for path in paths:
        with open_raster(path) as raster:
            names |= dict.fromkeys(raster.files)
    return {name: file_state(name) for name in names}


def file_state(name: str) -> State | None:
    """State of a file, of the archive that it lies in, or of what a web server has.

    Args:
        name: As GDAL names it; a layer may follow the name of a file.

    Returns:
        None where nobody tells: the server names neither a time nor a version, or the file lies
        in a store of objects.
    """
    inside = ARCHIVES.sub("", name)
    if address := REMOTE.match(inside):
        return _remote_state(address[2]) if inside == name else None
    path = Path(inside.replace("{", "").replace("}", "") if inside != name else name)
    for file in (path, *path.parents):
        if file.is_file():
            found = file.stat()
            return [found.st_size, found.st_mtime_ns]
    return None


def _remote_state(url: str) -> State | None:
    import requests  # takes a while, and most files are local

    # Addresses that are signed for reading answer no other request.
    asked = {"Range": "bytes=0-0", "Accept-Encoding": "identity"}
    try:
        with requests.get(url, headers=asked, timeout=TIMEOUT, stream=True) as answer:
            answer.raise_for_status()
            told = answer.headers
    except requests.RequestException:
        return None
    size = told.get("Content-Range", "").rpartition("/")[2] or told.get("Content-Length", "")
    version = told.get("ETag") or told.get("Last-Modified")
    return [int(size), version] if size.isdigit() and version else None

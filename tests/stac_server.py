"""A small archive on this machine: a STAC API and its files, with faults on demand."""

import json
import socket
import struct
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

PAGE = 4


class Server(ThreadingHTTPServer):
    """A server of many connections at once."""

    daemon_threads = True
    request_queue_size = 64


class Archive:
    """Serve items under ``/stac`` and files under ``/data``.

    Attributes:
        items: STAC items by collection.
        files: Contents by path, such as ``/data/a.tif``.
        faults: By path, what to answer instead, one after the other: a status, ``reset``,
            ``hang``, ``html``; ``after:n`` lets n requests pass first, ``expired:b`` refuses
            and has ``b`` be the signature from then on.
        log: (method, path, Range header, time) of every request.
        signature: What ``?sig=`` must be under ``/data``; None lets everybody read.
    """

    def __init__(self) -> None:
        self.items: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[int | str]] = defaultdict(list)
        self.log: list[tuple[str, str, str | None, float]] = []
        self.sent = 0
        self.signature: str | None = None
        handler = type("Bound", (Handler,), {"archive": self})
        self.server = Server(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def requests(self, start: str) -> list[tuple[str, str, str | None, float]]:
        return [entry for entry in self.log if entry[1].startswith(start)]

    def search(self, query: dict[str, Any]) -> dict[str, Any]:
        west, south, east, north = query["bbox"]
        first, last = (query.get("datetime") or "/").split("/")
        found = []
        for item in (item for name in query["collections"] for item in self.items[name]):
            w, s, e, n = item["bbox"]
            acquired = item["properties"]["datetime"]
            timely = (not first or first <= acquired) and (not last or acquired <= last)
            if w <= east and e >= west and s <= north and n >= south and timely:
                found.append(item)
        # An order of its own: a client must not rely on one.
        found.sort(key=lambda item: item["id"][::-1])
        start = int(query.get("token", 0))
        page: dict[str, Any] = {"type": "FeatureCollection", "features": found[start:][:PAGE]}
        page["links"] = []
        if start + PAGE < len(found):
            token = {**query, "token": start + PAGE}
            lists = {"bbox", "collections"}
            text = {k: ",".join(map(str, v)) if k in lists else v for k, v in token.items()}
            href = f"{self.address}/stac/search?{urlencode(text)}"
            page["links"] = [{"rel": "next", "method": "GET", "href": href}]
        return page

    def landing(self) -> dict[str, Any]:
        search = {"rel": "search", "type": "application/geo+json", "href": "search"}
        search["href"] = f"{self.address}/stac/search"
        own = {"href": f"{self.address}/stac", "type": "application/json"}
        return {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": "local",
            "description": "An archive on this machine",
            "conformsTo": [
                "https://api.stacspec.org/v1.0.0/core",
                "https://api.stacspec.org/v1.0.0/item-search",
            ],
            "links": [
                {"rel": "root", **own},
                {"rel": "self", **own},
                {**search, "method": "GET"},
                {**search, "method": "POST"},
            ],
        }


class Handler(BaseHTTPRequestHandler):
    """Answer GET, HEAD (with ranges) and POST."""

    archive: Archive
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # header and body in one go

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        entry = (self.command, url.path, self.headers.get("Range"), time.monotonic())
        self.archive.log.append(entry)
        if not self._fault(url.path):
            self._answer(url.path, {key: values[0] for key, values in parse_qs(url.query).items()})

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        self.archive.log.append((self.command, url.path, None, time.monotonic()))
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._fault(url.path):
            self._send(json.dumps(self.archive.search(body)).encode())

    def _fault(self, path: str) -> bool:
        faults = self.archive.faults[path]
        if not faults:
            return False
        fault = faults.pop(0)
        if isinstance(fault, str) and fault.startswith("after:"):
            waiting = int(fault.removeprefix("after:"))
            if waiting:
                faults.insert(0, f"after:{waiting - 1}")
                return False
            return self._fault(path)
        if isinstance(fault, int):
            self._send(b"no", status=fault)
        elif fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            self.wfile = self.rfile  # nothing is left to flush
        elif fault == "hang":
            time.sleep(20)
            self.close_connection = True
        elif fault.startswith("expired:"):
            self.archive.signature = fault.removeprefix("expired:")
            self._send(b"expired", status=403)
        elif fault == "html":
            self._send(b"<html>Please log in</html>")
        return True

    def _answer(self, path: str, query: dict[str, Any]) -> None:
        archive = self.archive
        if path == "/stac":
            self._send(json.dumps(archive.landing()).encode())
        elif path == "/stac/search":
            query["bbox"] = [float(edge) for edge in query["bbox"].split(",")]
            query["collections"] = query["collections"].split(",")
            self._send(json.dumps(archive.search(query)).encode())
        elif path not in archive.files:
            self._send(b"no such file", status=404)
        elif archive.signature is not None and query.get("sig") != archive.signature:
            self._send(b"not signed", status=403)
        else:
            self._send_range(archive.files[path])

    def _send_range(self, content: bytes) -> None:
        header = self.headers.get("Range")
        if header is None:
            return self._send(content)
        first, last = header.removeprefix("bytes=").split("-")
        start, stop = int(first), min(int(last or len(content)) + 1, len(content))
        where = f"bytes {start}-{stop - 1}/{len(content)}"
        return self._send(content[start:stop], 206, where)

    def _send(self, content: bytes, status: int = 200, where: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Accept-Ranges", "bytes")
        if where:
            self.send_header("Content-Range", where)
        self.end_headers()
        if self.command != "HEAD":
            self.archive.sent += len(content)
            self.wfile.write(content)

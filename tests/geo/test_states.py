"""The state of files tells that their content was replaced."""

import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from builders import make_scene

from landslide.geo.states import file_state, raster_states


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    scene = make_scene(tmp_path / "scene", size=(32, 32))
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as content:
        content.write(scene / "ascending.tif", "deep/ascending.tif")
    return tmp_path / "s.zip"


def test_a_local_file_has_its_size_and_time(tmp_path: Path) -> None:
    (tmp_path / "a.gpkg").write_bytes(b"1234")
    state = [4, (tmp_path / "a.gpkg").stat().st_mtime_ns]
    assert file_state(str(tmp_path / "a.gpkg")) == state
    assert file_state(str(tmp_path / "a.gpkg" / "layer")) == state
    assert file_state(str(tmp_path / "missing.tif")) is None


def test_a_file_in_an_archive_has_the_state_of_the_archive(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(archive.parent)
    state = [archive.stat().st_size, archive.stat().st_mtime_ns]
    for name in (f"/vsizip/{archive}", "/vsizip/s.zip", f"/vsizip/{{{archive}}}"):
        assert list(raster_states([f"{name}/deep/ascending.tif"]).values()) == [state]
    assert list(raster_states([f"zip://{archive}!deep/ascending.tif"]).values()) == [state]


def test_a_mosaic_has_the_state_of_its_sources(archive: Path) -> None:
    scene = archive.parent / "scene"
    (scene / "m.vrt").write_text(
        '<VRTDataset rasterXSize="32" rasterYSize="32">'
        "<GeoTransform>600000,10,0,4740000,0,-10</GeoTransform>"
        '<VRTRasterBand dataType="Float32" band="1">'
        '<SimpleSource><SourceFilename relativeToVRT="1">ascending.tif</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    found = {Path(name).name for name in raster_states([scene / "m.vrt"])}
    assert found == {"m.vrt", "ascending.tif"}


class Answer(BaseHTTPRequestHandler):
    """A server of one byte of a file of 1234, with a version where the path is ``/tagged``."""

    def do_GET(self) -> None:
        assert self.headers["Range"] == "bytes=0-0"
        self.send_response(404 if self.path == "/gone" else 206)
        if self.path.startswith("/tagged?signature="):
            self.send_header("ETag", '"v1"')
        self.send_header("Content-Range", "bytes 0-0/1234")
        self.send_header("Content-Length", "1")
        self.end_headers()
        self.wfile.write(b"x")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_remote_file_has_the_version_that_its_server_names(server: str) -> None:
    for name in (f"{server}/tagged?signature=a", f"/vsicurl/{server}/tagged?signature=b"):
        assert file_state(name) == [1234, '"v1"']
    for name in (f"{server}/bare", f"{server}/gone", "/vsis3/bucket/a.tif", "/vsimem/a.tif"):
        assert file_state(name) is None

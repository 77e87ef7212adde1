"""``index.html`` of the maps of an event: images, maps and what changed, on one page."""

import base64
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from landslide.geo.files import write_text
from landslide.respond.timeline import draw_timeline


def write_page(record: Mapping[str, Any], path: Path) -> None:
    """Write the page, whole or not at all.

    Args:
        record: Content of ``response.json``.
        path: The page, in the folder of the maps.
    """
    environment = Environment(
        loader=PackageLoader("landslide.respond"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    with TemporaryDirectory() as folder:
        picture = Path(folder) / "timeline.png"
        draw_timeline(record, picture)
        timeline = base64.b64encode(picture.read_bytes()).decode()
    maps = [{**made, "name": Path(made["folder"]).name} for made in record["maps"]]
    page = environment.get_template("response.html").render(
        **{**record, "maps": maps}, timeline=timeline
    )
    write_text(path, page)

"""``index.html`` of the maps of an event: images, maps and what changed, on one page."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from landslide.geo.files import write_text
from landslide.geo.pages import embed_png, render_template
from landslide.respond.timeline import draw_timeline


def write_page(record: Mapping[str, Any], path: Path) -> None:
    """Write the page, whole or not at all.

    Args:
        record: Content of ``response.json``.
        path: The page, in the folder of the maps.
    """
    with TemporaryDirectory() as folder:
        picture = Path(folder) / "timeline.png"
        draw_timeline(record, picture)
        timeline = embed_png(picture.read_bytes())
    maps = [{**made, "name": Path(made["folder"]).name} for made in record["maps"]]
    facts = {**record, "maps": maps, "timeline": timeline}
    page = render_template("landslide.respond", "response.html", **facts)
    write_text(path, page)

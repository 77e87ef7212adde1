"""Validation of STAC files against the published schemas, without a network."""

import json
import os
from pathlib import Path

import pytest

pystac = pytest.importorskip("pystac", reason="the optional extra stac")
validation = pytest.importorskip("pystac.validation.stac_validator")

FOLDER = "LANDSLIDE_STAC_SCHEMAS"


def validate_core(path: Path) -> None:
    """Validate an item or a catalogue against STAC 1.1, whose schemas pystac carries."""
    content = json.loads(path.read_text())
    kind = "Feature" if content["type"] == "Feature" else "Catalog"
    _validator().validate_core(content, pystac.STACObjectType(kind), content["stac_version"])


def validate_extensions(path: Path) -> list[str]:
    """Validate an item against the schemas of its extensions; return their addresses.

    The schemas lie in the folder that ``LANDSLIDE_STAC_SCHEMAS`` names, as JSON files of any
    name. Those of an item are listed in its ``stac_extensions``, and mlm refers to
    classification 1.1.0, processing 1.1.0 and raster 1.1.0.
    """
    if not os.environ.get(FOLDER):
        pytest.skip(f"{FOLDER}, which names a folder with the extensions' schemas, is unset")
    validator = _validator()
    for file in Path(os.environ[FOLDER]).glob("*.json"):
        schema = json.loads(file.read_text())
        validator.schema_cache[schema["$id"].rstrip("#")] = schema
    content = json.loads(path.read_text())
    for address in content["stac_extensions"]:
        assert address in validator.schema_cache, f"{FOLDER} lacks {address}"
    kind, version = pystac.STACObjectType.ITEM, content["stac_version"]
    # The first is the core's.
    return validator.validate(content, kind, version, content["stac_extensions"])[1:]


def _validator() -> "validation.JsonSchemaSTACValidator":
    return validation.JsonSchemaSTACValidator()

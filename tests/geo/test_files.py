"""Files that programs of others read."""

import json
from pathlib import Path

import pytest

from landslide.geo.files import write_json


def refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def test_json_has_null_where_a_number_is_not_known_and_no_infinity(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": float("nan"), "b": [{"c": (1.5, float("nan"))}]})
    found = json.loads(path.read_text(), parse_constant=refuse)
    assert found == {"a": None, "b": [{"c": [1.5, None]}]}
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("inf")})
    assert path.read_bytes() == before

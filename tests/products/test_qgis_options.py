"""Further options of the QGIS script reach the program as words; QGIS itself has stand-ins."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

import pytest
from commands import REPOSITORY, composed


class Qgis(ModuleType):
    """A module of QGIS, every class of which is an error."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (Exception,), {})


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name in ("qgis", "qgis.core", "qgis.PyQt", "qgis.PyQt.QtCore", "qgis.PyQt.QtGui"):
        monkeypatch.setitem(sys.modules, name, Qgis(name))
    spec = spec_from_file_location("script", REPOSITORY / "docs" / "qgis" / "landslide_map.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_quotes_hold_paths_with_spaces_together(script: ModuleType) -> None:
    text = 'simplify=20  inventory="my data/slides.gpkg" ems=true'
    words = script.split_words(text)
    assert words == ["simplify=20", "inventory=my data/slides.gpkg", "ems=true"]
    assert composed(*words, name="predict").inventory == "my data/slides.gpkg"
    assert script.split_words(r"inventory='C:\my data\a.shp'") == [r"inventory=C:\my data\a.shp"]
    assert script.split_words("") == []
    with pytest.raises(script.QgsProcessingException, match="lacks a closing quote"):
        script.split_words("inventory='my data")

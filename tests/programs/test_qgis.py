"""The QGIS Processing script maps like ``predict.py``, run by QGIS' own ``qgis_process``."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from builders import make_scene, perturbed_task, save_checkpoint
from commands import REPOSITORY, map_with

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("qgis_process") is None,
        reason="qgis_process, which comes with QGIS, is not installed",
    ),
]


class Qgis:
    """QGIS with a profile of its own that knows the script.

    Args:
        profiles: Folder of the profile.
    """

    def __init__(self, profiles: Path) -> None:
        scripts = profiles / "profiles" / "default" / "processing" / "scripts"
        scripts.mkdir(parents=True)
        shutil.copy(REPOSITORY / "docs" / "qgis" / "landslide_map.py", scripts)
        self._environment = {
            **os.environ,
            "QGIS_CUSTOM_CONFIG_PATH": str(profiles),
            "QT_QPA_PLATFORM": "offscreen",
        }
        # QGIS must find its own libraries; the script drops these for the program, too.
        self._environment.pop("PYTHONPATH", None)
        self("plugins", "enable", "processing")

    def __call__(self, *words: str, content: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["qgis_process", *words],
            input=content,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def map(self, **parameters: object) -> subprocess.CompletedProcess[str]:
        """Run the algorithm."""
        inputs = {"PROGRAM": sys.executable, **parameters}
        return self("run", "script:maplandslides", "-", content=json.dumps({"inputs": inputs}))


@pytest.fixture(scope="module")
def qgis(tmp_path_factory: pytest.TempPathFactory) -> Qgis:
    return Qgis(tmp_path_factory.mktemp("qgis"))


@pytest.mark.parametrize("how", ["SCENE", "COMPOSITE"])
def test_qgis_maps_like_the_command_line(qgis: Qgis, tmp_path: Path, how: str) -> None:
    checkpoint = save_checkpoint(perturbed_task(), tmp_path / "model.ckpt")
    root = make_scene(tmp_path / "a scene, it's simulated")
    scene = root if how == "SCENE" else root / "ascending.tif"
    output = tmp_path / "map"
    done = qgis.map(
        **{how: str(scene)},
        CHECKPOINT=str(checkpoint),
        THRESHOLD=0.45,
        MIN_AREA=1000,
        OPTIONS="simplify=20 geojson=true",
        OUTPUT=str(output),
    )
    quoted = str(scene).replace("'", r"\'")
    expected = map_with(
        f"checkpoint={checkpoint}",
        f"scene='{quoted}'",
        f"output={tmp_path / 'expected'}",
        *("threshold=0.45", "min_area=1000", "simplify=20", "geojson=true"),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    results = found["results"]
    assert results["COUNT"] == expected["landslides"] > 0
    assert results["MEASURE"] == str(output / "probability.tif")
    assert results["LANDSLIDES"] == f"{output / 'landslides.gpkg'}|layername=landslides"
    for name in ("probability.tif", "landslides.tif", "landslides.geojson"):
        assert (output / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()
    log = "\n".join(str(line) for line in found["log"]["info"])
    assert "landslide area" in log
    assert "\x1b" not in log


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"THRESHOLD": 2}, "threshold=2 is not a probability"),
        ({"PROGRAM": "/no/landslide"}, "There is no program /no/landslide"),
        ({"SCENE": None}, "Name either a scene folder or a composite"),
        ({"OPTIONS": "min_aera=3"}, "min_aera is no option: did you mean min_area?"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    qgis: Qgis, tmp_path: Path, inputs: dict[str, object], sentence: str
) -> None:
    given = {
        "SCENE": str(make_scene(tmp_path / "scene", size=(64, 96))),
        "CHECKPOINT": str(save_checkpoint(perturbed_task(), tmp_path / "model.ckpt")),
        "OUTPUT": str(tmp_path / "map"),
    }
    kept = {name: value for name, value in (given | inputs).items() if value is not None}
    done = qgis.map(**kept)
    assert done.returncode != 0
    assert sentence in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "map").exists()

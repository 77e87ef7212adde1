"""A map is not cut anew over another scene, nor scored with another ground truth."""

import os
import zipfile
from pathlib import Path

import pytest
from builders import make_scene
from commands import composed, map_with

from landslide.errors import InputError
from landslide.products.recut import recut_map


def recut(*overrides: str) -> dict[str, object]:
    return recut_map(composed(*overrides, name="polygons"))


def test_a_scene_or_ground_truth_of_the_same_size_but_another_time_is_refused(
    checkpoint: Path, tmp_path: Path
) -> None:
    scene = make_scene(tmp_path / "scene", size=(64, 96))
    output = tmp_path / "map"
    map_with(f"checkpoint={checkpoint}", f"scene={scene}", f"output={output}")
    raster, truth = scene / "ascending.tif", scene / "landslides.tif"
    Path(f"{raster}.aux.xml").write_text("<PAMDataset/>")  # a viewer's statistics
    recut(f"map={output}")
    time = raster.stat().st_mtime_ns
    os.utime(raster, ns=(time, time + 1000))
    with pytest.raises(InputError, match=r"the scene .* has changed since .* or is a copy"):
        recut(f"map={output}")
    os.utime(raster, ns=(time, time))
    os.utime(truth, ns=(time, time - 10**9))
    with pytest.raises(InputError, match=r"ground truth .* has changed .* name it with inventory="):
        recut(f"map={output}")
    assert recut(f"map={output}", f"inventory={truth}")["inventory"] == str(truth)
    recut(f"map={output}")  # which has been accepted


def test_a_scene_in_an_archive_that_was_replaced_is_refused(
    checkpoint: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "s.zip"

    def pack(seed: int) -> None:
        scene = make_scene(tmp_path / f"{seed}", size=(64, 96), seed=seed)
        with zipfile.ZipFile(archive, "w") as content:  # stored: sizes hardly differ
            content.write(scene / "ascending.tif", "ascending.tif")

    pack(1)
    output = tmp_path / "map"
    words = [f"scene=/vsizip/{archive}/ascending.tif", f"output={output}"]
    map_with(f"checkpoint={checkpoint}", *words)
    recut(f"map={output}", "threshold=0.45")
    pack(2)
    with pytest.raises(InputError, match="has changed since"):
        recut(f"map={output}")


def test_a_scene_of_which_nobody_tells_whether_it_changed_is_refused(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_scene(tmp_path / "scene", size=(64, 96))
    monkeypatch.setattr("landslide.geo.states.file_state", lambda _: None)
    map_with(f"checkpoint={checkpoint}", f"scene={scene}", f"output={tmp_path / 'map'}")
    with pytest.raises(InputError, match=r"cannot be told, since nothing says when ascending.tif"):
        recut(f"map={tmp_path / 'map'}")

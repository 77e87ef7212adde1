"""The tutorial runs from its first cell to its last."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from commands import REPOSITORY
from nbclient import NotebookClient


@pytest.mark.slow
def test_the_tutorial_finds_landslides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    notebook = nbformat.read(REPOSITORY / "docs" / "tutorial.ipynb", as_version=4)
    NotebookClient(
        notebook, timeout=1800, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    assert "Warning" not in str([output.get("data") for output in outputs])
    f1 = float(printed.split("F1 ")[-1].split(",")[0])
    assert f1 > 0.3

"""The notebook of docs/tutorial runs from made-up faces to an exported model: `make test-docs`."""

import os
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

jupytext = pytest.importorskip("jupytext", reason="jupytext is not installed (extra docs)")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed (extra docs)")
pytest.importorskip("ipykernel", reason="ipykernel is not installed (extra docs)")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra export)")

PICTURES = 6
"""Cells that show a picture."""


@pytest.mark.timeout(3000)
def test_the_notebook_runs_and_shows_its_pictures(tmp_path, monkeypatch):
    programs = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    from jupyter_client.manager import AsyncKernelManager

    notebook = jupytext.read(ROOT / "docs" / "tutorial" / "notebook.md")
    manager = AsyncKernelManager(kernel_name="python3")
    manager.kernel_spec.argv[0] = sys.executable  # this environment's, whatever is registered
    client = nbclient.NotebookClient(
        notebook, km=manager, timeout=2500, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    shown = [each for cell in notebook.cells for each in cell.get("outputs", ()) if "data" in each]
    assert sum(any(kind.startswith("image/") for kind in each["data"]) for each in shown) == PICTURES
    shift = float(notebook.cells[-2].outputs[-1]["data"]["text/plain"])
    assert shift < 0.1
    assert (tmp_path / "outputs" / "model.card.md").is_file()

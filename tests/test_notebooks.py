"""The notebooks run from top to bottom, and are committed clean."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_clean(path):
    """Valid, without outputs; importing what it uses rather than defining it."""
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None
            assert not cell.source.lstrip().startswith(("def ", "class "))
            assert "\ndef " not in cell.source and "\nclass " not in cell.source


def test_explore_session_runs(tiny_package, monkeypatch):
    """With random weights; every picture and the sound are there."""
    monkeypatch.setenv("INTERACTION_CHECKPOINT", str(tiny_package))
    path = ROOT / "notebooks" / "explore_session.ipynb"
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(ROOT)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
    shown = {
        cell.id: {kind for out in cell.outputs for kind in out.get("data", {})}
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    for cell in ("picture", "session", "heard", "router", "attention", "flow"):
        assert "image/png" in shown[cell], cell
    assert any("audio" in out.data["text/html"] for out in _of(notebook, "listen"))


def _of(notebook: nbformat.NotebookNode, name: str) -> list:
    return next(cell.outputs for cell in notebook.cells if cell.id == name)


def test_compare_runs_runs(tmp_path, monkeypatch):
    """Two calibration agents on two questions: one that says nothing, one that is right."""
    for variable, agent in (("FIRST_RUN", "silent"), ("SECOND_RUN", "oracle")):
        place = tmp_path / agent
        subprocess.run(
            [sys.executable, "-m", "eval", "run", "--tasks=turn_synth", f"--agent={agent}",
             "--limit=2", "--vad=energy", f"--output_path={place}"],
            cwd=ROOT, check=True, capture_output=True,
        )  # fmt: skip
        monkeypatch.setenv(variable, str(place))
    path = ROOT / "notebooks" / "compare_runs.ipynb"
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(ROOT / "notebooks")}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
    table = _of(notebook, "figures")[0].data["text/markdown"]
    assert (
        "| turn_synth | answered | 0.0 | 1.0 | **+1.000** | +1.000 to +1.000 | 2 |" in table
    )
    for cell in ("intervals", "samples", "first-timeline", "second-timeline"):
        assert any("image/png" in out.get("data", {}) for out in _of(notebook, cell)), cell
    assert "turn-0000: 0.0 and 1.0" in _of(notebook, "most")[0].text
    assert any("audio" in out.data["text/html"] for out in _of(notebook, "listen"))

"""examples/look-at-a-run: the notebook runs, on a run that is given and on one that it makes."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
import runs

LACKING = "no {} (make test-frameworks)"
for package in ("matplotlib", "ipykernel"):
    pytest.importorskip(package, reason=LACKING.format(package))
nbclient = pytest.importorskip("nbclient", reason=LACKING.format("nbclient"))
nbformat = pytest.importorskip("nbformat", reason=LACKING.format("nbformat"))

NOTEBOOK = runs.ROOT / "examples" / "look-at-a-run" / "look-at-a-run.ipynb"
N_PICTURES = 10
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of Jupyter's own packages
    pytest.mark.filterwarnings("ignore::RuntimeWarning:zmq"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def executed(folder: Path, monkeypatch: pytest.MonkeyPatch, **env: str) -> str:
    """Execute the notebook in a folder; give what it has printed, and check its pictures."""
    for name, value in runs.environment(**env).items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=runs.TIMEOUT_S, resources=resources).execute()
    outputs = [its for cell in notebook.cells for its in cell.get("outputs", [])]
    pictures = [its for its in outputs if "image/png" in its.get("data", {})]
    assert len(pictures) == N_PICTURES
    return "".join(its.text for its in outputs if its.get("name") == "stdout")


def test_notebook_makes_a_run_and_then_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HPO_OUT", raising=False)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # mpirun's
    printed = executed(tmp_path, monkeypatch, PATH=path)
    assert len(runs.rows(tmp_path / "results")) == 12
    assert "12 trials, best 0." in printed
    assert "--filters 8 --dense_units " in printed

    given = tmp_path / "moved"
    shutil.move(tmp_path / "results", given)
    other = tmp_path / "other"
    other.mkdir()
    executed(other, monkeypatch, HPO_OUT=str(given))
    assert not (other / "results").exists()


def test_notebook_is_committed_as_it_was_executed_and_small() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert len(text) < 300_000
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not any(its.get("name") == "stderr" for cell in code for its in cell.outputs)

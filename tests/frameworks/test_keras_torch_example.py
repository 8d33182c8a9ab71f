"""examples/keras-torch: the search on PyTorch, and its best model as a PyTorch module."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import runs

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="no torch (make test-frameworks)"
)
EXAMPLE = runs.ROOT / "examples" / "keras-torch"


def test_pixels_are_shown_that_the_best_model_looks_at(tmp_path: Path) -> None:
    out = tmp_path / "results"
    smaller = ["--set", "filters=2,4", "--set", "dense_units=16", "--set", "learning_rate=0.01"]
    done = runs.search(
        2, out, "--space", EXAMPLE / "space.yaml", *smaller, "--epochs", 1, KERAS_BACKEND="torch"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [row["status"] for row in runs.rows(out)] == ["done"] * 2

    map_of_pixels = saliency(out, "torch").stdout
    lines = map_of_pixels.splitlines()
    assert [len(line) for line in lines] == [16] * 8
    assert "@" in map_of_pixels  # the strongest
    assert len(set(map_of_pixels)) > 4

    assert "KERAS_BACKEND=torch" in saliency(out, "tensorflow").stderr


def saliency(run: Path, backend: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLE / "saliency.py", run],
        env=runs.environment(KERAS_BACKEND=backend),
        capture_output=True,
        text=True,
        check=False,
    )

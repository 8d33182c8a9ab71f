"""One undisturbed search, for all others to be compared with."""

from __future__ import annotations

from pathlib import Path

import pytest
import runs


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the run directory of a finished search on two ranks; not to be written to."""
    out = tmp_path_factory.mktemp("undisturbed") / "results"
    done = runs.search(2, out)
    assert done.returncode == 0, done.stderr
    return out

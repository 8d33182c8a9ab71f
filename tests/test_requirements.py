"""The extras of pyproject.toml ask for the same versions as the requirements files."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_extras_are_lines_of_the_requirements_files() -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {line for extra in project["optional-dependencies"].values() for line in extra}
    files = ROOT.glob("requirements*.txt")
    assert extras <= {line for file in files for line in file.read_text().splitlines()}

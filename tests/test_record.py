"""search.yaml of another version: older ones are read, newer ones refused in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import hpo
from hpo import commands, record
from hpo.errors import InputError
from hpo.rundir import RunDir

DATA = {"side": 8, "images": 100, "classes": 10}


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path / "results")
    run.make()
    record.Record({"filters": [8]}, {"seed": 33}, DATA, {}).write(run)
    return run


def rewrite(run: RunDir, old: str, new: str) -> None:
    text = run.search.read_text()
    assert old in text
    run.search.write_text(text.replace(old, new))


def test_record_of_before_there_was_a_number_is_read(run):
    expected = record.read(run)
    rewrite(run, "format: 1\n", "")
    assert record.read(run) == expected


@pytest.mark.parametrize("number", ["2", "1.5", "new"])
def test_every_command_refuses_a_newer_format_by_the_version_that_wrote_it(run, capsys, number):
    rewrite(run, "format: 1\n", f"format: {number}\n")
    rewrite(run, f"hpo: {hpo.__version__}", "hpo: 9.8.7")
    expected = f"of format 1 or lower, found format {number}, written by hpo 9.8.7; this is hpo"
    out = str(run)
    listed = [["status"], ["report"], ["watch"], ["watch", "--once"], ["predict"]]
    for command, *options in listed:
        more = ["new.csv"] if command == "predict" else options
        assert commands.main([command, out, *more]) == 2
        assert expected.replace("'", "") in capsys.readouterr().err.replace("'", "")
    with pytest.raises(InputError, match="written by hpo 9.8.7"):
        hpo.load(out)
    before = {path: path.stat().st_mtime_ns for path in run.root.rglob("*")}
    search = [sys.executable, "-m", "hpo", "search", "--space", "quick", "--out", out]
    done = subprocess.run(search, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert expected.replace("'", "") in done.stderr.replace("'", "")
    assert {path: path.stat().st_mtime_ns for path in run.root.rglob("*")} == before

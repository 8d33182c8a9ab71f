"""`--notify` of real searches: the first failure, the end, a stop, a crash; and bad input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import runs

OBJECTIVE = """\
import os, shutil, signal

def train(config, trial):
    match config["x"]:
        case "fails":
            raise ValueError("no such thing")
        case "stops":
            os.kill(os.getpid(), signal.SIGUSR1)
        case "crashes":
            shutil.rmtree("results/journal")
    trial.report({"score": 1})
    return {"score": 1}
"""
TELL = """\
import os
with open("told", "a") as file:
    facts = ("EVENT", "EXIT_CODE", "N_DONE", "N_FAILED", "N_TRIALS", "ERROR")
    print(*(os.environ[f"HPO_{name}"] for name in facts), file=file)
assert not any(name.startswith(("PMI", "HYDI")) for name in os.environ)
print("heard by nobody but the log")
"""


def search(folder: Path, *values: str, n_ranks: int = 2) -> subprocess.CompletedProcess[str]:
    (folder / "train.py").write_text(OBJECTIVE)
    (folder / "tell.py").write_text(TELL)
    runs.space_file(folder, f"x: [{', '.join(values)}]\n")
    words = ("--objective", "train.py:train", "--space", "space.yaml", "--metric", "score")
    tell = f"{sys.executable} tell.py"
    more = ("--retries", "0", "--notify", tell)
    return runs.run(n_ranks, "-m", "hpo", "search", *words, *more, cwd=folder)


@pytest.mark.parametrize(
    ("values", "n_ranks", "code", "expected"),
    [
        (
            ("fails", "b"),
            2,
            0,
            ["trial-failed  ? 1 2 ValueError: no such thing", "finished 0 2 1 2"],
        ),
        (
            ("fails",),
            2,
            1,
            [
                "trial-failed  1 1 1 ValueError: no such thing",
                "failed 1 1 1 1 ValueError: no such thing",
            ],
        ),
        (("stops", "b"), 1, 75, ["stopped 75 ? 0 2"]),
        (("crashes",), 1, 1, ["failed 1 0 0 1 FileNotFoundError: …"]),
    ],
)
def test_command_hears_of_each_event(tmp_path, values, n_ranks, code, expected):
    done = search(tmp_path, *values, n_ranks=n_ranks)
    assert done.returncode == code, done.stderr
    told = (tmp_path / "told").read_text().splitlines()
    assert len(told) == len(expected)
    for line, wanted in zip(told, expected, strict=True):
        _same(line, wanted)
    assert "heard by nobody" not in done.stdout + done.stderr
    log = (tmp_path / "results" / "search.log").read_text()
    assert log.count("    heard by nobody but the log\n") == len(expected)
    assert not (tmp_path / "results" / "logs").exists() or values == ("crashes",)


def _same(line: str, wanted: str) -> None:
    """Compare words; `?` is any, `…` all that follow."""
    for word, its in zip(line.split(" "), [*wanted.split(" "), ""], strict=False):
        if its == "…":
            return
        assert its in ("?", word), (line, wanted)


def test_missing_program_is_refused_before_anything_is_done(tmp_path):
    done = runs.search(2, tmp_path / "results", "--notify", "no-such-program --now")
    assert done.returncode == 2
    assert done.stderr == (
        "error: --notify: expected a program, found no 'no-such-program' on PATH\n"
    )
    assert not (tmp_path / "results").exists()

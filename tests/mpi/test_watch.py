"""`hpo watch` beside a running search, and where there is nothing to watch."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
import runs
import screens

from hpo import commands, history
from hpo.history import Submitted
from hpo.job import Job
from hpo.rundir import RunDir

# All trials but the first wait for the file `go`.
OBJECTIVE = """\
import pathlib, time

def train(config, trial):
    for epoch in range(1, config["epochs"] + 1):
        while config["x"] > 1 and epoch == 2 and not pathlib.Path("go").exists():
            time.sleep(0.05)
        trial.report({"score": config["x"] + epoch / 10})
"""
WORDS = ("search", "--objective", "train.py:train", "--space", "space.yaml", "--metric", "score")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(OBJECTIVE)
    runs.space_file(tmp_path, "x: [1, 2, 3, 4]\nepochs: 2\n")
    return tmp_path


@contextlib.contextmanager
def searching(*options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Search on two ranks until `go` is there; give it once both wait for that."""
    command = runs.command(2, "-m", "hpo", *WORDS, "--out", "results", *options)
    process = subprocess.Popen(command, env=runs.environment(), stdout=subprocess.DEVNULL)
    try:
        wait(lambda: runs.n_records(Path("results")) == 1)
        wait(lambda: len(list(Path("results/state").glob("*-[01].json"))) == 2)
        yield process
        assert process.wait(timeout=runs.TIMEOUT_S) in (0, -signal.SIGKILL)
    finally:
        process.kill()
        process.wait()


def wait(until: object) -> None:
    while not until():  # type: ignore[operator]
        time.sleep(0.02)


def watch(*words: str) -> list[str]:
    return [sys.executable, "-m", "hpo", "watch", *words]


@contextlib.contextmanager
def lines_of(*words: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """Watch without a terminal; give the process, and what it prints."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(watch(*words), env=runs.environment(), **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout is not None
        yield process, process.stdout


def watched(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        watch(*words), env=runs.environment(), capture_output=True, text=True, check=False
    )


def test_watch_on_a_terminal_shows_the_ranks_until_the_end(folder: Path) -> None:
    pictures: list[str] = []

    def see(text: str) -> None:
        pictures.append(text)
        Path("go").touch()

    with searching():
        code, end = screens.watched(watch("results", "--every", "0.2"), 90, 30, on_picture=see)
    assert code == 0
    first = pictures[0]
    assert "1/4 trials · 0 failed · 2/2 ranks busy" in first
    assert "best 1.2000 x 1" in first
    ranks = [line.split() for line in first.splitlines() if line.startswith("  rank")]
    assert [words[:2] for words in ranks] == [["rank", "0"], ["rank", "1"]]
    assert {words[-1] for words in ranks} <= {"2", "3", "4"}
    assert end.strip() == (
        "results: finished: 4 of 4 trials, 0 failed, best 4.2000 (x 4, epochs 2)"
    )


def test_watch_without_a_terminal_prints_lines_and_ends_with_a_kill(folder: Path) -> None:
    every = ("--every", "0.1")
    with searching() as search, lines_of("results", *every) as (process, printed):
        line = printed.readline()
        search.kill()  # mpirun's ranks die with it, a moment later
        rest = printed.read()
    assert " 1/4 · 0 failed · " in line
    assert " left · 2/2 ranks busy · best 1.2000 (x 1)" in line
    assert "\x1b" not in line + rest
    assert rest.splitlines()[-2:] == [
        "results: unfinished: 1 of 4 trials, 0 failed, best 1.2000 (x 1, epochs 2)",
        "  not running; run the same command again to go on",
    ]
    assert process.wait() == 75


def test_watch_once_and_as_a_picture_and_left_with_ctrl_c(folder: Path) -> None:
    with searching():
        once = watched("results", "--once")
        picture = watched("results", "--svg", "picture.svg")
        with lines_of("results") as (process, printed):
            printed.readline()
            process.send_signal(signal.SIGINT)
            assert (printed.read(), process.wait()) == ("", 75)
        Path("go").touch()
    assert once.returncode == picture.returncode == 75
    assert once.stdout.startswith("1/4 trials · 0 failed · 2/2 ranks busy · ")
    svg = Path("picture.svg").read_text()
    assert "1/4" in svg and svg.count("http") == svg.count("http://www.w3.org/2000/svg") + (
        svg.count("https://www.textualize.io")
    )
    assert watched("results", "--once").returncode == 0


def test_watch_of_what_is_no_run_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main(["watch", "nowhere"]) == 2
    assert capsys.readouterr().err == (
        "error: nowhere: expected a run directory, found no such directory\n"
    )
    assert commands.main(["watch", str(folder), "--every", "0"]) == 2
    assert capsys.readouterr().err.startswith("error: argument --every: expected seconds from")


def test_watch_waits_for_a_job_that_was_submitted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDir("results")
    history.note_submitted(run, Submitted("job-1", time.time(), ("7",), Job("slurm"), "/"))
    assert commands.main(["watch", "results", "--once"]) == 75
    assert "slurm job 7 (squeue" in capsys.readouterr().out
    with lines_of("results", "--every", "0.1") as (process, printed):
        assert printed.readline().endswith(" has not started yet; this waits for it\n")
        with searching():
            assert "/4 · 0 failed · " in printed.readline()
            Path("go").touch()
        printed.read()
        assert process.wait() == 0

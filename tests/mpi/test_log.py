"""search.log of a real search on three ranks, one trial of which fails, killed in the middle."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from pathlib import Path

import runs

from hpo import lock
from hpo.gathering import entries

# Trials take their time while the file `slow` is there.
OBJECTIVE = """\
import pathlib, time

def train(config, trial):
    for epoch in range(1, 4):
        if config["x"] == 2:
            raise ValueError("no such\\nthing")
        while epoch == 3 and pathlib.Path("slow").exists() and config["x"] > 4:
            time.sleep(0.05)
        trial.report({"score": config["x"] + epoch / 10})
"""
WORDS = ("search", "--objective", "train.py:train", "--space", "space.yaml", "--metric", "score")


def test_log_has_each_line_once_in_the_order_of_time(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(OBJECTIVE)
    (tmp_path / "slow").touch()
    runs.space_file(tmp_path, "x: [1, 2, 3, 4, 5, 6, 7, 8]\n")
    out = tmp_path / "results"
    words = ("-m", "hpo", *WORDS, "--out", out, "--verbose")
    process = subprocess.Popen(
        runs.command(3, *words),
        cwd=tmp_path,
        env=runs.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while len(list((out / "logs").glob("*.log"))) < 3 or not (out / "search.log").exists():
        time.sleep(0.05)  # rank 0 has taken something over
    process.kill()
    process.wait()
    while lock.alive(out / "state"):  # ranks die a moment after their mpirun
        time.sleep(0.05)
    left = Counter(its for path in (out / "logs").iterdir() for its in _entries(path))
    assert left and left >= Counter(_entries(out / "search.log"))

    (tmp_path / "slow").unlink()
    done = runs.run(3, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = _entries(out / "search.log")
    assert not (out / "logs").exists()
    assert {its: Counter(told)[its] for its in left} == dict(left)
    assert told == sorted(told, key=lambda its: its[:23])

    _check_what_is_told(told)
    text = (out / "search.log").read_text()
    assert runs.run(1, *words, cwd=tmp_path).returncode == 0
    assert (out / "search.log").read_text().startswith(text)


def _check_what_is_told(told: list[bytes]) -> None:
    heads = [its.decode().split("\n")[0].split(" ", 9) for its in told]
    words = [head[-1] for head in heads]
    assert {head[4] for head in heads} == {"0", "1", "2"}
    # Both tries of the failed trial have their traceback, from the rank that trained it.
    tracebacks = [its for its in told if b"\n    ValueError: no such\n    thing\n" in its]
    assert len(tracebacks) == 2
    (failed,) = {its.split(b" trial ")[1].split()[0] for its in tracebacks}
    (warning,) = [its for its in told if b" WARNING " in its]
    assert warning.split(b" trial ")[1].split()[0] == failed
    # A line for each epoch of each trial that was trained to its end.
    for number in (1, 3, 4, 5, 6, 7, 8):
        assert f"epoch 3: score {number + 0.3:g}" in words
    assert sum(word.startswith("end: finished: 8 of 8 trials, 1 failed") for word in words) == 1
    assert sum(word.startswith("start ") for word in words) == 2


def _entries(path: Path) -> list[bytes]:
    return entries(path.read_bytes())

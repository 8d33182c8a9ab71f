"""Searches of a program under mpirun: heard, stopped, continued, and killed with the search."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import runs

SPACE = "lr: [0.1, 0.2, 0.3, 0.4]\n"
# Goes on from its checkpoint, like a program that trains.
TRAIN = """
import json, os, pathlib, sys
lr, n_epochs = float(sys.argv[1]), int(sys.argv[2])
checkpoint = pathlib.Path(os.environ["HPO_CHECKPOINT"], "epoch")
first = int(checkpoint.read_text()) + 1 if checkpoint.exists() else 1
for epoch in range(first, n_epochs + 1):
    beside = checkpoint.with_suffix(".new")
    beside.write_text(str(epoch))
    beside.replace(checkpoint)
    print("from", first)
    print(json.dumps({"epoch": epoch, "loss": lr + 1 / epoch}), flush=True)
"""
# Says who it is, and never ends.
WAITS = """
import pathlib, subprocess, sys, time
child = subprocess.Popen(["sleep", "100000"])
pathlib.Path(sys.argv[1], f"{child.pid}.pid").write_text("")
child.wait()
"""


def words(out: Path, code: str, arguments: str, *options: object) -> list[object]:
    """Give the words of a search whose program is some Python, with these arguments."""
    space, script = runs.space_file(out.parent, SPACE), out.parent / "train.py"
    script.write_text(code)
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(script))} {arguments}"
    usual = ("--space", space, "--out", out, "--metric", "loss")
    return ["-m", "hpo", "search", "--command", command, *usual, *options]


def search(
    n_ranks: int, out: Path, code: str, arguments: str = "", *options: object
) -> subprocess.CompletedProcess[str]:
    return runs.run(n_ranks, *words(out, code, arguments, *options), cwd=out.parent)


def started(out: Path, code: str, arguments: str, *options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        runs.command(2, *words(out, code, arguments, *options)),
        cwd=out.parent,
        env=runs.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait(happened: Callable[[], object]) -> None:
    end = time.monotonic() + runs.TIMEOUT_S
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_program_is_searched(tmp_path):
    out = tmp_path / "results"
    done = search(2, out, TRAIN, "{lr} {epochs}", "--epochs", 3)
    assert done.returncode == 0, done.stderr
    rows = runs.rows(out)
    assert [row["lr"] for row in rows] == ["0.1", "0.2", "0.3", "0.4"]
    assert {(row["status"], row["best_epoch"]) for row in rows} == {("done", "3")}
    assert [float(row["score"]) for row in rows] == [lr + 1 / 3 for lr in (0.1, 0.2, 0.3, 0.4)]
    assert "\nlr: 0.1\n" in (out / "best_params.txt").read_text()
    assert len(list(out.glob("trials/*/output.log"))) == 4
    again = search(1, out, TRAIN, "{lr} {epochs}", "--epochs", 3)
    assert again.returncode == 0
    assert runs.n_records(out) == 4


def test_another_program_is_another_search(tmp_path):
    out = tmp_path / "results"
    assert search(1, out, TRAIN, "{lr} 1").returncode == 0
    changed = search(1, out, TRAIN + "\n", "{lr} 1")
    assert changed.returncode == 2
    assert changed.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("no-such-program {spec}", "error: --command: expected a program, found no 'no-such-prog"),
        ("sh {learning_rate}", "error: --command: unknown name {learning_rate}; known are lr, sp"),
        ("", "error: --command: expected a program and its arguments, found ''"),
        ("sh {data}", "error: --command: expected --data, as it has {data}"),
    ],
)
def test_a_wrong_command_is_one_line_from_one_rank(tmp_path, command, expected):
    space = runs.space_file(tmp_path, SPACE)
    options = ("--command", command, "--space", space, "--out", tmp_path / "results")
    done = runs.run(2, "-m", "hpo", "search", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(expected)
    assert done.stderr.count("\n") == 1


def test_a_program_without_metrics_is_a_failed_trial(tmp_path):
    out = tmp_path / "results"
    done = search(
        2, out, "import sys; print('loss 1' if sys.argv[1] < '0.4' else '{\"loss\": 1}')", "{lr}"
    )
    assert done.returncode == 0, done.stderr
    *failed, right = runs.rows(out)
    expected = "expected a line of JSON with the metric 'loss', found none: loss 1"
    assert {(row["status"], row["attempt"], row["error"]) for row in failed} == {
        ("failed", "1", expected)
    }
    assert right["status"] == "done"


def test_a_program_that_fails_is_tried_again(tmp_path):
    out = tmp_path / "results"
    done = search(2, out, "import sys; sys.exit('no ' + sys.argv[1])", "{lr}")
    assert done.returncode == 1
    assert [(row["attempt"], row["error"]) for row in runs.rows(out)] == [
        ("2", f"exit code 1: no {lr}") for lr in (0.1, 0.2, 0.3, 0.4)
    ]
    (log, *_) = out.glob("trials/*/trial.log")
    assert "Traceback" not in log.read_text()


def test_a_program_that_takes_too_long_is_a_failed_trial(tmp_path):
    out = tmp_path / "results"
    done = search(2, out, WAITS, "{trial}", "--trial-time-limit", 0.01)
    assert done.returncode == 1
    assert {(row["attempt"], row["error"]) for row in runs.rows(out)} == {
        ("1", "took longer than 0.01 minutes (--trial-time-limit)")
    }
    children = [path.stem for path in out.glob("trials/*/*.pid")]
    wait(lambda: not any(map(is_running, children)))


# Is in the way of its own end, once it has told seven epochs in its first start.
PAUSES = (
    TRAIN
    + """
    if epoch == 7 and first == 1:
        import time
        print("waiting", flush=True)
        time.sleep(100000)
"""
)
TO_30 = ("{lr} {epochs}", "--epochs", 30, "--objective-version", 1)


@pytest.fixture(scope="module")
def to_30(tmp_path_factory):
    """Give the rows of an undisturbed search."""
    out = tmp_path_factory.mktemp("undisturbed") / "results"
    assert search(2, out, TRAIN, *TO_30).returncode == 0
    return comparable(out)


def test_a_stopped_program_goes_on_from_what_it_has_saved(to_30, tmp_path):
    out = tmp_path / "results"
    with started(out, PAUSES, *TO_30) as process:
        wait(lambda: outputs(out).count("waiting") == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 75
    assert runs.status(out) == 75
    done = search(1, out, TRAIN, *TO_30)
    assert done.returncode == 0, done.stderr
    assert outputs(out).count("from 8\n") == 2 * 23
    assert comparable(out) == to_30


def test_a_time_limit_stops_programs(to_30, tmp_path):
    out = tmp_path / "results"
    stopped = search(2, out, PAUSES, *TO_30, "--time-limit", 0.1)
    assert stopped.returncode == 75, stopped.stderr
    assert "stopped (time limit)" in stopped.stdout
    done = search(2, out, TRAIN, *TO_30)
    assert done.returncode == 0, done.stderr
    assert comparable(out) == to_30


def outputs(out: Path) -> str:
    return "".join(path.read_text() for path in out.glob("trials/*/output.log"))


@pytest.mark.parametrize("victim", ["rank", "mpirun"])
def test_a_killed_search_leaves_no_program(tmp_path, victim):
    out = tmp_path / "results"
    with started(out, WAITS, "{trial}") as process:
        wait(lambda: len(list(out.glob("trials/*/*.pid"))) == 2)
        children = [path.stem for path in out.glob("trials/*/*.pid")]
        assert all(map(is_running, children))
        os.kill(rank_of(out) if victim == "rank" else process.pid, signal.SIGKILL)
    wait(lambda: not any(map(is_running, children)))


def rank_of(out: Path) -> int:
    """Give the process number of a rank."""
    ranks = [
        int(process.name)
        for process in Path("/proc").iterdir()
        if process.name.isdigit() and is_rank(process, out)
    ]
    return max(ranks)


def is_rank(process: Path, out: Path) -> bool:
    try:
        words = (process / "cmdline").read_bytes().decode().split("\0")
    except OSError:
        return False
    return words[0] == sys.executable and str(out) in words


@pytest.mark.parametrize("code", [TRAIN, TRAIN.replace("checkpoint.exists()", "False")])
def test_pruned_programs_are_the_same_on_any_number_of_ranks(tmp_path, code):
    options = ("{lr} {epochs}", "--epochs", 9, "--pruner", "asha")
    one, two = tmp_path / "one" / "results", tmp_path / "two" / "results"
    for n_ranks, out in ((1, one), (2, two)):
        out.parent.mkdir()
        done = search(n_ranks, out, code, *options, "--objective-version", 1)
        assert done.returncode == 0, done.stderr
    assert {row["status"] for row in runs.rows(two)} == {"done", "pruned"}
    assert comparable(one) == comparable(two)


def comparable(out: Path) -> list[dict[str, str]]:
    """Give the rows without what may differ, ids among it: the text names the script's path."""
    varying = {*runs.VARYING, "id"}
    return [{k: v for k, v in row.items() if k not in varying} for row in runs.rows(out)]


def test_a_program_that_uses_mpi_has_a_world_of_its_own(tmp_path):
    out, script = tmp_path / "results", tmp_path / "parallel.py"
    script.write_text(
        "from mpi4py import MPI\n"
        "sizes = MPI.COMM_WORLD.allgather(MPI.COMM_WORLD.size)\n"
        "if MPI.COMM_WORLD.rank == 0: print('{\"loss\": %d}' % sum(sizes), flush=True)\n"
    )
    command = shlex.join([runs.MPIRUN, "-np", "3", sys.executable, str(script)])
    space = runs.space_file(tmp_path, SPACE)
    options = ("--command", command, "--space", space, "--out", out, "--metric", "loss")
    done = runs.run(2, "-m", "hpo", "search", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {row["score"] for row in runs.rows(out)} == {"9.0"}

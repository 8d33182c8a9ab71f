"""Shards that come to their ends together: the report is whole, whoever writes it last."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import runs

N_SHARDS = 3
POLL_S = 0.02


def shard(number: int, out: Path) -> subprocess.Popen[bytes]:
    words = (runs.ROOT / "rismpi.py", "--out", out, "--space", out.parent / "space.yaml")
    return subprocess.Popen(
        runs.command(1, *words, "--shard", f"{number}/{N_SHARDS}"),
        cwd=out.parent,
        env=runs.environment(),
        stdout=subprocess.DEVNULL,
    )


def held(process: subprocess.Popen[bytes], pipe: Path) -> int | None:
    """Wait until a process reads a pipe; give the end that keeps it there until it is closed.

    None if the process has ended instead.
    """
    while process.poll() is None:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads it
            time.sleep(POLL_S)
    return None


def test_a_report_that_others_have_overtaken_is_written_again(
    undisturbed: Path, tmp_path: Path
) -> None:
    """A pipe in the journal holds the first shard whenever it has read all that is before it.

    Once it has trained its share, another one runs from start to end at each such moment: what
    the first one then writes of the journal is no longer true.
    """
    out = tmp_path / "results"
    runs.space_file(tmp_path)
    pipe = out / "journal" / "~.jsonl"  # sorted behind all others
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    others = list(range(2, N_SHARDS + 1))
    n_overtaken = 0
    first = shard(1, out)
    while (end := held(first, pipe)) is not None:
        pipe.unlink()  # the others have none to wait at
        if runs.n_records(out) and others:
            assert shard(others.pop(0), out).wait(runs.TIMEOUT_S) == 0
            n_overtaken += len(runs.rows(out)) == runs.n_records(out)
        os.mkfifo(pipe)
        os.close(end)
    pipe.unlink()
    assert (first.returncode, others) == (0, [])
    assert n_overtaken == N_SHARDS - 1
    assert runs.comparable(out) == runs.comparable(undisturbed)
    assert (out / "best_params.txt").read_text() == (undisturbed / "best_params.txt").read_text()
    assert runs.status(out) == 0  # the model, too, is that of the best

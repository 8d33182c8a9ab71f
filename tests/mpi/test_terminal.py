"""The live line under mpirun, on a real pseudo-terminal; and none where there is no terminal."""

from __future__ import annotations

import os
import pty
import struct
import subprocess
import termios
from fcntl import ioctl
from pathlib import Path

import runs

ERASE = "\x1b[2K"


def test_a_terminal_gets_one_line_that_is_kept_up_to_date(tmp_path: Path) -> None:
    lines = _on_terminal(tmp_path, columns=100).split("\n")
    (live,) = [line for line in lines if ERASE in line and "ranks busy" in line]
    states = live.replace("\r", "").split(ERASE)
    assert len(states) > 2
    assert states[1].startswith("0/8 · 0 failed · ")
    assert all(len(state) <= 100 for state in states)
    assert any("8 of 8 trials" in line for line in lines[-4:])


def test_no_terminal_gets_no_escape_codes(tmp_path: Path) -> None:
    done = runs.search(2, tmp_path / "results", "--set", "filters=4")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr


def _on_terminal(folder: Path, columns: int) -> str:
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
    space = runs.space_file(folder)
    words = (runs.ROOT / "rismpi.py", "--out", folder / "results", "--space", space)
    process = subprocess.Popen(
        runs.command(2, *words, "--set", "filters=4", "--epochs", 30),
        env=runs.environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    told = b""
    try:
        while chunk := os.read(ours, 4096):
            told += chunk
    except OSError:  # Linux's way to say that the other end is closed
        pass
    os.close(ours)
    assert process.wait(timeout=runs.TIMEOUT_S) == 0
    return told.decode()

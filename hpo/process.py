"""A program under way: in a process group that ends before this process does.

Beside the program there is its guard, a shell that only waits. When this process is gone, even
by SIGKILL, the pipe between the two is closed, and the guard kills the program's group.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from hpo import proc

GRACE_S = 10.0  # between SIGTERM and SIGKILL
MIN_POLL_S, MAX_POLL_S = 0.001, 0.1
STOP_POLL_S = 0.02
POLL_SHARE = 0.02  # of the time that a program has taken so far

# It becomes the program once the guard is there: if this process dies before, it reads no line.
_BECOME = 'read -r _ && exec "$@" </dev/null'
_GUARD = 'read -r _ || kill -s KILL -- "-$1"'


class Process:
    """A program, from its start until nothing is left of its process group."""

    def __init__(
        self,
        words: Sequence[str],
        environ: Mapping[str, str],
        *,
        stdout: IO[bytes],
        stderr: IO[bytes],
    ) -> None:
        """Start it in the present directory."""
        self._began_s = time.monotonic()
        self._is_over = False
        self._program = subprocess.Popen(
            ["/bin/sh", "-c", _BECOME, "sh", *words],
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            self._guard = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "guard", str(self._program.pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            _send_line(self._program, b"")
            self._program.wait()
            raise
        _send_line(self._program, b"\n")

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    @property
    def seconds(self) -> float:
        """How long ago it was started."""
        return time.monotonic() - self._began_s

    def wait(self) -> int | None:
        """Sleep a little; give the exit code, or minus the signal, if it has ended by then.

        What it leaves running is killed.
        """
        if self._program.poll() is None:
            time.sleep(min(max(self.seconds * POLL_SHARE, MIN_POLL_S), MAX_POLL_S))
        code = self._program.poll()
        if code is not None:
            self._end()
        return code

    def stop(self, grace_s: float = GRACE_S) -> int | None:
        """Ask it to end, so that it may save what it has; kill what is left of it then.

        Gives its exit code, or minus the signal, if it had ended before it was asked.
        """
        code = self._program.poll()
        if self._is_over:
            return code
        self._signal(signal.SIGTERM)
        until_s = time.monotonic() + grace_s
        # Its first process may be a shell that goes at once, while its child is still saving.
        while time.monotonic() < until_s and (self._program.poll() is None or self._has_others()):
            time.sleep(STOP_POLL_S)
        self._end()
        return code

    def _end(self) -> None:
        """Leave nothing of it, and no guard: the group's number may soon be somebody else's."""
        if self._is_over:
            return
        self._signal(signal.SIGKILL)
        self._program.wait()
        _send_line(self._guard, b"\n")
        self._guard.wait()
        self._is_over = True

    def _has_others(self) -> bool:
        """Tell whether there is somebody in the group, once its first process has gone."""
        return self._signal(0) and not _is_of_zombies(self._program.pid)

    def _signal(self, number: int) -> bool:
        """Send a signal to the whole group; tell whether there is anybody."""
        try:
            os.killpg(self._program.pid, number)
        except (ProcessLookupError, PermissionError):  # the latter on macOS: zombies are left
            return False
        return True


def _is_of_zombies(group: int) -> bool:
    """Tell whether a group has ended, but nobody asks for its codes: so it is in containers."""
    states = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just gone
            _, fields = proc.stat(process.name)
            states += [fields[proc.STATE]] if int(fields[proc.GROUP]) == group else []
    return bool(states) and set(states) <= {"Z", "X"}


def _send_line(process: subprocess.Popen[bytes], line: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
        pipe.write(line)


def ending(code: int) -> str:
    """Say how a program ended."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"

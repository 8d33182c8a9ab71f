"""Runs one daemon, and ends it with all that ever came of it when its owner lets go or dies."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # from linux/prctl.h


def main() -> None:
    """Keep the daemon of the command line until the standard input ends."""
    # What the daemon starts and leaves alone becomes a child of this process, not of init.
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    daemon = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=reap, args=(daemon.pid,), daemon=True).start()
    sys.stdin.buffer.read()
    while True:
        kill_together()
        time.sleep(0.01)


def reap(daemon: int) -> None:
    """Wait for all children; end this process when there is none any more."""
    code = 0
    while True:
        try:
            process, status = os.wait()
        except ChildProcessError:
            os._exit(code)
        if process == daemon:
            code = min(abs(os.waitstatus_to_exitcode(status)), 255)


def kill_together() -> None:
    """Kill all descendants as a node that loses its power: none sees another one end."""
    stopped: set[int] = set()
    while found := descendants(os.getpid()) - stopped:
        for process in found:
            send(process, signal.SIGSTOP)
        stopped |= found
    for process in stopped:
        send(process, signal.SIGKILL)


def descendants(ancestor: int) -> set[int]:
    """Give the numbers of all processes below one."""
    parents = {int(path.name): parent(path) for path in Path("/proc").glob("[0-9]*")}
    found: set[int] = set()
    generation = {ancestor}
    while generation:
        generation = {process for process, above in parents.items() if above in generation}
        found |= generation
    return found


def parent(process: Path) -> int:
    try:
        # The name before it, in brackets, may have spaces and brackets of its own.
        return int((process / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def send(process: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


if __name__ == "__main__":
    main()

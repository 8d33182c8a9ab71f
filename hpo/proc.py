"""What Linux tells of a process in /proc."""

from __future__ import annotations

import os
import time
from pathlib import Path

# Places in what follows the name, see proc(5).
STATE, PARENT, GROUP, BEGUN_TICKS = 0, 1, 2, 19


def stat(pid: int | str) -> tuple[str, list[str]]:
    """Read a process's name, and what follows it: state, parent, …

    Raises:
        OSError: if there is no such process, or no /proc.
    """
    text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    head, _, fields = text.rpartition(")")  # the name, in brackets, may hold anything
    return head.partition("(")[2], fields.split()


def age_s(pid: int | str) -> float | None:
    """Give the seconds since a process began; None where that is not to be had."""
    try:
        begun_s = int(stat(pid)[1][BEGUN_TICKS]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - begun_s
    except (OSError, AttributeError, IndexError, ValueError):
        return None


def resident_bytes() -> int | None:
    """Give the memory that this process has resident; None where that is not to be had."""
    try:
        n_pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return n_pages * os.sysconf("SC_PAGE_SIZE")

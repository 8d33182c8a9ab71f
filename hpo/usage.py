"""What a rank has used: seconds by purpose, and memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hpo import proc


@dataclass
class Usage:
    """Seconds of one rank, and where they went.

    `compile_s` and `train_s` (validation included) are parts of `work_s`, which is all from
    getting a trial to having its result on disk; `search_s` is work and waiting.
    """

    start_s: float = 0.0  # from the process's begin to the first question for a trial
    search_s: float = 0.0
    work_s: float = 0.0
    compile_s: float = 0.0
    train_s: float = 0.0

    @contextmanager
    def counts(self, name: str) -> Iterator[None]:
        """Add the seconds that the body takes to one of the fields."""
        begun_s = time.perf_counter()
        try:
            yield
        finally:
            took_s = time.perf_counter() - begun_s
            setattr(self, name, getattr(self, name) + took_s)

    def sentence(self) -> str:
        files_s = self.work_s - self.compile_s - self.train_s
        return (
            f"start {self.start_s:.2f} s, compile {self.compile_s:.2f} s,"
            f" train {self.train_s:.2f} s, files {files_s:.2f} s,"
            f" wait {self.search_s - self.work_s:.2f} s,"
            f" peak memory {peak_memory_bytes() / 1e9:.2f} GB"
        )


def age_s() -> float:
    """Give the seconds since this process began, before Python itself was loaded."""
    found = proc.age_s("self")
    return time.process_time() if found is None else found


def peak_memory_bytes() -> int:
    """Give the most memory that this process has had resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def memory_bytes() -> int:
    """Give the memory that this process has resident now; where that is not told, at most."""
    found = proc.resident_bytes()
    return peak_memory_bytes() if found is None else found

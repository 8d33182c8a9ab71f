"""Progress on rank 0: one live line on a terminal, a plain line every so often elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from hpo import launcher, proc
from hpo.report import compact
from hpo.trial import WORST, Merit, Result, Status, merit

PLAIN_EVERY_S = 30.0
LIVE_EVERY_S = 0.5
UNKNOWN_WIDTH = 80
_LAUNCHERS = ("mpirun", "mpiexec", "orterun", "prterun", "prun")  # mpirun.openmpi too


class Progress:
    """Shows how far the search is, from entering to leaving the context."""

    def __init__(
        self,
        n_total: int,
        n_ranks: int,
        *,
        varied: Collection[str],
        load: Callable[[], tuple[float, int]],
        quiet: bool = False,
    ) -> None:
        """Prepare to show.

        Args:
            varied: the hyperparameters that have more than one value, shown of the best.
            load: gives the core-seconds that are left and the number of busy ranks.
        """
        self._n_total, self._n_ranks = n_total, n_ranks
        self._n_failed = 0
        self._counted: dict[str, Status] = {}  # by id: a pruned trial may come again
        self._best: tuple[Merit, str] = (WORST, "")
        self._varied = varied
        self._load = load
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="progress", daemon=True)
        self._quiet = quiet
        self._live: Live | None = None

    def count(self, result: Result) -> None:
        """Take in a result; those of earlier starts before the context is entered."""
        self._counted[result.id] = result.status
        self._n_failed += result.status is Status.FAILED
        if merit(result) < self._best[0]:
            varied = {k: v for k, v in result.config.items() if k in self._varied}
            self._best = (merit(result), f"{result.score:.4f} ({compact(varied)})")

    def line(self) -> str:
        """Say it in one line."""
        left_s, n_busy = self._load()
        n_done = len(self._counted)
        n_pruned = sum(status is Status.PRUNED for status in list(self._counted.values()))
        parts = [f"{n_done:,}/{self._n_total:,}", f"{self._n_failed:,} failed"]
        if n_pruned:
            parts.append(f"{n_pruned:,} pruned")
        if n_done < self._n_total or (n_pruned and n_busy):
            parts.append(f"{duration(left_s / self._n_ranks)} left")
            parts.append(f"{n_busy}/{self._n_ranks} ranks busy")
        if self._best[1]:
            parts.append(f"best {self._best[1]}")
        return " · ".join(parts)

    def say(self, text: str) -> None:
        """Print a line above the live one."""
        if self._live is None:
            print(text, flush=True)
        else:
            self._live.console.print(text, highlight=False, markup=False)

    def __enter__(self) -> Progress:
        if not self._quiet:
            width = terminal_width()
            if width is not None:
                console = Console(force_terminal=True, width=width)
                self._live = Live(console=console, auto_refresh=False, transient=True)
                self._live.start()
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._live is not None:
            self._live.stop()

    def _tick(self) -> None:
        every_s = PLAIN_EVERY_S if self._live is None else LIVE_EVERY_S
        while not self._over.wait(every_s):
            with contextlib.suppress(OSError):  # nobody reads it any more; the search goes on
                self._show()

    def _show(self) -> None:
        if self._live is None:
            print(f"{time.strftime('%H:%M:%S')} {self.line()}", flush=True)
        else:
            text = Text(self.line(), no_wrap=True, overflow="ellipsis")
            self._live.update(text, refresh=True)


def duration(seconds: float) -> str:
    """Write a length of time with its two largest units."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days} d {h} h"
    if hours:
        return f"{hours} h {m} min"
    return f"{minutes} min {s} s" if minutes else f"{s} s"


def terminal_width() -> int | None:
    """Give the width of the terminal that this rank's output ends on; None if it is none.

    Under mpirun a rank writes to a pipe (MPICH) or to a terminal of the launcher's own making
    (Open MPI), so it is the launcher's output that counts. Linux tells it; elsewhere there is
    no live line under mpirun.
    """
    try:
        if launcher.promised() is None:
            if not sys.stdout.isatty():
                return None
            return os.get_terminal_size(sys.stdout.fileno()).columns or UNKNOWN_WIDTH
        output = _launcher_output()
        if output is None:
            return None
        terminal = os.open(output, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            return os.get_terminal_size(terminal).columns or UNKNOWN_WIDTH
        finally:
            os.close(terminal)
    except OSError:
        return None


def _launcher_output() -> Path | None:
    """Find the terminal that mpirun, one of this process's ancestors, writes to."""
    pid = os.getppid()
    while pid > 1:
        name, fields = proc.stat(pid)
        if name.startswith(_LAUNCHERS):
            output = Path(f"/proc/{pid}/fd/1").readlink()
            return output if output.is_relative_to("/dev") else None  # not a pipe or a file
        pid = int(fields[proc.PARENT])
    return None

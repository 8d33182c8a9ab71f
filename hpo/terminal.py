"""The terminal that a search's output ends on: its size, and what is drawn on it again and again.

The cursor rests in an empty line above what is drawn. Whoever else prints, other ranks too,
prints there, and the next drawing comes below. After a kill nothing has to be put right.
"""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, RenderableType

from hpo import launcher, proc

UNKNOWN = os.terminal_size((80, 24))
_DUMB = ("dumb", "unknown")  # as TERM: they know no cursor
_LAUNCHERS = ("mpirun", "mpiexec", "orterun", "prterun", "prun")  # mpirun.openmpi too
_ERASE = "\r\x1b[J"  # from the cursor to the screen's end


@dataclass(frozen=True)
class Terminal:
    """Where it is asked for its size: a path, or this process's standard output."""

    path: Path | None

    @classmethod
    def find(cls) -> Terminal | None:
        """Find the terminal that this rank's output ends on; None if it is none.

        Under mpirun a rank writes to a pipe (MPICH) or to a terminal of the launcher's own making
        (Open MPI), so it is the launcher's output that counts. Linux tells it; elsewhere there
        is no live view under mpirun.
        """
        if os.environ.get("TERM") in _DUMB:
            return None
        try:
            if launcher.promised() is None:
                return cls(None) if sys.stdout.isatty() else None
            output = _launcher_output()
            found = None if output is None else cls(output)
            return None if found is None or found._asked() is None else found
        except OSError:
            return None

    def size(self) -> os.terminal_size:
        """Give its size now: people pull at windows."""
        return self._asked() or UNKNOWN

    def _asked(self) -> os.terminal_size | None:
        try:
            if self.path is None:
                size = os.get_terminal_size(sys.stdout.fileno())
            else:
                terminal = os.open(self.path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
                try:
                    size = os.get_terminal_size(terminal)
                finally:
                    os.close(terminal)
        except (OSError, ValueError):
            return None
        return size if size.columns and size.lines else UNKNOWN


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


class Screen:
    """Draws on a terminal in place of what it has drawn before."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._console = Console(force_terminal=True, width=UNKNOWN.columns)
        self._guard = threading.Lock()  # the search's threads may say something

    def room(self) -> tuple[int, int]:
        """Give the columns and lines that a drawing may take."""
        columns, lines = self._terminal.size()
        return max(1, columns - 1), max(
            1, lines - 2
        )  # some terminals begin a new line after the last column

    def draw(self, what: RenderableType) -> None:
        with self._guard:
            self._console.width = self.room()[0]
            with self._console.capture() as captured:
                self._console.print(what)
            lines = captured.get().rstrip("\n").split("\n")
            self._write(f"{_ERASE}\n" + "\n".join(lines) + f"\x1b[{len(lines)}A\r")

    def say(self, text: str) -> None:
        """Print a line above the drawing, which comes again with the next one."""
        with self._guard:
            self._write(f"{_ERASE}{text}\n")

    def clear(self) -> None:
        with self._guard:
            self._write(_ERASE)

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

"""A small terminal: what a person sees, while a program writes to it and at its end."""

from __future__ import annotations

import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Callable, Sequence
from fcntl import ioctl

import runs

_TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


class Screen:
    """Rows of text that never scroll away. It knows what the live view uses, and refuses more."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows = [""]
        self._row = self._column = 0

    def write(self, text: str) -> None:
        end = 0
        for token in _TOKEN.finditer(text):
            assert token.start() == end, f"unknown: {text[end : end + 20]!r}"
            end = token.end()
            number, letter, control, words = token.groups()
            if words:
                self._put(words)
            elif control == "\r":
                self._column = 0
            elif control == "\n":
                self._row += 1
                self.rows += [""] * (self._row + 1 - len(self.rows))
            elif letter == "A":
                self._row = max(0, self._row - int(number or 1))
            elif letter == "J":
                assert number in ("", "0")
                self.rows[self._row] = self.rows[self._row][: self._column]
                del self.rows[self._row + 1 :]
            else:
                assert letter == "m", f"unknown: {token[0]!r}"

    def _put(self, words: str) -> None:
        row = self.rows[self._row].ljust(self._column)
        after = self._column + len(words)
        self.rows[self._row] = row[: self._column] + words + row[after:]
        self._column = after

    def text(self) -> str:
        return "\n".join(row.rstrip() for row in self.rows)


def watched(
    command: Sequence[str],
    columns: int,
    lines: int,
    *,
    on_picture: Callable[[str], None] = lambda text: None,
    **env: str,
) -> tuple[int, str]:
    """Run a program on a terminal; give its code and what stands there at the end.

    Args:
        on_picture: gets what is to be seen after every drawing.
    """
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = subprocess.Popen(
        command,
        env=runs.environment(**{"TERM": "xterm-256color", **env}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    screen, told = Screen(columns), b""
    try:
        while chunk := os.read(ours, 4096):
            told += chunk
            # A drawing ends where the cursor has gone back up to the line above it.
            while (end := told.find(b"A\r")) >= 0:
                screen.write(told[: end + 2].decode())
                told = told[end + 2 :]
                on_picture(screen.text())
    except OSError:  # Linux's way to say that the other end is closed
        pass
    os.close(ours)
    screen.write(told.decode())
    return process.wait(timeout=runs.TIMEOUT_S), screen.text()

"""`logs/<start>-<rank>.log`: what one rank has to say, until rank 0 takes it over (`gathering`).

    2026-11-25 23:30:21.123 INFO rank 3 host node7 trial d8ce12f05b4df19a goes on after epoch 2

The trial is the one that the thread is at, `-` if none. Further lines of a message are indented.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

_LOGGER = logging.getLogger("hpo")
_trial: ContextVar[str] = ContextVar("trial", default="-")  # each thread has its own


@contextlib.contextmanager
def of_trial(trial_id: str) -> Iterator[None]:
    """Let the lines of this thread bear a trial's id."""
    token = _trial.set(trial_id)
    try:
        yield
    finally:
        _trial.reset(token)


class RankLog(logging.Handler):
    """Writes the lines of this process to a file that nobody else writes.

    The file is made with its first line, and closed after each: on NFS that is when others see it.
    """

    def __init__(self, path: Path, who: str, host: str) -> None:
        super().__init__()
        self._path, self._who = path, f"{who} host {host}"

    @classmethod
    def begin(cls, path: Path, who: str, host: str) -> RankLog:
        """Write what this program's loggers say from now on, until `end`.

        Args:
            who: which process this is: `rank 3`.
        """
        log = cls(path, who, host)
        _LOGGER.addHandler(log)
        return log

    def end(self) -> None:
        _LOGGER.removeHandler(self)
        self.close()

    def note_error(self) -> None:
        """Write the error that is being raised; on the terminal it is shown elsewhere."""
        words = ("hpo", logging.ERROR, __file__, 0, "ends by an error", (), sys.exc_info())
        self.handle(_LOGGER.makeRecord(*words))

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # of a full disk the journal tells
            line = self.format(record).encode(errors="backslashreplace")
            try:
                _append(self._path, line)
            except FileNotFoundError:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                _append(self._path, line)

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        head = f"{at}.{int(record.msecs):03d} {record.levelname} {self._who} trial {_trial.get()}"
        lines = super().format(record).rstrip().splitlines() or [""]
        return f"{head} " + "\n    ".join(lines) + "\n"


def _append(path: Path, line: bytes) -> None:
    with path.open("ab", buffering=0) as file:
        file.write(line)

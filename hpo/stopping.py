"""Why a search should stop early: a signal, or its time limit."""

from __future__ import annotations

import math
import signal
import time
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
# Time kept for what comes after the last step: saving, the report, leaving MPI.
MARGIN_S = 15.0
# One Ctrl-C reaches a rank twice: from the terminal, and from mpirun, which forwards it.
SECOND_INTERRUPT_S = 1.0


class Stop:
    """The wish to stop, set once and seen by all threads of this rank."""

    def __init__(self, time_limit_min: float | None = None, *, started_s: float = 0.0) -> None:
        """Count the time limit from `started_s`, a time of `time.monotonic`."""
        self.reason: str | None = None
        self._deadline_s = self._interrupted_s = math.inf
        if time_limit_min is not None:
            self.end_within(60 * time_limit_min - (time.monotonic() - started_s))

    def end_within(self, seconds: float) -> None:
        """Stop before so many seconds from now have passed, if no earlier limit was set."""
        deadline_s = time.monotonic() + seconds - min(MARGIN_S, max(0.0, seconds) / 4)
        self._deadline_s = min(self._deadline_s, deadline_s)

    def request(self, reason: str) -> None:
        """Ask to stop; the first reason stays."""
        self.reason = self.reason or reason

    def is_requested(self) -> bool:
        if self.time_left_s() <= 0:
            self.request("time limit")
        return self.reason is not None

    def time_left_s(self) -> float:
        """Give the seconds until the time limit is near; infinite without one."""
        return self._deadline_s - time.monotonic()

    def listen(self) -> None:
        """Turn the signals that mean `stop in good order` into a request."""
        for number in SIGNALS:
            signal.signal(number, self._heard)

    def _heard(self, number: int, _: FrameType | None) -> None:
        now_s = time.monotonic()
        if number == signal.SIGINT and now_s > self._interrupted_s + SECOND_INTERRUPT_S:
            raise KeyboardInterrupt  # somebody does not want to wait
        if number == signal.SIGINT:
            self._interrupted_s = min(self._interrupted_s, now_s)
        self.request(signal.Signals(number).name)

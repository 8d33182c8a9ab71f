"""What a program tells in lines of JSON, among all else that it prints.

A line with a number for the metric that is searched is a report. Its "epoch" says where it
stands: what was reported of this or later epochs is taken back, so that a program that begins
again, or goes on from an earlier checkpoint than it had come to, is heard correctly. Without
"epoch", the lines of a start count from 1. A program that was killed after it had saved an epoch
and before it told it leaves a gap: at its next start it tells of a later one, or, if that was its
last, of none.
"""

from __future__ import annotations

import bisect
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpo.epochs import SCORE

CHUNK_BYTES = 1 << 16
MAX_LINE_BYTES = 1 << 20  # a longer one is no report


@dataclass(frozen=True)
class Report:
    """What an epoch came to, and what the program calls this epoch."""

    epoch: float
    metrics: Mapping[str, float]


class GapError(Exception):
    """A program goes on after an epoch of which there is no report."""


class Record:
    """All that a trial has reported, in order of epochs."""

    def __init__(self, metric: str, history: Sequence[Report] = ()) -> None:
        self._metric = metric
        self.history = list(history)
        self._last = 0.0  # epoch of this start
        self._is_going_on = False  # and has not told yet where it goes on
        self.others: dict[str, None] = {}  # names of numbers in lines without the metric

    def go_on(self) -> None:
        """Let another start of the program follow."""
        self._last, self._is_going_on = 0.0, True

    def take(self, line: str) -> int | None:
        """Hear a line; if it is a report, say how many of the earlier ones stay.

        Raises:
            GapError: if reports are missing before it.
        """
        numbers = numbers_in(line)
        epoch = numbers.pop("epoch", math.nan)
        if self._metric == SCORE and len(numbers) == 1:
            numbers[SCORE] = next(iter(numbers.values()))
        if self._metric not in numbers:
            self.others |= dict.fromkeys(numbers)
            return None
        self._last = epoch if math.isfinite(epoch) else self._last + 1
        if self._is_going_on and self._last > self._expected:
            raise GapError(f"epoch {self._last:g} came where {self._expected:g} was to come")
        self._is_going_on = False
        n_kept = bisect.bisect_left(self.history, self._last, key=lambda its: its.epoch)
        self.history[n_kept:] = [Report(self._last, numbers)]
        return n_kept

    @property
    def _expected(self) -> float:
        """The latest epoch that may come next: programs may tell only every fifth."""
        before, last = [0.0, 0.0, *(its.epoch for its in self.history[-2:])][-2:]
        return last + max(1.0, last - before)

    @property
    def has_diverged(self) -> bool:
        told = (its.metrics.get(self._metric, math.nan) for its in self.history)
        return not all(map(math.isfinite, told))


def numbers_in(line: str) -> dict[str, float]:
    """Give the numbers of a JSON object by their names; nothing if the line is something else."""
    line = line.strip().rpartition("\r")[2].strip()  # after what a progress bar has left there
    if not line.startswith("{"):
        return {}
    try:
        told = json.loads(line)
        numbers = {k: v for k, v in told.items() if isinstance(v, int | float)}
        return {k: float(v) for k, v in numbers.items() if not isinstance(v, bool)}
    except (ValueError, OverflowError, RecursionError):
        return {}


class Tail:
    """The lines of a file that another process is writing."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._path, self._offset, self._part = path, offset, b""

    def lines(self, *, is_over: bool = False) -> Iterator[str]:
        """Give those that are new; once the writer has ended, also one without its end."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return
        with file:
            if file.seek(0, 2) < self._offset:  # it is written anew
                self._offset, self._part = 0, b""
            file.seek(self._offset)
            while chunk := file.read(CHUNK_BYTES):
                self._offset += len(chunk)
                *whole, self._part = (self._part + chunk).split(b"\n")
                yield from map(_text, whole)
                self._part = self._part[-MAX_LINE_BYTES:]
        if is_over:
            yield _text(self._part)
            self._part = b""


def last_lines(path: Path, offset: int, n: int) -> list[str]:
    """Give the last lines of a file after an offset that say something."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(offset, end - CHUNK_BYTES))
        lines = _text(file.read()).splitlines()
    return [line.rstrip() for line in lines if line.strip()][-n:]


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace")

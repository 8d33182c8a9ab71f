"""`trials/<id>/epochs.csv`: a row for each epoch of a trial, with whatever metrics it told."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

EPOCH = "epoch"
Series = dict[str, list[float]]  # by the name of a metric, a number for each epoch


class EpochFile:
    """Writes the epochs of one trial as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: list[str] = []
        self._n_written = 0

    def rewrite(self, metrics: Sequence[Mapping[str, float]]) -> None:
        """Write all epochs anew."""
        self._names = list(dict.fromkeys(name for its in metrics for name in its))
        self._n_written = len(metrics)
        rows = [self._row(number, its) for number, its in enumerate(metrics, start=1)]
        with self._path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerows([[EPOCH, *self._names], *rows])

    def add(self, metrics: Sequence[Mapping[str, float]]) -> None:
        """Add the last of all epochs."""
        number, last = len(metrics), metrics[-1]
        if self._n_written != number - 1 or not {*last} <= {*self._names}:
            self.rewrite(metrics)
            return
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(self._row(number, last))
        self._n_written += 1

    def _row(self, number: int, metrics: Mapping[str, float]) -> list[object]:
        return [number, *(metrics.get(name, "") for name in self._names)]


def read(path: Path) -> Series:
    """Read what has been written of a trial's epochs: series of one length, NaN where none was.

    A file that is not there has none; a last line that is being written is left out.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return {}
    head, *rows = list(csv.reader(text[: text.rfind("\n") + 1].splitlines())) or [[]]
    whole = [row for row in rows if len(row) == len(head)]
    columns = {name: [row[place] for row in whole] for place, name in enumerate(head)}
    return {name: list(map(_number, its)) for name, its in columns.items() if name != EPOCH}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan

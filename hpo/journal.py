"""The journal: finished trials on disk, one JSON line each, one writer per file; and its replay.

`journal/<start>-<rank>.jsonl` is made with its first record. A file's last line may be torn, as
its writer may have been killed; any other line that cannot be read is an error.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from hpo.errors import InputError
from hpo.trial import Result, Status


class Written(NamedTuple):
    """A record, and the start of the search that it was written in."""

    start: str
    result: Result


class Writer:
    """Appends the results of one rank in one start."""

    def __init__(self, folder: Path, start: str, rank: int) -> None:
        self.path = folder / f"{start}-{rank}.jsonl"
        self._file: io.FileIO | None = None

    def append(self, result: Result) -> None:
        """Put a result on disk; it is there for good when this returns."""
        if self._file is None:
            self._file = self.path.open("ab", buffering=0)
            _sync_folder(self.path.parent)
        line = result.to_line().encode() + b"\n"
        if self._file.write(line) != len(line):
            raise OSError(f"{self.path}: a record was written in part; is the disk full?")
        os.fsync(self._file.fileno())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def replay(folder: Path) -> dict[str, Result]:
    """Read what all starts and ranks have finished, by trial id.

    Where a trial has several records, one that is done wins, else the latest: file names begin
    with the time of their start. Within a start a pruned trial may have gone on, on any rank: then
    the one that came further is the later one.

    Raises:
        InputError: naming the file and line that cannot be read.
    """
    return latest(records(folder))


def latest(records: Iterable[Written]) -> dict[str, Result]:
    """Choose what counts of records in their order, by trial id."""
    results: dict[str, Result] = {}
    starts: dict[str, str] = {}
    for start, result in records:
        known = results.get(result.id)
        if known is not None and known.status is Status.DONE:
            continue
        if known is None or result.status is Status.DONE:
            is_later = True
        else:
            is_later = starts[result.id] != start or result.epochs >= known.epochs
        if is_later:
            results[result.id], starts[result.id] = result, start
    return results


def records(folder: Path) -> Iterator[Written]:
    """Read all records, start by start.

    Raises:
        InputError: naming the file and line that cannot be read.
    """
    return Follower(folder).news()


class Follower:
    """Reads a journal while it grows: each time, what has come since the last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, tuple[int, int]] = {}  # bytes and lines

    def news(self) -> Iterator[Written]:
        """Read the records that have come, start by start.

        A last line that cannot be read is being written, or was when its writer was killed: the
        next time will tell.

        Raises:
            InputError: naming the file and line that cannot be read.
        """
        for path in sorted(self._folder.glob("*.jsonl")):
            start = path.stem.rpartition("-")[0]
            n_bytes, n_lines = self._read.get(path, (0, 0))
            with path.open("rb") as file:
                if n_bytes:  # a pipe cannot
                    file.seek(n_bytes)
                lines = file.read().split(b"\n")
            if not lines[-1]:
                del lines[-1]
            for place, line in enumerate(lines, 1):
                try:
                    result = Result.from_line(line)
                except ValueError as error:
                    if place == len(lines):
                        break
                    raise InputError(
                        f"{path}:{n_lines + 1}: expected a trial's record, found {line[:40]!r};"
                        " the lines after it are whole, so this was no interrupted write: restore"
                        " the file, or delete this line to have its trial trained again"
                    ) from error
                n_bytes, n_lines = n_bytes + len(line) + 1, n_lines + 1
                self._read[path] = n_bytes, n_lines
                yield Written(start, result)


def _sync_folder(folder: Path) -> None:
    """Make a new file's name durable, as its content is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

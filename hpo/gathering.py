"""search.log: the lines of all ranks in the order of their times.

Each rank writes a file of its own (`ranklog`), as appends of several hosts to one file lose lines
on NFS. Rank 0 takes new lines over every few seconds, and throws the files away at the end. What
a start that was killed has left there is taken over by the next one, or by `hpo report`: lines
that search.log has already are not taken again.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from itertools import pairwise, takewhile
from pathlib import Path

from hpo import history
from hpo.rundir import RunDir, write_whole

_logger = logging.getLogger(__name__)

GATHER_EVERY_S = 3.0
HOLD_S = 2.0  # lines of the last seconds wait, so that a slower rank's come before them
LARGEST_SHARE = 0.05  # of the time, for looking at the files of many ranks

_HEAD = re.compile(rb"^\d{4}-\d\d-\d\d ", re.MULTILINE)
_STAMP_CHARS = len("2026-11-25 23:30:21.123")

Entry = bytes  # a line with its time at the front, and the indented ones that belong to it


class Gatherer:
    """Takes the lines of one start's ranks over, in a thread of rank 0."""

    def __init__(self, run: RunDir, start: str, shard: tuple[int, int] | None) -> None:
        self._run, self._start = run, start
        self._log = run.log_of_shard(shard)
        self._read: defaultdict[Path, int] = defaultdict(int)  # bytes
        self._newest = b""
        self._is_out_of_order = False
        self._n_bytes_before = self._log.stat().st_size if self._log.exists() else 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self, *, is_clean: bool) -> None:
        """Take over all that is left; the rank files go if nobody writes them any more.

        Args:
            is_clean: whether all ranks have come to their end.
        """
        if self._over.is_set():
            return
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            self._gather(before=None)
            if self._is_out_of_order:
                self._sort()
            if is_clean:
                _remove(self._run, self._read)
        except OSError as error:
            _logger.warning("%s: not all lines could be written: %s", self._log, error)

    def _go_on(self) -> None:
        pause_s = GATHER_EVERY_S
        while not self._over.wait(pause_s):
            began_s = time.monotonic()
            with contextlib.suppress(OSError):  # the next time, or the end, tells of it
                self._gather(before=_stamp(time.time() - HOLD_S))
            pause_s = max(GATHER_EVERY_S, (time.monotonic() - began_s) / LARGEST_SHARE)

    def _gather(self, before: bytes | None) -> None:
        """Take over what is older; a younger entry may not be whole yet, and is read again."""
        ready: list[Entry] = []
        for path in sorted(self._run.logs.glob(f"{self._start}-*.log")):
            with path.open("rb") as file:
                file.seek(self._read[path])
                told = entries(_whole_lines(file.read()))
            taken = [*takewhile(lambda its: before is None or _time_of(its) < before, told)]
            self._read[path] += sum(map(len, taken))
            ready += taken
        if not ready:
            return
        ready = _in_order(ready)
        self._is_out_of_order |= _time_of(ready[0]) < self._newest
        self._newest = max(self._newest, _time_of(ready[-1]))
        with self._log.open("ab") as file:
            file.write(b"".join(ready))

    def _sort(self) -> None:
        """Put right what came late: NFS may show a file of another host after a minute only."""
        told = self._log.read_bytes()
        before, mine = told[: self._n_bytes_before], told[self._n_bytes_before :]
        write_whole(self._log, before + b"".join(_in_order(entries(mine))))


def take_over(run: RunDir, alive: Collection[str], shard: tuple[int, int] | None = None) -> None:
    """Take over the lines that starts have left which are not alive any more.

    Args:
        alive: starts that gather their own.
        shard: whose starts; None: of whole searches. Shards write logs of their own.
    """
    # Most runs have left nothing: then no other file is read.
    left = [path for path in sorted(run.logs.glob("*.log")) if _start_of(path) not in alive]
    if not left:
        return
    shards = {its.start: its.shard for its in history.starts(run)}
    mine = [path for path in left if shards.get(_start_of(path)) == shard]
    log = run.log_of_shard(shard)
    known = entries(_whole_lines(log.read_bytes())) if log.exists() else []
    found = [its for path in mine for its in entries(_with_end(path.read_bytes()))]
    if known and any(its != known[-1] and its.startswith(known[-1]) for its in found):
        del known[-1]  # was being written when its writer was killed
    seen = Counter(known)
    seen.subtract(found)
    news = Counter({its: -n for its, n in seen.items() if n < 0})
    write_whole(log, b"".join(_in_order([*known, *news.elements()])))
    _remove(run, mine)


def take_over_all(run: RunDir, alive: Collection[str]) -> None:
    """Take over what starts have left, of whole searches and of shards."""
    shards = {its.shard for its in history.starts(run)} if run.logs.exists() else set()
    for shard in {None} | shards:
        take_over(run, alive, shard)


def entries(text: bytes) -> list[Entry]:
    """Split a log into its entries; what stands before the first one is one as well."""
    begins = [match.start() for match in _HEAD.finditer(text)]
    if begins[:1] != [0]:
        begins.insert(0, 0)
    return [text[a:b] for a, b in pairwise([*begins, len(text)]) if a < b]


def _in_order(some: Iterable[Entry]) -> list[Entry]:
    """Sort by time; what is of one time stays as it is."""
    return sorted(some, key=_time_of)


def _time_of(entry: Entry) -> bytes:
    return entry[:_STAMP_CHARS] if _HEAD.match(entry) else b""


def _stamp(at_s: float) -> bytes:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_s))
    return f"{at}.{int(at_s % 1 * 1000):03d}".encode()


def _whole_lines(text: bytes) -> bytes:
    return text[: text.rfind(b"\n") + 1]


def _with_end(text: bytes) -> bytes:
    """End the last line, in the middle of which its writer may have been killed."""
    return text if text.endswith(b"\n") or not text else text + b"\n"


def _start_of(path: Path) -> str:
    return path.stem.rpartition("-")[0]


def _remove(run: RunDir, paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # another start's files are in it
        run.logs.rmdir()

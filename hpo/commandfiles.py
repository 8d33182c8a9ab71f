"""The files of a trial whose objective is a program, and what of them outlives its starts."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from hpo.errors import FilesError
from hpo.metriclines import GapError, Record, Report, Tail, last_lines
from hpo.report import settings_text
from hpo.rundir import write_whole
from hpo.trial import Config

N_LAST_LINES = 20


@dataclass(frozen=True)
class Past:
    """What is known of an unfinished trial: all before its last start.

    What that start told stands in its output, from `output` on, as the search may have been
    killed before it had read all.
    """

    history: list[Report]
    seconds: float  # that the program has run
    output: int
    is_over: bool = False  # that start has come to its end, and told all


class CommandFiles:
    """One trial's; `begin` before each start of the program.

    There is a note of what is past as long as the trial is unfinished. Without one, a start
    finds an empty checkpoint.
    """

    def __init__(self, folder: Path) -> None:
        folder = folder.absolute()  # the program may work in another directory
        self.folder = folder
        self.spec = folder / "spec.yaml"
        self.checkpoint = folder / "checkpoint"
        self.metrics = folder / "metrics.jsonl"
        self.output = folder / "output.log"
        self.errors = folder / "errors.log"
        self._note = folder / "command.json"
        self.seconds = 0.0  # before this start
        self.is_over = False  # the program has nothing more to tell, and is not to be started
        self._from = {self.output: 0, self.errors: 0}  # where this start's part begins
        self._tails: list[Tail] = []

    def begin(self, config: Config, metric: str, heading: str) -> Record:
        """Make all ready for a start of the program; give what was reported before it.

        Raises:
            FilesError: if a file cannot be written.
        """
        with _files_of_the_run():
            record = self._resume(metric)
            if record and self.is_over:
                return record
            if record is None:
                shutil.rmtree(self.checkpoint, ignore_errors=True)
                record = Record(metric)
            self.checkpoint.mkdir(parents=True, exist_ok=True)
            write_whole(self.spec, settings_text(config), durable=False)
            for path in (self.output, self.errors):
                with path.open("a", encoding="utf-8") as file:
                    file.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} {heading}\n")
                self._from[path] = path.stat().st_size
            self._write_note(record)
            self.metrics.unlink(missing_ok=True)  # only now: its lines are in the note
            self._tails = [Tail(self.output, self._from[self.output]), Tail(self.metrics)]
        return record

    def _resume(self, metric: str) -> Record | None:
        """Give what an unfinished trial has reported; None if it is to begin anew."""
        try:
            told = json.loads(self._note.read_text(encoding="utf-8"))
            past = Past(**told | {"history": [Report(**its) for its in told["history"]]})
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None
        record = Record(metric, past.history)
        if past.history:
            record.go_on()
        try:
            for tail in (Tail(self.output, past.output), Tail(self.metrics)):
                for line in tail.lines(is_over=True):
                    record.take(line)
        except GapError:
            return None
        if record.has_diverged:
            return None
        self.seconds, self.is_over = past.seconds, past.is_over
        record.go_on()
        return record

    def _write_note(self, record: Record) -> None:
        past = Past(record.history, self.seconds, self._from[self.output])
        write_whole(self._note, json.dumps(asdict(past)), durable=bool(record.history))

    def pause(self, seconds: float, *, is_over: bool) -> None:
        """Note for how long the program has run; it is to be started again unless it is over."""
        now = {"seconds": self.seconds + seconds, "is_over": is_over}
        with _files_of_the_run():
            told = json.loads(self._note.read_text(encoding="utf-8"))
            write_whole(self._note, json.dumps(told | now))

    def end(self) -> None:
        """Let the next start, if there ever is one, begin anew."""
        with _files_of_the_run():
            self._note.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something was saved
            self.checkpoint.rmdir()

    @contextmanager
    def opened(self) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """Give what the program is to write its output and its errors to."""
        with ExitStack() as opened:
            with _files_of_the_run():
                files = [opened.enter_context(p.open("ab")) for p in (self.output, self.errors)]
            yield files[0], files[1]

    def lines(self, *, is_over: bool = False) -> Iterator[str]:
        """Give what the program has written since the last call, where it may tell metrics."""
        for tail in self._tails:
            yield from tail.lines(is_over=is_over)

    def last_lines(self) -> tuple[str, list[str]]:
        """Give a file's name and the end of what this start wrote there: errors, else output."""
        for path in (self.errors, self.output):
            found = last_lines(path, self._from[path], N_LAST_LINES)
            if found:
                break
        return path.name, found


@contextmanager
def _files_of_the_run() -> Iterator[None]:
    """Tell trouble with the run directory from a trial's failure: it ends the search."""
    try:
        yield
    except OSError as error:
        raise FilesError(error) from error

"""Telling trackers of a run: each in a thread of its own, so that none waits for another.

It reads the run directory's files and nothing else: beside a search, or whenever it is over. What
a tracker has been told stands in `tracking/<name>.jsonl`; only one process tells at a time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import shlex
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpo import lock, trackfeed
from hpo.commandline import default_out
from hpo.errors import ExitCode, InputError
from hpo.lock import Lock
from hpo.ranklog import RankLog
from hpo.rundir import RunDir, stamp, write_whole
from hpo.tracker import Best, Search, ToldTrial, Tracker, check_installed, names, without_secrets

_logger = logging.getLogger(__name__)

LOG = "track.log"
LOOK_EVERY_S = 0.5
LOCK_EVERY_S = 2.0
AGAIN_S, MOST_AGAIN_S = 60.0, 900.0  # after a failure, then twice as long each time
NICENESS = 10
MAX_LINE_CHARS = 300


def add_parser(commands: Any) -> None:
    track = commands.add_parser("track", help="tell wandb, mlflow or tensorboard of a run")
    track.add_argument("dir", nargs="?", default=default_out(), metavar="DIR")
    track.add_argument("--track", metavar="NAME", action="extend", type=names, required=True)
    track.add_argument(
        "--follow",
        nargs="?",
        const="",
        metavar="FILE",
        help="go on until Ctrl-C or SIGTERM, which let it tell the rest, or until FILE is gone",
    )
    track.add_argument("--log", metavar="FILE", help="add warnings to this file")
    track.set_defaults(run=_track)


def command(run: RunDir, wanted: Sequence[str]) -> str:
    """Give the command that tells the rest."""
    words = [word for name in wanted for word in ("--track", name)]
    return shlex.join(["python", "-m", "hpo", "track", str(run), *words])


def summary(run: RunDir) -> list[str]:
    """Give what was told, in lines for people; nothing while that is not over."""
    try:
        return _summary_of(run).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def forget_summary(run: RunDir) -> None:
    run.tracking.mkdir(parents=True, exist_ok=True)
    _summary_of(run).unlink(missing_ok=True)


def _summary_of(run: RunDir) -> Path:
    return run.tracking / "summary.txt"


def _track(arguments: argparse.Namespace) -> int:
    run = RunDir(arguments.dir)
    wanted = list(dict.fromkeys(arguments.track))
    check_installed(wanted)
    follows = arguments.follow is not None
    over = _Over(Path(arguments.follow) if arguments.follow else None, is_now=not follows)
    if follows:
        _step_aside()
    if arguments.log is not None:
        RankLog.begin(Path(arguments.log), "trackers", os.uname().nodename)
    search = trackfeed.search(run, is_live=follows)
    held = _take(run, over)
    if held is None:
        return ExitCode.DONE  # another search in the directory tells of this one too
    try:
        tellers = [_Teller(name, search, over) for name in wanted]
        for teller in tellers:
            teller.start()
        for teller in tellers:
            while teller.is_alive():
                teller.join(LOOK_EVERY_S)  # so that signals are heard
        lines = [teller.words() for teller in tellers]
        write_whole(_summary_of(run), "\n".join([*lines, ""]))
    finally:
        held.release()
    print("\n".join(lines), flush=True)
    return ExitCode.FAILED if any(teller.error for teller in tellers) else ExitCode.DONE


class _Over:
    """Whether the search is over that is followed."""

    def __init__(self, mark: Path | None, *, is_now: bool) -> None:
        """Say how that is known: by a signal, or by a file that is gone then."""
        self._mark, self._heard = mark, threading.Event()
        if is_now:
            self._heard.set()
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._heard.set())

    def is_set(self) -> bool:
        if self._mark is not None and not self._mark.exists():
            self._heard.set()
        return self._heard.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until it is over; tell whether it is."""
        until_s = time.monotonic() + seconds
        while not self.is_set() and (left_s := until_s - time.monotonic()) > 0:
            self._heard.wait(min(left_s, LOOK_EVERY_S))
        return self.is_set()


def _step_aside() -> None:
    """Leave the cores to those who train."""
    os.nice(NICENESS)
    with contextlib.suppress(OSError, AttributeError):  # the latter on macOS
        os.sched_setaffinity(0, range(os.sysconf("SC_NPROCESSORS_CONF")))


def _take(run: RunDir, over: _Over) -> Lock | None:
    """Be the only one who tells; None if another does until the end.

    Raises:
        InputError: if another does, and this one is not to wait for it.
    """
    is_to_wait = not over.is_set()
    run.tracking.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            return Lock.acquire(run.tracking, stamp())
        except InputError as error:
            if not is_to_wait:
                holder = next(iter(lock.holders(run.tracking).values()), None)
                where = "" if holder is None else f" (host {holder.host}, process {holder.pid})"
                raise InputError(
                    f"{run}: trackers are being told of it already{where}; wait for the end"
                ) from error
        if over.wait(LOCK_EVERY_S):
            return None


class _Memory:
    """What a tracker has been told, and where: a line for each."""

    def __init__(self, search: Search, name: str) -> None:
        self._path = search.folder / f"{name}.jsonl"
        self._told: dict[tuple[str, str], object] = {}
        text = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
        self._is_torn = not text.endswith("\n") and text != ""
        for line in text.splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # the torn one
                its = json.loads(line)
                self._told[its["to"], its["what"]] = its["as"]

    def knows(self, to: str, what: str, how: object) -> bool:
        return self._told.get((to, what)) == how

    def note(self, to: str, what: str, how: object) -> None:
        line = json.dumps({"to": to, "what": what, "as": how})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(("\n" if self._is_torn else "") + line + "\n")
        self._is_torn = False
        self._told[to, what] = how


class _Teller(threading.Thread):
    """Tells one tracker until all is over; what fails is tried again after a while."""

    def __init__(self, name: str, search: Search, over: _Over) -> None:
        super().__init__(name=name, daemon=True)
        self._search, self._over = search, over
        self._memory = _Memory(search, name)
        self._tracker: Tracker | None = None
        self._feed = trackfeed.Feed(search)
        self._again_s = AGAIN_S
        self._has_warned = False
        self._words = ""
        self.n_told = 0
        self.error: str | None = None

    def words(self) -> str:
        """Say in a line what came of it."""
        if self.error is None:
            s = "" if self.n_told == 1 else "s"
            return f"{self.name}: {self.n_told:,} trial{s} told, {self._words}"
        rest = command(self._search.run, [self.name])
        return f"{self.name}: not all was told ({self.error}); {rest} tells the rest"

    def run(self) -> None:
        while True:
            is_last = self._over.is_set()
            pause_s = LOOK_EVERY_S
            try:
                self._tell(is_last=is_last)
            except Exception as error:
                self._fail(error)
                pause_s, self._again_s = self._again_s, min(2 * self._again_s, MOST_AGAIN_S)
            if is_last:
                return
            self._over.wait(pause_s)

    def _tell(self, *, is_last: bool) -> None:
        if self._tracker is None:
            self._tracker = make(self.name)
            self._tracker.open(self._search)
            self._feed = trackfeed.Feed(self._search)
        for trial in self._feed.news():
            self._tell_trial(self._tracker, trial)
        if is_last:
            best = self._feed.best()
            if best is not None:
                self._tell_best(self._tracker, best)
            self._words = without_secrets(self._tracker.words())
            self._tracker.close()
        self.error, self._again_s = None, AGAIN_S

    def _tell_trial(self, tracker: Tracker, trial: ToldTrial) -> None:
        its = trial.result
        how = [its.status.value, its.epochs, its.ended_s]
        if not self._memory.knows(tracker.destination, trial.id, how):
            tracker.tell(trial)
            self._memory.note(tracker.destination, trial.id, how)
            self.n_told += 1

    def _tell_best(self, tracker: Tracker, best: Best) -> None:
        how = self._feed.best_key(best)
        if not self._memory.knows(tracker.destination, "best", how):
            tracker.conclude(best)
            self._memory.note(tracker.destination, "best", how)

    def _fail(self, error: Exception) -> None:
        """Warn once, and leave nothing open."""
        lines = [line for line in str(error).splitlines() if line.strip()]
        text = f"{type(error).__name__}: {lines[0].strip() if lines else 'no more is known'}"
        self.error = without_secrets(text)[:MAX_LINE_CHARS]
        told = "".join(traceback.format_exception(error))
        print(without_secrets(told), file=sys.stderr, flush=True)
        if not self._has_warned:
            _logger.warning(
                "%s is not told for now, the search goes on: %s; more in %s",
                *(self.name, self.error, self._search.folder / LOG),
            )
        self._has_warned = True
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            with contextlib.suppress(Exception):  # it has failed already
                tracker.close()


def make(name: str) -> Tracker:
    """Make a tracker; its package is loaded here."""
    if name == "wandb":
        from hpo import trackwandb

        return trackwandb.Wandb()
    if name == "mlflow":
        from hpo import trackmlflow

        return trackmlflow.Mlflow()
    from hpo import tracktensorboard

    return tracktensorboard.TensorBoard()

"""A run as a snapshot, from its files alone, again and again while it runs: for `hpo watch`."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from operator import attrgetter

from hpo import (
    history,
    journal,
    knownterms,
    lock,
    publish,
    record,
    sampling,
    spacefile,
    state,
    todo,
)
from hpo.history import Started
from hpo.journal import Written
from hpo.liveview import MOST_FINISHED
from hpo.options import Options
from hpo.order import NO_SOURCE
from hpo.report import Standing
from hpo.rundir import RunDir
from hpo.snapshot import Best, Finished, Snapshot, Training, settings_of
from hpo.terms import Terms
from hpo.trial import Result, Status, Trial


@dataclass(frozen=True)
class Sight:
    """What there was to see.

    Attributes:
        is_running: whether a start of the search lives.
        is_over: whether nothing is left, and the files show it.
    """

    snapshot: Snapshot
    standing: Standing
    is_running: bool
    is_over: bool


class Onlooker:
    """Looks at a run. Of its journal only what has been appended is read again."""

    def __init__(self, run: RunDir) -> None:
        """Read what does not change.

        Raises:
            InputError: if it is no run directory, or a file in it cannot be read.
        """
        self._run = run
        self._follower = journal.Follower(run.journal)
        self._records: list[Written] = []
        self._search: _Search | None = None

    def look(self, n_training: int) -> Sight:
        """Look once.

        Args:
            n_training: of so many ranks it is shown what they train.

        Raises:
            InputError: if a file cannot be read.
        """
        run = self._run
        alive = set(lock.alive(run.state))  # before its records: the last ones are not missed
        starts = [its for its in history.starts(run) if its.start in alive]
        search = _Search.read(run, self._search)
        news = list(self._follower.news())
        if news or search is not self._search:
            self._records += news
            search.compare(run, self._records)
            self._search = search
        now = search.standing
        is_over = now.is_finished and not alive and publish.is_published(run, search.record, now)
        return Sight(self._snapshot(search, starts, n_training), now, bool(alive), is_over)

    def _snapshot(self, its: _Search, starts: Sequence[Started], n_training: int) -> Snapshot:
        now = its.standing
        per_trial = its.options.ranks_per_trial
        n_ranks = sum(start.n_ranks // per_trial for start in starts)
        told = itertools.chain.from_iterable(
            state.some(self._run, start.start, range(0, start.n_ranks, per_trial), n_training)
            for start in starts
        )
        training = [
            Training.of(one, its.varied) for one in itertools.islice(told, max(0, n_training))
        ]
        results = [written.result for written in self._records]
        last = heapq.nlargest(MOST_FINISHED, results, key=attrgetter("ended_s"))
        return Snapshot(
            len(now.finished),
            now.n_failed,
            now.n_pruned,
            now.n_trials,
            sum(state.n_busy(self._run, start.start) for start in starts),
            n_ranks,
            None if now.is_finished or not n_ranks else its.left_s / n_ranks,
            time.time() - min(start.at_s for start in starts) if starts else None,
            _best(now, its.varied),
            [Finished.of(result, its.varied) for result in last],
            training,
            max((result.peak_memory_mb for result in results), default=0),
            name=str(self._run),
        )


class _Search:
    """What search.yaml tells, and how far the journal is of that."""

    def __init__(self, run: RunDir, read_at: tuple[int, int]) -> None:
        self.record = record.read(run)
        self._read_at = read_at
        self.options = _options(self.record)
        self._written = spacefile.of_run(self.record.space, str(run.search))
        self.varied = self._written.varied
        self._terms = knownterms.of_run(self.record)
        self._trials: Sequence[Trial] = ()
        self.standing = Standing((), {})
        self.left_s = 0.0  # of one core

    @classmethod
    def read(cls, run: RunDir, known: _Search | None) -> _Search:
        """Read search.yaml, unless it is known: a later start may have changed it."""
        try:
            found = run.search.stat()
            read_at = (found.st_mtime_ns, found.st_size)
        except OSError:
            read_at = (0, 0)
        return known if known is not None and known._read_at == read_at else cls(run, read_at)

    def compare(self, run: RunDir, records: Sequence[Written]) -> None:
        """Find how far the search is, and guess how long the rest takes."""
        if not self._trials or self.standing.n_planned:  # a sampler proposes more and more
            self._trials = publish.trials(run, self.record)
        results = journal.latest(records)
        self.standing = publish.compared(run, self.record, self._trials, results)
        self.left_s = self._left_s(run)

    def _left_s(self, run: RunDir) -> float:
        now, options, terms = self.standing, self.options, self._terms
        if now.is_searched:
            jobs = todo.final_jobs(now, terms)
        else:
            planned = sampling.planned(
                self._written, terms, self.record.options, publish.proposals(run, self._written)
            )
            pruner = sampling.pruner(options.pruning, now.trials, terms, planned)
            jobs = todo.jobs(run, options, now, terms, (), NO_SOURCE, pruner)
        seen = [_seen(its, terms) for its in now.results.values() if _is_told(its)]
        for network, predicted_s, seconds in seen:
            jobs.learn(network, predicted_s, seconds)
        n_unknown = now.n_trials - len(now.trials)  # not proposed yet
        usual_s = sum(seconds for *_, seconds in seen) / len(seen) if seen else 0.0
        return jobs.left_s() + n_unknown * usual_s


def _options(its: record.Record) -> Options:
    """Give the options of a run, of all its shards together."""
    known = {field.name for field in fields(Options)} & set(its.options)
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in its.options.items()
        if name in known
    }
    return replace(Options(**values), shard=None)  # type: ignore[arg-type]  # as it was written


def _is_told(its: Result) -> bool:
    return its.seconds > 0 and its.status is not Status.FAILED


def _seen(its: Result, terms: Terms) -> tuple[str, float, float]:
    """Give a result's kind, and its predicted and seen seconds."""
    kind, predicted_s = terms.estimate(its.config)
    if its.status is Status.PRUNED:
        predicted_s *= its.epochs / terms.epochs(its.config)
    return kind, predicted_s, its.seconds


def _best(now: Standing, varied: Sequence[str]) -> Best | None:
    if now.best is None:
        return None
    assert now.best_score is not None
    trial = now.best[0]
    return Best(trial.id, now.best_score, trial.config, settings_of(trial.config, varied))

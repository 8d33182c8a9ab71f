"""Which trial next: the longest first, by a cost model that learns from the times seen."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from hpo.cost import COMPILE_S, MAX_NETWORKS, Estimator
from hpo.trial import Result, Status, Trial

# Within this share of the longest, a network that the rank has compiled already comes first:
# predictions are no better than that, and compiling costs as much as a short trial.
AS_LONG_AS = 0.8
N_TURNS = 3  # usual, late and lone jobs, in this order

Line = tuple[int, str]  # jobs of one turn and one network, which wait together
Ranked = tuple[int, float, str]  # -turn, seconds of its longest job, network: the largest is next


@dataclass(frozen=True, slots=True)
class Job:
    """A trial to hand out, and what the order depends on.

    With pruning it has to ask after each of `rungs` (epochs) whether it may go on, and what is
    handed out is its way from one to the next.
    """

    trial: Trial
    network: str
    predicted_s: float
    attempt: int = 1
    is_late: bool = False  # was in flight at several deaths: only when all else is done
    is_lone: bool = False  # at more: with nothing else in flight, to see which one it is
    epochs: int = 1  # those that `predicted_s` is for
    rungs: tuple[int, ...] = ()
    begin: int = 0  # the rung that it comes from
    keeps_weights: bool = False  # though better ones are known, as those may not count

    @property
    def line(self) -> Line:
        return self.is_late + self.is_lone, self.network


class Source(Protocol):
    """Where further jobs come from, when none is waiting."""

    def propose(self) -> Job | None:
        """Give a new one, if there is any."""

    def note(self, result: Result) -> None:
        """Learn from a result."""

    @property
    def n_left(self) -> int:
        """How many it still has to give."""


class _NoSource:
    n_left = 0

    def propose(self) -> Job | None:
        return None

    def note(self, result: Result) -> None:
        pass


NO_SOURCE = _NoSource()


class Queue:
    """The trials that nobody has taken yet."""

    def __init__(self, jobs: Iterable[Job], source: Source = NO_SOURCE) -> None:
        self._source = source
        self._waiting: dict[Line, list[Job]] = defaultdict(list)
        self._waiting_s: dict[Line, float] = defaultdict(float)
        # All sorted, so that taking costs a few comparisons, however many networks there are.
        # Those without times seen are corrected all alike, so that a new time moves no line but
        # those of its own network.
        self._seen: set[str] = set()
        self._by_corrected: list[Ranked] = []
        self._by_predicted: list[Ranked] = []
        self._ranked: dict[Line, tuple[list[Ranked], Ranked]] = {}  # where each line stands
        self._taken: dict[str, Job] = {}
        self._compiled: dict[int, dict[str, None]] = {}  # by rank; the one used last is last
        self._estimator = Estimator()
        self._guard = threading.RLock()  # the progress line's thread looks in
        self.n_jobs = source.n_left
        for job in jobs:
            self._waiting[job.line].append(job)
            self._waiting_s[job.line] += job.predicted_s
            self.n_jobs += 1
        for line, some in self._waiting.items():
            some.sort(key=_order)
            self._rank(line)

    def add(self, job: Job) -> None:
        """Let one more wait."""
        with self._guard:
            insort(self._waiting[job.line], job, key=_order)
            self._waiting_s[job.line] += job.predicted_s
            self._rank(job.line)

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def take(self, rank: int, time_left_s: float = math.inf) -> Job | None:
        """Take the best job for a rank; None if there is none that fits into the time left.

        A rank's first job need not fit: it will be saved and continued, and without this a trial
        longer than any time limit would never be trained.
        """
        with self._guard:
            return self._take(rank, time_left_s)

    def _take(self, rank: int, time_left_s: float) -> Job | None:
        if rank not in self._compiled or not self._estimator.has_seen:
            time_left_s = math.inf
        compiled = self._compiled.setdefault(rank, {})
        found = self._find(compiled, time_left_s)
        if found is None and not self._waiting and (job := self._source.propose()):
            self.add(job)
            found = self._find(compiled, time_left_s)
        if found is None:
            return None
        line, place = found
        if self._waiting[line][place].is_lone and self._taken:
            return None  # the rank that is free last takes them, one after the other
        _use(compiled, line[1])
        return self._remove(line, place)

    def _find(self, compiled: dict[str, None], time_left_s: float) -> tuple[Line, int] | None:
        """Find the best job: its line and its place there."""
        found = self._longest()
        if found is None:
            return None
        turn, longest_s, network = found
        if longest_s > time_left_s:
            return self._find_within(compiled, time_left_s)
        for other in reversed(compiled):
            jobs = self._waiting.get((-turn, other))
            if jobs and self._predicted_s(jobs[-1]) >= AS_LONG_AS * longest_s:
                return (-turn, other), -1
        return (-turn, network), -1

    def _longest(self) -> Ranked | None:
        """Find the line whose turn it is."""
        found = self._by_corrected[-1] if self._by_corrected else None
        if not self._by_predicted:
            return found
        turn, predicted_s, network = self._by_predicted[-1]
        guess = turn, self._estimator.corrected_s(network, predicted_s), network
        return guess if found is None or guess > found else found

    def _find_within(
        self, compiled: dict[str, None], time_left_s: float
    ) -> tuple[Line, int] | None:
        """Do the same near the end of the time, when all lines have to be looked at."""
        fitting = [
            (-line[0], self._predicted_s(jobs[n - 1]), line, n - 1)
            for line, jobs in self._waiting.items()
            if (n := bisect_right(jobs, time_left_s, key=self._predicted_s))
        ]
        if not fitting:
            return None
        turn, longest_s, _, _ = max(fitting)
        _, _, line, place = max(
            (f for f in fitting if f[0] == turn and f[1] >= AS_LONG_AS * longest_s),
            key=lambda found: (found[2][1] in compiled, found[1]),
        )
        return line, place

    def _remove(self, line: Line, place: int) -> Job:
        job = self._waiting[line].pop(place)
        self._waiting_s[line] -= job.predicted_s
        if not self._waiting[line]:
            del self._waiting[line], self._waiting_s[line]
        self._rank(line)
        self._taken[job.trial.id] = job
        return job

    def _rank(self, line: Line) -> None:
        """Rank a line again: its longest job has gone, or is corrected in another way."""
        if line in self._ranked:
            ranking, ranked = self._ranked.pop(line)
            del ranking[bisect_left(ranking, ranked)]
        if line not in self._waiting:
            return
        turn, network = line
        longest = self._waiting[line][-1]
        if network in self._seen:
            ranking, ranked = self._by_corrected, (-turn, self._predicted_s(longest), network)
        else:
            ranking, ranked = self._by_predicted, (-turn, longest.predicted_s, network)
        insort(ranking, ranked)
        self._ranked[line] = ranking, ranked

    @property
    def may_get_more(self) -> bool:
        """Whether a rank that finds nothing to take should wait for what others bring."""
        return False

    def may_go_on(self, result: Result) -> bool:
        """Answer a trial that has come to a rung, with what it has come to there."""
        return True

    def note(self, result: Result) -> None:
        """Learn from a result that has come back."""
        with self._guard:
            self._source.note(result)
            job = self._taken.pop(result.id, None)
            if job is not None and result.status is not Status.FAILED:
                self._estimator.note(job.network, job.predicted_s, result.seconds)
                self._seen.add(job.network)
                for line in ((turn, job.network) for turn in range(N_TURNS)):
                    if line in self._ranked:
                        self._rank(line)

    def learn(self, network: str, predicted_s: float, seen_s: float) -> None:
        """Learn from a time that was seen before, or elsewhere; only `left_s` heeds it."""
        self._estimator.note(network, predicted_s, seen_s)

    def shares(self, n_ranks: int) -> list[list[Job]]:
        """Deal all jobs at once: as many to each rank, and about as long."""
        with self._guard:
            jobs = [
                self._remove(line, -1) for line in [*self._waiting] for _ in [*self._waiting[line]]
            ]
        jobs.sort(key=lambda job: (job.line[0], -self._predicted_s(job), job.trial.index))
        there_and_back = [*range(n_ranks), *reversed(range(n_ranks))]
        shares: list[list[Job]] = [[] for _ in range(n_ranks)]
        for number, job in enumerate(jobs):
            shares[there_and_back[number % len(there_and_back)]].append(job)
        return shares

    def left_s(self) -> float:
        """Guess the seconds of one core for all that is not finished."""
        with self._guard:
            waiting = sum(
                self._estimator.corrected_s(network, s) + COMPILE_S
                for (_, network), s in self._waiting_s.items()
            )
            return waiting + sum(map(self._predicted_s, self._taken.values())) / 2

    def times(self) -> list[tuple[str, float, float]]:
        """List each network's seconds predicted and seen; see `Estimator.times`."""
        with self._guard:
            return self._estimator.times()

    @property
    def n_unfinished(self) -> int:
        """How many jobs have no result yet."""
        return len(self) + len(self._taken) + self._source.n_left

    @property
    def n_taken(self) -> int:
        """How many jobs are with a rank now."""
        return len(self._taken)

    def _predicted_s(self, job: Job) -> float:
        return self._estimator.corrected_s(job.network, job.predicted_s)


def _order(job: Job) -> tuple[float, int]:
    """Sort the longest last; a correction is common to a network, so that this never changes."""
    return job.predicted_s, -job.trial.index


def _use(compiled: dict[str, None], network: str) -> None:
    compiled.pop(network, None)
    compiled[network] = None
    if len(compiled) > MAX_NETWORKS:
        del compiled[next(iter(compiled))]

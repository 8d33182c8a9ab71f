"""Which trial next: the longest first, by a cost model that learns from the times seen."""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from hpo.cost import COMPILE_S, Estimator
from hpo.trial import Result, Status, Trial

# Within this share of the longest, a network that the rank has compiled already comes first:
# predictions are no better than that, and compiling costs as much as a short trial.
AS_LONG_AS = 0.8
DEALER = -1  # takes all jobs, to deal them


@dataclass(frozen=True, slots=True)
class Job:
    """A trial to hand out, and what the order depends on."""

    trial: Trial
    network: str
    predicted_s: float
    attempt: int = 1
    is_late: bool = False  # was in flight at several deaths: only when all else is done
    is_lone: bool = False  # at more: with nothing else in flight, to see which one it is

    @property
    def queue(self) -> tuple[int, str]:
        """Name the queue that it waits in; the lower number goes first."""
        return self.is_late + self.is_lone, self.network


class Queue:
    """The trials that nobody has taken yet."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        # By network, the longest last: a correction is common to a network, so that this order
        # never changes, and taking costs a look at each network's last job.
        self._waiting: dict[tuple[int, str], list[Job]] = defaultdict(list)
        self._waiting_s: dict[tuple[int, str], float] = defaultdict(float)
        self._taken: dict[str, Job] = {}
        self._compiled: dict[int, set[str]] = defaultdict(set)
        self._estimator = Estimator()
        self._guard = threading.RLock()  # the progress line's thread looks in
        for job in jobs:
            self._waiting[job.queue].append(job)
            self._waiting_s[job.queue] += job.predicted_s
        for some in self._waiting.values():
            some.sort(key=lambda job: (job.predicted_s, -job.trial.index))

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
        fitting = [
            (self._predicted_s(some[i]), key, i)
            for key, some in self._waiting.items()
            if (i := self._longest_within(some, time_left_s)) is not None
        ]
        if not fitting:
            return None
        first = min(found[1][0] for found in fitting)
        fitting = [found for found in fitting if found[1][0] == first]
        longest_s = max(found[0] for found in fitting)
        compiled = self._compiled[rank]
        _, key, i = max(
            (found for found in fitting if found[0] >= AS_LONG_AS * longest_s),
            key=lambda found: (found[1][1] in compiled, found[0]),
        )
        if self._waiting[key][i].is_lone and self._taken and rank != DEALER:
            return None  # the rank that is free last takes them, one after the other
        job = self._waiting[key].pop(i)
        self._waiting_s[key] -= job.predicted_s
        if not self._waiting[key]:
            del self._waiting[key], self._waiting_s[key]
        compiled.add(job.network)
        self._taken[job.trial.id] = job
        return job

    def note(self, result: Result) -> None:
        """Learn from a result that has come back."""
        with self._guard:
            job = self._taken.pop(result.id, None)
            if job is not None and result.status is Status.DONE:
                self._estimator.note(job.network, job.predicted_s, result.seconds)

    def shares(self, n_ranks: int) -> list[list[Job]]:
        """Deal all jobs at once: as many to each rank, and about as long."""
        jobs: list[Job] = []
        while (job := self.take(DEALER)) is not None:
            jobs.append(job)
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

    @property
    def n_unfinished(self) -> int:
        """How many jobs have no result yet."""
        return len(self) + len(self._taken)

    @property
    def n_taken(self) -> int:
        """How many jobs are with a rank now."""
        return len(self._taken)

    def _predicted_s(self, job: Job) -> float:
        return self._estimator.corrected_s(job.network, job.predicted_s)

    def _longest_within(self, some: list[Job], time_left_s: float) -> int | None:
        for i in reversed(range(len(some))):
            if self._predicted_s(some[i]) <= time_left_s:
                return i
        return None
